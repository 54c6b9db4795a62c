//! What a consumer has under way: fetches, look-ups and validations, one request per broker and purpose, and their answers.
//!
//! Kafka: `AbstractFetch`, `OffsetFetcher`; KIP-392 (a follower in the same rack), KIP-320 (validation).
//!
//! A paused partition is not fetched, and everything else of it goes on (`SubscriptionState.isFetchable`).

use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse};

use super::completed_fetch::CompletedFetch;
use super::consumer::Consumer;
use super::subscription_state::{Busy, FetchState};
use crate::client::{Expect, RequestToken};
use crate::config::{AutoOffsetReset, KafkaVersion};
use crate::fact::{Fact, ResetReason};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, TopicPartition};

/// Since when asking for metadata also gives up the preferred replica (KAFKA-14379).
const CLEARS_PREFERRED: KafkaVersion = KafkaVersion::new(3, 5);

/// What a request asked for, per partition: the position it started from.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    node: NodeId,
    purpose: Purpose,
    /// Ascending.
    partitions: Vec<(TopicPartition, Offset)>,
}

impl InFlight {
    /// The position that a partition was asked for.
    fn asked_at(&self, partition: &TopicPartition) -> Option<Offset> {
        let at = self.partitions.binary_search_by(|(asked, _)| asked.cmp(partition)).ok()?;
        Some(self.partitions[at].1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Fetch,
    LookUp,
    Validate,
}

impl Consumer {
    pub(super) fn send_requests(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let mut wanted: Vec<InFlight> = Vec::new();
        for (partition, state) in &mut self.subscription.partitions {
            if state.not_before <= now {
                state.not_before = Instant::START;
            }
            if state.busy != Busy::Idle || state.not_before > now || state.pending_revocation {
                continue;
            }
            let Some((leader, _)) = self.metadata.leader(&partition.topic, partition.partition) else {
                self.metadata.request_update();
                continue;
            };
            let mut node = leader;
            if state.state == FetchState::Fetching
                && let Some((preferred, until)) = state.preferred
            {
                let preferred = NodeId::Broker(preferred);
                if until <= now {
                    state.preferred = None;
                } else if self.metadata.nodes().contains(&preferred) {
                    node = preferred;
                } else {
                    state.preferred = state.preferred.filter(|_| self.config.version < CLEARS_PREFERRED);
                    self.metadata.request_update();
                }
            }
            let purpose = match state.state {
                FetchState::AwaitCommitted => continue,
                FetchState::Fetching if state.paused => continue,
                FetchState::Fetching => Purpose::Fetch,
                FetchState::AwaitReset(_) => Purpose::LookUp,
                FetchState::AwaitValidation => Purpose::Validate,
            };
            let asked = (partition.clone(), state.position);
            match wanted.iter_mut().find(|request| request.node == node && request.purpose == purpose) {
                Some(request) => request.partitions.push(asked),
                None => wanted.push(InFlight { node, purpose, partitions: vec![asked] }),
            }
        }
        wanted.sort_unstable_by_key(|request| (request.node, request.purpose));
        for request in wanted {
            self.send_request(request.node, request.purpose, request.partitions, ctx);
        }
    }

    fn send_request(
        &mut self,
        leader: NodeId,
        purpose: Purpose,
        partitions: Vec<(TopicPartition, Offset)>,
        ctx: &mut Context<'_>,
    ) {
        let fetching =
            self.in_flight.values().any(|request| request.node == leader && request.purpose == Purpose::Fetch);
        if (purpose == Purpose::Fetch && fetching) || !self.network.ready(leader, ctx) {
            return;
        }
        let timeout = self.config.request_timeout_ms;
        let token = match purpose {
            Purpose::Fetch => {
                self.network.send(leader, self.fetch_request(&partitions), Expect::Response, timeout, ctx)
            }
            Purpose::LookUp => match self.list_offsets_request(&partitions) {
                Some(request) => self.network.send(leader, request, Expect::Response, timeout, ctx),
                None => return,
            },
            Purpose::Validate => {
                self.network.send(leader, self.epochs_request(&partitions), Expect::Response, timeout, ctx)
            }
        };
        for (partition, _) in &partitions {
            if let Some(state) = self.subscription.partitions.get_mut(partition) {
                state.busy = Busy::Asked(token);
            }
        }
        self.in_flight.insert(token, InFlight { node: leader, purpose, partitions });
    }

    pub(super) fn answered(&mut self, token: RequestToken, response: Response, ctx: &mut Context<'_>) {
        if let Response::Metadata(response) = &response
            && self.metadata.on_response(token, response, ctx)
        {
            return;
        }
        let Some(request) = self.take_in_flight(token) else { return };
        match response {
            Response::Fetch(response) => self.fetched(&request, *response, ctx),
            Response::ListOffsets(response) => self.looked_up(&request, &response, ctx),
            Response::OffsetForLeaderEpoch(response) => self.validated(&request, &response, ctx),
            _ => {}
        }
    }

    /// A request that is over, with those of its partitions that still wait for it.
    pub(super) fn take_in_flight(&mut self, token: RequestToken) -> Option<InFlight> {
        let mut request = self.in_flight.remove(&token)?;
        request.partitions.retain(|(partition, _)| match self.subscription.partitions.get_mut(partition) {
            Some(state) if state.busy == Busy::Asked(token) => {
                state.busy = Busy::Idle;
                true
            }
            Some(_) | None => false,
        });
        Some(request)
    }

    fn fetched(&mut self, request: &InFlight, response: FetchResponse, ctx: &mut Context<'_>) {
        for topic in response.responses {
            for data in topic.partitions {
                let partition = TopicPartition::new(topic.topic.clone(), data.partition_index);
                if let Some(offset) = request.asked_at(&partition) {
                    self.fetched_partition(partition, offset, data, ctx);
                }
            }
        }
    }

    fn fetched_partition(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
        data: PartitionData,
        ctx: &mut Context<'_>,
    ) {
        let Some(state) = self.subscription.partitions.get_mut(&partition) else { return };
        if state.position != offset || state.state != FetchState::Fetching {
            return;
        }
        let error = ErrorCode(data.error_code);
        if error.is_none() && data.preferred_read_replica.0 >= 0 {
            // It goes on there; the leader is asked again after metadata.max.age.ms.
            state.preferred = Some((data.preferred_read_replica.0, ctx.now() + self.config.metadata_max_age_ms));
            return;
        }
        if error.is_none() {
            state.high_watermark = Offset(data.high_watermark);
            let bytes = data.records.unwrap_or_default();
            if !bytes.is_empty() {
                state.busy = Busy::Buffered;
                self.buffered.push_back(CompletedFetch::new(partition, offset, bytes, self.config.check_crcs));
            }
            return;
        }
        // A follower may not be as far as the leader was: that is no reason to reset anything.
        if error == ErrorCode::OFFSET_OUT_OF_RANGE && state.preferred.take().is_some() {
            return;
        }
        if error == ErrorCode::OFFSET_OUT_OF_RANGE {
            state.state = FetchState::AwaitReset(ResetReason::OutOfRange);
        } else if error == ErrorCode::UNKNOWN_SERVER_ERROR
            || (error.is_retriable() && error != ErrorCode::CORRUPT_MESSAGE)
        {
            state.not_before = ctx.now() + self.config.retry_backoff_ms;
            state.preferred = state.preferred.filter(|_| self.config.version < CLEARS_PREFERRED);
            self.metadata.request_update();
        } else {
            self.failure = Some((partition, error));
        }
    }

    fn looked_up(&mut self, request: &InFlight, response: &ListOffsetsResponse, ctx: &mut Context<'_>) {
        for topic in &response.topics {
            for data in &topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), data.partition_index);
                let Some(state) = self.subscription.partitions.get_mut(&partition) else { continue };
                let FetchState::AwaitReset(reason) = state.state else { continue };
                if request.asked_at(&partition).is_none() {
                    continue;
                }
                if data.error_code != 0 {
                    state.not_before = ctx.now() + self.config.retry_backoff_ms;
                    self.metadata.request_update();
                    continue;
                }
                let from = std::mem::replace(&mut state.position, Offset(data.offset));
                state.state = FetchState::Fetching;
                state.offset_epoch = None;
                let (to, told_by) = (Offset(data.offset), Some(request.node));
                ctx.fact(Fact::PositionReset { partition, from, to, reason, told_by });
            }
        }
    }

    fn validated(&mut self, request: &InFlight, response: &OffsetForLeaderEpochResponse, ctx: &mut Context<'_>) {
        for topic in &response.topics {
            for data in &topic.partitions {
                let partition = TopicPartition::new(topic.topic.clone(), data.partition);
                let Some(asked_at) = request.asked_at(&partition) else { continue };
                let Some(state) = self.subscription.partitions.get_mut(&partition) else { continue };
                if state.state != FetchState::AwaitValidation || state.position != asked_at {
                    continue;
                }
                if data.error_code != 0 {
                    state.not_before = ctx.now() + self.config.retry_backoff_ms;
                    self.metadata.request_update();
                    continue;
                }
                let end = Offset(data.end_offset);
                let unknown = data.leader_epoch < 0 || end.0 < 0;
                let truncated = unknown || end < state.position;
                if truncated && self.config.auto_offset_reset == AutoOffsetReset::None {
                    // The position stays doubtful: until the application seeks, it is asked for and thrown again.
                    state.not_before = ctx.now() + self.config.request_timeout_ms;
                    self.failure = Some((partition, ErrorCode::OFFSET_OUT_OF_RANGE));
                    continue;
                }
                state.state =
                    if unknown { FetchState::AwaitReset(ResetReason::Truncation) } else { FetchState::Fetching };
                if truncated && !unknown {
                    // The log was cut below the position: the consumer goes on from the cut.
                    let from = std::mem::replace(&mut state.position, end);
                    state.offset_epoch = Some(LeaderEpoch(data.leader_epoch));
                    let (reason, told_by) = (ResetReason::Truncation, Some(request.node));
                    ctx.fact(Fact::PositionReset { partition, from, to: end, reason, told_by });
                }
            }
        }
    }
}
