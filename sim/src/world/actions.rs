//! What the plan does to the world, and how it ends.

use std::sync::Arc;

use ackproof_core::Input;
use ackproof_core::client::{AdminCall, Call};
use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Duration, Instant, NodeId};

use super::message::{MessageFilter, MessageRule};
use super::node::Process;
use super::run::{ActiveRule, Happening};
use super::setup::Phase;
use super::{End, Keep, NodeIndex, World};
use crate::faults::{Action, FaultEngine, MessageFault, Selector, StepState, Trigger};

impl World {
    /// Starts a process that does not run; a machine without power gets it back.
    pub(super) fn start(&mut self, index: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        self.node_mut(index).is_coming_back = false;
        if self.node(index).is_alive() {
            return;
        }
        let now = self.now;
        let servers = self.servers.clone();
        let had_power = self.node(index).has_power();
        let node = self.node_mut(index);
        let (machine, app) = node.blueprint.build(node.id, &servers, node.clock.local(now), node.app_progress);
        node.machine = Some(machine);
        node.app = app;
        node.app.cut_off(!node.outages.is_empty());
        node.life += 1;
        node.process = Process::Running;
        node.wakes_at = None;
        if !had_power {
            self.retransmit();
        }
        let cause = self.emit(index, cause, Fact::NodeStarted, observer);
        self.input(index, Input::Start, cause, observer);
        if self.metadata_lag(index) > Duration::ZERO {
            self.set_metadata_lags(&[index], cause, observer);
        }
    }

    /// A process is no more; `fact` says how it ended.
    pub(super) fn end_process(&mut self, index: NodeIndex, fact: Fact, cause: u64, observer: &mut dyn Observer) {
        if !self.node(index).is_alive() {
            return;
        }
        let now = self.now;
        let lost_power = matches!(fact, Fact::PowerLost { .. });
        let cause = self.emit(index, cause, fact, observer);
        let node = self.node_mut(index);
        node.process = if lost_power { Process::PowerOff } else { Process::Down };
        node.died_at = now;
        node.deferred.clear();
        node.stalled.clear();
        node.wakes_at = None;
        let abandoned = node.machine.as_ref().map(super::SimMachine::abandoned).unwrap_or_default();
        node.machine = None;
        node.app_progress = node.app.progress().unwrap_or(node.app_progress);
        if lost_power {
            self.forget_connections(index);
        } else {
            self.hang_up(index, cause);
        }
        // Whoever gives the power back starts it.
        if std::mem::take(&mut self.node_mut(index).starts_again) && !lost_power {
            self.queue.push(now, Happening::Start(index));
        }
        for record in abandoned {
            let fact = Fact::RecordAbandoned { record: record.record, unsent: record.unsent };
            self.emit(index, cause, fact, observer);
        }
    }

    fn pause(&mut self, index: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        if self.node(index).process == Process::Running {
            self.node_mut(index).process = Process::Paused;
            self.emit(index, cause, Fact::NodePaused, observer);
        }
    }

    fn resume(&mut self, index: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        if self.node(index).process != Process::Paused {
            return;
        }
        self.node_mut(index).process = Process::Running;
        let cause = self.emit(index, cause, Fact::NodeResumed, observer);
        self.node_mut(index).wakes_at = None;
        while self.node(index).process == Process::Running {
            let Some(deferred) = self.node_mut(index).deferred.pop_front() else { break };
            let cause = if deferred.cause == 0 { cause } else { deferred.cause };
            self.input(index, deferred.input, cause, observer);
        }
        self.arm(index);
    }

    pub(super) fn lose_power(&mut self, index: NodeIndex, keep: Keep, cause: u64, observer: &mut dyn Observer) {
        let now = self.now;
        let mut rng = self.faults_rng.fork(&format!("power/{}/{}", self.node(index).id, self.node(index).life));
        let loss = self.node_mut(index).disk.lose_power(now, keep, &mut rng);
        let fact = Fact::PowerLost { unsynced_bytes: loss.unsynced_bytes, lost_bytes: loss.lost_bytes };
        if self.node(index).is_alive() {
            self.end_process(index, fact, cause, observer);
        } else {
            self.emit(index, cause, fact, observer);
            self.node_mut(index).process = Process::PowerOff;
            self.forget_connections(index);
        }
    }

