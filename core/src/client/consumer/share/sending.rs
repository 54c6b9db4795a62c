//! What a share consumer sends to leaders, one request at a time to each, and what it hears.
//!
//! Kafka: `ShareConsumeRequestManager`.
//!
//! What is said by itself goes first; more records are asked for after that.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{ShareAcknowledgeResponse, ShareFetchResponse};
use uuid::Uuid;

use super::in_hand::{Acknowledgements, ShareCompletedFetch, runs};
use super::session::ShareSessionHandler;
use super::share_consumer::ShareConsumer;
use super::wire::{self, Header, Said};
use crate::client::{Completion, Expect, RequestToken};
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::share::share_session::FINAL_EPOCH;
use crate::share::{AcknowledgeType, Acknowledgement, Acquired};
use crate::types::{LeaderEpoch, NodeId, Offset, TopicPartition};

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// `commitSync()` or `commitAsync()` with this number.
    Commit(u64),
    /// Nobody: `poll()` has sent it.
    Nobody,
    /// `close()`.
    Close,
}

/// What is to be said by itself, to several leaders.
#[derive(Clone, Debug)]
pub(super) struct ToSend {
    said: Acknowledgements,
    caller: Caller,
    /// Leaders that are told that the session is over.
    closes: BTreeSet<NodeId>,
    /// How many leaders have not answered.
    outstanding: usize,
    /// The first error that was heard.
    error: ErrorCode,
}

impl ToSend {
    fn new(said: Acknowledgements, caller: Caller) -> Self {
        Self { said, caller, closes: BTreeSet::new(), outstanding: 0, error: ErrorCode::NONE }
    }

    /// `commitAsync()`, or what `poll()` sends.
    pub fn async_of(said: Acknowledgements, call: Option<u64>) -> Self {
        Self::new(said, call.map_or(Caller::Nobody, Caller::Commit))
    }

    pub fn sync_of(said: Acknowledgements, call: u64) -> Self {
        Self::new(said, Caller::Commit(call))
    }

    /// `close()`: all leaders that there is a session with hear of it.
    pub fn close_of(said: Acknowledgements, leaders: impl Iterator<Item = NodeId>) -> Self {
        Self { closes: leaders.collect(), ..Self::new(said, Caller::Close) }
    }

    fn is_done(&self) -> bool {
        self.said.is_empty() && self.closes.is_empty() && self.outstanding == 0
    }
}

/// A request that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    node: NodeId,
    said: Said,
    /// Whether it asks for records.
    fetches: bool,
}

impl InFlight {
    pub fn is_said_by_itself(&self) -> bool {
        !self.fetches
    }
}

impl ShareConsumer {
    fn is_busy(&self, node: NodeId) -> bool {
        self.in_flight.values().any(|request| request.node == node)
    }

    fn header(&self, epoch: i32) -> Header {
        Header { group: self.group.group.clone(), member: self.group.member_id.clone(), epoch }
    }

    /// With the ids of the topics; what is said of topics that are gone is said to nobody.
    fn with_ids(&self, said: BTreeMap<TopicPartition, BTreeMap<i64, AcknowledgeType>>) -> Said {
        let with_id =
            |(partition, said): (TopicPartition, _)| Some((self.metadata.topic_id(&partition.topic)?, partition, said));
        said.into_iter().filter_map(with_id).collect()
    }

    /// What is to be said by itself, the first thing first.
    pub(super) fn send_acknowledgements(&mut self, ctx: &mut Context<'_>) {
        let Some(mut next) = self.to_send.pop_front() else { return };
        let leaders: BTreeSet<NodeId> = next.said.0.keys().chain(&next.closes).copied().collect();
        for node in leaders {
            if self.is_busy(node) {
                continue;
            }
            let closes = next.closes.contains(&node);
            let is_new = self.sessions.get(&node).is_none_or(ShareSessionHandler::is_new);
            if is_new {
                // A session cannot begin with it: the records were acquired in another one.
                next.closes.remove(&node);
                let said = self.with_ids(next.said.take(node));
                self.say_answered(&said, |_| ErrorCode::INVALID_SHARE_SESSION_EPOCH, ctx);
                if !said.is_empty() {
                    next.error = ErrorCode::INVALID_SHARE_SESSION_EPOCH;
                }
                continue;
            }
            if !self.network.ready(node, ctx) {
                if !self.network.connection_failed(node) {
                    continue;
                }
                // Who cannot be reached is told nothing.
                next.closes.remove(&node);
                let said = self.with_ids(next.said.take(node));
                self.say_answered(&said, |_| ErrorCode::NETWORK_EXCEPTION, ctx);
                next.error = ErrorCode::NETWORK_EXCEPTION;
                continue;
            }
            next.closes.remove(&node);
            let said = self.with_ids(next.said.take(node));
            let epoch = if closes { FINAL_EPOCH } else { self.sessions.get(&node).map_or(0, |session| session.epoch) };
            let request = wire::share_acknowledge(self.header(epoch), &said);
            let token = self.network.send(node, request, Expect::Response, self.config.request_timeout_ms, ctx);
            next.outstanding += 1;
            self.in_flight.insert(token, InFlight { node, said, fetches: false });
        }
        self.to_send.push_front(next);
        self.conclude(ctx);
    }

