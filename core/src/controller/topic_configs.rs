//! Which topic properties there are, and which values they take. The errors are in Kafka's words.
//!
//! Kafka: `LogConfig.configDef`, `ConfigDef` (3.9).
//! Not modelled: the values of properties that nothing here reads (compression levels, tiered storage, ...):
//! any value passes.

use std::fmt::Display;

/// What a value must be.
#[derive(Clone, Copy)]
enum Kind {
    Int { at_least: i64 },
    Long { at_least: i64 },
    Bool,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    Anything,
}

use Kind::{Anything, Bool, Int, ListOf, Long, OneOf};

const PROPERTIES: &[(&str, Kind)] = &[
    ("cleanup.policy", ListOf(&["compact", "delete"])),
    ("compression.gzip.level", Anything),
    ("compression.lz4.level", Anything),
    ("compression.type", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Anything),
    ("delete.retention.ms", Long { at_least: 0 }),
    ("file.delete.delay.ms", Long { at_least: 0 }),
    ("flush.messages", Long { at_least: 1 }),
    ("flush.ms", Long { at_least: 0 }),
    ("follower.replication.throttled.replicas", Anything),
    ("index.interval.bytes", Int { at_least: 0 }),
    ("leader.replication.throttled.replicas", Anything),
    ("local.retention.bytes", Long { at_least: -2 }),
    ("local.retention.ms", Long { at_least: -2 }),
    ("max.compaction.lag.ms", Long { at_least: 1 }),
    ("max.message.bytes", Int { at_least: 0 }),
    ("message.downconversion.enable", Bool),
    ("message.format.version", Anything),
    ("message.timestamp.after.max.ms", Long { at_least: 0 }),
    ("message.timestamp.before.max.ms", Long { at_least: 0 }),
    ("message.timestamp.difference.max.ms", Long { at_least: 0 }),
    ("message.timestamp.type", OneOf(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Anything),
    ("min.compaction.lag.ms", Long { at_least: 0 }),
    ("min.insync.replicas", Int { at_least: 1 }),
    ("preallocate", Bool),
    ("remote.log.copy.disable", Bool),
    ("remote.log.delete.on.disable", Bool),
    ("remote.storage.enable", Bool),
    ("retention.bytes", Long { at_least: i64::MIN }),
    ("retention.ms", Long { at_least: -1 }),
    ("segment.bytes", Int { at_least: 14 }),
    ("segment.index.bytes", Int { at_least: 4 }),
    ("segment.jitter.ms", Long { at_least: 0 }),
    ("segment.ms", Long { at_least: 1 }),
    ("unclean.leader.election.enable", Bool),
];

/// Whether a topic may override `name` with `value`; the error is what Kafka says.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    let Some((_, kind)) = PROPERTIES.iter().find(|(known, _)| *known == name) else {
        return Err(format!("Unknown topic config name: {name}"));
    };
    let value = value.trim();
    let invalid = |why: &dyn Display| Err(format!("Invalid value {value} for configuration {name}: {why}"));
    match kind {
        Int { at_least } => match value.parse::<i32>() {
            Err(_) => invalid(&"Not a number of type INT"),
            Ok(number) if i64::from(number) < *at_least => invalid(&format!("Value must be at least {at_least}")),
            Ok(_) => Ok(()),
        },
        Long { at_least } => match value.parse::<i64>() {
            Err(_) => invalid(&"Not a number of type LONG"),
            Ok(number) if number < *at_least => invalid(&format!("Value must be at least {at_least}")),
            Ok(_) => Ok(()),
        },
        Bool if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => Ok(()),
        Bool => invalid(&"Expected value to be either true or false"),
        OneOf(allowed) if allowed.contains(&value) => Ok(()),
        OneOf(allowed) => invalid(&format!("String must be one of: {}", allowed.join(", "))),
        ListOf(allowed) if value.split(',').all(|item| allowed.contains(&item.trim())) => Ok(()),
        ListOf(allowed) => invalid(&format!("String must be one of: {}", allowed.join(", "))),
        Anything => Ok(()),
    }
}

/// The value of a boolean property that passed [`validate`].
pub fn is_true(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_as_kafka_does() {
        for (name, value, problem) in [
            ("min.insync.replicas", "2", None),
            ("cleanup.policy", "compact,delete", None),
            ("unclean.leader.election.enable", "TRUE", None),
            ("min.insync.replicas", "0", Some("Value must be at least 1")),
            ("min.insync.replicas", "two", Some("Not a number of type INT")),
            ("max.message.bytes", "2147483648", Some("Not a number of type INT")),
            ("retention.ms", "-2", Some("Value must be at least -1")),
            ("message.timestamp.type", "Now", Some("String must be one of: CreateTime, LogAppendTime")),
            ("unclean.leader.election.enable", "yes", Some("Expected value to be either true or false")),
        ] {
            let expected = problem.map(|why| format!("Invalid value {value} for configuration {name}: {why}"));
            assert_eq!(validate(name, value).err(), expected);
        }
        assert_eq!(validate("replicas", "3"), Err("Unknown topic config name: replicas".to_owned()));
    }

    #[test]
    fn the_table_is_sorted_so_that_nothing_is_there_twice() {
        assert!(PROPERTIES.is_sorted_by(|left, right| left.0 < right.0));
    }
}