    /// Schedules the steps whose triggers a fact has met.
    pub(super) fn look_at_triggers(&mut self, event: &Event) {
        let mut faults = std::mem::replace(&mut self.faults, FaultEngine::new(Arc::default()));
        let mut rng = self.faults_rng.fork("trigger");
        let due = faults.notice(event, &mut |selector, node| self.select(selector, &mut rng).contains(&node));
        self.faults = faults;
        for step in due {
            self.schedule(step);
        }
    }

    /// A step's trigger has been met: it happens after its delay.
    pub(super) fn schedule(&mut self, step: usize) {
        self.faults.set_state(step, StepState::Scheduled);
        let at = self.now + self.faults.steps()[step].delay;
        self.queue.push(at, Happening::Step(step));
    }

    /// Schedules the steps that are due at a time, counted from now.
    pub(super) fn schedule_timed_steps(&mut self) {
        for step in 0..self.faults.steps().len() {
            if let Trigger::At(after) = self.faults.steps()[step].trigger {
                let delay = self.faults.steps()[step].delay;
                self.faults.set_state(step, StepState::Scheduled);
                self.queue.push(self.now + after + delay, Happening::Step(step));
            }
        }
    }

    pub(super) fn resolve(&mut self, selector: &Selector, step: usize) -> Vec<NodeIndex> {
        // By its name: a step more or less in front of it re-rolls nothing.
        let mut rng = self.faults_rng.fork(&format!("select/{}", self.faults.steps()[step].name));
        let nodes = self.select(selector, &mut rng);
        nodes.into_iter().filter_map(|id| self.find(id)).collect()
    }

    /// A step of the plan happens.
    pub(super) fn perform(&mut self, number: usize, observer: &mut dyn Observer) {
        let steps = self.faults.steps().clone();
        let step = &steps[number];
        let controller = self.index[&self.servers.controllers[0]];
        let injected = Fact::FaultInjected { fault: number as u32 + 1, what: step.name.clone() };
        // The end of another step is said by that step; a name for a moment is no fault.
        let is_fault = !matches!(step.action, Action::Mark | Action::Heal(_));
        let cause = if is_fault { self.emit(controller, 0, injected, observer) } else { 0 };
        // What happens while the cluster comes to rest takes its own time to do so.
        if let Phase::Settling { ready, .. } = self.phase
            && is_fault
        {
            self.phase = Phase::Running { ready };
        }
        self.faults.set_state(number, if step.action.heals() { StepState::InForce } else { StepState::Over });
        let targets = step.action.targets().map(|selector| self.resolve(selector, number)).unwrap_or_default();
        if let Some(name) = &step.bind {
            let ids = targets.iter().map(|index| self.node(*index).id).collect();
            self.bound.insert(name.clone(), ids);
        }
        self.targets.insert(number, targets.clone());
        self.act(number, &step.action, &targets, cause, observer);
        self.remember_disks(number);
        if let Some(lasts) = step.lasts {
            self.queue.push(self.now + lasts, Happening::Heal(number));
        }
        for next in self.faults.followers(number) {
            self.schedule(next);
        }
    }

    /// Counts a process or machine fault as having done something, with its witness.
    pub(super) fn hit(&mut self, step: usize, target: NodeIndex, did: &str, cause: u64, observer: &mut dyn Observer) {
        self.faults.bite(step);
        let what = format!("{did} {}", self.node(target).name);
        let harmed = self.faults.steps()[step].action.harms_disk().then(|| Fact::DiskHarmed { what: what.clone() });
        let cause = self.emit(target, cause, Fact::FaultBit { fault: step as u32 + 1, what }, observer);
        if let Some(harmed) = harmed {
            self.emit(target, cause, harmed, observer);
        }
    }

