//! Fetch sessions: what a fetcher asked for before, so that it says only what is new, and hears only what changed.
//!
//! Kafka: `FetchSession.scala` (FetchSession, FetchContext, FetchManager), KIP-227.
//!
//! Between a request and its answer the partitions of a session cannot change, because every request moves its epoch
//! and an answer for another epoch is `INVALID_FETCH_SESSION_EPOCH`. So the n-th result belongs to the n-th partition.
//! Not modelled: topic ids in Fetch (KIP-516: version 13). A session that was evicted while its request waited answers with
//! all partitions instead of the changed ones.

use super::fetch_session_cache::FetchSessionCache;
use crate::protocol::ErrorCode;
use crate::replication::{FetchPartition, FetchResult};
use crate::types::{Instant, Offset, Prng, TopicPartition};

/// The id of "no session".
pub(super) const INVALID_SESSION_ID: i32 = 0;
/// Asks for a new session.
const INITIAL_EPOCH: i32 = 0;
/// Asks for no session, and closes the one it names.
const FINAL_EPOCH: i32 = -1;

/// The epoch after `epoch`; wraps to 1.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 { FINAL_EPOCH } else { epoch.checked_add(1).unwrap_or(1) }
}

/// What a session remembers of one partition.
#[derive(Clone, Debug)]
pub(super) struct CachedPartition {
    pub partition: TopicPartition,
    pub request: FetchPartition,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    /// Whether the last answer had records of it.
    had_data: bool,
}

impl CachedPartition {
    fn new(partition: TopicPartition, request: FetchPartition) -> Self {
        Self { partition, request, high_watermark: Offset::NONE, log_start_offset: Offset::NONE, had_data: false }
    }

    /// Takes in what was found; says whether the fetcher must hear of it (`maybeUpdateResponseData`).
    fn update(&mut self, found: &FetchResult) -> bool {
        let changed = self.high_watermark != found.high_watermark || self.log_start_offset != found.log_start_offset;
        self.high_watermark = found.high_watermark;
        self.log_start_offset = found.log_start_offset;
        if !found.error.is_none() {
            // So that the partition is sent again when the error is gone.
            self.high_watermark = Offset::NONE;
        }
        let diverts = found.diverging.is_some() || found.preferred_read_replica.is_some();
        changed || diverts || !found.records.is_empty() || !found.error.is_none()
    }
}

/// One fetcher's partitions, in the order in which they are served: those that had data go to the end.
#[derive(Clone, Debug)]
pub(super) struct FetchSession {
    pub id: i32,
    pub epoch: i32,
    /// Followers' sessions, which consumers' cannot push out.
    pub privileged: bool,
    pub created_at: Instant,
    pub last_used_at: Instant,
    pub partitions: Vec<CachedPartition>,
}

impl FetchSession {
    fn find(&self, partition: &TopicPartition, hint: usize) -> Option<usize> {
        // Requests name partitions mostly in the order of the session.
        let len = self.partitions.len();
        (hint..len).chain(0..hint.min(len)).find(|index| self.partitions[*index].partition == *partition)
    }

    fn update(&mut self, requested: Vec<(TopicPartition, FetchPartition)>, forgotten: &[TopicPartition]) {
        let mut hint = 0;
        for (partition, request) in requested {
            match self.find(&partition, hint) {
                Some(index) => {
                    self.partitions[index].request = request;
                    hint = index + 1;
                }
                None => self.partitions.push(CachedPartition::new(partition, request)),
            }
        }
        if !forgotten.is_empty() {
            self.partitions.retain(|cached| !forgotten.contains(&cached.partition));
        }
    }

    /// Keeps in `found` what the fetcher must hear, and turns to the end what had data.
    fn select(&mut self, found: &mut Vec<(TopicPartition, FetchResult)>) {
        let mut cached_partitions = self.partitions.iter_mut();
        let mut any_had_data = false;
        found.retain(|(partition, result)| {
            let Some(cached) = cached_partitions.next() else { return true };
            assert!(cached.partition == *partition, "{partition} is not what the session asked for at its place");
            cached.had_data = !result.records.is_empty();
            any_had_data |= cached.had_data;
            cached.update(result)
        });
        cached_partitions.for_each(|cached| cached.had_data = false);
        if any_had_data && self.partitions.len() > 1 {
            // A stable sort keeps the order among equals.
            self.partitions.sort_by_key(|cached| cached.had_data);
        }
    }
}

