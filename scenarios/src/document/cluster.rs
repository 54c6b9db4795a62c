//! `[cluster]` and `[[topic]]`, as they were written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Fraction, Properties, Time, Value, Version, Written};

/// The brokers and what lies between them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cluster {
    /// The Kafka version of brokers and clients: defaults and behaviour follow from it. 3.9 if not given.
    #[schemars(with = "Option<Version>")]
    pub kafka: Option<Written<String>>,
    /// How many brokers; their ids are 1, 2, ... Instead of, or together with, `[[cluster.broker]]`.
    pub brokers: Option<Written<u32>>,
    /// A server.properties file for every broker, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Broker properties by Kafka's names, for every broker and the controller (which otherwise has the configuration of the first broker). They win over `config-file`.
    pub config: Properties,
    /// Historical fixes, switched on or off against what the version has.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub toggles: Properties,
    /// Single brokers.
    pub broker: Vec<Broker>,
    /// The KRaft controller.
    pub controller: Option<Controller>,
    /// How messages travel.
    pub network: Option<Network>,
    /// How disks behave.
    pub disk: Option<Disk>,
    /// How long brokers take to serve requests; no time if not given.
    pub requests: Option<Requests>,
}

/// One broker.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Broker {
    /// Its `broker.id`. May be left out if its configuration file says it.
    pub id: Option<Written<i32>>,
    /// Its server.properties, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Its own properties. They win over `config-file` and over those of the cluster.
    #[serde(default)]
    pub config: Properties,
}

/// The KRaft controller.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Controller {
    /// Its own properties. They win over those of the cluster.
    #[serde(default)]
    pub config: Properties,
}

/// How messages travel, between any two nodes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// The time a message takes, or a range from which each message draws; 100us..500us if not given.
    #[schemars(with = "Option<super::values::TimeOrRange>")]
    pub latency: Option<Written<String>>,
    /// How many packets are lost and sent again (a delay, as with TCP); 0/1 if not given.
    #[schemars(with = "Option<Fraction>")]
    pub loss: Option<Written<String>>,
    /// Bytes per second; unlimited if not given.
    pub bandwidth: Option<Written<u64>>,
}

/// How disks behave when they are well.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// Time of one write into the page cache; 2us if not given.
    #[schemars(with = "Option<Time>")]
    pub write: Option<Written<String>>,
    /// Time of one fsync; 1ms if not given.
    #[schemars(with = "Option<Time>")]
    pub sync: Option<Written<String>>,
    /// Age at which the operating system writes a dirty page back; 30s if not given.
    #[schemars(with = "Option<Time>")]
    pub writeback: Option<Written<String>>,
    /// How often the operating system looks for such pages; 5s if not given.
    #[schemars(with = "Option<Time>")]
    pub writeback_interval: Option<Written<String>>,
    /// When more bytes than this are dirty, the oldest are written back at once; no limit if not given.
    pub dirty_bytes: Option<Written<u64>>,
    /// How many bytes fit into each log directory; unlimited if not given.
    pub capacity: Option<Written<u64>>,
}

/// How long brokers take to serve requests, each on one of `num.io.threads`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Requests {
    /// Every request; no time if not given.
    #[schemars(with = "Option<Time>")]
    pub time: Option<Written<String>>,
    /// Requests of some APIs, by Kafka's names: `{ Produce = "20ms" }`.
    #[schemars(with = "std::collections::BTreeMap<String, Time>")]
    pub apis: std::collections::BTreeMap<Written<String>, Written<String>>,
}

/// A topic, created before the clients start.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Topic {
    /// Its name.
    pub name: Written<String>,
    /// How many partitions; 1 if not given.
    pub partitions: Option<Written<i32>>,
    /// How many replicas each has; `default.replication.factor` if not given.
    pub replication_factor: Option<Written<i16>>,
    /// The replicas of each partition by broker id, preferred leader first, instead of the two numbers.
    pub replicas: Option<Written<Assignments>>,
    /// A file of topic properties, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Topic properties by Kafka's names. They win over `config-file`.
    #[serde(default)]
    pub config: Properties,
}

/// The replicas of each partition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Assignments(pub Vec<Written<Replicas>>);

/// The replicas of one partition, preferred leader first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Replicas(pub Vec<Written<i32>>);

impl Replicas {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
