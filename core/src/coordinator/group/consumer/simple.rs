//! Who of a share group is to have what: members may have partitions in common.
//!
//! Kafka: `SimpleAssignor`, `SimpleHomogeneousAssignmentBuilder`.
//!
//! Where there are no more members than partitions, each partition has one member. Where there are more, each has as many as it takes to
//! leave nobody without one. Who has something keeps it as far as that is even.
//!
//! Not modelled: the order of members, which in Kafka is that of a hash map; the assignor of 4.0, which begins with a hash of the member
//! id; members that subscribe to different topics: each gets all partitions of its own.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Partitions;
use super::state::ConsumerGroupState;
use crate::types::StrBytes;

/// What every member of a share group is to have.
pub fn target(state: &ConsumerGroupState) -> BTreeMap<StrBytes, Partitions> {
    let topics_of = |id: &StrBytes| {
        let named = state.members[id].metadata.topics.iter();
        named.filter_map(|name| state.topics.get(name)).map(|topic| (topic.id, topic.partitions)).collect::<Vec<_>>()
    };
    let mut wanted = state.members.keys().map(&topics_of);
    let first = wanted.next().unwrap_or_default();
    if wanted.all(|topics| topics == first) {
        let all: Vec<(Uuid, i32)> =
            first.iter().flat_map(|(id, count)| (0..*count).map(|index| (*id, index))).collect();
        let had = state.members.keys().map(|id| (id.clone(), state.target_of(id))).collect();
        return shared(&all, &had);
    }
    let everything = |id: &StrBytes| topics_of(id).into_iter().map(|(id, count)| (id, (0..count).collect())).collect();
    state.members.keys().map(|id| (id.clone(), everything(id))).collect()
}

fn shared(all: &[(Uuid, i32)], had: &BTreeMap<StrBytes, Partitions>) -> BTreeMap<StrBytes, Partitions> {
    let members: Vec<&Partitions> = had.values().collect();
    let mut given = vec![Partitions::new(); members.len()];
    if !all.is_empty() && !members.is_empty() {
        share_out(all, &members, &mut given);
    }
    had.keys().cloned().zip(given).collect()
}

fn share_out(all: &[(Uuid, i32)], had: &[&Partitions], given: &mut [Partitions]) {
    let sharing = had.len().div_ceil(all.len());
    let up_to = |members: usize| (sharing * all.len() * members).div_ceil(had.len());
    let mut rooms: Vec<usize> = (0..had.len()).map(|member| up_to(member + 1) - up_to(member)).collect();
    let mut shares = vec![0; all.len()];
    let mut give = |member: usize, place: usize, shares: &mut [usize], rooms: &mut [usize]| {
        let (topic, index) = all[place];
        if given[member].entry(topic).or_default().insert(index) {
            shares[place] += 1;
            rooms[member] = rooms[member].saturating_sub(1);
        }
    };
    for (member, had) in had.iter().enumerate() {
        for (place, (topic, index)) in all.iter().enumerate() {
            let had_it = had.get(topic).is_some_and(|indexes| indexes.contains(index));
            if had_it && shares[place] < sharing && rooms[member] > 0 {
                give(member, place, &mut shares, &mut rooms);
            }
        }
    }
    for place in 0..all.len() {
        for member in 0..had.len() {
            if shares[place] < sharing && rooms[member] > 0 {
                give(member, place, &mut shares, &mut rooms);
            }
        }
        // Whoever has room has this one already: somebody has one more than is even.
        if shares[place] == 0 {
            give(0, place, &mut shares, &mut rooms);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(7);

    fn had(members: &[&[i32]]) -> BTreeMap<StrBytes, Partitions> {
        let partitions = |indexes: &[i32]| match indexes {
            [] => Partitions::new(),
            _ => Partitions::from([(TOPIC, indexes.iter().copied().collect())]),
        };
        let name = |index: usize| StrBytes::from_string(format!("m{index}"));
        members.iter().enumerate().map(|(index, indexes)| (name(index), partitions(indexes))).collect()
    }

    fn found(partitions: i32, members: &[&[i32]]) -> Vec<Vec<i32>> {
        let all: Vec<(Uuid, i32)> = (0..partitions).map(|index| (TOPIC, index)).collect();
        let given = shared(&all, &had(members));
        given.into_values().map(|has| has.into_values().flatten().collect()).collect()
    }

    #[test]
    fn members_share_partitions_where_there_are_not_enough() {
        assert_eq!(found(4, &[&[]]), [vec![0, 1, 2, 3]]);
        assert_eq!(found(4, &[&[0, 1, 2, 3], &[]]), [vec![0, 1], vec![2, 3]]);
        assert_eq!(found(4, &[&[0], &[1], &[2], &[3], &[]]), [vec![0, 1], vec![0, 1], vec![2], vec![2, 3], vec![3]]);
        assert_eq!(found(1, &[&[], &[], &[]]), [vec![0], vec![0], vec![0]]);
        assert_eq!(found(0, &[&[], &[]]), [vec![], vec![] as Vec<i32>]);
        // Who has something keeps it, as long as no more have it than is even.
        assert_eq!(found(2, &[&[1], &[0], &[1], &[0]]), [vec![1], vec![0], vec![1], vec![0]]);
        assert_eq!(found(2, &[&[0], &[0], &[0], &[]]), [vec![0], vec![0], vec![1], vec![1]]);
    }

    proptest! {
        #[test]
        fn every_partition_has_a_member_and_every_member_a_partition(
            partitions in 1..9i32,
            members in prop::collection::vec(prop::collection::btree_set(0..9i32, 0..9), 1..8),
        ) {
            let members: Vec<Vec<i32>> = members.into_iter().map(|has| has.into_iter().collect()).collect();
            let members: Vec<&[i32]> = members.iter().map(Vec::as_slice).collect();
            let given = found(partitions, &members);
            for index in 0..partitions {
                prop_assert!(given.iter().any(|has| has.contains(&index)), "{index} is nobody's");
            }
            if members.len() >= usize::try_from(partitions).unwrap_or(0) {
                prop_assert!(given.iter().all(|has| !has.is_empty()), "{given:?}");
            }
        }
    }
}
