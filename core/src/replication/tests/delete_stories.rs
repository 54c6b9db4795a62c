//! An operator has records forgotten: by the leader at once, by all replicas before the answer.

use super::cluster::{Cluster, orders};
use crate::protocol::ErrorCode;
use crate::replication::{DeleteRecordsRequest, DeletedRecords};
use crate::types::{Duration, Offset};

const TOKEN: u64 = 1_000_000;

fn delete(cluster: &mut Cluster, on: i32, before: Offset) {
    cluster.call(on, |replicas, ctx| {
        let timeout = Duration::from_millis(10_000);
        replicas.delete_records(DeleteRecordsRequest { token: TOKEN, timeout, entries: vec![(orders(), before)] }, ctx);
    });
    cluster.settle();
}

fn answer(cluster: &Cluster) -> Option<(ErrorCode, i64)> {
    cluster.deleted.get(&TOKEN).map(|DeletedRecords { error, low_watermark }| (*error, low_watermark.0))
}

#[test]
fn the_answer_waits_until_every_replica_has_forgotten() {
    let mut cluster = Cluster::of((3, 9), &[1, 2, 3], 1);
    cluster.produce(1, -1, &["a", "b", "c"]);
    cluster.advance(1_000);
    delete(&mut cluster, 1, Offset(2));
    assert_eq!(cluster.replica(1).log_start, Offset(2));
    // The followers hear of it when the fetches that wait are answered, and say so with their next ones.
    cluster.advance(1_100);
    assert_eq!(answer(&cluster), Some((ErrorCode::NONE, 2)));
    assert_eq!([1, 2, 3].map(|id| cluster.replica(id).log_start), [Offset(2); 3]);
}

#[test]
fn a_follower_that_is_not_heard_of_lets_it_time_out() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a", "b"]);
    cluster.advance(1_000);
    cluster.isolate(2);
    delete(&mut cluster, 1, DeleteRecordsRequest::HIGH_WATERMARK);
    cluster.advance(9_999);
    assert_eq!(answer(&cluster), None);
    cluster.advance(1);
    assert_eq!(answer(&cluster), Some((ErrorCode::REQUEST_TIMED_OUT, 0)));
}

#[test]
fn what_cannot_be_forgotten_is_said_at_once() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a", "b"]);
    for (on, before, error) in [
        (1, 3, ErrorCode::OFFSET_OUT_OF_RANGE),
        (1, -2, ErrorCode::OFFSET_OUT_OF_RANGE),
        (2, 1, ErrorCode::NOT_LEADER_OR_FOLLOWER),
    ] {
        delete(&mut cluster, on, Offset(before));
        assert_eq!(answer(&cluster), Some((error, -1)), "before {before} on broker {on}");
    }
}

#[test]
fn to_forget_nothing_is_done_at_once() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    delete(&mut cluster, 1, Offset(0));
    assert_eq!(answer(&cluster), Some((ErrorCode::NONE, 0)));
}

#[test]
fn who_waits_at_a_leader_that_resigns_hears_of_it() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a", "b"]);
    cluster.isolate(2);
    delete(&mut cluster, 1, Offset(1));
    assert_eq!(answer(&cluster), None);
    cluster.elect(2, &[1, 2]);
    cluster.publish();
    assert_eq!(answer(&cluster), Some((ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)));
}
