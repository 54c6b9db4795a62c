//! How a run begins and ends: the cluster gets ready, clients start, everything comes to rest, the disks are surveyed.

use ackproof_core::Input;
use ackproof_core::client::{AdminCall, Call, Completion, ConfigResource};
use ackproof_core::fact::{Fact, Observer};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, Instant, NodeId, Prng};

use super::run::{Happening, Outcome};
use super::{NodeIndex, SimMachine, World};

/// How often the world looks whether it is ready.
const READY_INTERVAL: Duration = Duration::from_millis(20);
/// How often it looks whether the run is over.
const END_INTERVAL: Duration = Duration::from_millis(250);
/// Brokers start within this time, drawn from the seed.
const START_SPREAD: Duration = Duration::from_secs(2);
/// How long a run that is at rest otherwise waits for followers to hear of the last high watermark.
const TIDY_LIMIT: Duration = Duration::from_secs(2);
/// A cluster is ready within this time after its start, or after the last fault that came before.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Brokers register.
    Starting,
    /// The topics have been asked for.
    CreatingTopics,
    /// Replicas catch up.
    FillingIsr,
    /// Clients are at work, faults happen.
    Running { ready: Instant },
    /// Clients and faults are done; the cluster comes to rest.
    Settling { ready: Instant, since: Instant },
    /// It is over.
    Ended,
}

impl World {
    /// The controller starts at once, brokers within [`START_SPREAD`]: nobody's heartbeats keep step with another's.
    pub(super) fn schedule_start(&mut self) {
        let mut rng = Prng::new(self.spec.seed).fork("start");
        for id in &self.servers.controllers {
            self.queue.push(self.now, Happening::Start(self.index[id]));
        }
        for id in &self.servers.brokers {
            let after = Duration(rng.between(Duration::from_millis(10).0, START_SPREAD.0));
            self.queue.push(self.now + after, Happening::Start(self.index[id]));
        }
        self.queue.push(self.now, Happening::Start(self.admin));
        self.queue.push(self.now + READY_INTERVAL, Happening::Check);
    }

    pub(super) fn check(&mut self, observer: &mut dyn Observer) {
        match self.phase {
            Phase::Starting => {
                if self.brokers_are_in() {
                    self.create_topics(observer);
                }
            }
            Phase::CreatingTopics => self.look_for_topics(observer),
            Phase::FillingIsr => {
                if self.isr_is_full() {
                    self.begin(observer);
                }
            }
            Phase::Running { ready } => {
                if self.is_over_time(ready, observer) {
                    return;
                }
                if self.is_idle() {
                    self.ends_at_half_time.clear();
                    self.phase = Phase::Settling { ready, since: self.now };
                }
            }
            // What was hurt last has as long to come to rest as what was hurt first.
            Phase::Settling { ready, since } => {
                if !self.is_idle() {
                    self.phase = Phase::Running { ready };
                } else if self.is_at_rest(since) {
                    self.end(Outcome::Quiescent, observer);
                } else {
                    self.settle(self.now.since(since), observer);
                }
            }
            Phase::Ended => return,
        }
        let starting = matches!(self.phase, Phase::Starting | Phase::CreatingTopics | Phase::FillingIsr);
        if starting && self.faults.is_busy() {
            self.last_hurt = self.now;
        }
        if starting && self.now.since(self.last_hurt) > READY_LIMIT {
            self.end(Outcome::TimeLimit, observer);
        }
        if self.phase != Phase::Ended {
            let interval = if starting { READY_INTERVAL } else { END_INTERVAL };
            self.queue.push(self.now + interval, Happening::Check);
        }
    }

    fn brokers_are_in(&self) -> bool {
        self.controller_image()
            .is_some_and(|image| self.spec.brokers.iter().all(|config| image.is_active(config.broker_id)))
    }

    fn create_topics(&mut self, observer: &mut dyn Observer) {
        if self.spec.topics.is_empty() {
            self.phase = Phase::FillingIsr;
            return;
        }
        self.phase = Phase::CreatingTopics;
        let call = Call::CreateTopics(self.spec.topics.clone());
        self.input(self.admin, Input::Call(call), 0, observer);
    }

