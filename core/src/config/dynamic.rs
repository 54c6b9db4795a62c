//! Properties of a broker that can be changed while it runs, and what they mean for its topics' logs.
//!
//! Kafka: `DynamicBrokerConfig`, `DynamicConfig`, `ServerTopicConfigSynonyms`, KIP-226.
//! Not modelled: dynamic changes of listeners, thread pools, security, the log cleaner, metrics reporters: they have no
//! effect when they are set at the start either.

use std::collections::BTreeMap;

use super::{BrokerConfig, LogConfig};

/// What a topic calls what a broker calls its default, and how many of the topic's units one of the broker's is. Of
/// several names for one thing the last that is set counts.
const SYNONYMS: &[(&str, &str, i64)] = &[
    ("log.segment.bytes", "segment.bytes", 1),
    ("log.roll.hours", "segment.ms", 3_600_000),
    ("log.roll.ms", "segment.ms", 1),
    ("log.index.size.max.bytes", "segment.index.bytes", 1),
    ("log.index.interval.bytes", "index.interval.bytes", 1),
    ("log.flush.interval.messages", "flush.messages", 1),
    ("log.flush.interval.ms", "flush.ms", 1),
    ("log.retention.hours", "retention.ms", 3_600_000),
    ("log.retention.minutes", "retention.ms", 60_000),
    ("log.retention.ms", "retention.ms", 1),
    ("log.retention.bytes", "retention.bytes", 1),
    ("log.segment.delete.delay.ms", "file.delete.delay.ms", 1),
    ("log.cleaner.delete.retention.ms", "delete.retention.ms", 1),
    ("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms", 1),
    ("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms", 1),
    ("log.cleanup.policy", "cleanup.policy", 0),
    ("log.message.timestamp.type", "message.timestamp.type", 0),
    ("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms", 1),
    ("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms", 1),
    ("message.max.bytes", "max.message.bytes", 1),
    ("min.insync.replicas", "min.insync.replicas", 1),
    ("unclean.leader.election.enable", "unclean.leader.election.enable", 0),
];

/// Dynamic properties of a broker that are no defaults of its topics.
const OTHERS: &[&str] = &["leader.replication.throttled.rate", "follower.replication.throttled.rate"];

/// Whether a broker takes this value for this property while it runs; the error is what Kafka says.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    let Some((_, _, unit)) = SYNONYMS.iter().find(|(broker, _, _)| *broker == name) else {
        if OTHERS.contains(&name) {
            return match value.trim().parse::<i64>() {
                Ok(0..) => Ok(()),
                Ok(_) => Err(format!("Invalid value {value} for configuration {name}: Value must be at least 0")),
                Err(_) => Err(format!("Invalid value {value} for configuration {name}: Not a number of type LONG")),
            };
        }
        return Err(format!("Cannot update these configs dynamically: Set({name})"));
    };
    match value.trim().parse::<i64>() {
        Err(_) if *unit > 0 => Err(format!("Invalid value {value} for configuration {name}: Not a number")),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What the dynamic properties of a broker override in its topics' defaults, by the names of topics.
fn log_overrides(dynamic: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut overrides = BTreeMap::new();
    for (broker, topic, unit) in SYNONYMS {
        let Some(value) = dynamic.get(*broker) else { continue };
        let value = match value.trim().parse::<i64>() {
            Ok(number) if *unit > 1 && number >= 0 => number.saturating_mul(*unit).to_string(),
            Ok(_) | Err(_) => value.clone(),
        };
        overrides.insert((*topic).to_owned(), value);
    }
    overrides
}

impl BrokerConfig {
    /// The defaults of topics on this broker, with what was set for all brokers and for this one while they ran.
    pub fn log_defaults(&self, dynamic: &BTreeMap<String, BTreeMap<String, String>>) -> LogConfig {
        let own = self.broker_id.to_string();
        let layers = ["", own.as_str()].into_iter().filter_map(|resource| dynamic.get(resource));
        layers.fold(self.log.clone(), |config, layer| config.with_overrides(&log_overrides(layer), self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaVersion;

    fn dynamic(set: &[(&str, &str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut all = BTreeMap::<String, BTreeMap<String, String>>::new();
        for (resource, name, value) in set {
            all.entry((*resource).to_owned()).or_default().insert((*name).to_owned(), (*value).to_owned());
        }
        all
    }

    #[test]
    fn what_is_set_for_one_broker_goes_before_what_is_set_for_all() {
        let mut broker = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("defaults are valid").config;
        broker.broker_id = 2;
        for (set, expected) in [
            (&[][..], 1),
            (&[("", "min.insync.replicas", "2")], 2),
            (&[("", "min.insync.replicas", "2"), ("2", "min.insync.replicas", "3")], 3),
            (&[("1", "min.insync.replicas", "3")], 1),
        ] {
            assert_eq!(broker.log_defaults(&dynamic(set)).min_insync_replicas, expected, "{set:?}");
        }
    }

    #[test]
    fn hours_are_hours_and_milliseconds_go_before_them() {
        let broker = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("defaults are valid").config;
        let both = dynamic(&[("", "log.roll.hours", "2"), ("", "log.roll.ms", "5")]);
        assert_eq!(broker.log_defaults(&both).segment_ms.as_millis(), 5);
        let hours = dynamic(&[("", "log.roll.hours", "2")]);
        assert_eq!(broker.log_defaults(&hours).segment_ms.as_millis(), 7_200_000);
    }

    #[test]
    fn what_needs_a_restart_is_refused() {
        for (name, value, accepted) in [
            ("unclean.leader.election.enable", "true", true),
            ("leader.replication.throttled.rate", "1000", true),
            ("leader.replication.throttled.rate", "-1", false),
            ("min.insync.replicas", "two", false),
            ("replica.lag.time.max.ms", "1000", false),
        ] {
            assert_eq!(validate(name, value).is_ok(), accepted, "{name}={value}");
        }
    }
}
