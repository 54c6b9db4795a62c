//! Requests that wait: produce and DeleteRecords requests for their replicas, fetch requests for bytes.
//!
//! Kafka: `DelayedOperationPurgatory`, `DelayedProduce`, `DelayedFetch`, `DelayedDeleteRecords`.
//!
//! Who waits for which partition is kept at the partition; here is what they wait for and until when. A waiting request
//! is looked at when something happens to one of its partitions, and then only that partition is.
//!
//! Not modelled: a fetch that falls behind the last segment (it completes by its bytes all the same).

use std::collections::{BTreeMap, VecDeque};

use super::api::{DeletedRecords, FetchParams, FetchPartition, ProduceResult};
use crate::protocol::ErrorCode;
use crate::types::{ByToken, Instant, NodeId, Offset, TopicPartition};

/// A produce request at acks=-1 whose records are in the leader's log.
#[derive(Clone, Debug)]
pub struct DelayedProduce {
    /// The client.
    pub from: NodeId,
    /// When it is answered at the latest.
    pub expires: Instant,
    /// The answer. Partitions that are still waited for say `REQUEST_TIMED_OUT`, which is true if nothing else comes.
    pub results: Vec<(TopicPartition, ProduceResult)>,
    /// Partitions that are still waited for.
    pub waits: Vec<ReplicationWait>,
}

/// One partition of a [`DelayedProduce`].
#[derive(Clone, Copy, Debug)]
pub struct ReplicationWait {
    /// Its place in the results.
    pub index: usize,
    /// The high watermark that satisfies it.
    pub required: Offset,
}

/// A fetch request that found too little.
#[derive(Clone, Debug)]
pub struct DelayedFetch {
    /// The request.
    pub params: FetchParams,
    /// When it is answered at the latest.
    pub expires: Instant,
    /// Its partitions, with the bytes that are known to be there.
    pub entries: Vec<FetchWait>,
    /// The sum of those bytes.
    pub available: u64,
}

/// One partition of a [`DelayedFetch`].
#[derive(Clone, Debug)]
pub struct FetchWait {
    /// The partition.
    pub partition: TopicPartition,
    /// What is asked of it.
    pub ask: FetchPartition,
    /// Bytes that are known to be there.
    pub available: u64,
}

/// A DeleteRecords request whose leaders have done their part.
#[derive(Clone, Debug)]
pub struct DelayedDeleteRecords {
    /// When it is answered at the latest.
    pub expires: Instant,
    /// The answer. Partitions that are still waited for say `REQUEST_TIMED_OUT`.
    pub results: Vec<(TopicPartition, DeletedRecords)>,
    /// Partitions that are still waited for: their place in the results, and the low watermark that satisfies them.
    pub waits: Vec<(usize, Offset)>,
}

/// What a waiting fetch finds when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// So many bytes.
    Bytes(u64),
    /// Something that the fetcher must hear at once: an error, a diverging epoch, a log that ends before its offset.
    Urgent,
}

/// Everything that waits.
#[derive(Clone, Debug, Default)]
pub struct Purgatory {
    produces: ByToken<DelayedProduce>,
    fetches: ByToken<DelayedFetch>,
    delete_records: BTreeMap<u64, DelayedDeleteRecords>,
    /// Ascending. Most requests wait equally long, so that they come in at the end and leave in front.
    deadlines: VecDeque<(Instant, Delayed)>,
}

/// Names a waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delayed {
    /// A produce request.
    Produce(u64),
    /// A fetch request.
    Fetch(u64),
    /// A DeleteRecords request.
    DeleteRecords(u64),
}

impl Purgatory {
    /// A produce request begins to wait.
    pub fn park_produce(&mut self, token: u64, delayed: DelayedProduce) {
        self.note_deadline((delayed.expires, Delayed::Produce(token)));
        self.produces.insert(token, delayed);
    }

    /// A fetch request begins to wait.
    pub fn park_fetch(&mut self, token: u64, delayed: DelayedFetch) {
        self.note_deadline((delayed.expires, Delayed::Fetch(token)));
        self.fetches.insert(token, delayed);
    }

    /// A waiting produce request.
    pub fn produce_mut(&mut self, token: u64) -> Option<&mut DelayedProduce> {
        self.produces.get_mut(token)
    }

    /// A waiting fetch request.
    pub fn fetch_mut(&mut self, token: u64) -> Option<&mut DelayedFetch> {
        self.fetches.get_mut(token)
    }

    /// A produce request waits no more.
    pub fn take_produce(&mut self, token: u64) -> Option<DelayedProduce> {
        let delayed = self.produces.remove(token)?;
        self.forget_deadline((delayed.expires, Delayed::Produce(token)));
        Some(delayed)
    }

    /// A fetch request waits no more.
    pub fn take_fetch(&mut self, token: u64) -> Option<DelayedFetch> {
        let delayed = self.fetches.remove(token)?;
        self.forget_deadline((delayed.expires, Delayed::Fetch(token)));
        Some(delayed)
    }

    /// A DeleteRecords request begins to wait.
    pub fn park_delete_records(&mut self, token: u64, delayed: DelayedDeleteRecords) {
        self.note_deadline((delayed.expires, Delayed::DeleteRecords(token)));
        self.delete_records.insert(token, delayed);
    }

    /// A DeleteRecords request waits no more.
    pub fn take_delete_records(&mut self, token: u64) -> Option<DelayedDeleteRecords> {
        let delayed = self.delete_records.remove(&token)?;
        self.forget_deadline((delayed.expires, Delayed::DeleteRecords(token)));
        Some(delayed)
    }

