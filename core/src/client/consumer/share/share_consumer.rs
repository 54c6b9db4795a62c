//! The share consumer: joins a share group, asks the leaders of its partitions for records, and says what became of each.
//!
//! Kafka: `KafkaShareConsumer`, `ShareConsumerImpl`, `ShareConsumeRequestManager`; KIP-932.
//!
//! ```text
//!  poll() ──▶ [accept what the last one returned] ──▶ something has arrived? ── yes ──▶ returned; what was said goes by itself
//!                       implicit mode only                     │ no
//!                                                              └──▶ ShareFetch, and what was said goes with it
//! ```
//!
//! Nothing is fetched ahead: a leader is asked only while `poll()` finds nothing. There is no position, and no order.
//!
//! What goes with a fetch goes while the consumer is a member.
//!
//! Not modelled: that 4.1 sends it whether or not it is one, and that in 4.0 a leader that nothing is fetched from any more is told
//! nothing, so that the locks expire; acknowledgements that are sent again after a retriable error (what a leader could not take is not
//! said again, and the lock expires); that an acknowledgement for a leader that is none any more fails without being sent; subscriptions
//! by pattern (there are none); in 4.0 the mode is what the application does first, here it is `share.acknowledgement.mode` from the start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::in_hand::{Acknowledgements, InHand, ShareCompletedFetch};
use super::sending::{InFlight, ToSend};
use super::session::ShareSessionHandler;
use crate::client::consumer::consumer::{client_metadata, network_client};
use crate::client::consumer::coordinator::{ConsumerCoordinator, GroupEvent};
use crate::client::consumer::subscription_state::SubscriptionState;
use crate::client::metadata::ClientMetadata;
use crate::client::{Call, Completion, ConsumerRecord, Disconnection, NetworkClient, RequestToken, Work};
use crate::config::{AcknowledgementMode, ConsumerConfig};
use crate::fact::{Fact, Payload};
use crate::machine::{Context, Input, Machine};
use crate::protocol::ErrorCode;
use crate::types::{ConnectionId, Instant, NodeId, Offset, TopicName, TopicPartition, earliest};

/// A consumer that closes.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub until: Instant,
    /// Every leader has been told, or will be.
    pub is_said: bool,
    pub has_left: bool,
}

/// A share consumer. Driven by [`Input::Call`] with [`Call::Subscribe`], [`Call::Poll`], [`Call::Acknowledge`], [`Call::Commit`] and
/// [`Call::Close`].
#[derive(Clone, Debug)]
pub struct ShareConsumer {
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) network: NetworkClient,
    pub(super) metadata: ClientMetadata,
    /// The partitions that it may be given records of.
    pub(super) subscription: SubscriptionState,
    pub(super) group: ConsumerCoordinator,
    pub(super) sessions: BTreeMap<NodeId, ShareSessionHandler>,
    pub(super) in_flight: BTreeMap<RequestToken, InFlight>,
    pub(super) buffered: VecDeque<ShareCompletedFetch>,
    pub(super) in_hand: InHand,
    /// What goes with the next ShareFetch.
    pub(super) with_fetch: Acknowledgements,
    /// What goes by itself.
    pub(super) to_send: VecDeque<ToSend>,
    /// `poll()` has found nothing: leaders are asked.
    pub(super) wants_more: bool,
    polling_until: Option<Instant>,
    failure: Option<ErrorCode>,
    is_woken: bool,
    pub(super) closing: Option<Closing>,
    closed: bool,
}

impl ShareConsumer {
    /// A share consumer that starts from these brokers.
    pub fn new(config: Arc<ConsumerConfig>, bootstrap: Vec<NodeId>) -> Self {
        Self {
            network: network_client(&config),
            metadata: client_metadata(&config, bootstrap),
            subscription: SubscriptionState::default(),
            group: ConsumerCoordinator::new(config.clone(), config.group_id.as_deref().unwrap_or_default()),
            sessions: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            buffered: VecDeque::new(),
            in_hand: InHand::default(),
            with_fetch: Acknowledgements::default(),
            to_send: VecDeque::new(),
            wants_more: false,
            polling_until: None,
            failure: None,
            is_woken: false,
            closing: None,
            closed: false,
            config,
        }
    }

    /// White-box: its group, and whether it has what it was given.
    pub fn membership(&self) -> (&str, bool) {
        (self.group.group.as_str(), self.group.is_settled())
    }

    /// White-box: whether it wants a topic of its group, known to it or not.
    pub fn subscribes_to(&self, topic: &TopicName) -> bool {
        self.group.subscribes_to(topic)
    }

