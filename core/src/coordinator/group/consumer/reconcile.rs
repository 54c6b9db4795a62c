//! The next step of one member on its way to what it is to have.
//!
//! Kafka: `CurrentAssignmentBuilder`.
//!
//! ```text
//!              has something that is not in the target
//!  STABLE ─────────────────────────────────────────────▶ UNREVOKED_PARTITIONS
//!    ▲  │                                                     │ says that it has given it up: its epoch grows
//!    │  └── the target has something that others hold ──┐      │
//!    │                                                  ▼      ▼
//!    └──────── they have given it up ───────── UNRELEASED_PARTITIONS
//! ```
//!
//! A member that must give something up stays in its epoch until it has; that is why nobody else can get it meanwhile.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::records::{CurrentAssignment, MemberState};
use super::{Partitions, overlap};

/// What decides about the next step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Where the member stands.
    pub current: &'a CurrentAssignment,
    /// The epoch of the target assignment.
    pub target_epoch: i32,
    /// What the member is to have.
    pub target: &'a Partitions,
    /// What it says that it has; none if it says nothing new.
    pub owned: Option<&'a Partitions>,
}

impl Step<'_> {
    /// Where the member stands after it. `is_held` says whether any member has a partition, or has not given it up.
    pub fn next(self, is_held: impl Fn(Uuid, i32) -> bool) -> CurrentAssignment {
        let epoch = self.current.epoch;
        match self.current.state {
            MemberState::Stable if epoch == self.target_epoch => self.current.clone(),
            MemberState::UnrevokedPartitions if self.owns_one_of(&self.current.pending_revocation) => {
                self.current.clone()
            }
            // What it had to give up it has given up: it leaves its epoch.
            MemberState::UnrevokedPartitions => self.compute(epoch + 1, is_held),
            MemberState::Stable | MemberState::UnreleasedPartitions => self.compute(epoch, is_held),
        }
    }

    /// Where a member of a share group stands: it has at once what it is to have.
    pub fn at_once(self) -> CurrentAssignment {
        self.at(self.target_epoch, MemberState::Stable, self.target.clone(), Partitions::new())
    }

    /// Whether it may still have one of these. One that says nothing may have all.
    fn owns_one_of(&self, partitions: &Partitions) -> bool {
        self.owned.is_none_or(|owned| overlap(owned, partitions))
    }

    fn compute(self, epoch: i32, is_held: impl Fn(Uuid, i32) -> bool) -> CurrentAssignment {
        let nothing = BTreeSet::new();
        let (mut kept, mut revoked, mut free) = (Partitions::new(), Partitions::new(), Partitions::new());
        let mut has_unreleased = false;
        let topics: BTreeSet<&Uuid> = self.target.keys().chain(self.current.assigned.keys()).collect();
        for topic in topics {
            let target = self.target.get(topic).unwrap_or(&nothing);
            let assigned = self.current.assigned.get(topic).unwrap_or(&nothing);
            insert(&mut kept, *topic, assigned & target);
            insert(&mut revoked, *topic, assigned - target);
            let missing = target - assigned;
            let (held, released): (BTreeSet<i32>, BTreeSet<i32>) =
                missing.into_iter().partition(|index| is_held(*topic, *index));
            has_unreleased |= !held.is_empty();
            insert(&mut free, *topic, released);
        }
        if !revoked.is_empty() && self.owns_one_of(&revoked) {
            return self.at(epoch, MemberState::UnrevokedPartitions, kept, revoked);
        }
        for (topic, indexes) in free {
            kept.entry(topic).or_default().extend(indexes);
        }
        let state = if has_unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        self.at(self.target_epoch, state, kept, Partitions::new())
    }

    fn at(self, epoch: i32, state: MemberState, assigned: Partitions, revoked: Partitions) -> CurrentAssignment {
        let previous_epoch = self.current.epoch;
        CurrentAssignment { epoch, previous_epoch, state, assigned, pending_revocation: revoked }
    }
}

