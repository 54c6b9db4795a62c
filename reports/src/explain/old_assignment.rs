//! A member of the consumer protocol took a partition over that its coordinator had taken back: it was still following an older
//! assignment.
//!
//! Kafka: `AbstractMembershipManager.maybeReconcile` goes on with the copy of the target that it began with, and
//! `maybeAbortReconciliation` asks only whether the member is out or has joined anew (3.9 to 4.1). A heartbeat that says
//! everything, behind an error or a lost answer, names what the member has, not what it is about to have, and the coordinator
//! takes that for the revocation that it has asked for.
//!
//! When not to excuse: the member had the partition, and read it; or had given it up, and took it once more; or was never told
//! of it; or its coordinator, too, says that it has it.

use ackproof_core::fact::Fact;
use ackproof_core::types::TopicPartition;

use super::lineage::{At, Lineage};
use super::why_group::gives_up;

/// Where a coordinator gave the partition to one of its two owners, and where it had it back.
pub(super) fn followed(
    lineage: &Lineage<'_>,
    (group, partition): (&str, &TopicPartition),
    owners: [At; 2],
) -> Option<[At; 2]> {
    let until = owners[0].max(owners[1]);
    owners.into_iter().find_map(|taken| {
        let Fact::PartitionsAssigned { member, .. } = &lineage.events[taken].fact else { return None };
        let words = Words { lineage, group, partition, member };
        let [given, back] = words.given_and_taken_back(until)?;
        let is_on_its_way = (given..back).all(|at| !words.takes_over(at, taken) || words.is_under_way(at, back));
        (given < taken && is_on_its_way).then_some([given, back])
    })
}

/// What a coordinator says of a member and a partition.
struct Words<'a> {
    lineage: &'a Lineage<'a>,
    group: &'a str,
    partition: &'a TopicPartition,
    member: &'a str,
}

impl Words<'_> {
    /// Whether the member may have it, by what was written of it there: it may use it, or is to give it up.
    fn says(&self, at: At) -> Option<bool> {
        match &self.lineage.events[at].fact {
            Fact::MemberReconciled { group, member, assigned, revoking, .. } => {
                let is_named = || assigned.contains(self.partition) || revoking.contains(self.partition);
                (group == self.group && member == self.member).then(is_named)
            }
            _ => None,
        }
    }

    fn is_put_out(&self, at: At) -> bool {
        matches!(&self.lineage.events[at].fact,
            Fact::MemberRemoved { group, member, .. } if group == self.group && member == self.member)
    }

    /// Where it was given the partition, of which the last word before that moment is that it has it no more.
    fn given_and_taken_back(&self, until: At) -> Option<[At; 2]> {
        let mut later = None;
        let mut given = None;
        for at in (0..until).rev().take_while(|at| !self.is_put_out(*at)) {
            match (self.says(at), given) {
                (Some(true), _) => given = Some(at),
                (Some(false), Some(_)) => break,
                (Some(false), None) => later = Some(at),
                (None, _) => {}
            }
            // The last word of all is that it has it.
            if given.is_some() && later.is_none() {
                return None;
            }
        }
        Some([given?, later?])
    }

    /// Whether the process of the member takes the partition over there.
    fn takes_over(&self, at: At, owner: At) -> bool {
        let event = &self.lineage.events[at];
        let is_it = |partitions: &[TopicPartition]| partitions.contains(self.partition);
        event.node == self.lineage.events[owner].node
            && matches!(&event.fact, Fact::PartitionsAssigned { group, partitions, .. } if group == self.group && is_it(partitions))
    }

    /// Whether the process that takes it over there is not done with it by then: what it has is read from a position.
    fn is_under_way(&self, taken: At, by: At) -> bool {
        let node = self.lineage.events[taken].node;
        let reads = |fact: &Fact| matches!(fact, Fact::PositionReset { partition, .. } if partition == self.partition);
        let mut meanwhile = self.lineage.events[taken..by].iter().filter(|event| event.node == node);
        !meanwhile.any(|event| reads(&event.fact)) && !gives_up(self.lineage, (self.group, self.partition), taken, by)
    }
}
