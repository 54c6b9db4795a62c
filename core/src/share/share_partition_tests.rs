//! One partition of a share group, step by step.

use super::share_partition::Fetched;
use super::{AcknowledgeType, Acknowledgement, ShareLimits, SharePartition, StateBatch};
use crate::fact::{ShareReason, ShareState};
use crate::protocol::ErrorCode;
use crate::types::{Instant, Offset, StrBytes};

use AcknowledgeType::{Accept, Gap, Reject, Release};

const LIMITS: ShareLimits = ShareLimits { delivery_count: 3, record_locks: 100, undelivered_does_not_count: true };

/// A share-partition, of which everything is written at once unless a test says otherwise.
struct Group {
    partition: SharePartition,
    now: u64,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group() -> Group {
    Group { partition: SharePartition::new(Offset(0), LIMITS), now: 0 }
}

fn said(first: i64, last: i64, types: &[AcknowledgeType]) -> Acknowledgement {
    Acknowledgement { first: Offset(first), last: Offset(last), types: types.to_vec() }
}

impl Group {
    /// A member reads a log whose batches end at these offsets, from where it is to read. Locks are ten seconds.
    fn acquires(&mut self, member: &str, batches: &[(i64, i64)], max_records: usize) -> Vec<(i64, i64, u16)> {
        let from = self.partition.next_fetch_offset();
        let batches = batches.iter().filter(|(_, last)| *last >= from.0).map(|(a, b)| (Offset(*a), Offset(*b)));
        let fetched = Fetched { from, batches: batches.collect() };
        let until = Instant((self.now + 10) * 1_000_000_000);
        let acquired = self.partition.acquire(&text(member), &fetched, max_records, until);
        acquired.into_iter().map(|run| (run.first.0, run.last.0, run.delivery_count)).collect()
    }

    fn says(&mut self, member: &str, all: &[Acknowledgement]) -> Result<(), ErrorCode> {
        if let Some(write) = self.partition.acknowledge(&text(member), all)? {
            self.partition.written(write.number, true);
        }
        Ok(())
    }

    fn passes(&mut self, seconds: u64) -> Vec<(i64, i64, ShareState)> {
        self.now += seconds;
        let Some((changes, write)) = self.partition.expire_locks(Instant(self.now * 1_000_000_000)) else {
            return Vec::new();
        };
        self.partition.written(write.number, true);
        changes.into_iter().map(|change| (change.first.0, change.last.0, change.state)).collect()
    }

