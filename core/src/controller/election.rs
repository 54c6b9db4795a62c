//! Who leads: a pure function of what is known.
//!
//! Kafka: `PartitionChangeBuilder.electLeader`; KIP-966 as far as 4.0 and 4.1 go: the members of the ELR, then the last
//! known leader.
//! Not modelled: `unclean.recovery.strategy` (KIP-966, part 2): no Kafka up to 4.1 has it.

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
    /// A replica that left the ISR with everything committed while too few others had it (KIP-966).
    Eligible(i32),
    /// A replica from outside the ISR; what it does not have is lost.
    Uncleanly(i32),
    /// Nobody may lead.
    Nobody,
}

impl Elected {
    /// The leader, or [`NO_LEADER`].
    pub fn leader(self) -> i32 {
        match self {
            Elected::Cleanly(leader) | Elected::Eligible(leader) | Elected::Uncleanly(leader) => leader,
            Elected::Nobody => NO_LEADER,
        }
    }
}

/// Who stands for election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates<'a> {
    /// All replicas in the order of preference.
    pub replicas: &'a [i32],
    /// The in-sync ones.
    pub isr: &'a [i32],
    /// The eligible ones outside the ISR; they count when nobody is in the ISR.
    pub elr: &'a [i32],
    /// The present leader or [`NO_LEADER`].
    pub leader: i32,
    /// The last leader before ISR and ELR became empty, where that is known and may count.
    pub last_known_leader: Option<i32>,
}

/// Elects. `is_acceptable` says which brokers are alive and stay so.
pub fn elect(election: Election, candidates: Candidates<'_>, is_acceptable: impl Fn(i32) -> bool) -> Elected {
    let Candidates { replicas, isr, elr, leader, last_known_leader } = candidates;
    let in_charge = if isr.is_empty() { elr } else { isr };
    let may_lead = |replica: i32| in_charge.contains(&replica) && is_acceptable(replica);
    let preferred = replicas.first().copied().filter(|replica| election == Election::Preferred && may_lead(*replica));
    let clean = preferred
        .or_else(|| Some(leader).filter(|leader| may_lead(*leader)))
        .or_else(|| replicas.iter().copied().find(|replica| may_lead(*replica)));
    if let Some(leader) = clean {
        return if isr.is_empty() { Elected::Eligible(leader) } else { Elected::Cleanly(leader) };
    }
    let last_known = last_known_leader.filter(|leader| isr.is_empty() && elr.is_empty() && is_acceptable(*leader));
    let unclean = last_known.or_else(|| match election {
        Election::Preferred | Election::Online => None,
        Election::Unclean => replicas.iter().copied().find(|replica| is_acceptable(*replica)),
    });
    unclean.map_or(Elected::Nobody, Elected::Uncleanly)
}

#[cfg(test)]
mod tests {
    use Elected::{Cleanly, Eligible, Nobody, Uncleanly};
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
            let candidates = Candidates { replicas, isr, elr: &[], leader: *leader, last_known_leader: None };
            let elected = elect(*election, candidates, |replica| alive.contains(&replica));
            assert_eq!(
                elected, *expected,
                "{election:?} of {replicas:?}, ISR {isr:?}, leader {leader}, alive {alive:?}"
            );
        }
    }

    #[test]
    fn who_leads_when_nobody_is_in_sync() {
        // (election, elr, last known leader, alive) -> elected
        type Row = (Election, &'static [i32], Option<i32>, &'static [i32], Elected);
        let table: &[Row] = &[
            (Online, &[3, 2], None, &[2, 3], Eligible(2)),
            (Online, &[3], None, &[2, 3], Eligible(3)),
            (Unclean, &[3], None, &[2, 3], Eligible(3)),
            // The ELR waits for its own, as the ISR does.
            (Online, &[3], Some(2), &[2], Nobody),
            (Unclean, &[3], Some(2), &[1, 2], Uncleanly(1)),
            // Without ISR and ELR the last known leader is believed to have most, and nobody looks into the logs.
            (Online, &[], Some(3), &[1, 2, 3], Uncleanly(3)),
            (Preferred, &[], Some(3), &[1, 2, 3], Uncleanly(3)),
            (Online, &[], Some(3), &[1, 2], Nobody),
            (Online, &[], None, &[1, 2, 3], Nobody),
            (Unclean, &[], Some(3), &[1, 2], Uncleanly(1)),
        ];
        for (election, elr, last_known_leader, alive, expected) in table {
            let last_known_leader = *last_known_leader;
            let candidates = Candidates { replicas: &[1, 2, 3], isr: &[], elr, leader: NO_LEADER, last_known_leader };
            let elected = elect(*election, candidates, |replica| alive.contains(&replica));
            assert_eq!(
                elected, *expected,
                "{election:?}, ELR {elr:?}, last known {last_known_leader:?}, alive {alive:?}"
            );
        }
    }
}
