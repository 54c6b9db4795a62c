//! A limit on the bytes per second with which replicas catch up: of a broker as a leader, and of a broker as a follower.
//!
//! Kafka: `ReplicationQuotaManager`, `ReplicaManager.shouldLeaderThrottle`, `RemoteLeaderEndPoint.shouldFollowerThrottle`, KIP-73.
//!
//! ```text
//!           counts what                             holds back
//! leader    it sends to followers                   a follower outside the ISR: its answer has no records
//! follower  it appends of what it has fetched       a replica behind the leader's high watermark: it is not asked for
//! ```
//!
//! Both count only partitions that `leader.` or `follower.replication.throttled.replicas` of the topic names for this broker.
//! Not modelled: `replication.quota.window.num` and its size: the windows are those that Kafka has by default; the bytes of an
//! answer that are no records; that a follower notes answers without records, too.

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::{Fact, Role};
use crate::machine::Context;
use crate::metadata::{MetadataDelta, MetadataImage};
use crate::types::{Instant, Rate, TopicName, TopicPartition};

/// The limit of one broker in one role.
#[derive(Clone, Debug)]
pub struct ReplicationThrottle {
    role: Role,
    limit: Option<u64>,
    rate: Rate,
    /// The partitions of each topic that it concerns here; none is all.
    topics: BTreeMap<TopicName, Option<BTreeSet<i32>>>,
    /// Who waits.
    waiting: BTreeSet<(TopicPartition, i32)>,
}