    fn act(&mut self, number: usize, action: &Action, targets: &[NodeIndex], cause: u64, observer: &mut dyn Observer) {
        match action {
            Action::Kill(_) | Action::Start(_) | Action::Stop(_) | Action::Pause(_) | Action::Resume(_) => {
                for target in targets {
                    self.signal(number, action, *target, cause, observer);
                }
            }
            Action::Outage(_) => self.cut_off(number, targets),
            Action::PowerLoss(_, keep) => {
                for target in targets {
                    self.hit(number, *target, "cut the power of", cause, observer);
                    self.lose_power(*target, *keep, cause, observer);
                }
            }
            Action::Cut { from, to, both_ways } => self.cut(number, from, to, *both_ways, cause, observer),
            Action::Messages(fault) => {
                let rule = self.rule(fault, number);
                self.rules.push(ActiveRule { step: number, rule, seen: 0, buffer_of: None, reused: None });
            }
            Action::Disconnect { from, to } => self.disconnect(number, from, to, cause, observer),
            Action::Silence { from, to } => self.silence(number, from, to),
            Action::Link(change) => self.change_links(number, change, cause, observer),
            Action::Disk(_, faults) => self.harm_disks(number, faults, targets),
            Action::Wipe(_) => {
                for target in targets {
                    if self.node_mut(*target).disk.wipe() > 0 {
                        self.hit(number, *target, "emptied the disk of", cause, observer);
                    }
                }
            }
            Action::RollBack(_, to) => self.roll_back(number, *to, targets, cause, observer),
            Action::Damage(_, damage) => self.damage_files(number, damage, targets, cause, observer),
            Action::ClockJump(_, by) => {
                for target in targets {
                    self.node_mut(*target).clock.jump(*by);
                    let did = if *by < 0 { "moved back the clock of" } else { "moved ahead the clock of" };
                    self.hit(number, *target, did, cause, observer);
                }
            }
            Action::ClockDrift(_, ppm) => self.drift(number, targets, *ppm, cause, observer),
            // What is held back is the witness.
            Action::MetadataLag(..) => self.set_metadata_lags(targets, cause, observer),
            Action::Elect { partition, unclean } => {
                let call = Call::ElectLeader { partition: partition.clone(), unclean: *unclean };
                self.ask(number, call, cause, observer);
            }
            Action::Admin(call) => self.ask(number, Call::Admin(call.clone()), cause, observer),
            Action::CreateTopic(topic) => self.ask(number, Call::CreateTopics(vec![topic.clone()]), cause, observer),
            Action::Heal(other) => {
                self.heal(*other, observer);
            }
            Action::Mark => {
                self.faults.bite(number);
            }
        }
    }

    /// An operator asks the cluster for something; its witness is that it was asked.
    fn ask(&mut self, number: usize, call: Call, cause: u64, observer: &mut dyn Observer) {
        let admin = self.admin;
        let did = match &call {
            Call::ElectLeader { .. } => "asked for an election through",
            Call::Admin(AdminCall::DeleteRecords { .. }) => "asked the leader through",
            _ => "asked the controller through",
        };
        self.hit(number, admin, did, cause, observer);
        self.input(admin, Input::Call(call), cause, observer);
    }

    fn signal(&mut self, number: usize, action: &Action, target: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        let process = self.node(target).process;
        match action {
            Action::Kill(_) if self.node(target).is_alive() => {
                self.hit(number, target, "killed", cause, observer);
                self.end_process(target, Fact::NodeKilled, cause, observer);
            }
            Action::Start(_) if !self.node(target).is_alive() => {
                self.hit(number, target, "started", cause, observer);
                self.start(target, cause, observer);
            }
            Action::Stop(_) if self.node(target).is_alive() => {
                self.hit(number, target, "sent SIGTERM to", cause, observer);
                let id = self.node(target).id;
                match id {
                    NodeId::Broker(_) => self.input(target, Input::Stop, cause, observer),
                    NodeId::Client(_) if self.node_mut(target).app.stop() => self.arm(target),
                    NodeId::Controller(_) | NodeId::Client(_) => {
                        self.end_process(target, Fact::NodeStopped, cause, observer);
                    }
                }
            }
            Action::Pause(_) if process == Process::Running => {
                self.hit(number, target, "paused", cause, observer);
                self.pause(target, cause, observer);
            }
            Action::Resume(_) if process == Process::Paused => {
                self.hit(number, target, "resumed", cause, observer);
                self.resume(target, cause, observer);
            }
            _ => {}
        }
    }

