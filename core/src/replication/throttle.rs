//! A limit on the bytes per second with which a leader lets replicas catch up that are not in sync.
//!
//! Kafka: `ReplicationQuotaManager`, `ReplicaManager.shouldLeaderThrottle`, KIP-73. It counts what is sent of the topics
//! and partitions that `leader.replication.throttled.replicas` names, and holds back followers outside the ISR alone.
//! Not modelled: the same limit at the follower (`follower.replication.throttled.rate`, `.replicas`): the leader's holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::{MetadataDelta, MetadataImage};
use crate::types::{Instant, Rate, TopicName, TopicPartition};

const RATE: &str = "leader.replication.throttled.rate";
const REPLICAS: &str = "leader.replication.throttled.replicas";

/// The limit of one broker as a leader.
#[derive(Clone, Debug, Default)]
pub struct ReplicationThrottle {
    limit: Option<u64>,
    rate: Rate,
    /// The partitions of each topic that it concerns here; none is all.
    topics: BTreeMap<TopicName, Option<BTreeSet<i32>>>,
}

impl ReplicationThrottle {
    /// Takes over what changed.
    pub fn update(&mut self, broker: i32, image: &MetadataImage, delta: &MetadataDelta) {
        if !delta.broker_configs.is_empty() {
            self.limit = image.broker_config(broker, RATE).and_then(|rate| rate.trim().parse().ok());
        }
        for topic in delta.configs.iter().chain(&delta.topics) {
            match image.topic_config(topic, REPLICAS).map(str::trim) {
                None | Some("" | "none") => self.topics.remove(topic),
                Some(list) => self.topics.insert(topic.clone(), partitions_here(list, broker)),
            };
        }
    }

    /// Whether a follower outside the ISR gets nothing now.
    pub fn holds_back(&mut self, partition: &TopicPartition, now: Instant) -> bool {
        self.concerns(partition) && self.limit.is_some_and(|limit| self.rate.exceeds(limit, now))
    }

    /// Bytes of a partition go to a follower.
    pub fn record(&mut self, partition: &TopicPartition, bytes: usize, now: Instant) {
        if bytes > 0 && self.limit.is_some() && self.concerns(partition) {
            self.rate.record(bytes as u64, now);
        }
    }

    fn concerns(&self, partition: &TopicPartition) -> bool {
        let listed = self.topics.get(&partition.topic);
        listed.is_some_and(|numbers| numbers.as_ref().is_none_or(|numbers| numbers.contains(&partition.partition)))
    }
}

/// The partitions for which `0:1,1:2` (partition and broker) names this broker; none for `*`, which is all.
fn partitions_here(list: &str, broker: i32) -> Option<BTreeSet<i32>> {
    if list == "*" {
        return None;
    }
    let pairs = list.split(',').filter_map(|pair| pair.trim().split_once(':'));
    let numbers = pairs.filter_map(|(partition, of)| Some((partition.parse().ok()?, of.parse::<i32>().ok()?)));
    Some(numbers.filter(|(_, of)| *of == broker).map(|(partition, _)| partition).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MetadataRecord;
    use crate::metadata::records::ConfigRecord;
    use crate::types::{Offset, StrBytes};

    fn set(
        image: &mut MetadataImage,
        delta: &mut MetadataDelta,
        resource_type: i8,
        resource: &str,
        name: &str,
        to: &str,
    ) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let record =
            ConfigRecord { resource_type, resource_name: text(resource), name: text(name), value: Some(text(to)) };
        image.replay(&MetadataRecord::Config(record), Offset(0), delta).expect("a property fits everywhere");
    }

    #[test]
    fn it_concerns_what_is_listed_and_holds_back_while_the_rate_is_too_high() {
        for (list, held_back) in [("*", true), ("0:1", true), ("0:2", false), ("1:1,0:1", true), ("none", false)] {
            let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
            set(&mut image, &mut delta, ConfigRecord::BROKER, "", RATE, "1000");
            set(&mut image, &mut delta, ConfigRecord::TOPIC, "orders", REPLICAS, list);
            let mut throttle = ReplicationThrottle::default();
            throttle.update(1, &image, &delta);
            let orders = TopicPartition::of("orders", 0);
            throttle.record(&orders, 10_000, Instant::START);
            assert!(!throttle.holds_back(&orders, Instant::START), "{list}: just the limit");
            throttle.record(&orders, 1, Instant::START);
            assert_eq!(throttle.holds_back(&orders, Instant::START), held_back, "{list}");
        }
    }
}