    /// White-box: the partitions that it may be given records of.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.subscription.partitions.keys()
    }

    /// White-box: whether it has said something that nobody has answered.
    pub fn owes_words(&self) -> bool {
        !self.with_fetch.is_empty() || !self.to_send.is_empty()
    }

    fn is_implicit(&self) -> bool {
        self.config.share_acknowledgement_mode == AcknowledgementMode::Implicit
    }

    fn call(&mut self, call: Call, ctx: &mut Context<'_>) {
        match call {
            Call::Subscribe(topics) => {
                for topic in &topics {
                    self.metadata.add_topic(topic, ctx.now());
                }
                self.group.subscribe(topics.into_iter().collect());
            }
            Call::Wakeup => self.is_woken = self.closing.is_none(),
            Call::Acknowledge(partition, offset, said) => {
                self.in_hand.say(&partition, offset, said);
            }
            Call::Commit { call, sync, .. } => self.commit(call, sync, ctx),
            Call::Worked(partition, offset, work) => ctx.fact(self.worked(partition, offset, work)),
            Call::Poll { .. } if self.is_woken => self.throw_wakeup(ctx),
            Call::Poll { timeout } => self.begin_poll(ctx.now() + timeout, ctx),
            Call::Close { timeout } => self.begin_close(ctx.now() + timeout, ctx),
            Call::Assign(_)
            | Call::SubscribePattern(_)
            | Call::Pause(_)
            | Call::Resume(_)
            | Call::Seek(..)
            | Call::ReturnFromCallback
            | Call::Send(_)
            | Call::Flush
            | Call::Store(_)
            | Call::CreateTopics(_)
            | Call::ElectLeader { .. }
            | Call::Admin(_) => {}
        }
    }

    fn worked(&self, partition: TopicPartition, offset: Offset, work: Work) -> Fact {
        let group = self.config.group_id.clone();
        match work {
            Work::Done => Fact::Processed { group, partition, offset },
            Work::Failed(attempt) => Fact::ProcessingFailed { group, partition, offset, attempt },
            Work::GivenUp(to) => Fact::GaveUp { group, partition, offset, to: to.map(|topic| topic.to_string()) },
        }
    }

    fn begin_poll(&mut self, until: Instant, ctx: &mut Context<'_>) {
        self.group.polled_at = ctx.now();
        if self.is_implicit() {
            self.in_hand.accept_all();
        } else if self.in_hand.has_unsaid() {
            // An IllegalStateException: all records must be acknowledged.
            return ctx.complete(Completion::Polled(Err(ErrorCode::CLIENT_ILLEGAL_STATE)));
        }
        let said = self.in_hand.take_said();
        if self.buffered.is_empty() {
            self.with_fetch.merge(said);
            self.wants_more = true;
        } else if !said.is_empty() {
            self.to_send.push_back(ToSend::async_of(said, None));
        }
        self.polling_until = Some(until);
    }

    /// `commitSync()` or `commitAsync()`: what was said goes now.
    fn commit(&mut self, call: u64, sync: bool, ctx: &mut Context<'_>) {
        if self.is_implicit() {
            self.in_hand.accept_all();
        }
        let said = self.in_hand.take_said();
        if said.is_empty() {
            return ctx.complete(Completion::Committed { call, result: Ok(()) });
        }
        self.to_send.push_back(if sync { ToSend::sync_of(said, call) } else { ToSend::async_of(said, Some(call)) });
    }

    fn begin_close(&mut self, until: Instant, ctx: &mut Context<'_>) {
        self.polling_until = None;
        self.is_woken = false;
        self.wants_more = false;
        self.closing = Some(Closing { until, is_said: false, has_left: false });
        self.proceed_closing(ctx);
    }

    /// What was said is sent, and every leader is told that the session is over; then the group; nothing after the timeout.
    fn proceed_closing(&mut self, ctx: &mut Context<'_>) {
        let Some(mut closing) = self.closing.clone() else { return };
        let in_time = closing.until > ctx.now();
        if !closing.is_said {
            closing.is_said = true;
            let mut said = self.in_hand.take_said();
            said.merge(std::mem::take(&mut self.with_fetch));
            self.to_send.push_back(ToSend::close_of(said, self.sessions.keys().copied()));
        }
        self.send_acknowledgements(ctx);
        let waits = !self.to_send.is_empty() || self.in_flight.values().any(InFlight::is_said_by_itself);
        if in_time && waits {
            self.closing = Some(closing);
            // It is a member until it has left: its other thread goes on.
            self.group.proceed(&mut self.metadata, &mut self.subscription, false, ctx);
            self.metadata.maybe_update(&mut self.network, ctx);
            return;
        }
        if !closing.has_left {
            closing.has_left = true;
            self.subscription.partitions.clear();
            self.buffered.clear();
            self.group.leave(ctx);
        }
        self.closing = Some(closing);
        if in_time && self.group.waits_for_last_answers() {
            return;
        }
        self.group.network.close_all(ctx);
        self.network.close_all(ctx);
        self.in_flight.clear();
        self.closed = true;
        ctx.complete(Completion::Closed);
    }

    /// Everything that can be done now.
    fn proceed(&mut self, ctx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        self.group.forget_pause(ctx.now());
        if self.closing.is_some() {
            return self.proceed_closing(ctx);
        }
        let polling = self.polling_until.is_some();
        self.group.proceed(&mut self.metadata, &mut self.subscription, polling, ctx);
        while let Some(event) = self.group.events.pop_front() {
            match event {
                GroupEvent::Failed(error) => self.failure = Some(error),
                GroupEvent::Revoked(_) | GroupEvent::Lost(_) | GroupEvent::Assigned(_) | GroupEvent::Committed(..) => {}
            }
        }
        self.answer_poll(ctx);
        self.send_acknowledgements(ctx);
        self.send_fetches(ctx);
        self.metadata.maybe_update(&mut self.network, ctx);
    }

    fn answer_poll(&mut self, ctx: &mut Context<'_>) {
        let Some(until) = self.polling_until else { return };
        if self.is_woken {
            self.polling_until = None;
            return self.throw_wakeup(ctx);
        }
        if let Some(error) = self.failure.take() {
            self.polling_until = None;
            let (partition, position) = (TopicPartition::of("", -1), Offset::NONE);
            ctx.fact(Fact::PollFailed { partition, position, error });
            ctx.complete(Completion::Polled(Err(error)));
            return;
        }
        let records = self.take_records(ctx);
        if !records.is_empty() || until <= ctx.now() {
            self.polling_until = None;
            ctx.complete(Completion::Polled(Ok(records)));
        }
    }

    fn take_records(&mut self, ctx: &mut Context<'_>) -> Vec<ConsumerRecord> {
        let mut records = Vec::new();
        while records.len() < self.config.max_poll_records {
            let Some(fetch) = self.buffered.front_mut() else { break };
            for (offset, word) in fetch.others.drain(..) {
                self.with_fetch.say(fetch.node, &fetch.partition, offset, word);
            }
            let Some((record, delivery_count)) = fetch.records.pop_front() else {
                self.buffered.pop_front();
                continue;
            };
            self.in_hand.add(&record, fetch.node);
            ctx.fact(Fact::SharePolled {
                group: self.group.group.to_string(),
                partition: record.partition.clone(),
                offset: record.offset,
                delivery_count,
                key: record.key.clone().map(Payload),
                value: record.value.clone().map(Payload),
            });
            records.push(record);
        }
        while self.buffered.front().is_some_and(|fetch| fetch.records.is_empty() && fetch.others.is_empty()) {
            self.buffered.pop_front();
        }
        records
    }

    fn throw_wakeup(&mut self, ctx: &mut Context<'_>) {
        self.is_woken = false;
        ctx.fact(Fact::WokenUp { call: "poll()".to_owned() });
        ctx.complete(Completion::Polled(Err(ErrorCode::CLIENT_WAKEUP)));
    }

    fn disconnected(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        self.metadata.on_disconnection(disconnection, ctx);
        for token in &disconnection.failed {
            self.request_failed(*token, ErrorCode::NETWORK_EXCEPTION, ctx);
        }
    }

    fn is_of_group(&self, connection: ConnectionId) -> bool {
        self.group.owns(connection)
    }
}

