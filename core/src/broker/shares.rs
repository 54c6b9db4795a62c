//! Share groups at the leaders of this broker: the state of each partition for each group, sessions, requests that wait.
//!
//! Kafka: `SharePartitionManager`, `DelayedShareFetch`, `ShareFetchUtils`; KIP-932.
//!
//! ```text
//!  ShareFetch ──▶ session ──▶ acknowledgements ──▶ written ──┐
//!                    └──────▶ wait for records ──▶ acquired ─┴──▶ answer
//! ```
//!
//! A request waits for whichever comes last. One whose connection is gone goes on waiting, and what it acquires then stays locked, as in
//! Kafka; the session of the connection is closed with it (KAFKA-19015, 4.1).
//!
//! Not modelled: `fetch.min.bytes` above 1 and limits per partition; quotas; records are not cut out of what was read (a member leaves
//! alone what it has not acquired); that in 4.1.0 a connection that ends late takes a newer session with it (KAFKA-19950).

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use uuid::Uuid;

use super::broker::Broker;
use super::socket_server::ReplyTo;
use crate::config::KafkaVersion;
use crate::fact::Fact;
use crate::machine::Context;
use crate::metadata::MetadataDelta;
use crate::protocol::ErrorCode;
use crate::share::share_partition::Fetched;
use crate::share::share_session::SessionKey;
use crate::share::{Acknowledgement, Acquired, Change, ShareLimits, SharePartition, ShareSessions, StateWrite};
use crate::types::{
    ConnectionId, Duration, Instant, LeaderEpoch, Offset, StrBytes, TopicName, TopicPartition, earliest,
};

/// Since when a session ends with its connection, and a delivery that nobody has seen does not count.
const STABLE_PROTOCOL: KafkaVersion = KafkaVersion::new(4, 1);

/// A partition as one group has it.
pub(super) type ShareKey = (GroupId, TopicPartition);

/// One partition for one group.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub topic_id: Uuid,
    /// In which this broker began to serve it.
    pub leader_epoch: LeaderEpoch,
    /// None until it is known how far the group has come.
    pub partition: Option<SharePartition>,
}

/// What a member waits for.
#[derive(Clone, Debug)]
pub(super) struct WaitingFetch {
    pub partitions: Vec<TopicPartition>,
    pub until: Instant,
    pub max_bytes: i32,
    pub max_records: usize,
}

/// What a member got of a partition, or why it did not.
#[derive(Clone, Debug)]
pub(super) struct ShareFetched {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    pub records: Bytes,
    pub acquired: Vec<Acquired>,
}

/// A request that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct ShareRequest {
    pub reply_to: ReplyTo,
    pub key: SessionKey,
    /// Whether it is a ShareFetch.
    pub fetches: bool,
    /// Whether it closes its session.
    pub closes: bool,
    /// What became of what it says of each partition; none while that is being written.
    pub acknowledged: BTreeMap<TopicPartition, Option<ErrorCode>>,
    /// What it still waits for.
    pub waiting: Option<WaitingFetch>,
    pub fetched: Vec<ShareFetched>,
    /// Partitions of topics that nobody knows.
    pub unknown: Vec<(Uuid, i32)>,
}

/// What is to be read or written where the state of share groups is kept.
#[derive(Clone, Debug)]
pub(super) enum Persist {
    Read(ShareKey),
    Write(ShareKey, StateWrite),
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    pub served: BTreeMap<ShareKey, Served>,
    pub sessions: ShareSessions,
    pub requests: BTreeMap<u64, ShareRequest>,
    next_request: u64,
    /// Which request waits for which write.
    writes: BTreeMap<(ShareKey, u64), u64>,
    pub persist: Vec<Persist>,
    /// Partitions that could not be begun with, until somebody has heard so.
    pub unreadable: BTreeMap<ShareKey, ErrorCode>,
}

impl Shares {
    /// Remembers a request until it can be answered.
    pub fn add(&mut self, request: ShareRequest) -> u64 {
        self.next_request += 1;
        self.requests.insert(self.next_request, request);
        self.next_request
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let locks = self.served.values().filter_map(|served| served.partition.as_ref()?.next_deadline()).min();
        let fetches =
            self.requests.values().filter_map(|request| request.waiting.as_ref()).map(|wait| wait.until).min();
        earliest([locks, fetches])
    }

    fn active(&mut self, key: &ShareKey) -> Option<&mut SharePartition> {
        self.served.get_mut(key)?.partition.as_mut()
    }

    fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.persist.is_empty()
    }
}

