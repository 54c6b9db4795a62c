//! Where the replicas of a new topic go: round robin from a random start, so that leaders and followers spread evenly.
//!
//! Kafka: `AdminUtils.assignReplicasToBrokersRackUnaware` for the brokers that work; as in `StripedReplicaPlacer` the
//! fenced ones come after them, where the replication factor asks for more, and the words of its errors are Kafka 3.9's.
//! Not modelled: racks (KIP-36).

use crate::types::Prng;

/// A broker that may get replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    /// Its id.
    pub id: i32,
    /// A fenced broker gets replicas only if there are not enough others, and never leads them.
    pub fenced: bool,
}

/// The replicas of each partition, preferred leader first; or why that cannot be, in Kafka's words.
pub fn place(
    brokers: &[UsableBroker],
    partitions: usize,
    replication_factor: usize,
    rng: &mut Prng,
) -> Result<Vec<Vec<i32>>, String> {
    let ids = |fenced: bool| brokers.iter().filter(move |broker| broker.fenced == fenced).map(|broker| broker.id);
    let unfenced: Vec<i32> = ids(false).collect();
    let fenced: Vec<i32> = ids(true).collect();
    if unfenced.is_empty() {
        return Err("All brokers are currently fenced.".to_owned());
    }
    if replication_factor > brokers.len() {
        return Err(format!(
            "The target replication factor of {replication_factor} cannot be reached because only {} broker(s) are \
             registered.",
            brokers.len()
        ));
    }
    let start = rng.below(unfenced.len() as u64) as usize;
    let shift = rng.below(unfenced.len() as u64) as usize;
    let placed = (0..partitions).map(|partition| {
        let working = replication_factor.min(unfenced.len());
        let mut replicas = stripe(&unfenced, partition, working, start, shift);
        let missing = replication_factor - replicas.len();
        replicas.extend(fenced.iter().cycle().skip(partition % fenced.len().max(1)).take(missing));
        replicas
    });
    Ok(placed.collect())
}

/// One partition: the first replica goes round, the others follow it at a distance that grows with every round.
fn stripe(brokers: &[i32], partition: usize, replicas: usize, start: usize, shift: usize) -> Vec<i32> {
    let count = brokers.len();
    let first = (partition + start) % count;
    let shift = shift + partition / count;
    let others = (0..replicas - 1).map(|replica| (first + 1 + (shift + replica) % (count - 1)) % count);
    std::iter::once(first).chain(others).map(|index| brokers[index]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn usable(unfenced: i32, fenced: i32) -> Vec<UsableBroker> {
        (0..unfenced + fenced).map(|id| UsableBroker { id, fenced: id >= unfenced }).collect()
    }

    #[test]
    fn replicas_follow_the_table_in_kafkas_documentation() {
        // AdminUtils: 5 brokers, 10 partitions, start 0, shift 0.
        let brokers = [0, 1, 2, 3, 4];
        let table: Vec<Vec<i32>> = (0..10).map(|partition| stripe(&brokers, partition, 3, 0, 0)).collect();
        assert_eq!(
            table,
            [
                [0, 1, 2],
                [1, 2, 3],
                [2, 3, 4],
                [3, 4, 0],
                [4, 0, 1],
                [0, 2, 3],
                [1, 3, 4],
                [2, 4, 0],
                [3, 0, 1],
                [4, 1, 2]
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_said_in_kafkas_words() {
        let mut rng = Prng::new(1);
        let too_many = "The target replication factor of 4 cannot be reached because only 3 broker(s) are registered.";
        assert_eq!(place(&usable(3, 0), 1, 4, &mut rng), Err(too_many.to_owned()));
        assert_eq!(place(&usable(0, 3), 1, 1, &mut rng), Err("All brokers are currently fenced.".to_owned()));
    }

    proptest! {
        #[test]
        fn replicas_are_distinct_balanced_and_led_by_working_brokers(
            unfenced in 1..7i32, fenced in 0..4i32, partitions in 1..30usize, factor in 1..10usize, seed: u64
        ) {
            let brokers = usable(unfenced, fenced);
            let factor = factor.min(brokers.len());
            let placed = place(&brokers, partitions, factor, &mut Prng::new(seed)).expect("enough brokers");
            prop_assert_eq!(placed.len(), partitions);
            let mut led = vec![0; unfenced as usize];
            for replicas in &placed {
                prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor);
                led[replicas[0] as usize] += 1;
            }
            let (most, least) = (led.iter().max().unwrap_or(&0), led.iter().min().unwrap_or(&0));
            prop_assert!(most - least <= 1, "leaders per broker: {led:?}");
        }
    }
}
