//! What each fix of replication is about: the same story with it and without.
//!
//! The stories are those of the failure catalog (RE-07 ...), told by machines; the scenario library tells them by whole
//! clusters.

use super::cluster::{Cluster, Controller};
use crate::config::{BrokerConfig, Truncation};
use crate::protocol::ErrorCode;

type Adjust = fn(&mut BrokerConfig);

/// RE-07, KIP-101 scenario 1: a follower that has not heard of the commit restarts, and its leader dies next.
#[test]
fn who_cuts_to_the_high_watermark_loses_what_is_committed() {
    for (truncation, left) in [(Truncation::Hw, ""), (Truncation::Kip101, "0:a 0:b"), (Truncation::OnFetch, "0:a 0:b")]
    {
        let adjust: Adjust = match truncation {
            Truncation::Hw => |config: &mut BrokerConfig| config.toggles.truncation = Truncation::Hw,
            Truncation::Kip101 => |config: &mut BrokerConfig| config.toggles.truncation = Truncation::Kip101,
            Truncation::Kip279 | Truncation::OnFetch => |_: &mut BrokerConfig| (),
        };
        let mut cluster = Cluster::with((3, 9), &[1, 2], 1, adjust);
        let sent = cluster.produce(1, -1, &["a", "b"]);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
        assert_eq!(cluster.ends(2), (2, 0), "it has not heard of the high watermark");
        cluster.kill(2);
        cluster.kill(1);
        cluster.start(2);
        cluster.elect(2, &[2]);
        cluster.publish();
        assert_eq!(cluster.log(2), left, "{truncation:?}");
    }
}

/// RE-08, KIP-101 scenario 2: what is below the follower's high watermark is not cut, whoever wrote it.
#[test]
fn who_cuts_to_the_high_watermark_keeps_what_the_leader_never_had() {
    for (version, adjust) in [((3, 9), true), ((2, 2), false), ((3, 9), false)] {
        let hw: Adjust = if adjust {
            |config: &mut BrokerConfig| config.toggles.truncation = Truncation::Hw
        } else {
            |_: &mut BrokerConfig| ()
        };
        let mut cluster = Cluster::with(version, &[1, 2], 1, hw);
        cluster.produce(1, -1, &["a"]);
        cluster.isolate(2);
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        cluster.produce(1, 1, &["b"]);
        cluster.advance(6_000);
        assert_eq!(cluster.ends(1), (2, 2));
        cluster.kill(1);
        cluster.elect(2, &[2]);
        cluster.heal();
        cluster.publish();
        cluster.produce(2, 1, &["c"]);
        cluster.start(1);
        cluster.advance(1_000);
        let expected = if adjust { "0:a 1:b" } else { "0:a 2:c" };
        assert_eq!((cluster.log(1).as_str(), cluster.log(2).as_str()), (expected, "0:a 2:c"), "{version:?}");
    }
}

/// RE-10: two elections in a row. The leader never had the follower's epoch and answers with the start of its next one.
#[test]
fn fast_leader_changes_defeat_kip_101() {
    for kip_101 in [true, false] {
        let adjust: Adjust = if kip_101 {
            |config: &mut BrokerConfig| config.toggles.truncation = Truncation::Kip101
        } else {
            |_: &mut BrokerConfig| ()
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2], 1, adjust);
        cluster.produce(1, -1, &["a"]);
        cluster.isolate(2);
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        cluster.produce(1, 1, &["x"]);
        cluster.elect(2, &[2]);
        cluster.publish_to(2);
        cluster.produce(2, 1, &["b"]);
        cluster.produce(2, 1, &["c"]);
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        cluster.produce(1, 1, &["z"]);
        cluster.heal();
        cluster.publish();
        cluster.advance(1_000);
        assert_eq!(cluster.log(1), "0:a 1:x 3:z");
        let expected = if kip_101 { "0:a 2:b 3:z" } else { "0:a 1:x 3:z" };
        assert_eq!(cluster.log(2), expected);
    }
}

/// KAFKA-7415: a leader that has written nothing has no trace of its epoch, and cannot say where the follower's ends.
#[test]
fn a_leader_without_records_of_its_own_knows_its_epoch() {
    for (persisted, cut) in [(true, "2: truncates 2 -> 1 Diverged"), (false, "2: truncates 2 -> 0 ToHighWatermark")] {
        let adjust: Adjust = if persisted {
            |_: &mut BrokerConfig| ()
        } else {
            |config: &mut BrokerConfig| config.toggles.persist_epoch_on_election = false
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2], 1, adjust);
        cluster.produce(1, -1, &["a"]);
        assert_eq!(cluster.ends(2), (1, 0), "it has not heard of the commit");
        cluster.isolate(1);
        cluster.elect(2, &[1, 2]);
        cluster.publish_to(2);
        cluster.produce(2, 1, &["x"]);
        cluster.elect(1, &[1, 2]);
        cluster.publish_to(1);
        cluster.take_transcript();
        cluster.heal();
        cluster.publish();
        cluster.advance(1_000);
        let transcript = cluster.take_transcript();
        assert!(transcript.contains(&cut.to_owned()), "{persisted}: {transcript:#?}");
    }
}

