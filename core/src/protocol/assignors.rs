//! Who of a group reads what: the leader of a group decides with one of these.
//!
//! Kafka: `RangeAssignor`, `RoundRobinAssignor`, `AbstractStickyAssignor` (`StickyAssignor`, `CooperativeStickyAssignor`),
//! KIP-54, KIP-429.
//!
//! ```text
//!  two topics of three partitions, two members      range        a: t0 t1 u0 u1    b: t2 u2
//!                                                    roundrobin   a: t0 t2 u1       b: t1 u0 u2
//! ```
//!
//! The sticky ones give each member what it had, as far as the numbers stay even (they differ by one at most among
//! members that subscribe to the same topics). The cooperative one leaves what changes hands with nobody for one
//! generation: its owner must give it up first.
//!
//! Not modelled: rack awareness (KIP-881), the trick of `range` by which members with equal subscriptions keep partition n
//! of every topic together, user data of the sticky assignor before 2.3 (owned partitions travel in the subscription),
//! and the exact tie-breaks of the general sticky algorithm for unequal subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Assignor;
use crate::types::{StrBytes, TopicName, TopicPartition};

/// What one member wants, and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSubscription {
    /// `group.instance.id`, if it is a static member: it sorts before the member id.
    pub instance_id: Option<StrBytes>,
    /// The topics.
    pub topics: BTreeSet<TopicName>,
    /// What it owns.
    pub owned: BTreeSet<TopicPartition>,
    /// The generation in which it got that; -1 is unknown.
    pub generation: i32,
}

/// What every member gets.
pub type Assignment = BTreeMap<StrBytes, BTreeSet<TopicPartition>>;

impl Assignor {
    /// Divides the partitions of the topics among the members.
    pub fn assign(
        self,
        members: &BTreeMap<StrBytes, MemberSubscription>,
        partitions: &BTreeMap<TopicName, i32>,
    ) -> Assignment {
        match self {
            Assignor::Range => range(members, partitions),
            Assignor::RoundRobin => round_robin(members, partitions),
            Assignor::Sticky => sticky(members, partitions),
            Assignor::CooperativeSticky => without_transfers(members, sticky(members, partitions)),
        }
    }
}

/// Static members in the order of their instance ids, the others after them in that of their member ids.
fn in_order(members: &BTreeMap<StrBytes, MemberSubscription>) -> Vec<&StrBytes> {
    let mut order: Vec<&StrBytes> = members.keys().collect();
    order.sort_by_key(|id| {
        let instance = members[*id].instance_id.as_ref();
        (instance.is_none(), instance.unwrap_or(*id).clone())
    });
    order
}

fn nothing(members: &BTreeMap<StrBytes, MemberSubscription>) -> Assignment {
    members.keys().map(|id| (id.clone(), BTreeSet::new())).collect()
}

fn give(assignment: &mut Assignment, member: &StrBytes, partition: TopicPartition) {
    assignment.entry(member.clone()).or_default().insert(partition);
}

fn range(members: &BTreeMap<StrBytes, MemberSubscription>, partitions: &BTreeMap<TopicName, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let order = in_order(members);
    for (topic, count) in partitions {
        let readers: Vec<&&StrBytes> = order.iter().filter(|id| members[**id].topics.contains(topic)).collect();
        let Ok(readers_count) = i32::try_from(readers.len()) else { continue };
        if readers_count == 0 {
            continue;
        }
        let (each, more) = (count / readers_count, count % readers_count);
        let mut next = 0;
        for (place, reader) in (0..).zip(readers) {
            let share = each + i32::from(place < more);
            for index in next..next + share {
                give(&mut assignment, reader, TopicPartition::new(topic.clone(), index));
            }
            next += share;
        }
    }
    assignment
}

fn round_robin(members: &BTreeMap<StrBytes, MemberSubscription>, partitions: &BTreeMap<TopicName, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let order = in_order(members);
    let mut turn = 0;
    for partition in all(partitions) {
        let reader = (0..order.len())
            .map(|step| (turn + step) % order.len())
            .find(|place| members[order[*place]].topics.contains(&partition.topic));
        if let Some(place) = reader {
            give(&mut assignment, order[place], partition);
            turn = place + 1;
        }
    }
    assignment
}