    /// The DeleteRecords requests that wait; nearly always none.
    pub fn waiting_delete_records(&self) -> Vec<u64> {
        self.delete_records.keys().copied().collect()
    }

    /// The next request whose time is up.
    pub fn next_expired(&self, now: Instant) -> Option<Delayed> {
        self.deadlines.front().filter(|(at, _)| *at <= now).map(|(_, delayed)| *delayed)
    }

    /// When the next request's time is up.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// How many produce requests wait.
    pub fn waiting_produces(&self) -> usize {
        self.produces.len()
    }

    /// How many fetch requests wait.
    pub fn waiting_fetches(&self) -> usize {
        self.fetches.len()
    }

    fn note_deadline(&mut self, deadline: (Instant, Delayed)) {
        if let Err(at) = self.deadlines.binary_search(&deadline) {
            self.deadlines.insert(at, deadline);
        }
    }

    fn forget_deadline(&mut self, deadline: (Instant, Delayed)) {
        if let Ok(at) = self.deadlines.binary_search(&deadline) {
            self.deadlines.remove(at);
        }
    }
}

impl DelayedProduce {
    /// Settles the waits for `partition` on which `verdict` has something to say. True if nothing is waited for any more.
    pub fn settle(&mut self, partition: &TopicPartition, verdict: impl Fn(Offset) -> Option<ErrorCode>) -> bool {
        let results = &mut self.results;
        self.waits.retain(|wait| {
            let (name, result) = &mut results[wait.index];
            if name != partition {
                return true;
            }
            match verdict(wait.required) {
                Some(error) => {
                    result.error = error;
                    false
                }
                None => true,
            }
        });
        self.waits.is_empty()
    }

    /// Whether it waits for `partition`.
    pub fn waits_for(&self, partition: &TopicPartition) -> bool {
        self.waits.iter().any(|wait| self.results[wait.index].0 == *partition)
    }
}

impl DelayedFetch {
    /// Notes what is there in one partition. True if the request can be answered.
    pub fn note(&mut self, index: usize, found: Availability) -> bool {
        let Availability::Bytes(bytes) = found else { return true };
        let entry = &mut self.entries[index];
        self.available = self.available - entry.available + bytes;
        entry.available = bytes;
        self.available >= u64::try_from(self.params.min_bytes).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::IsolationLevel;
    use crate::types::{BrokerEpoch, Duration};

    #[test]
    fn a_produce_request_is_settled_partition_by_partition() {
        let waiting = ProduceResult { error: ErrorCode::REQUEST_TIMED_OUT, ..ProduceResult::failed(ErrorCode::NONE) };
        let (a, b) = (TopicPartition::of("a", 0), TopicPartition::of("b", 0));
        let mut delayed = DelayedProduce {
            from: NodeId::Client(1),
            expires: Instant(5),
            results: vec![(a.clone(), waiting), (b.clone(), waiting)],
            waits: vec![
                ReplicationWait { index: 0, required: Offset(3) },
                ReplicationWait { index: 1, required: Offset(9) },
            ],
        };
        let high_watermark_at_5 = |required: Offset| (required <= Offset(5)).then_some(ErrorCode::NONE);
        assert!(!delayed.settle(&a, high_watermark_at_5));
        assert!(!delayed.waits_for(&a));
        assert!(!delayed.settle(&b, high_watermark_at_5));
        assert!(delayed.settle(&b, |_| Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
        let errors: Vec<ErrorCode> = delayed.results.iter().map(|(_, result)| result.error).collect();
        assert_eq!(errors, [ErrorCode::NONE, ErrorCode::NOT_LEADER_OR_FOLLOWER]);
    }

    #[test]
    fn a_fetch_request_adds_up_what_its_partitions_have() {
        let ask = FetchPartition {
            fetch_offset: Offset(0),
            current_leader_epoch: None,
            last_fetched_epoch: None,
            log_start_offset: Offset(-1),
            max_bytes: 100,
        };
        let wait = |topic: &str| FetchWait { partition: TopicPartition::of(topic, 0), ask, available: 0 };
        let params = FetchParams {
            token: 1,
            replica_id: -1,
            replica_epoch: BrokerEpoch(-1),
            max_wait: Duration::from_millis(500),
            min_bytes: 100,
            max_bytes: 1000,
            isolation: IsolationLevel::ReadUncommitted,
            client_rack: crate::types::StrBytes::default(),
        };
        let mut delayed =
            DelayedFetch { params, expires: Instant(5), entries: vec![wait("a"), wait("b")], available: 0 };
        assert!(!delayed.note(0, Availability::Bytes(60)));
        assert!(!delayed.note(0, Availability::Bytes(90)), "the same partition is not counted twice");
        assert!(delayed.note(1, Availability::Bytes(10)));
        assert!(delayed.note(1, Availability::Urgent));
    }

    #[test]
    fn the_earliest_deadline_comes_first_and_goes_with_its_request() {
        let delayed = |expires| DelayedProduce {
            from: NodeId::Client(1),
            expires: Instant(expires),
            results: Vec::new(),
            waits: Vec::new(),
        };
        let mut purgatory = Purgatory::default();
        purgatory.park_produce(1, delayed(20));
        purgatory.park_produce(2, delayed(10));
        assert_eq!(purgatory.next_deadline(), Some(Instant(10)));
        assert_eq!(purgatory.next_expired(Instant(9)), None);
        assert_eq!(purgatory.next_expired(Instant(10)), Some(Delayed::Produce(2)));
        assert!(purgatory.take_produce(2).is_some());
        assert_eq!(purgatory.next_deadline(), Some(Instant(20)));
    }
}