    /// Whoever waits for what is said by itself hears that everybody has answered.
    fn conclude(&mut self, ctx: &mut Context<'_>) {
        if !self.to_send.front().is_some_and(ToSend::is_done) {
            return;
        }
        let Some(done) = self.to_send.pop_front() else { return };
        match done.caller {
            Caller::Commit(call) => {
                let result = if done.error.is_none() { Ok(()) } else { Err(done.error) };
                ctx.complete(Completion::Committed { call, result });
            }
            Caller::Nobody | Caller::Close => {}
        }
        self.send_acknowledgements(ctx);
    }

    /// Leaders are asked for records, if `poll()` has found none.
    pub(super) fn send_fetches(&mut self, ctx: &mut Context<'_>) {
        if !self.wants_more || self.group.generation < 0 {
            return;
        }
        let mut wanted: BTreeMap<NodeId, BTreeSet<TopicPartition>> = BTreeMap::new();
        for (partition, state) in &self.subscription.partitions {
            if state.pending_revocation {
                continue;
            }
            match self.metadata.leader(&partition.topic, partition.partition) {
                Some((leader, _)) => {
                    wanted.entry(leader).or_default().insert(partition.clone());
                }
                None => self.metadata.request_update(),
            }
        }
        // Who leads nothing any more is told what is to be said of its records all the same.
        for node in self.with_fetch.0.keys() {
            wanted.entry(*node).or_default();
        }
        for (node, partitions) in wanted {
            self.send_fetch(node, partitions, ctx);
        }
    }

    fn send_fetch(&mut self, node: NodeId, partitions: BTreeSet<TopicPartition>, ctx: &mut Context<'_>) {
        let busy = self.is_busy(node);
        let session = self.sessions.entry(node).or_insert_with(ShareSessionHandler::new);
        if busy || session.not_before > ctx.now() {
            return;
        }
        if !self.network.ready(node, ctx) {
            if self.network.connection_failed(node) {
                // Who cannot be reached is told nothing.
                let said = self.with_fetch.take(node);
                let said = self.with_ids(said);
                self.say_answered(&said, |_| ErrorCode::NETWORK_EXCEPTION, ctx);
            }
            return;
        }
        let (is_new, epoch) = (session.is_new(), session.epoch);
        let (added, forgotten) = session.read(partitions);
        let said = self.with_fetch.take(node);
        let mut said = self.with_ids(said);
        if is_new && !said.is_empty() {
            self.say_answered(&said, |_| ErrorCode::INVALID_SHARE_SESSION_EPOCH, ctx);
            said.clear();
        }
        if is_new && added.is_empty() {
            return;
        }
        let ids = |partitions: &[TopicPartition]| -> Vec<(Uuid, i32)> {
            let id =
                |partition: &TopicPartition| Some((self.metadata.topic_id(&partition.topic)?, partition.partition));
            partitions.iter().filter_map(id).collect()
        };
        let request = wire::share_fetch(self.header(epoch), &self.config, &ids(&added), &ids(&forgotten), &said);
        let token = self.network.send(node, request, Expect::Response, self.config.request_timeout_ms, ctx);
        self.in_flight.insert(token, InFlight { node, said, fetches: true });
    }

    /// What became of what was said, as facts.
    fn say_answered(&self, said: &Said, error: impl Fn(&TopicPartition) -> ErrorCode, ctx: &mut Context<'_>) {
        for (_, partition, said) in said {
            for Acknowledgement { first, last, .. } in runs(said) {
                ctx.fact(Fact::ShareAcknowledgeAnswered {
                    group: self.group.group.to_string(),
                    partition: partition.clone(),
                    first,
                    last,
                    error: error(partition),
                });
            }
        }
    }

    pub(super) fn answered(&mut self, token: RequestToken, response: Response, ctx: &mut Context<'_>) {
        if let Response::Metadata(response) = &response
            && self.metadata.on_response(token, response, ctx)
        {
            return;
        }
        let Some(request) = self.in_flight.remove(&token) else { return };
        match response {
            Response::ShareFetch(response) => self.fetched(&request, *response, ctx),
            Response::ShareAcknowledge(response) => self.acknowledged(&request, &response, ctx),
            _ => {}
        }
    }