fn all(partitions: &BTreeMap<TopicName, i32>) -> impl Iterator<Item = TopicPartition> {
    partitions.iter().flat_map(|(topic, count)| (0..*count).map(|index| TopicPartition::new(topic.clone(), index)))
}

fn sticky(members: &BTreeMap<StrBytes, MemberSubscription>, partitions: &BTreeMap<TopicName, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let existing: BTreeSet<TopicPartition> = all(partitions).collect();
    let mut left = existing.clone();
    for (partition, owner) in owners(members) {
        if existing.contains(&partition) && members[&owner].topics.contains(&partition.topic) {
            left.remove(&partition);
            give(&mut assignment, &owner, partition);
        }
    }
    for partition in left {
        let poorest = poorest(&assignment, members, &partition.topic);
        if let Some(member) = poorest {
            give(&mut assignment, &member, partition);
        }
    }
    even_out(&mut assignment, members);
    assignment
}

/// Who has what. Of two who claim the same, the one of the later generation; of the same generation nobody.
fn owners(members: &BTreeMap<StrBytes, MemberSubscription>) -> BTreeMap<TopicPartition, StrBytes> {
    let latest = members.values().map(|member| member.generation).max().unwrap_or(-1);
    let mut claims: BTreeMap<TopicPartition, Vec<&StrBytes>> = BTreeMap::new();
    for (id, member) in members.iter().filter(|(_, member)| member.generation == latest) {
        for partition in &member.owned {
            claims.entry(partition.clone()).or_default().push(id);
        }
    }
    let single = |(partition, ids): (TopicPartition, Vec<&StrBytes>)| match ids[..] {
        [id] => Some((partition, id.clone())),
        _ => None,
    };
    claims.into_iter().filter_map(single).collect()
}

/// The member with the least that reads a topic.
fn poorest(
    assignment: &Assignment,
    members: &BTreeMap<StrBytes, MemberSubscription>,
    topic: &TopicName,
) -> Option<StrBytes> {
    let readers = assignment.iter().filter(|(id, _)| members[*id].topics.contains(topic));
    readers.min_by_key(|(_, has)| has.len()).map(|(id, _)| id.clone())
}

/// Moves single partitions from who has two more than another reader of the same topic, until nobody has.
fn even_out(assignment: &mut Assignment, members: &BTreeMap<StrBytes, MemberSubscription>) {
    while let Some((from, to, partition)) = unfair(assignment, members) {
        if let Some(has) = assignment.get_mut(&from) {
            has.remove(&partition);
        }
        give(assignment, &to, partition);
    }
}

fn unfair(
    assignment: &Assignment,
    members: &BTreeMap<StrBytes, MemberSubscription>,
) -> Option<(StrBytes, StrBytes, TopicPartition)> {
    let mut by_wealth: Vec<(&StrBytes, &BTreeSet<TopicPartition>)> = assignment.iter().collect();
    by_wealth.sort_by_key(|(_, has)| std::cmp::Reverse(has.len()));
    by_wealth.into_iter().find_map(|(rich, has)| {
        has.iter().rev().find_map(|partition| {
            let poor = poorest(assignment, members, &partition.topic)?;
            (assignment[&poor].len() + 1 < has.len()).then(|| (rich.clone(), poor, partition.clone()))
        })
    })
}