    fn drift(&mut self, number: usize, targets: &[NodeIndex], ppm: i32, cause: u64, observer: &mut dyn Observer) {
        for target in targets {
            let now = self.now;
            let node = self.node_mut(*target);
            node.clock.set_drift(now, ppm);
            node.wakes_at = None;
            self.hit(number, *target, "bent the clock of", cause, observer);
            self.arm(*target);
        }
    }

    /// How late a node publishes metadata, by the steps in force.
    fn metadata_lag(&self, index: NodeIndex) -> Duration {
        let lags = self.targets.iter().filter(|(_, targets)| targets.contains(&index));
        let lags = lags.map(|(step, _)| match &self.faults.steps()[*step].action {
            Action::MetadataLag(_, by) => *by,
            _ => Duration::ZERO,
        });
        lags.max().unwrap_or(Duration::ZERO)
    }

    fn set_metadata_lags(&mut self, targets: &[NodeIndex], cause: u64, observer: &mut dyn Observer) {
        for target in targets {
            let lag = self.metadata_lag(*target);
            self.input(*target, Input::MetadataLag(lag), cause, observer);
        }
    }

    /// A node has held metadata back: the first time is the witness of the step that made it so.
    pub(super) fn metadata_held_back(&mut self, node: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        let by = self.targets.iter().filter(|(_, targets)| targets.contains(&node)).map(|(step, _)| *step);
        let is_lag = |step: &usize| matches!(self.faults.steps()[*step].action, Action::MetadataLag(..));
        let unseen: Vec<usize> = by.filter(|step| is_lag(step) && self.faults.bites(*step) == 0).collect();
        for step in unseen {
            self.hit(step, node, "held back the metadata of", cause, observer);
        }
    }

    fn rule(&mut self, fault: &MessageFault, number: usize) -> MessageRule {
        let nodes = |world: &mut World, selector: &Option<Selector>| {
            selector.as_ref().map(|selector| world.resolve(selector, number))
        };
        MessageRule {
            filter: MessageFilter {
                api: fault.api.clone(),
                direction: fault.direction,
                from: nodes(self, &fault.from),
                to: nodes(self, &fault.to),
                partition: fault.partition.clone(),
            },
            interference: fault.interference,
            times: fault.times,
            skip: fault.skip,
        }
    }

    /// What a step did ends.
    pub(super) fn heal(&mut self, number: usize, observer: &mut dyn Observer) {
        if self.faults.state(number) != StepState::InForce {
            return;
        }
        self.faults.set_state(number, StepState::Over);
        let controller = self.index[&self.servers.controllers[0]];
        let cause = self.emit(controller, 0, Fact::FaultHealed { fault: number as u32 + 1 }, observer);
        let steps = self.faults.steps().clone();
        let action = &steps[number].action;
        let targets = self.targets.remove(&number).unwrap_or_default();
        match action {
            Action::Kill(_) | Action::Stop(_) | Action::PowerLoss(..) => {
                for target in targets {
                    // A broker that is still handing over its leaderships starts again when it has stopped.
                    let hands_over = matches!(action, Action::Stop(_)) && self.node(target).is_alive();
                    self.node_mut(target).starts_again |= hands_over;
                    self.start(target, cause, observer);
                }
            }
            Action::Pause(_) => {
                for target in targets {
                    self.resume(target, cause, observer);
                }
            }
            Action::Cut { .. } => {
                for (a, b) in self.cuts.remove(&number).unwrap_or_default() {
                    self.network.uncut(a, b);
                }
                self.retransmit();
            }
            Action::Outage(_) => self.end_outage(number, &targets),
            Action::Messages(_) => self.end_rule(number, observer),
            Action::Disk(..) => self.mend_disks(number, &targets, observer),
            Action::Link(_) => self.restore_links(number),
            Action::MetadataLag(..) => self.set_metadata_lags(&targets, cause, observer),
            Action::ClockDrift(..) => {
                let now = self.now;
                for target in targets {
                    let node = self.node_mut(target);
                    node.clock.set_drift(now, 0);
                    node.wakes_at = None;
                    self.arm(target);
                }
            }
            Action::Start(_)
            | Action::Resume(_)
            | Action::Disconnect { .. }
            | Action::Silence { .. }
            | Action::Wipe(_)
            | Action::RollBack(..)
            | Action::Damage(..)
            | Action::ClockJump(..)
            | Action::Elect { .. }
            | Action::Admin(_)
            | Action::CreateTopic(_)
            | Action::Heal(_)
            | Action::Mark => {}
        }
    }