    /// A request that will not be answered: the session begins anew, and what was said may count or not.
    pub(super) fn request_failed(&mut self, token: RequestToken, error: ErrorCode, ctx: &mut Context<'_>) {
        let Some(request) = self.in_flight.remove(&token) else { return };
        if let Some(session) = self.sessions.get_mut(&request.node) {
            session.begin_anew();
        }
        self.say_answered(&request.said, |_| error, ctx);
        if request.is_said_by_itself() {
            self.one_has_answered(error, ctx);
        }
    }

    fn one_has_answered(&mut self, error: ErrorCode, ctx: &mut Context<'_>) {
        let Some(next) = self.to_send.front_mut() else { return };
        next.outstanding = next.outstanding.saturating_sub(1);
        if next.error.is_none() {
            next.error = error;
        }
        self.conclude(ctx);
    }

    /// Whether the session goes on after an answer.
    fn goes_on(&mut self, node: NodeId, error: ErrorCode, ctx: &Context<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(&node) else { return false };
        let is_over = [
            ErrorCode::SHARE_SESSION_NOT_FOUND,
            ErrorCode::INVALID_SHARE_SESSION_EPOCH,
            ErrorCode::SHARE_SESSION_LIMIT_REACHED,
        ];
        if is_over.contains(&error) {
            session.begin_anew();
        } else {
            session.goes_on();
        }
        if !error.is_none() {
            session.not_before = ctx.now() + self.config.retry_backoff_ms;
            self.metadata.request_update();
        }
        error.is_none()
    }

    fn fetched(&mut self, request: &InFlight, response: ShareFetchResponse, ctx: &mut Context<'_>) {
        let error = ErrorCode(response.error_code);
        if !self.goes_on(request.node, error, ctx) {
            return self.say_answered(&request.said, |_| error, ctx);
        }
        let mut answers: BTreeMap<TopicPartition, ErrorCode> = BTreeMap::new();
        let mut failed = false;
        for topic in response.responses {
            let Some(name) = self.metadata.topic_by_id(topic.topic_id).cloned() else {
                self.metadata.request_update();
                continue;
            };
            for data in topic.partitions {
                let partition = TopicPartition::new(name.clone(), data.partition_index);
                answers.insert(partition.clone(), ErrorCode(data.acknowledge_error_code));
                if data.error_code != 0 {
                    failed = true;
                    let (leader, epoch) = (data.current_leader.leader_id, data.current_leader.leader_epoch);
                    self.metadata.hint_leader(&name, data.partition_index, leader, LeaderEpoch(epoch));
                    self.metadata.request_update();
                    continue;
                }
                let acquired: Vec<Acquired> = data
                    .acquired_records
                    .iter()
                    .map(|run| Acquired {
                        first: Offset(run.first_offset),
                        last: Offset(run.last_offset),
                        delivery_count: u16::try_from(run.delivery_count).unwrap_or(0),
                    })
                    .collect();
                if acquired.is_empty() {
                    continue;
                }
                self.wants_more = false;
                let records = data.records.unwrap_or_default();
                let check_crcs = self.config.check_crcs;
                let fetch = ShareCompletedFetch::new(request.node, partition, records, &acquired, check_crcs);
                self.buffered.push_back(fetch);
            }
        }
        if let Some(session) = self.sessions.get_mut(&request.node).filter(|_| failed) {
            session.not_before = ctx.now() + self.config.retry_backoff_ms;
        }
        let answer = |partition: &TopicPartition| answers.get(partition).copied().unwrap_or(ErrorCode::NONE);
        self.say_answered(&request.said, answer, ctx);
    }

    fn acknowledged(&mut self, request: &InFlight, response: &ShareAcknowledgeResponse, ctx: &mut Context<'_>) {
        let error = ErrorCode(response.error_code);
        let mut first = error;
        if self.goes_on(request.node, error, ctx) {
            let mut answers: BTreeMap<(Uuid, i32), ErrorCode> = BTreeMap::new();
            for topic in &response.responses {
                for data in &topic.partitions {
                    answers.insert((topic.topic_id, data.partition_index), ErrorCode(data.error_code));
                }
            }
            first = answers.values().copied().find(|error| !error.is_none()).unwrap_or(ErrorCode::NONE);
            let id = |partition: &TopicPartition| self.metadata.topic_id(&partition.topic).unwrap_or_default();
            let answer = |partition: &TopicPartition| {
                answers.get(&(id(partition), partition.partition)).copied().unwrap_or(ErrorCode::NONE)
            };
            self.say_answered(&request.said, answer, ctx);
        } else {
            self.say_answered(&request.said, |_| error, ctx);
        }
        self.one_has_answered(first, ctx);
    }
}
