//! Who of a group of the consumer protocol is to have what: the coordinator's own assignors.
//!
//! Kafka: `UniformAssignor` (`UniformHomogeneousAssignmentBuilder`), `RangeAssignor`, `TargetAssignmentBuilder`.
//!
//! `uniform`: the members in order may each have so many partitions that the numbers differ by one at most, the first ones
//! more; who has more than it may gives the rest up, who has less gets what is left. `range`: as the classic assignor.
//!
//! Not modelled: the order of members, which in Kafka is that of a hash map (here that of their ids, which are random as
//! well); the exact tie-breaks of `uniform` for unequal subscriptions (the sticky assignor of the classic protocol stands in).

use std::collections::{BTreeMap, BTreeSet};

use super::Partitions;
use super::state::ConsumerGroupState;
use crate::config::{Assignor, ServerAssignor};
use crate::protocol::assignors::{Assignment, MemberSubscription};
use crate::types::{StrBytes, TopicName, TopicPartition};

/// What every member of a group is to have.
pub fn target(assignor: ServerAssignor, state: &ConsumerGroupState) -> BTreeMap<StrBytes, Partitions> {
    let counts = state.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect();
    let members: BTreeMap<StrBytes, MemberSubscription> =
        state.members.keys().map(|id| (id.clone(), subscription(state, id))).collect();
    let assignment = match assignor {
        ServerAssignor::Range => Assignor::Range.assign(&members, &counts),
        ServerAssignor::Uniform if are_alike(&members) => uniform(&members, &counts),
        ServerAssignor::Uniform => Assignor::Sticky.assign(&members, &counts),
    };
    assignment.into_iter().map(|(id, partitions)| (id, by_id(state, partitions))).collect()
}

/// A member as the assignor sees it: with what it was to have until now.
fn subscription(state: &ConsumerGroupState, id: &StrBytes) -> MemberSubscription {
    let metadata = &state.members[id].metadata;
    MemberSubscription {
        instance_id: metadata.instance_id.clone(),
        topics: metadata.topics.iter().filter(|topic| state.topics.contains_key(*topic)).cloned().collect(),
        owned: state.named(&state.target_of(id)).into_iter().collect(),
        generation: state.target_epoch,
    }
}

fn by_id(state: &ConsumerGroupState, partitions: BTreeSet<TopicPartition>) -> Partitions {
    let mut ids = Partitions::new();
    for partition in partitions {
        if let Some(topic) = state.topics.get(&partition.topic) {
            ids.entry(topic.id).or_default().insert(partition.partition);
        }
    }
    ids
}

fn are_alike(members: &BTreeMap<StrBytes, MemberSubscription>) -> bool {
    let mut topics = members.values().map(|member| &member.topics);
    let first = topics.next();
    topics.all(|other| Some(other) == first)
}