    fn end_rule(&mut self, number: usize, observer: &mut dyn Observer) {
        self.overwrite_buffers(number, observer);
        self.rules.retain(|active| active.step != number);
        let mut held: Vec<(Instant, ackproof_core::types::ConnectionId, End)> = Vec::new();
        for (id, connection) in &self.network.connections {
            for from in [End::Client, End::Server] {
                let lane = &connection.lanes[from as usize];
                if lane.held_by == Some(number)
                    && let Some((since, _)) = lane.waiting.front()
                {
                    held.push((*since, *id, from));
                }
            }
        }
        held.sort_unstable_by_key(|(since, id, _)| (*since, *id));
        for (_, id, from) in held {
            self.release(id, from, Some(number), observer);
        }
    }
}

impl Action {
    /// Whether what had been synced is lost by it, or never was what it seemed.
    fn harms_disk(&self) -> bool {
        match self {
            Action::Wipe(_) | Action::RollBack(..) | Action::Damage(..) => true,
            Action::Disk(_, faults) => faults.kinds.iter().any(|kind| kind.forgets_what_was_synced()),
            Action::Kill(_)
            | Action::Stop(_)
            | Action::Pause(_)
            | Action::Outage(_)
            | Action::PowerLoss(..)
            | Action::Cut { .. }
            | Action::Messages(_)
            | Action::ClockDrift(..)
            | Action::MetadataLag(..)
            | Action::Start(_)
            | Action::Resume(_)
            | Action::Disconnect { .. }
            | Action::Silence { .. }
            | Action::Link(_)
            | Action::ClockJump(..)
            | Action::Elect { .. }
            | Action::Admin(_)
            | Action::CreateTopic(_)
            | Action::Heal(_)
            | Action::Mark => false,
        }
    }

    /// Whether there is an end to it.
    pub fn heals(&self) -> bool {
        match self {
            Action::Kill(_)
            | Action::Stop(_)
            | Action::Pause(_)
            | Action::Outage(_)
            | Action::PowerLoss(..)
            | Action::Cut { .. }
            | Action::Messages(_)
            | Action::Disk(..)
            | Action::Link(_)
            | Action::MetadataLag(..)
            | Action::ClockDrift(..) => true,
            Action::Start(_)
            | Action::Resume(_)
            | Action::Disconnect { .. }
            | Action::Silence { .. }
            | Action::Wipe(_)
            | Action::RollBack(..)
            | Action::Damage(..)
            | Action::ClockJump(..)
            | Action::Elect { .. }
            | Action::Admin(_)
            | Action::CreateTopic(_)
            | Action::Heal(_)
            | Action::Mark => false,
        }
    }

    /// The nodes that it is about, where it is about nodes.
    fn targets(&self) -> Option<&Selector> {
        match self {
            Action::Kill(nodes)
            | Action::Start(nodes)
            | Action::Stop(nodes)
            | Action::Pause(nodes)
            | Action::Outage(nodes)
            | Action::Resume(nodes)
            | Action::PowerLoss(nodes, _)
            | Action::Disk(nodes, _)
            | Action::Wipe(nodes)
            | Action::RollBack(nodes, _)
            | Action::Damage(nodes, _)
            | Action::ClockJump(nodes, _)
            | Action::MetadataLag(nodes, _)
            | Action::ClockDrift(nodes, _) => Some(nodes),
            Action::Cut { from, .. } | Action::Disconnect { from, .. } | Action::Silence { from, .. } => Some(from),
            Action::Link(change) => Some(&change.from),
            Action::Messages(_)
            | Action::Elect { .. }
            | Action::Admin(_)
            | Action::CreateTopic(_)
            | Action::Heal(_)
            | Action::Mark => None,
        }
    }
}