/// What another member owns still is nobody's for now.
fn without_transfers(members: &BTreeMap<StrBytes, MemberSubscription>, mut assignment: Assignment) -> Assignment {
    let owned: BTreeMap<TopicPartition, StrBytes> = owners(members);
    for (id, partitions) in &mut assignment {
        partitions.retain(|partition| owned.get(partition).is_none_or(|owner| owner == id));
    }
    assignment
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    fn topic(name: &str) -> TopicName {
        TopicName(text(name))
    }

    fn members(ids: &[&str], topics: &[&str]) -> BTreeMap<StrBytes, MemberSubscription> {
        let subscription = MemberSubscription {
            instance_id: None,
            topics: topics.iter().map(|name| topic(name)).collect(),
            owned: BTreeSet::new(),
            generation: -1,
        };
        ids.iter().map(|id| (text(id), subscription.clone())).collect()
    }

    fn show(assignment: &Assignment) -> String {
        let line = |(id, partitions): (&StrBytes, &BTreeSet<TopicPartition>)| {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{}: {}", id.as_str(), partitions.join(" "))
        };
        assignment.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn as_in_the_drawing() {
        let partitions = BTreeMap::from([(topic("t"), 3), (topic("u"), 3)]);
        let members = members(&["a", "b"], &["t", "u"]);
        assert_eq!(show(&Assignor::Range.assign(&members, &partitions)), "a: t-0 t-1 u-0 u-1; b: t-2 u-2");
        assert_eq!(show(&Assignor::RoundRobin.assign(&members, &partitions)), "a: t-0 t-2 u-1; b: t-1 u-0 u-2");
    }

    #[test]
    fn a_cooperative_transfer_takes_two_generations() {
        let partitions = BTreeMap::from([(topic("t"), 4)]);
        let mut members = members(&["a", "b"], &["t"]);
        let all: BTreeSet<TopicPartition> = (0..4).map(|index| TopicPartition::of("t", index)).collect();
        members.get_mut(&text("a")).expect("it is there").owned = all;
        members.get_mut(&text("a")).expect("it is there").generation = 1;
        members.get_mut(&text("b")).expect("it is there").generation = 1;
        let first = Assignor::CooperativeSticky.assign(&members, &partitions);
        assert_eq!(show(&first), "a: t-0 t-1; b: ");
        members.get_mut(&text("a")).expect("it is there").owned = first[&text("a")].clone();
        let second = Assignor::CooperativeSticky.assign(&members, &partitions);
        assert_eq!(show(&second), "a: t-0 t-1; b: t-2 t-3");
        assert_eq!(show(&Assignor::Sticky.assign(&members, &partitions)), "a: t-0 t-1; b: t-2 t-3");
    }

    proptest! {
        /// Every partition has one owner, and nobody has two more than another.
        #[test]
        fn nothing_is_left_and_nothing_is_shared(
            count in 1..7usize,
            partitions in proptest::collection::btree_map("[t-v]", 1..9i32, 1..3),
            owned in proptest::collection::vec((0..7usize, 0..3usize, 0..9i32), 0..20),
        ) {
            let ids: Vec<String> = (0..count).map(|n| format!("m{n}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let names: Vec<&str> = partitions.keys().map(String::as_str).collect();
            let mut members = members(&ids, &names);
            for (member, name, index) in owned {
                let id = text(ids[member % ids.len()]);
                let partition = TopicPartition::of(names[name % names.len()], index);
                members.get_mut(&id).expect("it is a member").owned.insert(partition);
            }
            let counts: BTreeMap<TopicName, i32> = partitions.iter().map(|(name, n)| (topic(name), *n)).collect();
            for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
                let assignment = assignor.assign(&members, &counts);
                let mut given: Vec<TopicPartition> = assignment.values().flatten().cloned().collect();
                given.sort();
                prop_assert_eq!(given, all(&counts).collect::<Vec<_>>(), "{:?}", assignor);
                let sizes: Vec<usize> = assignment.values().map(BTreeSet::len).collect();
                let (most, least) = (sizes.iter().max(), sizes.iter().min());
                if assignor != Assignor::Range {
                    prop_assert!(most <= least.map(|least| least + 1).as_ref(), "{:?}: {:?}", assignor, sizes);
                }
            }
            let cooperative = Assignor::CooperativeSticky.assign(&members, &counts);
            let mut given: Vec<&TopicPartition> = cooperative.values().flatten().collect();
            let before = given.len();
            given.dedup();
            prop_assert_eq!(given.len(), before);
        }
    }
}
