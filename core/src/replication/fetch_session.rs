//! The fetch session of a follower with its leader: what the leader has been told and need not be told again.
//!
//! Kafka: `clients/FetchSessionHandler`, `FetchMetadata`; KIP-227.
//!
//! ```text
//!  full fetch (epoch 0) ──▶ answer names a session ──▶ incremental fetches (epoch 1, 2, ...): only what changed
//!        ▲                    answer names none                 │
//!        └──────────────── connection lost, any error ◀─────────┘
//! ```
//!
//! Who changes a partition says so ([`FetchSession::changed`]); building a request then looks at those alone, however
//! many there are.
//!
//! Not modelled: topics without ids.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// What a fetch asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Records from here on.
    pub fetch_offset: Offset,
    /// Where the follower's log starts.
    pub log_start: Offset,
    /// The epoch in which the follower believes the leader to be.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the follower's last record (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// The follower's side of a fetch session.
#[derive(Clone, Debug, Default)]
pub struct FetchSession {
    id: i32,
    epoch: i32,
    /// What the leader knows.
    partitions: BTreeMap<TopicPartition, Asked>,
    /// What may have to be told, sorted. Responses name partitions in this order, so most come in at the end.
    changed: Vec<TopicPartition>,
}

/// A fetch request to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// The session; 0 is none.
    pub session_id: i32,
    /// 0 is a full fetch.
    pub session_epoch: i32,
    /// Partitions that are new to the leader or have changed.
    pub to_send: Vec<(TopicPartition, Asked)>,
    /// Partitions that the leader shall forget.
    pub forgotten: Vec<(TopicPartition, Uuid)>,
}

impl FetchSession {
    /// A partition is fetched from another place, or no longer, or again.
    pub fn changed(&mut self, partition: &TopicPartition) {
        if let Err(at) = self.changed.binary_search(partition) {
            self.changed.insert(at, partition.clone());
        }
    }

    /// What the last request, or one before it in the session, asked of the partition.
    pub fn asked(&self, partition: &TopicPartition) -> Option<Asked> {
        self.partitions.get(partition).copied()
    }

    /// Whether the leader has to be told to forget something.
    pub fn has_to_forget(&self) -> bool {
        !self.is_full() && !self.changed.is_empty() && !self.partitions.is_empty()
    }

