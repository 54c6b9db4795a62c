//! Who leads: a pure function of what is known.
//!
//! Kafka: `PartitionChangeBuilder.electLeader`.
//! Not modelled: eligible and last known leader replicas (KIP-966).

use crate::metadata::NO_LEADER;

/// How far an election may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The preferred replica if it may lead, else as [`Election::Online`].
    Preferred,
    /// The leader stays while it may lead; else the first of the replicas that is in the ISR and alive.
    Online,
    /// As [`Election::Online`]; where that finds nobody, the first replica that is alive.
    Unclean,
}

/// What an election found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elected {
    /// A member of the ISR; nothing committed is lost.
    Cleanly(i32),
    /// A replica from outside the ISR; what it does not have is lost.
    Uncleanly(i32),
    /// Nobody may lead.
    Nobody,
}

impl Elected {
    /// The leader, or [`NO_LEADER`].
    pub fn leader(self) -> i32 {
        match self {
            Elected::Cleanly(leader) | Elected::Uncleanly(leader) => leader,
            Elected::Nobody => NO_LEADER,
        }
    }
}

/// Elects. `replicas` are in the order of preference, `leader` is the present one or [`NO_LEADER`], and
/// `is_acceptable` says which brokers are alive and stay so.
pub fn elect(
    election: Election,
    replicas: &[i32],
    isr: &[i32],
    leader: i32,
    is_acceptable: impl Fn(i32) -> bool,
) -> Elected {
    let may_lead = |replica: i32| isr.contains(&replica) && is_acceptable(replica);
    let preferred = replicas.first().copied().filter(|replica| election == Election::Preferred && may_lead(*replica));
    let clean = preferred
        .or_else(|| Some(leader).filter(|leader| may_lead(*leader)))
        .or_else(|| replicas.iter().copied().find(|replica| may_lead(*replica)));
    match (clean, election) {
        (Some(leader), _) => Elected::Cleanly(leader),
        (None, Election::Preferred | Election::Online) => Elected::Nobody,
        (None, Election::Unclean) => {
            let alive = replicas.iter().copied().find(|replica| is_acceptable(*replica));
            alive.map_or(Elected::Nobody, Elected::Uncleanly)
        }
    }
}

#[cfg(test)]
mod tests {
    use Elected::{Cleanly, Nobody, Uncleanly};
    use Election::{Online, Preferred, Unclean};

    use super::*;

    #[test]
    fn who_leads() {
        // (election, replicas, isr, leader, alive) -> elected
        type Row = (Election, &'static [i32], &'static [i32], i32, &'static [i32], Elected);
        let table: &[Row] = &[
            // The leader stays while it may lead, even if it is not the preferred replica.
            (Online, &[1, 2, 3], &[1, 2, 3], 2, &[1, 2, 3], Cleanly(2)),
            (Unclean, &[1, 2, 3], &[1, 2, 3], 2, &[1, 2, 3], Cleanly(2)),
            // The preferred replica takes over when asked, if it is in sync and alive.
            (Preferred, &[1, 2, 3], &[1, 2, 3], 2, &[1, 2, 3], Cleanly(1)),
            (Preferred, &[1, 2, 3], &[2, 3], 2, &[1, 2, 3], Cleanly(2)),
            (Preferred, &[1, 2, 3], &[1, 2, 3], 2, &[2, 3], Cleanly(2)),
            // The order is that of the replicas, not of the ISR.
            (Online, &[3, 1, 2], &[1, 2], 3, &[1, 2], Cleanly(1)),
            (Online, &[3, 2, 1], &[1, 2], 3, &[1, 2], Cleanly(2)),
            (Preferred, &[3, 2, 1], &[1, 2], -1, &[1, 2], Cleanly(2)),
            // A leader that left the ISR loses its place.
            (Online, &[1, 2], &[2], 1, &[1, 2], Cleanly(2)),
            // Nobody in the ISR is alive.
            (Online, &[1, 2, 3], &[1], 1, &[2, 3], Nobody),
            (Preferred, &[1, 2, 3], &[1], 1, &[2, 3], Nobody),
            (Unclean, &[1, 2, 3], &[1], 1, &[2, 3], Uncleanly(2)),
            (Unclean, &[1, 2, 3], &[], -1, &[3], Uncleanly(3)),
            // Nobody is alive at all.
            (Unclean, &[1, 2, 3], &[1], -1, &[], Nobody),
            (Unclean, &[1, 2, 3], &[1], -1, &[4], Nobody),
            // The unclean election is the last resort.
            (Unclean, &[1, 2, 3], &[3], 1, &[2, 3], Cleanly(3)),
        ];
        for (election, replicas, isr, leader, alive, expected) in table {
            let elected = elect(*election, replicas, isr, *leader, |replica| alive.contains(&replica));
            assert_eq!(
                elected, *expected,
                "{election:?} of {replicas:?}, ISR {isr:?}, leader {leader}, alive {alive:?}"
            );
        }
    }
}
