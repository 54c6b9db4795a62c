//! How much of its log a follower has to give up: a pure decision.
//!
//! Kafka: `AbstractFetcherThread.getOffsetTruncationState`, KIP-101, KIP-279, KIP-595.
//!
//! The follower said the epoch of its last record; the leader answered with its own largest epoch not above that, and
//! the offset at which that one ends. Everything the follower has beyond it the leader does not have.
//!
//! ```text
//!  leader     0 0 0 2 2       asked about epoch 1, answers (epoch 0, end 3)
//!  follower   0 0 0 1 1       has epoch 0, up to 3 as well: truncates to 3, done
//!
//!  leader     0 0 2 2 2       asked about epoch 3, answers (epoch 2, end 5)
//!  follower   0 0 1 3 3       has no epoch 2: truncates to 3, where its own epoch 1 ends, and asks again (KIP-279);
//!                             asked about epoch 1, the leader answers (epoch 0, end 2): truncates to 2, done
//! ```
//!
//! Not modelled: that a leader before KIP-279 does not answer about epochs older than all it knows.

use crate::config::Truncation;
use crate::types::{LeaderEpoch, Offset};

/// Where to cut, and whether that is the end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncationPoint {
    /// The log end offset to come.
    pub offset: Offset,
    /// False: the leader must be asked again, about an older epoch.
    pub completed: bool,
}

/// Decides from the leader's `answer` (none: it knows no epoch that old). `high_watermark` is where the follower would
/// fetch from; `end_offset_for_epoch` looks into the follower's own epochs.
///
/// Before KIP-279 the answer was the end offset alone, without the epoch that it belongs to: the follower cuts to it and
/// is done, and of a leader that never had the follower's epoch it keeps more than the leader has.
pub fn truncation_point(
    method: Truncation,
    answer: Option<(LeaderEpoch, Offset)>,
    high_watermark: Offset,
    log_end: Offset,
    end_offset_for_epoch: impl FnOnce(LeaderEpoch) -> Option<(LeaderEpoch, Offset)>,
) -> TruncationPoint {
    let done = |offset: Offset| TruncationPoint { offset: offset.min(log_end), completed: true };
    let Some((leader_epoch, leader_end)) = answer else {
        return TruncationPoint { offset: high_watermark, completed: true };
    };
    match method {
        Truncation::Hw => return TruncationPoint { offset: high_watermark, completed: true },
        Truncation::Kip101 => return done(leader_end),
        Truncation::Kip279 | Truncation::OnFetch => {}
    }
    match end_offset_for_epoch(leader_epoch) {
        Some((own_epoch, own_end)) if own_epoch == leader_epoch => done(own_end.min(leader_end)),
        Some((_, own_end)) => TruncationPoint { offset: own_end.min(log_end), completed: false },
        None => done(leader_end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The epochs of a log, one digit per record: the largest one not above `epoch`, and where it ends.
    fn end_offset_for_epoch(log: &str, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let epochs: Vec<i32> = log.bytes().map(|digit| i32::from(digit - b'0')).collect();
        let found = epochs.iter().copied().filter(|&e| e <= epoch.0).max()?;
        let end = epochs.iter().position(|&e| e > epoch.0).unwrap_or(epochs.len());
        Some((LeaderEpoch(found), Offset(end as i64)))
    }

    /// Asks and truncates until it is done; returns what is left, and how often the leader was asked.
    fn reconcile(method: Truncation, leader: &str, follower: &str) -> (String, usize) {
        let mut follower = follower.to_owned();
        for asked in 1..10 {
            let Some(last) = follower.bytes().last() else { return (follower, asked - 1) };
            let answer = end_offset_for_epoch(leader, LeaderEpoch(i32::from(last - b'0')));
            let point = truncation_point(method, answer, Offset(0), Offset(follower.len() as i64), |epoch| {
                end_offset_for_epoch(&follower, epoch)
            });
            follower.truncate(point.offset.0 as usize);
            if point.completed {
                return (follower, asked);
            }
        }
        panic!("{leader} and {follower} do not come to an end");
    }

    #[test]
    fn what_is_left_is_what_both_have() {
        let cases = [
            // leader, follower, left, questions
            ("00", "00", "00", 1),
            ("0000", "00", "00", 1),
            ("00022", "00011", "000", 1),
            ("0022", "000", "00", 1),
            ("022", "00", "0", 1),
            // KIP-279: the follower never heard of the leader's epoch 2, so the first answer says too little.
            ("00222", "00133", "00", 2),
            ("0002", "0111333", "0", 2),
        ];
        for (leader, follower, left, questions) in cases {
            assert_eq!(
                reconcile(Truncation::Kip279, leader, follower),
                (left.to_owned(), questions),
                "{follower} follows {leader}"
            );
        }
    }

    #[test]
    fn before_kip_279_a_follower_keeps_what_the_leader_never_had() {
        let cases = [
            ("00022", "00011", "000"),
            // The leader never had epoch 1 and answers where its epoch 2 begins: beyond what both have.
            ("00002", "0011", "0011"),
            ("000222", "001111", "001"),
        ];
        for (leader, follower, left) in cases {
            assert_eq!(
                reconcile(Truncation::Kip101, leader, follower),
                (left.to_owned(), 1),
                "{follower} follows {leader}"
            );
        }
        assert_eq!(reconcile(Truncation::Kip279, "00002", "0011").0, "00");
        assert_eq!(reconcile(Truncation::Kip279, "000222", "001111").0, "00");
    }

    #[test]
    fn an_epoch_that_the_follower_lacks_means_another_question() {
        // The leader has epoch 2 up to 5; the follower has 1 up to 3, then 3.
        let point =
            truncation_point(Truncation::Kip279, Some((LeaderEpoch(2), Offset(5))), Offset(0), Offset(6), |epoch| {
                end_offset_for_epoch("011333", epoch)
            });
        assert_eq!(point, TruncationPoint { offset: Offset(3), completed: false });
    }

    #[test]
    fn a_leader_that_knows_no_such_epoch_leaves_the_high_watermark() {
        let point = truncation_point(Truncation::OnFetch, None, Offset(4), Offset(9), |_| panic!("not asked"));
        assert_eq!(point, TruncationPoint { offset: Offset(4), completed: true });
    }
}
