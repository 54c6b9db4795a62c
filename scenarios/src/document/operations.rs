//! What an operator does in a step, as it was written; named like Kafka's tools.

use schemars::JsonSchema;
use serde::Deserialize;

use super::cluster::{Assignments, Replicas};
use super::values::{PartitionName, Properties, Value, Written};

/// `kafka-configs --alter`: properties change while everything runs. Of `topic`, `broker`, `group` and `client` one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlterConfig {
    /// Properties of this topic.
    pub topic: Option<Written<String>>,
    /// Properties of this broker, by its id; "all" for all of them.
    #[schemars(with = "Option<Value>")]
    pub broker: Option<Written<Value>>,
    /// Properties of this group.
    pub group: Option<Written<String>>,
    /// Limits of this client (`producer_byte_rate`, `consumer_byte_rate`); "all" for those without limits of their own.
    pub client: Option<Written<String>>,
    /// Properties that are set, by Kafka's names.
    #[serde(default)]
    pub set: Properties,
    /// Properties that get their defaults back.
    #[serde(default)]
    pub remove: Vec<Written<String>>,
}

/// `kafka-reassign-partitions`: a partition moves to other replicas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reassign {
    /// Which.
    #[schemars(with = "PartitionName")]
    pub partition: Written<String>,
    /// Where to, preferred leader first.
    pub replicas: Option<Written<Replicas>>,
    /// With `true` instead of replicas: the move that is under way is cancelled.
    #[serde(default)]
    pub cancel: Option<Written<bool>>,
}

/// `kafka-delete-records`: the records of a partition below an offset are gone. Of `before` and `all-committed` one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeleteRecords {
    /// Which partition.
    #[schemars(with = "PartitionName")]
    pub partition: Written<String>,
    /// The first offset that stays.
    pub before: Option<Written<i64>>,
    /// With `true` instead: everything that is committed goes (offset -1 of the tool).
    #[serde(default)]
    pub all_committed: Option<Written<bool>>,
}

/// `kafka-topics --alter --partitions`: a topic gets more partitions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddPartitions {
    /// Which.
    pub topic: Written<String>,
    /// How many it is to have in all.
    pub partitions: Written<i32>,
    /// The replicas of each new one, preferred leader first; the controller places them if not given.
    pub replicas: Option<Written<Assignments>>,
}