/// How the answer to one request is to be made.
#[derive(Clone, Debug)]
pub(super) enum FetchContext {
    /// The session is not what the fetcher thinks; nothing is fetched.
    Error(ErrorCode),
    /// Without a session.
    Sessionless,
    /// Everything is asked and everything is answered; a session may come of it.
    Full { privileged: bool, requested: Vec<(TopicPartition, FetchPartition)> },
    /// In a session, which is at this epoch as long as no other request came.
    Incremental { session_id: i32, epoch: i32 },
}

/// What the fetcher is told.
#[derive(Clone, Debug)]
pub(super) struct SessionAnswer {
    pub error: ErrorCode,
    pub session_id: i32,
    pub partitions: Vec<(TopicPartition, FetchResult)>,
}

/// The sessions of all fetchers.
#[derive(Clone, Debug)]
pub(super) struct FetchManager {
    cache: FetchSessionCache,
}

impl FetchManager {
    pub fn new(slots: usize) -> Self {
        Self { cache: FetchSessionCache::new(slots) }
    }

    /// What a request asks for, taken together with what its session knows.
    pub fn new_context(
        &mut self,
        (session_id, epoch): (i32, i32),
        is_follower: bool,
        requested: Vec<(TopicPartition, FetchPartition)>,
        forgotten: &[TopicPartition],
        now: Instant,
    ) -> (FetchContext, Vec<(TopicPartition, FetchPartition)>) {
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            self.cache.remove(session_id);
            if epoch == FINAL_EPOCH || !self.cache.is_enabled() {
                return (FetchContext::Sessionless, requested);
            }
            return (FetchContext::Full { privileged: is_follower, requested: requested.clone() }, requested);
        }
        let Some(session) = self.cache.get(session_id) else {
            return (FetchContext::Error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND), Vec::new());
        };
        if session.epoch != epoch {
            return (FetchContext::Error(ErrorCode::INVALID_FETCH_SESSION_EPOCH), Vec::new());
        }
        session.update(requested, forgotten);
        if session.partitions.is_empty() {
            self.cache.remove(session_id);
            return (FetchContext::Sessionless, Vec::new());
        }
        session.epoch = next_epoch(epoch);
        session.last_used_at = now;
        let context = FetchContext::Incremental { session_id, epoch: session.epoch };
        (context, session.partitions.iter().map(|cached| (cached.partition.clone(), cached.request)).collect())
    }

    /// The answer, from what was found for each partition in the order in which `new_context` named them.
    pub fn respond(
        &mut self,
        context: FetchContext,
        mut found: Vec<(TopicPartition, FetchResult)>,
        now: Instant,
        rng: &mut Prng,
    ) -> SessionAnswer {
        let (error, session_id) = match context {
            FetchContext::Error(error) => (error, INVALID_SESSION_ID),
            FetchContext::Sessionless => (ErrorCode::NONE, INVALID_SESSION_ID),
            FetchContext::Full { privileged, requested } => {
                let partitions = requested.into_iter().zip(&found).map(|((partition, request), (_, result))| {
                    let mut cached = CachedPartition::new(partition, request);
                    cached.high_watermark = result.high_watermark;
                    cached.log_start_offset = result.log_start_offset;
                    cached
                });
                (ErrorCode::NONE, self.cache.maybe_create(privileged, partitions.collect(), now, rng))
            }
            FetchContext::Incremental { session_id, epoch } => match self.cache.get(session_id) {
                Some(session) if session.epoch != epoch => {
                    found.clear();
                    (ErrorCode::INVALID_FETCH_SESSION_EPOCH, session_id)
                }
                Some(session) => {
                    session.select(&mut found);
                    (ErrorCode::NONE, session_id)
                }
                None => (ErrorCode::NONE, session_id),
            },
        };
        SessionAnswer { error, session_id, partitions: found }
    }
}

#[cfg(test)]
#[path = "fetch_session_tests.rs"]
mod tests;
