//! What share groups have done, written and read again.

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use proptest::prelude::*;
use uuid::Uuid;

use super::coordinator::{Answer, ShareCoordinator, StateUpdate};
use super::records::{StateKey, StateRecord, delivery_state};
use super::state::combine;
use crate::fact::ShareState;
use crate::protocol::ErrorCode;
use crate::share::StateBatch;
use crate::types::{LeaderEpoch, Offset, StrBytes};

fn key() -> StateKey {
    let group = GroupId(StrBytes::from_static_str("workers"));
    StateKey { group, topic_id: Uuid::from_bytes([7; 16]), partition: 3 }
}

fn batch(first: i64, last: i64, state: ShareState, delivery_count: u16) -> StateBatch {
    StateBatch { first: Offset(first), last: Offset(last), state, delivery_count }
}

fn update(leader_epoch: i32, start_offset: i64, batches: Vec<StateBatch>) -> StateUpdate {
    let (leader_epoch, start_offset) = (LeaderEpoch(leader_epoch), Offset(start_offset));
    StateUpdate { state_epoch: 0, leader_epoch, start_offset, batches }
}

/// Leads everything; three updates between snapshots.
fn coordinator(log: &[StateRecord]) -> ShareCoordinator {
    let mut coordinator = ShareCoordinator::new(1, 3);
    assert_eq!(coordinator.read(8, &key(), LeaderEpoch(0)), Err(ErrorCode::NOT_COORDINATOR));
    assert!(coordinator.elected(0, LeaderEpoch(0)));
    assert_eq!(coordinator.read(8, &key(), LeaderEpoch(0)), Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    coordinator.loaded(0, log.iter().cloned());
    coordinator
}

/// Writes it, and what came of it is added to the log.
fn write(coordinator: &mut ShareCoordinator, log: &mut Vec<StateRecord>, update: StateUpdate) {
    coordinator.write(9, &key(), update).expect("it is not fenced");
    keep(coordinator, log);
    assert_eq!(coordinator.take_answers(), [(9, Ok(None))]);
}

/// Everything is written.
fn keep(coordinator: &mut ShareCoordinator, log: &mut Vec<StateRecord>) {
    for written in coordinator.take_writes() {
        log.push(written.record);
        coordinator.written(written.number, ErrorCode::NONE);
    }
}

/// Reads it; a new epoch is added to the log.
fn read(coordinator: &mut ShareCoordinator, log: &mut Vec<StateRecord>, leader_epoch: i32) -> Answer {
    coordinator.read(8, &key(), LeaderEpoch(leader_epoch))?;
    keep(coordinator, log);
    match &coordinator.take_answers()[..] {
        [(8, answer)] => answer.clone(),
        other => panic!("one is asked, and it is answered {other:?}"),
    }
}

/// From where on something is written, and what.
fn places(answer: Answer) -> Option<(i64, Vec<StateBatch>)> {
    let kept = answer.expect("it is not fenced")?;
    Some((kept.start_offset.0, kept.batches))
}

#[test]
fn keys_are_spread_by_group_topic_and_partition() {
    assert_eq!(key().coordinator_key().as_str(), "workers:BwcHBwcHBwcHBwcHBwcHBw:3");
}

#[test]
fn records_are_what_was_written() {
    let snapshot = StateRecord {
        key: key(),
        snapshot_epoch: 2,
        snapshot_of: Some(5),
        leader_epoch: LeaderEpoch(4),
        start_offset: Offset(10),
        batches: vec![batch(10, 12, ShareState::Acknowledged, 1), batch(13, 13, ShareState::Archived, 5)],
    };
    let update = StateRecord { snapshot_of: None, start_offset: Offset(-1), ..snapshot.clone() };
    for record in [snapshot, update] {
        let (key, value) = record.to_key_value();
        assert_eq!(StateRecord::parse(key, value), Ok(record));
    }
    assert!(StateRecord::parse(Bytes::from_static(&[0, 9]), Bytes::new()).is_err());
}

#[test]
fn a_word_on_some_records_leaves_the_others_as_they_were() {
    let older = [batch(0, 9, ShareState::Available, 1)];
    let newer = [batch(3, 5, ShareState::Acknowledged, 2)];
    let expected = [
        batch(1, 2, ShareState::Available, 1),
        batch(3, 5, ShareState::Acknowledged, 2),
        batch(6, 9, ShareState::Available, 1),
    ];
    assert_eq!(combine(&older, &newer, Offset(1)), expected);
    let rest = [batch(6, 9, ShareState::Acknowledged, 2)];
    assert_eq!(combine(&expected, &rest, Offset(3)), [batch(3, 9, ShareState::Acknowledged, 2)]);
}

#[test]
fn where_two_writes_speak_of_a_record_the_higher_delivery_count_is_right() {
    let acknowledged = [batch(0, 9, ShareState::Acknowledged, 2)];
    let given_back = [batch(3, 5, ShareState::Available, 1)];
    // A write that was reported as failed and is there all the same: what was said instead does not undo it.
    assert_eq!(combine(&acknowledged, &given_back, Offset(0)), acknowledged);
    assert_eq!(combine(&given_back, &acknowledged, Offset(0)), acknowledged);
    let same_count = [batch(3, 5, ShareState::Available, 2), batch(7, 12, ShareState::Archived, 2)];
    let expected = [batch(0, 6, ShareState::Acknowledged, 2), batch(7, 12, ShareState::Archived, 2)];
    assert_eq!(combine(&acknowledged, &same_count, Offset(0)), expected);
    assert_eq!(combine(&same_count, &acknowledged, Offset(0)), expected);
}

/// Batches that are ascending and do not overlap.
fn any_batches() -> impl Strategy<Value = Vec<StateBatch>> {
    let state = prop_oneof![Just(ShareState::Available), Just(ShareState::Acknowledged), Just(ShareState::Archived)];
    proptest::collection::vec((0i64..4, 0i64..4, state, 1u16..3), 0..8).prop_map(|all| {
        let mut at = 0;
        let each = all.into_iter().map(|(gap, more, state, count)| {
            let first = at + gap;
            at = first + more + 1;
            batch(first, first + more, state, count)
        });
        each.collect()
    })
}

fn of(batches: &[StateBatch], offset: i64) -> Option<(u16, i8)> {
    let it = batches.iter().find(|batch| (batch.first.0..=batch.last.0).contains(&offset))?;
    Some((it.delivery_count, delivery_state(it.state)))
}

proptest! {
    /// Record by record, it is what is said with the higher rank.
    #[test]
    fn batches_are_combined_record_by_record(older in any_batches(), newer in any_batches(), start in -1i64..12) {
        let combined = combine(&older, &newer, Offset(start));
        for offset in 0..64 {
            let expected = if offset < start { None } else { of(&older, offset).max(of(&newer, offset)) };
            prop_assert_eq!(of(&combined, offset), expected, "at {}", offset);
        }
        for two in combined.windows(2) {
            prop_assert!(two[0].last < two[1].first);
            let (one, next) = (of(&two[..1], two[0].last.0), of(&two[1..], two[1].first.0));
            prop_assert!(two[0].last.0 + 1 < two[1].first.0 || one != next, "neighbours that are alike are one batch");
        }
    }
}

#[test]
fn nothing_is_read_before_it_is_written() {
    let (mut coordinator, mut log) = (coordinator(&[]), Vec::new());
    assert_eq!(places(read(&mut coordinator, &mut log, 0)), Some((-1, vec![])), "the epoch is written, and no offset");
    coordinator.write(1, &key(), update(0, 5, vec![])).expect("it is not fenced");
    coordinator.read(2, &key(), LeaderEpoch(0)).expect("it is not fenced");
    assert_eq!(coordinator.take_answers(), [], "who reads waits for what is being written");
    for (written, error) in coordinator.take_writes().iter().zip([ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::NONE]) {
        coordinator.written(written.number, error);
    }
    let answers: Vec<(u64, Answer)> = coordinator.take_answers();
    assert_eq!(answers[0], (1, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)));
    assert_eq!((answers[1].0, places(answers[1].1.clone()).map(|(start, _)| start)), (2, Some(5)));
}

