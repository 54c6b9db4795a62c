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
    let is_valid = |replica: i32| isr.contains(&replica) && is_acceptable(replica);
    let preferred = replicas.first().copied().filter(|_| election == Election::Preferred);
    let clean = preferred
        .filter(|replica| is_valid(*replica))
        .or_else(|| Some(leader).filter(|leader| is_valid(*leader)))
        .or_else(|| replicas.iter().copied().find(|replica| is_valid(*replica)));
    if let Some(leader) = clean {
        return Elected::Cleanly(leader);
    }
    let unclean = replicas.iter().copied().filter(|_| election == Election::Unclean).find(|r| is_acceptable(*r));
    unclean.map_or(Elected::Nobody, Elected::Uncleanly)
}