    fn look_for_topics(&mut self, observer: &mut dyn Observer) {
        for completion in self.take_completions(self.admin) {
            let Completion::TopicsCreated(results) = completion else { continue };
            // A topic that is there already was created by a request whose answer got lost.
            let errors = results.iter().filter_map(|(topic, result)| Some((topic, result.as_ref().err()?)));
            let refused: Vec<String> = errors
                .filter(|(_, error)| **error != ErrorCode::TOPIC_ALREADY_EXISTS)
                .map(|(topic, error)| format!("{}: {error}", topic.as_str()))
                .collect();
            if refused.is_empty() {
                self.phase = Phase::FillingIsr;
                self.configure_groups(observer);
            } else {
                let what = format!("the topics could not be created: {}", refused.join(", "));
                self.emit(self.admin, 0, Fact::Stuck { what }, observer);
                self.end(Outcome::TimeLimit, observer);
            }
        }
    }

    /// What is set for groups is there before anybody joins them.
    fn configure_groups(&mut self, observer: &mut dyn Observer) {
        for (group, configs) in self.spec.groups.clone() {
            let configs = configs.into_iter().map(|(name, value)| (name, Some(value))).collect();
            let call = AdminCall::AlterConfigs { resource: ConfigResource::Group(group), configs };
            self.input(self.admin, Input::Call(Call::Admin(call)), 0, observer);
        }
    }

    fn isr_is_full(&self) -> bool {
        let Some(image) = self.controller_image() else { return false };
        image.partitions.iter().all(|(partition, state)| {
            let known = |broker: &NodeId| match &self.node(self.index[broker]).machine {
                Some(SimMachine::Broker(broker)) => {
                    broker.image().partitions.get(partition).is_some_and(|seen| seen.leader_epoch == state.leader_epoch)
                }
                _ => false,
            };
            state.leader >= 0 && state.isr.len() == state.replicas.len() && self.servers.brokers.iter().all(known)
        })
    }

    /// The cluster is ready: clients start, and the plan's times count from here.
    fn begin(&mut self, observer: &mut dyn Observer) {
        self.phase = Phase::Running { ready: self.now };
        let controller = self.index[&self.servers.controllers[0]];
        self.emit(controller, 0, Fact::ClusterReady, observer);
        for (number, client) in (0..).zip(&self.spec.clone().clients) {
            if client.kind.is_external() {
                continue;
            }
            let node = self.index[&NodeId::Client(number)];
            self.queue.push(self.now + client.starts_after, Happening::Start(node));
        }
        self.schedule_timed_steps();
    }

    /// Whether no program has anything more to send, and no fault is on its way or will end by itself.
    fn is_idle(&self) -> bool {
        let programs_done = self.nodes.iter().all(|node| match node.id {
            NodeId::Client(_) => {
                node.blueprint.is_external() || (node.life > 0 && (node.app.is_done() || !node.is_alive()))
            }
            NodeId::Controller(_) | NodeId::Broker(_) => true,
        });
        let all_back = self.nodes.iter().all(|node| !node.is_coming_back);
        programs_done && all_back && !self.awaits_host && !self.faults.is_busy()
    }

    fn is_at_rest(&self, since: Instant) -> bool {
        self.is_led()
            && self.pending().is_empty()
            && (self.followers_know_the_high_watermark() || self.now.since(since) >= TIDY_LIMIT)
    }

    /// What is not at rest in time is stuck, but for a log that only grows and grows.
    fn settle(&mut self, passed: Duration, observer: &mut dyn Observer) {
        let limit = self.spec.settle_limit;
        if passed >= Duration(limit.0 / 2) && self.ends_at_half_time.is_empty() {
            self.ends_at_half_time = self.ends_of_group_logs();
        }
        if passed >= limit {
            let moves = self.is_led() && self.pending_since(&self.ends_at_half_time).is_empty();
            self.end(if moves { Outcome::Quiescent } else { Outcome::TimeLimit }, observer);
        }
    }

    fn is_over_time(&mut self, ready: Instant, observer: &mut dyn Observer) -> bool {
        let over = self.now.since(ready) >= self.spec.time_limit;
        if over {
            self.end(Outcome::TimeLimit, observer);
        }
        over
    }

    fn end(&mut self, outcome: Outcome, observer: &mut dyn Observer) {
        self.phase = Phase::Ended;
        self.outcome = outcome;
        let controller = self.index[&self.servers.controllers[0]];
        if outcome == Outcome::TimeLimit {
            for what in self.stuck() {
                self.emit(controller, 0, Fact::Stuck { what }, observer);
            }
        }
        self.survey(observer);
        self.survey_groups(observer);
        self.emit(controller, 0, Fact::RunEnded { quiescent: outcome == Outcome::Quiescent }, observer);
    }

    /// A fact of the survey.
    pub(crate) fn surveyed(&mut self, node: NodeIndex, fact: Fact, observer: &mut dyn Observer) {
        self.emit(node, 0, fact, observer);
    }
}