fn uniform(members: &BTreeMap<StrBytes, MemberSubscription>, counts: &BTreeMap<TopicName, i32>) -> Assignment {
    let Some(topics) = members.values().next().map(|member| &member.topics) else { return Assignment::new() };
    let all: BTreeSet<TopicPartition> = counts
        .iter()
        .filter(|(topic, _)| topics.contains(*topic))
        .flat_map(|(topic, count)| (0..*count).map(|index| TopicPartition::new(topic.clone(), index)))
        .collect();
    let (each, mut more) = (all.len() / members.len(), all.len() % members.len());
    let mut assignment = Assignment::new();
    let mut left: Vec<TopicPartition> = {
        let taken: BTreeSet<&TopicPartition> = members.values().flat_map(|member| &member.owned).collect();
        all.iter().filter(|partition| !taken.contains(*partition)).cloned().collect()
    };
    let mut rooms = Vec::new();
    for (id, member) in members {
        let quota = each + usize::from(more > 0);
        more = more.saturating_sub(1);
        let mut kept: Vec<TopicPartition> = member.owned.intersection(&all).cloned().collect();
        left.extend(kept.split_off(quota.min(kept.len())));
        rooms.push((id, quota - kept.len()));
        assignment.insert(id.clone(), kept.into_iter().collect());
    }
    let mut left = left.into_iter();
    for (id, room) in rooms {
        assignment.entry(id.clone()).or_default().extend(left.by_ref().take(room));
    }
    assignment
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coordinator::group::consumer::ConsumerGroupMember;
    use crate::coordinator::group::consumer::records::{MemberMetadata, SubscribedTopic};

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    fn orders() -> TopicName {
        TopicName(text("orders"))
    }

    fn member(owned: &[i32]) -> MemberSubscription {
        MemberSubscription {
            instance_id: None,
            topics: BTreeSet::from([orders()]),
            owned: owned.iter().map(|index| TopicPartition::new(orders(), *index)).collect(),
            generation: 1,
        }
    }

    fn check(count: i32, owned: &[(&str, &[i32])], expected: &[(&str, &[i32])]) {
        let members = owned.iter().map(|(id, owned)| (text(id), member(owned))).collect();
        let found = uniform(&members, &BTreeMap::from([(orders(), count)]));
        let found: Vec<(String, Vec<i32>)> = found
            .into_iter()
            .map(|(id, has)| (id.to_string(), has.into_iter().map(|partition| partition.partition).collect()))
            .collect();
        let expected: Vec<(String, Vec<i32>)> =
            expected.iter().map(|(id, has)| ((*id).to_owned(), has.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn uniform_is_even_and_leaves_what_it_can() {
        check(3, &[("a", &[])], &[("a", &[0, 1, 2])]);
        check(4, &[("a", &[0, 1, 2, 3]), ("b", &[])], &[("a", &[0, 1]), ("b", &[2, 3])]);
        check(3, &[("a", &[0, 1]), ("b", &[2]), ("c", &[])], &[("a", &[0]), ("b", &[2]), ("c", &[1])]);
        // The first members may have more, even if it is the last that has.
        check(3, &[("a", &[0]), ("b", &[1, 2])], &[("a", &[0, 2]), ("b", &[1])]);
        check(1, &[("a", &[]), ("b", &[0])], &[("a", &[0]), ("b", &[])]);
        check(0, &[("a", &[0])], &[("a", &[])]);
    }

    /// A member, its topics, and what it was to have until now.
    type Member<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, i32)]);

    /// What each member is to have of topics of two partitions.
    fn shared(members: &[Member<'_>]) -> BTreeMap<String, Vec<String>> {
        let mut state = ConsumerGroupState::default();
        let name = |topic: &str| TopicName(text(topic));
        for (number, topic) in [(1, "orders"), (2, "payments")] {
            let id = uuid::Uuid::from_u128(number);
            state.topics.insert(name(topic), SubscribedTopic { id, partitions: 2 });
        }
        for (id, topics, had) in members {
            let topics = topics.iter().map(|topic| name(topic)).collect();
            let metadata = MemberMetadata { topics, ..MemberMetadata::default() };
            state.members.insert(text(id), ConsumerGroupMember::new(metadata));
            let had = had.iter().map(|(topic, index)| TopicPartition::of(topic, *index)).collect();
            state.target.insert(text(id), by_id(&state, had));
        }
        let target = target(ServerAssignor::Uniform, &state);
        let named = |partitions| state.named(partitions).iter().map(ToString::to_string).collect();
        target.iter().map(|(id, partitions)| (id.to_string(), named(partitions))).collect()
    }

    #[test]
    fn uniform_looks_at_what_each_member_subscribes_to() {
        let all = &["orders", "payments"][..];
        let had = [("orders", 1), ("payments", 0), ("payments", 1)];
        let found = shared(&[("a", all, &[("orders", 0)]), ("b", all, &had)]);
        let expected = [("a", ["orders-0", "payments-1"]), ("b", ["orders-1", "payments-0"])];
        assert_eq!(found, expected.map(|(id, has)| (id.to_owned(), has.map(str::to_owned).to_vec())).into());
        // One partition over: the first members have more, whoever had more.
        let found = shared(&[("a", &["orders"], &[]), ("b", &["orders"], &[]), ("c", &["orders"], &[("orders", 0)])]);
        assert_eq!(found.values().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
        // Nobody else reads payments.
        let found = shared(&[("a", &["orders"], &[]), ("b", all, &[])]);
        assert_eq!(found["a"], ["orders-0", "orders-1"]);
        assert_eq!(found["b"], ["payments-0", "payments-1"]);
    }

    proptest! {
        #[test]
        fn uniform_leaves_nothing_and_shares_nothing(
            count in 0..9i32,
            owners in proptest::collection::vec(0..5usize, 9),
            members in 1..5usize,
        ) {
            let owned = |member: usize| (0..count).filter(|index| owners[*index as usize] == member).collect::<Vec<_>>();
            let members: BTreeMap<StrBytes, MemberSubscription> =
                (0..members).map(|id| (text(&format!("m{id}")), member(&owned(id)))).collect();
            let found = uniform(&members, &BTreeMap::from([(orders(), count)]));
            let mut given: Vec<i32> = found.values().flatten().map(|partition| partition.partition).collect();
            given.sort_unstable();
            prop_assert_eq!(given, (0..count).collect::<Vec<_>>());
            let sizes: Vec<usize> = found.values().map(BTreeSet::len).collect();
            prop_assert!(sizes.iter().max() <= sizes.iter().min().map(|least| least + 1).as_ref());
        }
    }
}
