//! What share groups have done, written and read again.

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use proptest::prelude::*;
use uuid::Uuid;

use super::coordinator::{ShareCoordinator, StateUpdate};
use super::records::{StateKey, StateRecord};
use super::state::{KeptState, combine};
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
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Err(ErrorCode::NOT_COORDINATOR));
    assert!(coordinator.elected(0, LeaderEpoch(0)));
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    coordinator.loaded(0, log.iter().cloned());
    coordinator
}

/// Writes it, and what came of it is added to the log.
fn write(coordinator: &mut ShareCoordinator, log: &mut Vec<StateRecord>, update: StateUpdate) {
    coordinator.write(9, &key(), update).expect("it is not fenced");
    for written in coordinator.take_writes() {
        log.push(written.record);
        coordinator.written(written.number, ErrorCode::NONE);
    }
    assert_eq!(coordinator.take_answers(), [(9, ErrorCode::NONE)]);
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
fn nothing_is_read_before_it_is_written() {
    let mut coordinator = coordinator(&[]);
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Ok(None));
    coordinator.write(1, &key(), update(0, 5, vec![])).expect("it is not fenced");
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Ok(None));
    let number = coordinator.take_writes()[0].number;
    coordinator.written(number, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(coordinator.take_answers(), [(1, ErrorCode::COORDINATOR_NOT_AVAILABLE)]);
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Ok(None));
}

#[test]
fn who_led_before_is_fenced_once_a_later_leader_has_read() {
    let (mut coordinator, mut log) = (coordinator(&[]), Vec::new());
    write(&mut coordinator, &mut log, update(0, 5, vec![]));
    let read = coordinator.read(&key(), LeaderEpoch(1)).expect("it is not fenced").expect("it is written");
    assert_eq!(read.start_offset, Offset(5));
    assert_eq!(coordinator.write(1, &key(), update(0, 6, vec![])), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(coordinator.read(&key(), LeaderEpoch(0)), Err(ErrorCode::FENCED_LEADER_EPOCH));
    write(&mut coordinator, &mut log, update(1, 6, vec![]));
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
        let mut second = coordinator(&log);
        let read = |coordinator: &mut ShareCoordinator| coordinator.read(&key(), LeaderEpoch(0));
        let (before, after): (Option<KeptState>, Option<KeptState>) = (
            read(&mut first).expect("it is not fenced"),
            read(&mut second).expect("it is not fenced"),
        );
        prop_assert_eq!(before, after);
    }
}