#[test]
fn who_led_before_is_fenced_once_a_later_leader_has_read() {
    let (mut coordinator, mut log) = (coordinator(&[]), Vec::new());
    write(&mut coordinator, &mut log, update(0, 5, vec![]));
    assert_eq!(places(read(&mut coordinator, &mut log, 1)), Some((5, vec![])));
    assert_eq!(coordinator.write(1, &key(), update(0, 6, vec![])), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(coordinator.read(1, &key(), LeaderEpoch(0)), Err(ErrorCode::FENCED_LEADER_EPOCH));
    write(&mut coordinator, &mut log, update(1, 6, vec![]));
}

#[test]
fn the_next_coordinator_knows_who_has_read() {
    let (mut first, mut log) = (coordinator(&[]), Vec::new());
    assert_eq!(places(read(&mut first, &mut log, 3)), Some((-1, vec![])));
    let mut second = coordinator(&log);
    assert_eq!(second.write(1, &key(), update(2, 6, vec![])), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(places(read(&mut second, &mut log, 3)), Some((-1, vec![])));
    assert_eq!(log.len(), 1, "an epoch that is known is not written again");
}

#[test]
fn who_speaks_of_a_former_life_of_the_group_is_fenced() {
    let snapshot = StateRecord {
        key: key(),
        snapshot_epoch: 0,
        snapshot_of: Some(7),
        leader_epoch: LeaderEpoch(1),
        start_offset: Offset(5),
        batches: vec![],
    };
    let mut coordinator = coordinator(&[snapshot]);
    assert_eq!(coordinator.write(1, &key(), update(1, 6, vec![])), Err(ErrorCode::FENCED_STATE_EPOCH));
    let mine = StateUpdate { state_epoch: 7, ..update(1, 6, vec![]) };
    assert_eq!(coordinator.write(1, &key(), mine), Ok(()));
}

#[test]
fn who_reads_from_a_coordinator_that_is_none_any_more_asks_the_next_one() {
    let (mut coordinator, mut log) = (coordinator(&[]), Vec::new());
    write(&mut coordinator, &mut log, update(0, 5, vec![]));
    coordinator.read(1, &key(), LeaderEpoch(1)).expect("it is not fenced");
    coordinator.resigned(0);
    keep(&mut coordinator, &mut log);
    assert_eq!(coordinator.take_answers(), [(1, Err(ErrorCode::NOT_COORDINATOR))]);
}

#[test]
fn the_whole_is_written_again_after_so_many_updates() {
    let (mut coordinator, mut log) = (coordinator(&[]), Vec::new());
    for at in 0..6 {
        write(&mut coordinator, &mut log, update(0, at, vec![batch(at + 1, at + 1, ShareState::Acknowledged, 1)]));
    }
    let snapshots: Vec<Option<u16>> =
        log.iter().map(|record| record.snapshot_of.map(|_| record.snapshot_epoch)).collect();
    assert_eq!(snapshots, [Some(0), None, None, None, Some(1), None]);
}

fn any_update() -> impl Strategy<Value = (i64, Vec<StateBatch>, bool)> {
    let state = prop_oneof![Just(ShareState::Available), Just(ShareState::Acknowledged), Just(ShareState::Archived),];
    let one = (0i64..20, 0i64..5, state, 1u16..5);
    (-1i64..10, one, any::<bool>()).prop_map(|(start, (first, more, state, count), fails)| {
        (start, vec![batch(first, first + more, state, count)], fails)
    })
}

proptest! {
    /// Who takes over reads what was answered, and nothing else.
    #[test]
    fn a_log_says_what_was_answered(updates in proptest::collection::vec(any_update(), 0..20)) {
        let (mut first, mut log) = (coordinator(&[]), Vec::new());
        for (start, batches, fails) in updates {
            first.write(1, &key(), update(0, start, batches)).expect("it is not fenced");
            for written in first.take_writes() {
                if !fails {
                    log.push(written.record);
                }
                first.written(written.number, if fails { ErrorCode::NOT_ENOUGH_REPLICAS } else { ErrorCode::NONE });
            }
        }
        first.take_answers();
        let mut second = coordinator(&log);
        let (before, after) = (read(&mut first, &mut Vec::new(), 1), read(&mut second, &mut Vec::new(), 1));
        prop_assert_eq!(before.expect("it is not fenced"), after.expect("it is not fenced"));
    }
}