impl ReplicationThrottle {
    /// No limit.
    pub fn new(role: Role) -> Self {
        Self { role, limit: None, rate: Rate::default(), topics: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// The property of a broker with the limit, and that of a topic with the replicas that it concerns.
    fn properties(&self) -> (&'static str, &'static str) {
        match self.role {
            Role::Leader => ("leader.replication.throttled.rate", "leader.replication.throttled.replicas"),
            Role::Follower => ("follower.replication.throttled.rate", "follower.replication.throttled.replicas"),
        }
    }

    /// Takes over what changed.
    pub fn update(&mut self, broker: i32, image: &MetadataImage, delta: &MetadataDelta) {
        let (rate, replicas) = self.properties();
        if !delta.broker_configs.is_empty() {
            self.limit = image.broker_config(broker, rate).and_then(|rate| rate.trim().parse().ok());
        }
        for topic in delta.configs.iter().chain(&delta.topics) {
            match image.topic_config(topic, replicas).map(str::trim) {
                None | Some("" | "none") => self.topics.remove(topic),
                Some(list) => self.topics.insert(topic.clone(), partitions_here(list, broker)),
            };
        }
    }

    /// Whether there is a limit at all.
    pub fn is_set(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether a follower that is behind gets nothing now.
    pub fn holds_back(&mut self, partition: &TopicPartition, follower: i32, ctx: &mut Context<'_>) -> bool {
        let waits = self.is_exceeded(partition, ctx.now());
        if !waits {
            self.waiting.remove(&(partition.clone(), follower));
        } else if self.waiting.insert((partition.clone(), follower)) {
            ctx.fact(Fact::ReplicaThrottled { partition: partition.clone(), follower, role: self.role });
        }
        waits
    }

    /// Bytes of a partition go to a follower. An answer without any is noted as well: with it, too, a window begins.
    pub fn record(&mut self, partition: &TopicPartition, bytes: usize, now: Instant) {
        if self.limit.is_some() && self.concerns(partition) {
            self.rate.record(bytes as u64, now);
        }
    }

    fn is_exceeded(&mut self, partition: &TopicPartition, now: Instant) -> bool {
        self.concerns(partition) && self.limit.is_some_and(|limit| self.rate.exceeds(limit, now))
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
    use crate::machine::Effects;
    use crate::metadata::MetadataRecord;
    use crate::metadata::records::ConfigRecord;
    use crate::storage::MemoryStorage;
    use crate::types::{Offset, Prng, StrBytes, Timestamp};

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
        for role in [Role::Leader, Role::Follower] {
            for (list, held_back) in [("*", true), ("0:1", true), ("0:2", false), ("1:1,0:1", true), ("none", false)] {
                let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
                let mut throttle = ReplicationThrottle::new(role);
                let (rate, replicas) = throttle.properties();
                set(&mut image, &mut delta, ConfigRecord::BROKER, "", rate, "1000");
                set(&mut image, &mut delta, ConfigRecord::TOPIC, "orders", replicas, list);
                throttle.update(1, &image, &delta);
                let orders = TopicPartition::of("orders", 0);
                throttle.record(&orders, 10_000, Instant::START);
                assert!(!throttle.is_exceeded(&orders, Instant::START), "{list}: just the limit");
                throttle.record(&orders, 1, Instant::START);
                assert_eq!(throttle.is_exceeded(&orders, Instant::START), held_back, "{list}");
            }
        }
    }

    #[test]
    fn who_waits_is_said_once_each_time_and_what_went_before_the_limit_does_not_count() {
        let orders = TopicPartition::of("orders", 0);
        let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
        let mut throttle = ReplicationThrottle::new(Role::Leader);
        let (rate, replicas) = throttle.properties();
        set(&mut image, &mut delta, ConfigRecord::TOPIC, "orders", replicas, "*");
        throttle.update(1, &image, &delta);
        throttle.record(&orders, 1_000_000, Instant::START);
        set(&mut image, &mut delta, ConfigRecord::BROKER, "", rate, "1000");
        throttle.update(1, &image, &delta);
        let (mut disk, mut rng) = (MemoryStorage::default(), Prng::new(1));
        let mut effects = Effects::default();
        // Seconds, bytes, and whether follower 2 waits.
        for (second, bytes, waits, said) in
            [(0, 0, false, 0), (0, 20_000, true, 1), (1, 0, true, 1), (30, 0, false, 1), (30, 20_000, true, 2)]
        {
            let now = Instant(second * 1_000_000_000);
            throttle.record(&orders, bytes, now);
            let mut ctx = Context::new(now, Timestamp(0), &mut rng, &mut disk, &mut effects);
            assert_eq!(throttle.holds_back(&orders, 2, &mut ctx), waits, "after {second} s");
            assert_eq!(effects.said.len(), said, "after {second} s");
        }
    }

    #[test]
    fn windows_begin_with_the_first_answer_even_if_it_has_no_bytes() {
        let orders = TopicPartition::of("orders", 0);
        for (answered_before, exceeded) in [(true, false), (false, true)] {
            let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
            let mut throttle = ReplicationThrottle::new(Role::Leader);
            let (rate, replicas) = throttle.properties();
            set(&mut image, &mut delta, ConfigRecord::BROKER, "", rate, "1000");
            set(&mut image, &mut delta, ConfigRecord::TOPIC, "orders", replicas, "*");
            throttle.update(1, &image, &delta);
            if answered_before {
                throttle.record(&orders, 0, Instant::START);
            }
            // Spread over the ten and a half seconds since, or over the ten that count as silence.
            let now = Instant(10_500_000_000);
            throttle.record(&orders, 10_400, now);
            assert_eq!(throttle.is_exceeded(&orders, now), exceeded);
        }
    }

    #[test]
    fn the_properties_are_those_of_kafka_and_one_says_of_what_it_is_full() {
        let names = [Role::Leader, Role::Follower].map(|role| ReplicationThrottle::new(role).properties());
        let leader = ("leader.replication.throttled.rate", "leader.replication.throttled.replicas");
        let follower = ("follower.replication.throttled.rate", "follower.replication.throttled.replicas");
        assert_eq!(names, [leader, follower]);
        let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
        let mut throttle = ReplicationThrottle::new(Role::Leader);
        assert!(!throttle.is_set());
        set(&mut image, &mut delta, ConfigRecord::BROKER, "", leader.0, "1000");
        set(&mut image, &mut delta, ConfigRecord::TOPIC, "orders", leader.1, "*");
        throttle.update(1, &image, &delta);
        assert!(throttle.is_set());
        // What goes to partitions that it does not concern is not counted.
        throttle.record(&TopicPartition::of("payments", 0), 1_000_000, Instant::START);
        assert!(!throttle.is_exceeded(&TopicPartition::of("orders", 0), Instant::START));
        assert!(!throttle.is_exceeded(&TopicPartition::of("payments", 0), Instant::START));
    }
}