impl Machine for ShareConsumer {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Call(call) => self.call(call, ctx),
            Input::Connected(connection) if self.is_of_group(connection) => {
                self.group.on_connected(connection, ctx.now());
            }
            Input::Connected(connection) => {
                self.network.on_connected(connection, ctx.now());
            }
            Input::Disconnected(connection) if self.is_of_group(connection) => {
                self.group.on_disconnected(connection, ctx);
            }
            Input::Disconnected(connection) => {
                if let Some(disconnection) = self.network.on_disconnected(connection, ctx) {
                    self.disconnected(&disconnection, ctx);
                }
            }
            Input::Response { connection, correlation_id, response } if self.is_of_group(connection) => {
                let (metadata, subscription) = (&mut self.metadata, &mut self.subscription);
                self.group.on_response(connection, correlation_id, response, metadata, subscription, ctx);
            }
            Input::Response { connection, correlation_id, response } => {
                if let Some((_, token, response)) =
                    self.network.on_response(connection, correlation_id, response, ctx.now())
                {
                    self.answered(token, response, ctx);
                }
            }
            Input::Deadline => {
                for disconnection in self.network.on_deadline(ctx) {
                    self.disconnected(&disconnection, ctx);
                }
                self.group.on_deadline(ctx);
                let pauses = self.sessions.values_mut().map(|session| &mut session.not_before);
                pauses.filter(|until| **until <= ctx.now()).for_each(|until| *until = Instant::START);
            }
            Input::Start | Input::Request { .. } | Input::MetadataLag(_) | Input::Stop => {}
        }
        self.proceed(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        if let Some(closing) = self.closing.as_ref().filter(|closing| closing.has_left) {
            let goodbye = self.group.network.next_deadline();
            return earliest([self.network.next_deadline(), goodbye, Some(closing.until)]);
        }
        let pauses = self.sessions.values().map(|session| session.not_before).filter(|at| *at > Instant::START).min();
        earliest([
            self.network.next_deadline(),
            self.metadata.next_deadline(),
            self.polling_until,
            pauses.filter(|_| self.wants_more),
            self.closing.as_ref().map(|closing| closing.until),
            self.group.next_deadline(self.polling_until.is_some()),
        ])
    }
}
