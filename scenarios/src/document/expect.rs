//! `[expect]` and `[fix]`, as they were written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::clients::{AtEnd, OnError};
use super::consumers::{Commit, CommitFailure, OnFailure, OnStop, Sink};
use super::values::{Count, Properties, Time, Value, Version, Written};

/// What the run must show. Anomalies that are not listed must not occur.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    /// `true`: no anomaly at all, as a control says.
    pub clean: Option<Written<bool>>,
    /// The anomalies that must occur.
    pub anomaly: Vec<ExpectedAnomaly>,
    /// Invariants that must be broken.
    pub invariant: Vec<ExpectedInvariant>,
    /// Numbers that must come out.
    pub counts: Counts,
}

/// An invariant that must be broken.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectedInvariant {
    /// Its published name: `StrongIsr`, `LeaderCompleteness`, ...
    pub name: Written<String>,
    /// In how many partitions; in at least one if not given.
    #[schemars(with = "Option<Count>")]
    pub count: Option<Written<Value>>,
}

/// An anomaly that must occur.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectedAnomaly {
    /// Its name: `lost-write`, `duplicate`, ...
    pub kind: Written<String>,
    /// How often; at least once if not given.
    #[schemars(with = "Option<Count>")]
    pub count: Option<Written<Value>>,
    /// Why, as the explanation must find it; any cause if not given.
    pub cause: Option<Written<String>>,
    /// Whether the configuration promises nothing better; either if not given.
    pub permitted: Option<Written<bool>>,
}

/// How many records fared how. What is not given is not looked at.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Counts {
    /// Calls of `send()`.
    #[schemars(with = "Option<Count>")]
    pub sent: Option<Written<Value>>,
    /// Records whose callback said: written.
    #[schemars(with = "Option<Count>")]
    pub acknowledged: Option<Written<Value>>,
    /// Records that certainly were not written.
    #[schemars(with = "Option<Count>")]
    pub failed: Option<Written<Value>>,
    /// Records of which nothing is known.
    #[schemars(with = "Option<Count>")]
    pub indeterminate: Option<Written<Value>>,
    /// Records of which the application never heard.
    #[schemars(with = "Option<Count>")]
    pub pending: Option<Written<Value>>,
    /// Records that a consumer got.
    #[schemars(with = "Option<Count>")]
    pub delivered: Option<Written<Value>>,
    /// Records that were promised and are gone.
    #[schemars(with = "Option<Count>")]
    pub lost: Option<Written<Value>>,
    /// Records that never reached a log, and nobody did anything about it.
    #[schemars(with = "Option<Count>")]
    pub dropped: Option<Written<Value>>,
    /// Copies beyond the first.
    #[schemars(with = "Option<Count>")]
    pub duplicated: Option<Written<Value>>,
    /// Records that are in the log in another order than they were sent.
    #[schemars(with = "Option<Count>")]
    pub reordered: Option<Written<Value>>,
    /// Records that groups processed, each once per group.
    #[schemars(with = "Option<Count>")]
    pub processed: Option<Written<Value>>,
    /// Records that a group went past without processing them.
    #[schemars(with = "Option<Count>")]
    pub lost_deliveries: Option<Written<Value>>,
    /// Records that groups did not process, and handed on to another topic.
    #[schemars(with = "Option<Count>")]
    pub handed_on: Option<Written<Value>>,
    /// Times that a record was processed again.
    #[schemars(with = "Option<Count>")]
    pub duplicate_deliveries: Option<Written<Value>>,
    /// Records that took effect after a newer one of their key.
    #[schemars(with = "Option<Count>")]
    pub reordered_effects: Option<Written<Value>>,
    /// Times that a record was processed again, to no effect.
    #[schemars(with = "Option<Count>")]
    pub absorbed_deliveries: Option<Written<Value>>,
}

/// The smallest change under which the same seed shows no anomaly; the runner proves it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fix {
    /// For every broker and the controller.
    pub cluster: Option<FixedCluster>,
    /// For every topic.
    pub topic: Option<FixedTopic>,
    /// For every producer.
    pub producer: Option<FixedProducer>,
    /// For every consumer.
    pub consumer: Option<FixedConsumer>,
}

/// What is changed about the cluster.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FixedCluster {
    /// By Kafka's names; they win over everything else.
    pub config: Properties,
    /// Historical fixes, against what the version has.
    pub toggles: Properties,
    /// The Kafka version.
    #[schemars(with = "Option<Version>")]
    pub kafka: Option<Written<String>>,
}

/// What is changed about topics.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FixedTopic {
    /// By Kafka's names; they win over everything else.
    pub config: Properties,
    /// How many replicas each partition has; a list of replicas gets the next brokers at its end, or loses its last.
    pub replication_factor: Option<Written<i16>>,
}

/// What is changed about consumers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FixedConsumer {
    /// By Kafka's names; they win over everything else.
    pub config: Properties,
    /// Whether records are handed to a worker.
    pub hand_over: Option<Written<bool>>,
    /// Whether its partitions are paused meanwhile.
    pub pause: Option<Written<bool>>,
    /// What it does when it is told to stop.
    pub on_stop: Option<Written<OnStop>>,
    /// When the program commits.
    pub commit: Option<Written<Commit>>,
    /// Where its effects go.
    pub sink: Option<Written<Sink>>,
    /// What the callback of `commitAsync()` does about a failure.
    pub commit_failure: Option<Written<CommitFailure>>,
    /// What it does about a record that it could not process, instead of what the consumer's key of this name says.
    pub on_failure: Option<Written<OnFailure>>,
}

/// What is changed about producers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FixedProducer {
    /// By Kafka's names; they win over everything else.
    pub config: Properties,
    /// What the program does about errors.
    pub on_error: Option<Written<OnError>>,
    /// What the program does after its last record.
    pub at_end: Option<Written<AtEnd>>,
    /// See the producer's key of this name.
    #[schemars(with = "Option<Time>")]
    pub close_timeout: Option<Written<String>>,
    /// See the producer's key of this name.
    #[schemars(with = "Option<Time>")]
    pub exit_after: Option<Written<String>>,
}

/// The historical fix without which this goes wrong. The file is run both ways: what it expects must come out without the
/// fix, and nothing may go wrong with it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mutation {
    /// Its name, one of those of `[cluster] toggles`.
    pub toggle: Written<String>,
    /// Its value without the fix; false if not given.
    pub off: Option<Written<Value>>,
    /// Its value with the fix; true if not given.
    pub on: Option<Written<Value>>,
    /// Anomalies that may occur with the fix all the same: `["unavailable"]`.
    #[serde(default)]
    pub still: Vec<Written<String>>,
}