    /// Start, end, and where the next member reads.
    fn stands(&self) -> (i64, i64, i64) {
        let (start, end) = (self.partition.start_offset(), self.partition.end_offset());
        (start.0, end.0, self.partition.next_fetch_offset().0)
    }
}

const LOG: &[(i64, i64)] = &[(0, 4), (5, 9)];

#[test]
fn two_members_get_different_records_of_one_partition() {
    let mut group = group();
    assert_eq!(group.acquires("m1", LOG, 5), [(0, 4, 1)]);
    assert_eq!(group.acquires("m2", LOG, 5), [(5, 9, 1)]);
    assert_eq!(group.acquires("m1", LOG, 5), []);
    assert_eq!(group.stands(), (0, 10, 10));
}

#[test]
fn a_batch_of_the_log_is_not_divided() {
    let mut group = group();
    assert_eq!(group.acquires("m1", LOG, 1), [(0, 4, 1)]);
    assert_eq!(group.acquires("m1", LOG, 0), []);
}

#[test]
fn the_start_offset_moves_over_what_is_done_with() {
    let mut group = group();
    group.acquires("m1", LOG, 10);
    group.says("m1", &[said(0, 1, &[Accept]), said(5, 9, &[Accept])]).expect("they are its own");
    assert_eq!(group.stands(), (2, 10, 10));
    group.says("m1", &[said(2, 4, &[Reject, Gap, Accept])]).expect("they are its own");
    assert_eq!(group.stands(), (10, 10, 10));
    assert_eq!(group.acquires("m1", &[(10, 10)], 10), [(10, 10, 1)]);
}

#[test]
fn what_is_released_comes_first_and_counts() {
    let mut group = group();
    group.acquires("m1", LOG, 5);
    group.says("m1", &[said(0, 4, &[Accept, Release, Accept, Release, Release])]).expect("they are its own");
    assert_eq!(group.stands(), (1, 5, 1));
    assert_eq!(group.acquires("m2", LOG, 100), [(1, 1, 2), (3, 4, 2), (5, 9, 1)]);
}

#[test]
fn a_record_that_is_delivered_to_the_limit_is_archived() {
    let mut group = group();
    for delivery in 1..=3 {
        assert_eq!(group.acquires("m1", &[(0, 0)], 5), [(0, 0, delivery)]);
        assert_eq!(group.partition.start_offset(), Offset(0));
        group.says("m1", &[said(0, 0, &[Release])]).expect("it is its own");
    }
    assert_eq!(group.stands(), (1, 1, 1), "it is delivered no fourth time");
}

#[test]
fn a_lock_that_expires_gives_records_back_or_archives_them() {
    let mut group = group();
    group.acquires("m1", &[(0, 0)], 5);
    assert_eq!(group.passes(9), []);
    assert_eq!(group.passes(1), [(0, 0, ShareState::Available)]);
    for _ in 0..2 {
        group.acquires("m2", &[(0, 0)], 5);
        group.passes(10);
    }
    assert_eq!(group.stands(), (1, 1, 1));
    assert_eq!(group.partition.next_deadline(), None);
}

#[test]
fn who_comes_too_late_is_refused_while_the_record_is_in_flight_and_not_heard_after_that() {
    let mut group = group();
    group.acquires("m1", LOG, 10);
    group.passes(10);
    assert_eq!(group.says("m1", &[said(0, 9, &[Accept])]), Err(ErrorCode::INVALID_RECORD_STATE), "it is available");
    group.acquires("m2", LOG, 10);
    assert_eq!(group.says("m1", &[said(0, 9, &[Accept])]), Err(ErrorCode::INVALID_RECORD_STATE), "it is another's");
    group.says("m2", &[said(0, 9, &[Accept])]).expect("they are its own");
    assert_eq!(group.says("m1", &[said(0, 9, &[Accept])]), Ok(()), "nothing is known of it any more");
}

#[test]
fn what_makes_no_sense_is_refused_as_a_whole() {
    let mut group = group();
    group.acquires("m1", LOG, 5);
    for (all, error) in [
        (vec![said(0, 5, &[Accept])], ErrorCode::INVALID_REQUEST),
        (vec![said(3, 2, &[Accept])], ErrorCode::INVALID_REQUEST),
        (vec![said(0, 2, &[Accept, Accept])], ErrorCode::INVALID_REQUEST),
        (vec![said(0, 2, &[])], ErrorCode::INVALID_REQUEST),
        (vec![said(2, 3, &[Accept]), said(0, 1, &[Accept])], ErrorCode::INVALID_REQUEST),
        (vec![said(i64::MIN, i64::MAX, &[Accept])], ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(group.says("m1", &all), Err(error), "{all:?}");
    }
    group.says("m1", &[said(2, 2, &[Accept])]).expect("it is its own");
    let twice = [said(0, 1, &[Accept]), said(2, 3, &[Accept])];
    assert_eq!(group.says("m1", &twice), Err(ErrorCode::INVALID_RECORD_STATE), "2 is said already");
    assert_eq!(group.stands(), (0, 5, 5), "0 and 1 were not taken either");
}

#[test]
fn the_end_of_a_session_gives_back_what_was_never_seen() {
    for (undelivered_does_not_count, next) in [(true, 1), (false, 2)] {
        let mut group = group();
        group.partition.limits.undelivered_does_not_count = undelivered_does_not_count;
        group.acquires("m1", LOG, 5);
        group.acquires("m2", LOG, 5);
        let write = group.partition.release(&text("m1")).expect("it had some");
        assert_eq!(group.stands(), (0, 10, 10), "not before it is written");
        let changes = group.partition.written(write.number, true);
        assert_eq!(changes[0].reason, ShareReason::SessionClosed);
        assert_eq!(group.acquires("m2", LOG, 5), [(0, 4, next)]);
    }
}

#[test]
fn what_cannot_be_written_is_taken_back() {
    let mut group = group();
    group.acquires("m1", LOG, 5);
    let said = [said(0, 4, &[Release])];
    let write = group.partition.acknowledge(&text("m1"), &said).expect("they are its own").expect("something is new");
    assert_eq!(write.batches.len(), 1);
    assert_eq!(group.passes(10), [], "who has spoken in time is not too late");
    assert_eq!(group.partition.acknowledge(&text("m1"), &said), Err(ErrorCode::INVALID_RECORD_STATE));
    assert_eq!(group.partition.written(write.number, false), []);
    assert_eq!(group.passes(0), [(0, 4, ShareState::Available)]);
}

#[test]
fn only_so_many_records_are_in_flight() {
    let mut group = group();
    group.partition.limits.record_locks = 6;
    assert_eq!(group.acquires("m1", LOG, 100), [(0, 9, 1)], "a batch is not divided");
    let more = &[(0, 4), (5, 9), (10, 14)];
    assert!(!group.partition.can_acquire());
    assert_eq!(group.acquires("m2", more, 100), []);
    group.says("m1", &[said(3, 3, &[Release])]).expect("it is its own");
    assert!(group.partition.can_acquire());
    assert_eq!(group.acquires("m2", more, 100), [(3, 3, 2)], "what was given back has its room");
    group.says("m1", &[said(0, 2, &[Accept])]).expect("they are its own");
    assert!(!group.partition.can_acquire(), "from 3 to 9 there are 7");
}

#[test]
fn a_log_that_begins_later_takes_records_along() {
    let mut group = group();
    group.acquires("m1", LOG, 10);
    group.partition.log_start_moved(Offset(7));
    assert_eq!(group.stands(), (7, 10, 10));
    group.says("m1", &[said(0, 9, &[Accept])]).expect("what is gone is not looked at");
    assert_eq!(group.stands(), (10, 10, 10));
    group.partition.log_start_moved(Offset(25));
    assert_eq!(group.stands(), (25, 25, 25));
    group.partition.log_start_moved(Offset(20));
    assert_eq!(group.stands(), (25, 25, 25), "never back");
}

#[test]
fn compaction_leaves_gaps() {
    let mut group = group();
    assert_eq!(group.acquires("m1", &[(4, 5), (8, 9)], 10), [(4, 5, 1), (8, 9, 1)]);
    assert_eq!(group.stands(), (4, 10, 10));
    group.says("m1", &[said(4, 5, &[Release]), said(8, 9, &[Release])]).expect("they are its own");
    assert_eq!(group.acquires("m1", &[(8, 9)], 10), [(8, 9, 2)], "the first batch is gone since");
    assert_eq!(group.stands(), (8, 10, 10));
}

#[test]
fn a_new_leader_goes_on_where_the_former_has_written() {
    let batch = |first, last, state, delivery_count| StateBatch {
        first: Offset(first),
        last: Offset(last),
        state,
        delivery_count,
    };
    let written = [
        batch(3, 4, ShareState::Available, 2),
        batch(7, 7, ShareState::Acknowledged, 1),
        batch(9, 9, ShareState::Archived, 3),
    ];
    let partition = SharePartition::loaded(Offset(2), &written, LIMITS);
    let mut group = Group { partition, now: 0 };
    assert_eq!(group.stands(), (2, 10, 2));
    assert_eq!(group.acquires("m1", LOG, 100), [(2, 2, 1), (3, 4, 3), (5, 6, 1), (8, 8, 1)]);
    let done = SharePartition::loaded(Offset(7), &written[1..2], LIMITS);
    assert_eq!((done.start_offset(), done.end_offset()), (Offset(8), Offset(8)));
}