fn insert(partitions: &mut Partitions, topic: Uuid, indexes: BTreeSet<i32>) {
    if !indexes.is_empty() {
        partitions.insert(topic, indexes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn some(indexes: &[i32]) -> Partitions {
        let mut partitions = Partitions::new();
        insert(&mut partitions, TOPIC, indexes.iter().copied().collect());
        partitions
    }

    fn show(current: &CurrentAssignment) -> String {
        let list = |partitions: &Partitions| format!("{:?}", partitions.get(&TOPIC).cloned().unwrap_or_default());
        let CurrentAssignment { epoch, previous_epoch, state, assigned, pending_revocation } = current;
        format!("{epoch} after {previous_epoch} {} {} -{}", state.name(), list(assigned), list(pending_revocation))
    }

    /// A member that has 0 and 1 in epoch 4, and others that hold some.
    fn check(state: MemberState, pending: &[i32], target: &[i32], owned: Option<&[i32]>, held: &[i32], expected: &str) {
        let current = CurrentAssignment {
            epoch: 4,
            previous_epoch: 3,
            state,
            assigned: some(&[0, 1]),
            pending_revocation: some(pending),
        };
        let (target, owned) = (some(target), owned.map(some));
        let step = Step { current: &current, target_epoch: 7, target: &target, owned: owned.as_ref() };
        let next = step.next(|_, index| held.contains(&index) || [0, 1].contains(&index) || pending.contains(&index));
        assert_eq!(show(&next), expected);
    }

    #[test]
    fn nothing_changes_hands_but_the_epoch_grows() {
        check(MemberState::Stable, &[], &[0, 1], None, &[], "7 after 4 STABLE {0, 1} -{}");
    }

    #[test]
    fn who_has_come_to_the_target_stays_there() {
        let (assigned, pending_revocation) = (some(&[0, 1]), Partitions::new());
        let current =
            CurrentAssignment { epoch: 4, previous_epoch: 3, state: MemberState::Stable, assigned, pending_revocation };
        let step = Step { current: &current, target_epoch: 4, target: &current.assigned, owned: None };
        assert_eq!(step.next(|_, _| true), current);
    }

    #[test]
    fn what_is_free_is_had_at_once() {
        check(MemberState::Stable, &[], &[0, 1, 2], None, &[], "7 after 4 STABLE {0, 1, 2} -{}");
    }

    #[test]
    fn what_others_hold_is_waited_for_in_the_new_epoch() {
        check(MemberState::Stable, &[], &[0, 1, 2], None, &[2], "7 after 4 UNRELEASED_PARTITIONS {0, 1} -{}");
    }

    #[test]
    fn what_must_go_is_given_up_in_the_old_epoch_and_first() {
        check(MemberState::Stable, &[], &[0, 2], None, &[], "4 after 4 UNREVOKED_PARTITIONS {0} -{1}");
        // Who says with the same heartbeat that it does not have it is spared the step.
        check(MemberState::Stable, &[], &[0, 2], Some(&[0]), &[], "7 after 4 STABLE {0, 2} -{}");
    }

    #[test]
    fn a_member_stays_where_it_is_until_it_has_given_up() {
        let unrevoked = MemberState::UnrevokedPartitions;
        check(unrevoked, &[2], &[0, 1], None, &[], "4 after 3 UNREVOKED_PARTITIONS {0, 1} -{2}");
        check(unrevoked, &[2], &[0, 1], Some(&[0, 1, 2]), &[], "4 after 3 UNREVOKED_PARTITIONS {0, 1} -{2}");
        check(unrevoked, &[2], &[0, 1], Some(&[0, 1]), &[], "7 after 4 STABLE {0, 1} -{}");
        // The target has moved on meanwhile: there is more to give up.
        check(unrevoked, &[2], &[0], Some(&[0, 1]), &[], "5 after 4 UNREVOKED_PARTITIONS {0} -{1}");
    }

    #[test]
    fn what_others_have_given_up_is_got() {
        let unreleased = MemberState::UnreleasedPartitions;
        check(unreleased, &[], &[0, 1, 2], None, &[2], "7 after 4 UNRELEASED_PARTITIONS {0, 1} -{}");
        check(unreleased, &[], &[0, 1, 2], None, &[], "7 after 4 STABLE {0, 1, 2} -{}");
    }
}
