//! When a record is committed: the heart.
//!
//! Kafka: `cluster/Partition.scala` (`maybeIncrementLeaderHW`), KAFKA-15583.
//! Invariants: the high watermark of a leader never falls; it never passes the log end of a member of the maximal ISR.
//!
//! A replica outside the ISR holds it back too while it is caught up and may join. Without that a follower could stay
//! out for ever: the ISR is the leader alone, its high watermark is its log end, and every append moves the goal
//! away from the follower that had nearly reached it.
//!
//! Not modelled: offsets in older segments (a roll alone does not move it).

use crate::types::Offset;

/// What one follower has to say about the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its log end offset, as far as the leader knows; -1 is unknown.
    pub log_end: Offset,
    /// Whether it is in the maximal ISR.
    pub in_isr: bool,
    /// Whether it is caught up and may join the ISR.
    pub about_to_join: bool,
}

/// How far every replica that matters has come: the smallest log end offset among the leader and those who are in the
/// (maximal) ISR or about to be.
pub fn replicated_by_all(leader_end: Offset, followers: impl IntoIterator<Item = Voice>) -> Offset {
    followers
        .into_iter()
        .filter(|voice| voice.in_isr || voice.about_to_join)
        .map(|voice| voice.log_end)
        .fold(leader_end, Offset::min)
}

/// The high watermark of a leader from `current` towards `candidate`: only upwards. `None` if it stays.
pub fn advance(current: Offset, candidate: Offset) -> Option<Offset> {
    (candidate > current).then_some(candidate)
}

/// The high watermark of a follower: the leader's, as far as its own log goes.
pub fn of_follower(leader_high_watermark: Offset, log_start: Offset, log_end: Offset) -> Offset {
    leader_high_watermark.max(log_start).min(log_end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn voice(log_end: i64, in_isr: bool, about_to_join: bool) -> Voice {
        Voice { log_end: Offset(log_end), in_isr, about_to_join }
    }

    #[test]
    fn who_holds_it_back() {
        let cases = [
            ("the leader alone", 10, vec![], 10),
            ("a follower in the ISR", 10, vec![voice(7, true, false)], 7),
            ("a follower out of the ISR does not", 10, vec![voice(3, false, false)], 10),
            ("unless it is about to join", 10, vec![voice(9, false, true)], 9),
            ("the slowest counts", 10, vec![voice(8, true, false), voice(6, true, true), voice(2, false, false)], 6),
            ("one not heard of yet stops everything", 10, vec![voice(-1, true, false)], -1),
        ];
        for (what, leader, followers, expected) in cases {
            assert_eq!(replicated_by_all(Offset(leader), followers), Offset(expected), "{what}");
        }
    }

    #[test]
    fn a_follower_knows_no_more_than_its_log_holds() {
        let cases = [((12, 0, 10), 10), ((8, 0, 10), 8), ((3, 5, 10), 5)];
        for ((leader, start, end), expected) in cases {
            assert_eq!(of_follower(Offset(leader), Offset(start), Offset(end)), Offset(expected));
        }
    }

    proptest! {
        #[test]
        fn it_is_monotone_and_never_beyond_a_member(
            rounds in proptest::collection::vec(
                (0..100i64, proptest::collection::vec((-1..100i64, any::<bool>(), any::<bool>()), 0..4)),
                1..20,
            )
        ) {
            let mut high_watermark = Offset(0);
            for (leader_end, followers) in rounds {
                let voices: Vec<Voice> = followers.into_iter().map(|(end, isr, join)| voice(end, isr, join)).collect();
                let candidate = replicated_by_all(Offset(leader_end), voices.clone());
                let before = high_watermark;
                if let Some(next) = advance(high_watermark, candidate) {
                    prop_assert!(next <= Offset(leader_end));
                    prop_assert!(voices.iter().all(|voice| !voice.in_isr || next <= voice.log_end));
                    high_watermark = next;
                }
                prop_assert!(high_watermark >= before);
            }
        }
    }
}