/// What a partition has for a member now.
enum Place {
    /// Nothing, and that has to be said.
    Failed(ErrorCode),
    /// Nothing yet.
    Empty,
    /// Records from there.
    Readable(Offset),
}

impl Broker {
    /// White-box: how far share groups are with the partitions that this broker leads.
    pub fn share_partitions(&self) -> impl Iterator<Item = (&GroupId, &TopicPartition, &SharePartition)> {
        let served = self.shares.served.iter();
        served.filter_map(|((group, name), served)| Some((group, name, served.partition.as_ref()?)))
    }

    /// The name of a topic, as far as this broker knows.
    pub(super) fn topic_name(&self, id: Uuid) -> Option<TopicName> {
        let topics = self.image().topics.iter();
        topics.filter(|(_, topic)| topic.id == id).map(|(name, _)| name.clone()).next()
    }

    /// Leaderships have changed: what this broker does not lead any more is somebody else's.
    pub(super) fn apply_metadata_to_shares(&mut self, delta: &MetadataDelta) {
        if self.shares.served.is_empty() {
            return;
        }
        let id = self.config.broker_id;
        let image = self.metadata.image();
        let leads = |name: &TopicPartition, topic_id: Uuid| {
            let is_same = image.topics.get(&name.topic).is_some_and(|topic| topic.id == topic_id);
            is_same && image.partitions.get(name).is_some_and(|state| state.leader == id)
        };
        let changed = |name: &TopicPartition| delta.partitions.contains(name) || delta.deleted.contains(name);
        let gone: Vec<ShareKey> = self
            .shares
            .served
            .iter()
            .filter(|((_, name), served)| changed(name) && !leads(name, served.topic_id))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.forget_share_partition(&key, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
    }

    /// Nothing is known of it here any more; who waits for a write hears so.
    pub(super) fn forget_share_partition(&mut self, key: &ShareKey, error: ErrorCode) {
        self.shares.served.remove(key);
        self.persister.forget(key);
        let waiting: Vec<(ShareKey, u64)> = self.shares.writes.keys().filter(|(of, _)| of == key).cloned().collect();
        for write in waiting {
            self.note_share_write(&write, error);
        }
    }

    fn note_share_write(&mut self, write: &(ShareKey, u64), error: ErrorCode) {
        let Some(token) = self.shares.writes.remove(write) else { return };
        let Some(request) = self.shares.requests.get_mut(&token) else { return };
        request.acknowledged.insert(write.0.1.clone(), Some(error));
    }

    /// The connection is gone, and with it the sessions that were opened on it: what their members had is given back.
    pub(super) fn close_share_sessions(&mut self, connection: ConnectionId) {
        if self.config.version < STABLE_PROTOCOL {
            return;
        }
        for key in self.shares.sessions.on_connection(connection) {
            self.close_share_session(&key);
        }
    }

    pub(super) fn close_share_session(&mut self, key: &SessionKey) {
        let Some(session) = self.shares.sessions.close(key) else { return };
        for name in session.partitions {
            let of = (key.0.clone(), name);
            if let Some(write) = self.shares.active(&of).and_then(|partition| partition.release(&key.1)) {
                self.shares.persist.push(Persist::Write(of, write));
            }
        }
    }

    /// A member says what it has done with records. None: it will be known when it is written.
    pub(super) fn acknowledge_share(
        &mut self,
        token: u64,
        (group, member): &SessionKey,
        name: &TopicPartition,
        said: &[Acknowledgement],
        ctx: &mut Context<'_>,
    ) -> Option<ErrorCode> {
        let key = (group.clone(), name.clone());
        let Some(partition) = self.shares.active(&key) else { return Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) };
        match partition.acknowledge(member, said) {
            Ok(None) => Some(ErrorCode::NONE),
            Ok(Some(write)) => {
                self.shares.writes.insert((key.clone(), write.number), token);
                self.shares.persist.push(Persist::Write(key, write));
                None
            }
            Err(error) => {
                for Acknowledgement { first, last, .. } in said {
                    ctx.fact(Fact::ShareAcknowledgeRefused {
                        group: group.to_string(),
                        partition: name.clone(),
                        member: member.to_string(),
                        first: *first,
                        last: *last,
                        error,
                    });
                }
                Some(error)
            }
        }
    }

