//! How logs that went apart come together again, in the way of both eras.

use super::cluster::{Cluster, orders};
use crate::protocol::ErrorCode;
use crate::replication::DeleteRecordsRequest;
use crate::types::{Duration, Offset};

const ERAS: [(u16, u16); 2] = [(2, 2), (3, 9)];

#[test]
fn a_record_that_only_the_old_leader_had_is_cut() {
    for version in ERAS {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.produce(1, -1, &["a"]);
        cluster.isolate(2);
        cluster.produce(1, 1, &["lost"]);
        cluster.kill(1);
        cluster.elect(2, &[2]);
        cluster.publish();
        cluster.heal();
        cluster.produce(2, 1, &["b"]);
        cluster.take_transcript();
        cluster.start(1);
        cluster.advance(1_000);
        assert_eq!((cluster.log(1), cluster.log(2)), ("0:a 1:b".to_owned(), "0:a 1:b".to_owned()), "{version:?}");
        let transcript = cluster.take_transcript();
        assert!(transcript.contains(&"1: truncates 2 -> 1 Diverged".to_owned()), "{version:?}: {transcript:#?}");
    }
}

/// KIP-101, scenario 1: a follower whose high watermark lags restarts, and its leader dies before it has fetched again.
/// Had it truncated to its high watermark, the record would be gone from both.
#[test]
fn kip_101_a_restart_does_not_cut_what_is_committed() {
    for version in ERAS {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        let sent = cluster.produce(1, -1, &["a", "b"]);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
        assert_eq!(cluster.ends(2), (2, 0), "it has not heard of the high watermark");
        cluster.kill(2);
        cluster.start(2);
        cluster.kill(1);
        cluster.elect(2, &[2]);
        cluster.publish();
        assert_eq!(cluster.log(2), "0:a 0:b", "{version:?}");
        cluster.start(1);
        cluster.advance(1_000);
        assert_eq!(cluster.log(1), "0:a 0:b", "{version:?}");
    }
}

/// KIP-279: two elections in a row without a common epoch in between. The follower's last epoch is unknown to the leader,
/// whose answer is unknown to the follower: it asks again.
#[test]
fn kip_279_the_leader_is_asked_epoch_by_epoch() {
    for version in ERAS {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.produce(1, -1, &["a"]);
        // 1 writes in epochs 1 and 3, 2 in epochs 2 and 4; neither sees the other.
        cluster.isolate(2);
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        cluster.produce(1, 1, &["x"]);
        cluster.elect(2, &[2]);
        cluster.publish_to(2);
        cluster.produce(2, 1, &["b", "c"]);
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        cluster.produce(1, 1, &["y", "z"]);
        assert_eq!(cluster.log(1), "0:a 1:x 3:y 3:z");
        cluster.elect(2, &[2]);
        cluster.publish_to(2);
        cluster.produce(2, 1, &["d"]);
        assert_eq!(cluster.log(2), "0:a 2:b 2:c 4:d");
        cluster.take_transcript();
        cluster.heal();
        cluster.publish();
        cluster.advance(1_000);
        assert_eq!(cluster.log(1), "0:a 2:b 2:c 4:d", "{version:?}");
        let told: Vec<String> = cluster
            .take_transcript()
            .into_iter()
            .filter(|line| line.contains("asked") || line.contains("truncates"))
            .collect();
        let mut expected = vec!["1: truncates 4 -> 2 Diverged", "1: truncates 2 -> 1 Diverged"];
        if version == (2, 2) {
            expected.insert(0, "2: asked about epoch 3 answers 2:3");
            expected.insert(2, "2: asked about epoch 1 answers 0:1");
        }
        assert_eq!(told, expected, "{version:?}");
    }
}

/// A leader that lost its disk and leads on in the same epoch has less than its follower.
#[test]
fn a_follower_beyond_the_leaders_end_cuts_down_to_it() {
    for (version, reason) in [((2, 2), "OutOfRange"), ((3, 9), "Diverged")] {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.produce(1, -1, &["a", "b"]);
        cluster.kill(1);
        cluster.wipe_disk(1);
        cluster.start(1);
        cluster.take_transcript();
        cluster.advance(1_000);
        assert_eq!(cluster.log(2), "", "{version:?}");
        let transcript = cluster.take_transcript();
        let cut = format!("2: truncates 2 -> 0 {reason}");
        assert!(transcript.contains(&cut), "{version:?}: {transcript:#?}");
        cluster.produce(1, 1, &["c"]);
        cluster.advance(1_000);
        assert_eq!(cluster.log(2), "0:c", "{version:?}");
    }
}

#[test]
fn a_follower_in_an_old_epoch_is_fenced_until_it_hears_of_the_new_one() {
    for version in ERAS {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.elect(1, &[1, 2]);
        cluster.publish_to(1);
        let sent = cluster.produce(1, -1, &["a"]);
        cluster.advance(900);
        assert_eq!((cluster.answer(sent), cluster.ends(2)), (None, (0, 0)), "{version:?}");
        cluster.publish_to(2);
        cluster.advance(200);
        assert_eq!((cluster.answer(sent), cluster.ends(2).0), (Some(ErrorCode::NONE), 1), "{version:?}");
    }
}

#[test]
fn a_follower_that_hears_first_of_a_new_epoch_waits_for_the_leader() {
    for version in ERAS {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.elect(1, &[1, 2]);
        cluster.publish_to(2);
        cluster.advance(300);
        cluster.publish_to(1);
        let sent = cluster.produce(1, -1, &["a"]);
        cluster.advance(300);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE), "{version:?}");
    }
}

#[test]
fn high_watermarks_survive_a_clean_stop_and_the_last_checkpoint_a_crash() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    cluster.stop_cleanly(1);
    cluster.start(1);
    assert_eq!(cluster.ends(1).1, 1);
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    cluster.produce(1, -1, &["a"]);
    cluster.advance(5_000);
    cluster.produce(1, -1, &["b"]);
    cluster.kill(1);
    // So that it does not lead at once and find out for itself.
    cluster.elect(-1, &[1]);
    cluster.start(1);
    assert_eq!(cluster.ends(1), (2, 1));
}

/// What a follower lacks may be gone at the leader by the time it is back.
#[test]
fn a_follower_that_ends_below_the_leaders_start_begins_anew_there() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    cluster.isolate(2);
    cluster.produce(1, 1, &["b", "c"]);
    cluster.advance(2_000);
    cluster.call(1, |replicas, ctx| {
        let (token, timeout, before) = (1_000, Duration::ZERO, DeleteRecordsRequest::HIGH_WATERMARK);
        replicas.delete_records(DeleteRecordsRequest { token, timeout, entries: vec![(orders(), before)] }, ctx);
    });
    cluster.heal();
    cluster.advance(2_000);
    assert_eq!((cluster.replica(2).log_start, cluster.ends(2)), (Offset(3), (3, 3)));
    assert_eq!(cluster.isr(1), [1, 2]);
}
