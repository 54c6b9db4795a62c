//! The fetch sessions of a broker, at most so many, and who has to go for a new one.
//!
//! Kafka: `FetchSessionCacheShard.tryEvict`, KIP-227; `max.incremental.fetch.session.cache.slots`.
//! A new session pushes out one that was not used for two minutes; else, being a follower's, one of a consumer; else a
//! smaller one that is more than two minutes old.
//! Not modelled: the eight shards of 3.8, each with an eighth of the slots.

use std::collections::BTreeMap;

use super::fetch_session::{CachedPartition, FetchSession, INVALID_SESSION_ID};
use crate::types::{Duration, Instant, Prng};

/// `KafkaServer.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// All sessions by id.
#[derive(Clone, Debug)]
pub(super) struct FetchSessionCache {
    slots: usize,
    sessions: BTreeMap<i32, FetchSession>,
}

impl FetchSessionCache {
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: BTreeMap::new() }
    }

    /// Whether there can be a session at all.
    pub fn is_enabled(&self) -> bool {
        self.slots > 0
    }

    pub fn get(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.sessions.get_mut(&id)
    }

    pub fn remove(&mut self, id: i32) {
        self.sessions.remove(&id);
    }

    /// The id of a new session, or [`INVALID_SESSION_ID`] if there is no room for it.
    pub fn maybe_create(
        &mut self,
        privileged: bool,
        partitions: Vec<CachedPartition>,
        now: Instant,
        rng: &mut Prng,
    ) -> i32 {
        if self.sessions.len() >= self.slots && !self.try_evict(privileged, partitions.len(), now) {
            return INVALID_SESSION_ID;
        }
        let id = self.new_id(rng);
        let session = FetchSession { id, epoch: 1, privileged, created_at: now, last_used_at: now, partitions };
        self.sessions.insert(id, session);
        id
    }

    fn new_id(&self, rng: &mut Prng) -> i32 {
        loop {
            let id = rng.between(1, i32::MAX as u64 - 1) as i32;
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn try_evict(&mut self, privileged: bool, size: usize, now: Instant) -> bool {
        let stalest = self.sessions.values().min_by_key(|session| (session.last_used_at, session.id));
        let victim = match stalest {
            None => None,
            Some(session) if now.since(session.last_used_at) > EVICTION_AGE => Some(session.id),
            Some(_) => self
                .sessions
                .values()
                .filter(|session| {
                    // As of its last use: Kafka files a session anew only when it is touched.
                    let is_old = session.last_used_at.since(session.created_at) > EVICTION_AGE;
                    is_old || (privileged && !session.privileged)
                })
                .map(|session| (session.privileged, session.partitions.len(), session.id))
                .min()
                .filter(|weakest| (privileged, size, 0) >= *weakest)
                .map(|(_, _, id)| id),
        };
        victim.is_some_and(|id| self.sessions.remove(&id).is_some())
    }
}