    /// Locks that have expired.
    pub(super) fn on_shares_deadline(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let due = |served: &Served| served.partition.as_ref().and_then(SharePartition::next_deadline) <= Some(now);
        let has_deadline = |served: &&Served| served.partition.as_ref().is_some_and(|it| it.next_deadline().is_some());
        let due: Vec<ShareKey> = self
            .shares
            .served
            .iter()
            .filter(|(_, served)| has_deadline(served) && due(served))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let Some((changes, write)) = self.shares.active(&key).and_then(|partition| partition.expire_locks(now))
            else {
                continue;
            };
            say_changes(&key, changes, ctx);
            self.shares.persist.push(Persist::Write(key, write));
        }
    }

    /// Carries on with everything that waits; whether anything came of it.
    pub(super) fn settle_shares(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.shares.is_idle() && self.persister.is_idle() {
            return false;
        }
        let mut any = self.settle_persister(ctx);
        let tokens: Vec<u64> = self.shares.requests.keys().copied().collect();
        for token in tokens {
            any |= self.try_share_fetch(token, ctx);
            any |= self.try_finish_share_request(token, ctx);
        }
        any
    }

    fn try_finish_share_request(&mut self, token: u64, ctx: &mut Context<'_>) -> bool {
        let is_done = self
            .shares
            .requests
            .get(&token)
            .is_some_and(|request| request.waiting.is_none() && request.acknowledged.values().all(Option::is_some));
        let Some(request) = is_done.then(|| self.shares.requests.remove(&token)).flatten() else { return false };
        if request.closes {
            self.close_share_session(&request.key);
        }
        if request.fetches {
            self.finish_share_fetch(request, ctx);
        } else {
            self.finish_share_acknowledge(request, ctx);
        }
        true
    }

    /// It is known how far a group has come: by what was written, or by what its configuration says of groups that begin.
    pub(super) fn share_partition_loaded(
        &mut self,
        key: &ShareKey,
        written: Option<(Offset, Vec<crate::share::StateBatch>)>,
        ctx: &mut Context<'_>,
    ) {
        let limits = self.share_limits();
        let reset = self.share_offset_reset(&key.0);
        let Some(log) = self.replicas.log(&key.1) else { return };
        let known = written.is_some();
        let mut partition = match written {
            Some((start, batches)) => SharePartition::loaded(start, &batches, limits),
            None if reset == ShareOffsetReset::Earliest => SharePartition::new(log.log_start_offset(), limits),
            None => SharePartition::new(log.high_watermark(), limits),
        };
        partition.log_start_moved(log.log_start_offset());
        let in_flight = partition.in_flight().0;
        ctx.fact(Fact::SharePartitionLoaded {
            group: key.0.to_string(),
            partition: key.1.clone(),
            start: partition.start_offset(),
            known,
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
        });
        if let Some(served) = self.shares.served.get_mut(key) {
            served.partition = Some(partition);
        }
    }

    /// What became of a write.
    pub(super) fn share_state_written(&mut self, key: ShareKey, number: u64, error: ErrorCode, ctx: &mut Context<'_>) {
        let changes = self.shares.active(&key).map(|partition| partition.written(number, error.is_none()));
        say_changes(&key, changes.unwrap_or_default(), ctx);
        self.note_share_write(&(key, number), error);
    }

    fn share_limits(&self) -> ShareLimits {
        let share = &self.config.groups.share;
        ShareLimits {
            delivery_count: share.delivery_count_limit,
            record_locks: share.partition_max_record_locks,
            undelivered_does_not_count: self.config.version >= STABLE_PROTOCOL,
        }
    }

    fn share_place(&mut self, key: &ShareKey) -> Place {
        let leader_epoch = match self.replicas.leadership(&key.1) {
            Ok(leader_epoch) => leader_epoch,
            Err(error) => return Place::Failed(error),
        };
        let Some(topic_id) = self.image().topics.get(&key.1.topic).map(|topic| topic.id) else {
            return Place::Failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        if let Some(error) = self.shares.unreadable.remove(key) {
            return Place::Failed(error);
        }
        if !self.shares.served.contains_key(key) {
            self.shares.served.insert(key.clone(), Served { topic_id, leader_epoch, partition: None });
            self.shares.persist.push(Persist::Read(key.clone()));
        }
        let Some(log) = self.replicas.log(&key.1) else { return Place::Failed(ErrorCode::KAFKA_STORAGE_ERROR) };
        let Some(partition) = self.shares.served.get_mut(key).and_then(|served| served.partition.as_mut()) else {
            return Place::Empty;
        };
        partition.log_start_moved(log.log_start_offset());
        let from = partition.next_fetch_offset();
        if partition.can_acquire() && from < log.high_watermark() { Place::Readable(from) } else { Place::Empty }
    }

    fn try_share_fetch(&mut self, token: u64, ctx: &mut Context<'_>) -> bool {
        let Some(request) = self.shares.requests.get(&token) else { return false };
        let Some(wait) = request.waiting.clone() else { return false };
        let (group, member) = request.key.clone();
        let places: Vec<(ShareKey, Place)> = wait
            .partitions
            .iter()
            .map(|name| (group.clone(), name.clone()))
            .map(|key| {
                let place = self.share_place(&key);
                (key, place)
            })
            .collect();
        let is_urgent = places.iter().any(|(_, place)| !matches!(place, Place::Empty));
        if !is_urgent && wait.until > ctx.now() && !wait.partitions.is_empty() {
            return false;
        }
        let (mut room, mut records_left) = (usize::try_from(wait.max_bytes).unwrap_or(0), wait.max_records);
        let mut fetched: Vec<ShareFetched> = Vec::new();
        for (key, place) in places {
            match place {
                Place::Empty => {}
                Place::Failed(error) => {
                    fetched.push(ShareFetched { partition: key.1, error, records: Bytes::new(), acquired: Vec::new() })
                }
                Place::Readable(from) => {
                    let min_one_batch = fetched.iter().all(|one| one.records.is_empty());
                    let got = self.acquire_share(&key, &member, from, (room, min_one_batch), records_left, ctx);
                    room = room.saturating_sub(got.records.len());
                    let count = |run: &Acquired| usize::try_from(run.last.0 - run.first.0 + 1).unwrap_or(0);
                    records_left = records_left.saturating_sub(got.acquired.iter().map(count).sum());
                    fetched.push(got);
                }
            }
        }
        if let Some(request) = self.shares.requests.get_mut(&token) {
            request.waiting = None;
            request.fetched = fetched;
        }
        true
    }

    fn acquire_share(
        &mut self,
        key: &ShareKey,
        member: &StrBytes,
        from: Offset,
        (max_bytes, min_one_batch): (usize, bool),
        max_records: usize,
        ctx: &mut Context<'_>,
    ) -> ShareFetched {
        let nothing =
            |error| ShareFetched { partition: key.1.clone(), error, records: Bytes::new(), acquired: Vec::new() };
        let records = match self.replicas.read_committed(&key.1, from, (max_bytes, min_one_batch), ctx) {
            Ok(records) => records,
            Err(error) => return nothing(error),
        };
        let lock = self.share_record_lock(&key.0);
        let batches = crate::record::batches(records.clone()).map_while(Result::ok);
        let batches = batches.map(|batch| (batch.base_offset(), batch.last_offset())).collect();
        let Some(partition) = self.shares.active(key) else { return nothing(ErrorCode::NONE) };
        let acquired = partition.acquire(member, &Fetched { from, batches }, max_records, ctx.now() + lock);
        for run in &acquired {
            ctx.fact(Fact::ShareAcquired {
                group: key.0.to_string(),
                partition: key.1.clone(),
                member: member.to_string(),
                first: run.first,
                last: run.last,
                delivery_count: run.delivery_count,
                lock_ms: lock.as_millis(),
            });
        }
        if acquired.is_empty() {
            return nothing(ErrorCode::NONE);
        }
        ShareFetched { partition: key.1.clone(), error: ErrorCode::NONE, records, acquired }
    }

    /// For how long a member of a group may keep a record.
    pub(super) fn share_record_lock(&self, group: &GroupId) -> Duration {
        let own = self.group_property(group, "share.record.lock.duration.ms").and_then(|text| text.parse().ok());
        own.map_or(self.config.groups.share.record_lock_duration_ms, Duration::from_millis)
    }

    fn share_offset_reset(&self, group: &GroupId) -> ShareOffsetReset {
        match self.group_property(group, "share.auto.offset.reset") {
            Some("earliest") => ShareOffsetReset::Earliest,
            Some(_) | None => ShareOffsetReset::Latest,
        }
    }

    /// What an operator has set for a group.
    fn group_property(&self, group: &GroupId, name: &str) -> Option<&str> {
        self.image().group_configs.get(group.as_str())?.get(name).map(String::as_str)
    }
}

/// `share.auto.offset.reset`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShareOffsetReset {
    Latest,
    Earliest,
}

fn say_changes((group, name): &ShareKey, changes: Vec<Change>, ctx: &mut Context<'_>) {
    for change in changes {
        ctx.fact(Fact::ShareStateChanged {
            group: group.to_string(),
            partition: name.clone(),
            member: change.member.to_string(),
            first: change.first,
            last: change.last,
            state: change.state,
            delivery_count: change.delivery_count,
            reason: change.reason,
        });
    }
}