    /// The next request. `ask` says what to fetch from a partition, if anything; `all` are the partitions there are.
    /// `None`: there is nothing to fetch and nothing to forget.
    pub fn build<'a>(
        &mut self,
        all: impl Iterator<Item = &'a TopicPartition>,
        mut ask: impl FnMut(&TopicPartition) -> Option<Asked>,
    ) -> Option<SessionRequest> {
        let (mut to_send, mut forgotten) = (Vec::new(), Vec::new());
        if self.is_full() {
            self.changed.clear();
            to_send.extend(all.filter_map(|partition| Some((partition.clone(), ask(partition)?))));
            self.partitions = to_send.iter().cloned().collect();
        } else {
            for partition in self.changed.drain(..) {
                match (ask(&partition), self.partitions.get_mut(&partition)) {
                    (Some(now), Some(before)) if *before == now => {}
                    (Some(now), Some(before)) => {
                        *before = now;
                        to_send.push((partition, now));
                    }
                    (Some(now), None) => {
                        self.partitions.insert(partition.clone(), now);
                        to_send.push((partition, now));
                    }
                    (None, Some(_)) => {
                        if let Some(before) = self.partitions.remove(&partition) {
                            forgotten.push((partition, before.topic_id));
                        }
                    }
                    (None, None) => {}
                }
            }
        }
        if self.partitions.is_empty() && forgotten.is_empty() {
            return None;
        }
        Some(SessionRequest { session_id: self.id, session_epoch: self.epoch, to_send, forgotten })
    }

    /// The answer came. True if its partitions count; else the next fetch is a full one.
    pub fn on_response(&mut self, error: ErrorCode, session_id: i32) -> bool {
        if !error.is_none() {
            if error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND {
                self.id = 0;
            }
            self.epoch = 0;
            return false;
        }
        // Without a session, because the leader has no room for it or has closed it, every fetch is a full one.
        (self.id, self.epoch) = match session_id {
            0 => (0, 0),
            id => (id, if self.epoch == i32::MAX { 1 } else { self.epoch + 1 }),
        };
        true
    }

    /// No answer came: nobody knows what the leader knows. The next fetch closes the old session and opens a new one.
    pub fn on_failure(&mut self) {
        self.epoch = 0;
    }

    fn is_full(&self) -> bool {
        self.epoch <= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(offset: i64) -> Asked {
        Asked {
            topic_id: Uuid::nil(),
            fetch_offset: Offset(offset),
            log_start: Offset(0),
            current_leader_epoch: LeaderEpoch(1),
            last_fetched_epoch: None,
        }
    }

    /// A follower of some partitions and its session.
    #[derive(Default)]
    struct Follower {
        session: FetchSession,
        offsets: BTreeMap<TopicPartition, i64>,
    }

    impl Follower {
        fn at(&mut self, topic: &str, offset: i64) {
            let partition = TopicPartition::of(topic, 0);
            self.session.changed(&partition);
            self.offsets.insert(partition, offset);
        }

        fn stops(&mut self, topic: &str) {
            let partition = TopicPartition::of(topic, 0);
            self.session.changed(&partition);
            self.offsets.remove(&partition);
        }

        /// The next request in words: `session.epoch a@1 -b`.
        fn request(&mut self) -> String {
            let offsets = &self.offsets;
            let built = self.session.build(offsets.keys(), |partition| offsets.get(partition).copied().map(asked));
            let Some(request) = built else { return "nothing".to_owned() };
            let mut text = format!("{}.{}", request.session_id, request.session_epoch);
            for (partition, asked) in request.to_send {
                text += &format!(" {}@{}", partition.topic.as_str(), asked.fetch_offset);
            }
            for (partition, _) in request.forgotten {
                text += &format!(" -{}", partition.topic.as_str());
            }
            text
        }
    }

    #[test]
    fn after_a_full_fetch_only_changes_are_sent() {
        let mut follower = Follower::default();
        assert_eq!(follower.request(), "nothing");
        follower.at("a", 0);
        follower.at("b", 5);
        assert_eq!(follower.request(), "0.0 a@0 b@5");
        assert!(follower.session.on_response(ErrorCode::NONE, 77));
        assert_eq!(follower.request(), "77.1");
        assert!(follower.session.on_response(ErrorCode::NONE, 77));
        follower.at("b", 6);
        follower.at("a", 0);
        assert_eq!(follower.request(), "77.2 b@6");
        assert!(follower.session.on_response(ErrorCode::NONE, 77));
        follower.stops("a");
        follower.at("c", 1);
        assert_eq!(follower.request(), "77.3 c@1 -a");
        assert_eq!(follower.session.asked(&TopicPartition::of("b", 0)), Some(asked(6)));
    }

    #[test]
    fn a_lost_answer_and_an_unknown_session_begin_anew() {
        let mut follower = Follower::default();
        follower.at("a", 0);
        follower.request();
        assert!(follower.session.on_response(ErrorCode::NONE, 77));
        follower.session.on_failure();
        assert_eq!(follower.request(), "77.0 a@0", "the old session is named, so that the leader closes it");
        assert!(!follower.session.on_response(ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0));
        assert_eq!(follower.request(), "0.0 a@0");
        assert!(follower.session.on_response(ErrorCode::NONE, 0));
        assert_eq!(follower.request(), "0.0 a@0", "a leader without room for the session");
    }

    #[test]
    fn a_leader_without_a_session_has_nothing_to_forget() {
        let mut follower = Follower::default();
        follower.at("a", 0);
        assert!(!follower.session.has_to_forget());
        follower.request();
        assert!(!follower.session.has_to_forget());
        follower.session.on_response(ErrorCode::NONE, 77);
        assert!(!follower.session.has_to_forget(), "nothing has changed");
        follower.stops("a");
        follower.session.on_failure();
        assert!(!follower.session.has_to_forget(), "the session is over");
    }

    #[test]
    fn the_numbers_of_requests_begin_again_after_the_last_one() {
        let mut follower = Follower::default();
        follower.at("a", 0);
        follower.request();
        follower.session.on_response(ErrorCode::NONE, 77);
        follower.session.epoch = i32::MAX - 1;
        for epoch in [i32::MAX, 1, 2] {
            follower.session.on_response(ErrorCode::NONE, 77);
            assert_eq!(follower.request(), format!("77.{epoch}"));
        }
    }

    #[test]
    fn when_nothing_is_left_the_leader_is_told_once() {
        let mut follower = Follower::default();
        follower.at("a", 0);
        follower.request();
        follower.session.on_response(ErrorCode::NONE, 77);
        follower.stops("a");
        assert!(follower.session.has_to_forget());
        assert_eq!(follower.request(), "77.1 -a");
        follower.session.on_response(ErrorCode::NONE, 77);
        assert_eq!(follower.request(), "nothing");
    }
}