/// Broker 3 follows 1 and has copied `x`; it does not hear that 2 led meanwhile and that 1 has given `x` up.
fn a_follower_that_missed_an_epoch(cluster: &mut Cluster) {
    cluster.isolate(2);
    cluster.produce(1, 1, &["x"]);
    assert_eq!(cluster.log(3), "0:x");
    cluster.heal();
    cluster.elect(2, &[2]);
    cluster.publish_to(2);
    cluster.publish_to(1);
    cluster.settle();
    assert_eq!(cluster.log(1), "");
    cluster.elect(1, &[1, 3]);
    cluster.publish_to(2);
    cluster.publish_to(1);
    // All this takes no time: broker 3 has had an error and rests.
    cluster.settle();
}

/// RE-12, KAFKA-7164: the same leader in a newer epoch need not have what it had.
#[test]
fn the_same_leader_again_is_compared_with_again() {
    for every_epoch in [true, false] {
        let adjust: Adjust = if every_epoch {
            |config: &mut BrokerConfig| config.toggles.fetch_epoch_fencing = false
        } else {
            |config: &mut BrokerConfig| {
                config.toggles.fetch_epoch_fencing = false;
                config.toggles.truncate_on_every_epoch = false;
            }
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2, 3], 1, adjust);
        a_follower_that_missed_an_epoch(&mut cluster);
        cluster.produce(1, 1, &["y"]);
        // It hears of everything at once, and before it asks again the leader has as many records as it.
        cluster.publish_to(3);
        cluster.produce(1, 1, &["z"]);
        cluster.advance(400);
        assert_eq!(cluster.log(1), "2:y 2:z");
        assert_eq!(cluster.log(3), if every_epoch { "2:y 2:z" } else { "0:x 2:z" });
    }
}

/// RE-11, KIP-320: a follower in an old epoch asks for what comes after `x`, and is believed to have all before it.
#[test]
fn a_follower_in_an_old_epoch_does_not_commit() {
    for fenced in [true, false] {
        let adjust: Adjust = if fenced {
            |_: &mut BrokerConfig| ()
        } else {
            |config: &mut BrokerConfig| config.toggles.fetch_epoch_fencing = false
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2, 3], 1, adjust);
        a_follower_that_missed_an_epoch(&mut cluster);
        let sent = cluster.produce(1, -1, &["y"]);
        cluster.advance(400);
        assert_eq!(cluster.answer(sent), (!fenced).then_some(ErrorCode::NONE));
        assert_eq!(cluster.log(3), "0:x", "acknowledged or not, it does not have it");
    }
}

/// KAFKA-7128: the high watermark of a new leader lags; who has reached it need not have all that is committed.
#[test]
fn the_start_of_the_epoch_is_what_a_member_must_have() {
    for required in [true, false] {
        let adjust: Adjust = if required {
            |_: &mut BrokerConfig| ()
        } else {
            |config: &mut BrokerConfig| config.toggles.isr_join_requires_epoch_start = false
        };
        let mut cluster = Cluster::with((3, 9), &[1, 2, 3, 4], 1, adjust);
        cluster.isolate(3);
        cluster.elect(1, &[1, 2, 4]);
        cluster.publish_to(1);
        cluster.publish_to(2);
        cluster.publish_to(4);
        cluster.advance(200);
        let sent = cluster.produce(1, -1, &["a", "b"]);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
        cluster.kill(1);
        cluster.isolate(4);
        cluster.elect(2, &[2, 4]);
        assert_eq!(cluster.ends(2), (2, 0));
        cluster.take_transcript();
        cluster.cut.remove(&3);
        cluster.controller = Controller::Holds;
        cluster.publish();
        cluster.advance(300);
        let transcript = cluster.take_transcript();
        let at = |line: &str| {
            transcript.iter().position(|said| said == line).unwrap_or_else(|| panic!("{line}: {transcript:#?}"))
        };
        assert_eq!(at("2: hears that 3 is at 2") < at("2: proposes ISR [2, 4] -> [2, 4, 3]"), required);
    }
}

/// RE-17: a follower that is ahead of its leader.
#[test]
fn a_follower_ahead_of_its_leader_halts_before_2_1() {
    for fatal in [false, true] {
        let adjust: Adjust = if fatal {
            |config: &mut BrokerConfig| config.toggles.oor_not_fatal = false
        } else {
            |_: &mut BrokerConfig| ()
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2], 1, adjust);
        cluster.produce(1, -1, &["a", "b"]);
        cluster.kill(1);
        cluster.wipe_disk(1);
        cluster.start(1);
        cluster.take_transcript();
        cluster.advance(1_000);
        let transcript = cluster.take_transcript();
        let said = |line: &str| transcript.contains(&line.to_owned());
        assert_eq!(said("2: may not truncate 2 -> 0"), fatal, "{transcript:#?}");
        assert_eq!(said("2: truncates 2 -> 0 OutOfRange"), !fatal, "{transcript:#?}");
        assert_eq!(cluster.log(2), if fatal { "0:a 0:b" } else { "" });
    }
}

/// RE-20: after a burst every follower is more than 4000 records behind, however well it keeps up.
#[test]
fn a_burst_puts_healthy_followers_out_of_the_isr_until_0_8() {
    for by_time in [true, false] {
        let adjust: Adjust = if by_time {
            |_: &mut BrokerConfig| ()
        } else {
            |config: &mut BrokerConfig| config.toggles.isr_by_time_only = false
        };
        let mut cluster = Cluster::with((2, 2), &[1, 2], 1, adjust);
        cluster.advance(450);
        // The follower's next fetch is cut off just before the ISR is looked at.
        cluster.isolate(2);
        let burst = vec!["r"; 4_001];
        cluster.produce(1, 1, &burst);
        cluster.advance(100);
        assert_eq!(cluster.isr(1), if by_time { vec![1, 2] } else { vec![1] });
    }
}
