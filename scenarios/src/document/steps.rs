//! `[[step]]`, as it was written: a trigger and exactly one action.
//!
//! The actions are keys of the step (externally tagged): that keeps the place of every key and value, which serde's
//! flattened and internally tagged enums lose.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::cluster::Topic;
use super::faults::{DiskFault, FilePart, Link, Messages, Rollback};
use super::operations::{AddPartitions, AlterConfig, DeleteRecords, Reassign};
use super::values::{FactPatterns, Nodes, PartitionName, SignedTime, Time, TimeOrRange, Value, Written};

/// Something that is done to the cluster, and when.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Step {
    /// Its name, for reports and for other steps.
    pub name: Option<Written<String>>,

    /// Trigger: so long after the cluster is ready.
    #[schemars(with = "Option<TimeOrRange>")]
    pub at: Option<Written<String>>,
    /// Trigger: before the event of this number, counted over the whole run. It is another moment in every other version of this program,
    /// and in every other scenario: for what a sweep has found.
    pub before_event: Option<Written<u64>>,
    /// Trigger: when this fact has been seen; or each of these, in any order.
    #[schemars(with = "Option<FactPatterns>")]
    pub when: Option<Written<When>>,
    /// Trigger: when the step of this name has happened. Together with `when`: facts count only from then on.
    pub after: Option<Written<String>>,
    /// How much later than its trigger the step happens; at once if not given.
    #[schemars(with = "Option<TimeOrRange>")]
    pub wait: Option<Written<String>>,
    /// It ends by itself after this long: what was stopped starts, what was cut heals.
    #[serde(rename = "for")]
    #[schemars(with = "Option<TimeOrRange>")]
    pub lasts: Option<Written<String>>,
    /// The nodes it happens to can be called this by later steps.
    #[serde(rename = "as")]
    pub bind: Option<Written<String>>,

    /// Action: SIGKILL. Memory is gone, the page cache stays. With `for` the process starts again.
    #[schemars(with = "Option<Nodes>")]
    pub kill: Option<Written<Value>>,
    /// Action: starts what does not run; gives power back.
    #[schemars(with = "Option<Nodes>")]
    pub start: Option<Written<Value>>,
    /// Action: SIGTERM, a clean shutdown. With `for` the process starts again.
    #[schemars(with = "Option<Nodes>")]
    pub stop: Option<Written<Value>>,
    /// Action: SIGSTOP, as a long garbage collection: timers fire late, sockets stay. With `for` it goes on.
    #[schemars(with = "Option<Nodes>")]
    pub pause: Option<Written<Value>>,
    /// Action: what the programs of these consumers work with is away: no record can be processed until the step ends.
    #[schemars(with = "Option<Nodes>")]
    pub outage: Option<Written<Value>>,
    /// Action: SIGCONT.
    #[schemars(with = "Option<Nodes>")]
    pub resume: Option<Written<Value>>,
    /// Action: the machines lose power, all at one instant. With `for` they get it back and start.
    pub power_loss: Option<Written<PowerLoss>>,
    /// Action: links carry nothing.
    pub cut: Option<Written<Cut>>,
    /// Action: messages vanish, and what is behind them on their connection too.
    pub drop: Option<Written<Messages>>,
    /// Action: messages arrive later.
    pub delay: Option<Written<Messages>>,
    /// Action: messages arrive when this step ends, even if their sender has closed the connection by then.
    pub hold: Option<Written<Messages>>,
    /// Action: messages vanish and their connections are reset.
    pub reset: Option<Written<Messages>>,
    /// Action: requests are executed once more, as a proxy that repeats them does; nobody waits for the second answer.
    pub duplicate: Option<Written<Messages>>,
    /// Action: messages arrive with a bit flipped that TCP's checksum did not catch.
    pub corrupt: Option<Written<Messages>>,
    /// Action: Produce requests wait in their client, and go out when this step ends, with the records of the last batch that the
    /// client has sent meanwhile: their buffers have been reused (KAFKA-19012).
    pub reuse_buffer: Option<Written<Messages>>,
    /// Action: connections between these nodes are reset.
    pub disconnect: Option<Written<Disconnect>>,
    /// Action: the connections that there are between these nodes carry nothing any more, and neither end is told.
    pub silence: Option<Written<Disconnect>>,
    /// Action: links get slower, lossier or narrower.
    pub link: Option<Written<Link>>,
    /// Action: disks misbehave.
    pub disk: Option<Written<DiskFault>>,
    /// Action: disks are replaced by empty ones; the processes must not run.
    #[schemars(with = "Option<Nodes>")]
    pub wipe: Option<Written<Value>>,
    /// Action: disks are as they were when an earlier step happened; the processes must not run.
    pub rollback: Option<Written<Rollback>>,
    /// Action: one bit of a file is another.
    pub flip_bit: Option<Written<FilePart>>,
    /// Action: the end of a file is gone.
    pub truncate: Option<Written<FilePart>>,
    /// Action: the end of a file reads as zeros.
    pub zero_tail: Option<Written<FilePart>>,
    /// Action: a file is gone. A process that has it open keeps it until it ends.
    pub delete: Option<Written<FilePart>>,
    /// Action: wall clocks jump.
    pub clock_jump: Option<Written<ClockJump>>,
    /// Action: clocks run too fast or too slow.
    pub clock_drift: Option<Written<ClockDrift>>,
    /// Action: brokers go by the metadata log late, as if the thread that publishes it were slow.
    pub metadata_lag: Option<Written<MetadataLag>>,
    /// Action: an operator asks for an election.
    pub elect: Option<Written<Elect>>,
    /// Action: an operator changes properties of a topic, of brokers, or the limits of a client.
    pub alter_config: Option<Written<AlterConfig>>,
    /// Action: an operator moves a partition to other replicas, or cancels that.
    pub reassign: Option<Written<Reassign>>,
    /// Action: an operator adds partitions to a topic.
    pub add_partitions: Option<Written<AddPartitions>>,
    /// Action: an operator deletes the records of a partition below an offset.
    pub delete_records: Option<Written<DeleteRecords>>,
    /// Action: an operator creates a topic.
    pub create_topic: Option<Written<Topic>>,
    /// Action: an operator deletes the topic of this name.
    pub delete_topic: Option<Written<String>>,
    /// Action: what the step of this name did ends now.
    pub heal: Option<Written<String>>,
    /// Action: nothing; the text names a moment for the report and for other steps.
    pub mark: Option<Written<String>>,
}

/// The facts that a step waits for.
#[derive(Clone, Debug, Default)]
pub struct When(pub Vec<Pattern>);

/// One fact: `fact`, `node` and `times`, and everything else a field of the fact.
pub type Pattern = BTreeMap<Written<String>, Written<Value>>;

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WhenVisitor;
        impl<'de> Visitor<'de> for WhenVisitor {
            type Value = When;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a fact like { fact = \"appended\" }, or a list of facts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<When, A::Error> {
                let mut pattern = Pattern::new();
                while let Some((key, value)) = entries.next_entry()? {
                    pattern.insert(key, value);
                }
                Ok(When(vec![pattern]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<When, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = elements.next_element()? {
                    patterns.push(pattern);
                }
                if patterns.is_empty() { Err(A::Error::custom("an empty list of facts")) } else { Ok(When(patterns)) }
            }
        }
        deserializer.deserialize_any(WhenVisitor)
    }
}

/// What a loss of power leaves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PowerLoss {
    /// Whose machines.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// What survives of the data that was not synced; a prefix if not given.
    #[serde(default)]
    pub keep: Keep,
}

/// What survives of the data that was written but not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// The first so many writes of each file, drawn from the seed.
    #[default]
    Prefix,
    /// A prefix and a piece of the next write.
    Torn,
    /// Any pages, drawn one by one.
    Subset,
    /// Everything.
    Everything,
}

/// Links that carry nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cut {
    /// From these nodes
    #[schemars(with = "Nodes")]
    pub from: Written<Value>,
    /// to those.
    #[schemars(with = "Nodes")]
    pub to: Written<Value>,
    /// In both directions if not given.
    #[serde(default)]
    pub direction: CutDirection,
}

/// Which way a link is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CutDirection {
    /// There and back.
    #[default]
    Both,
    /// From `from` to `to` only.
    OneWay,
}

/// Connections that are reset.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disconnect {
    /// Between these nodes
    #[schemars(with = "Nodes")]
    pub from: Written<Value>,
    /// and those.
    #[schemars(with = "Nodes")]
    pub to: Written<Value>,
}

/// Wall clocks that jump.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClockJump {
    /// Whose.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// How far, with its sign.
    #[schemars(with = "SignedTime")]
    pub by: Written<String>,
}

/// Clocks that run at the wrong speed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClockDrift {
    /// Whose.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// Parts per million too fast; negative is too slow.
    pub ppm: Written<i32>,
}

/// Brokers that hear of the cluster late.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetadataLag {
    /// Which.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// How late.
    #[schemars(with = "Time")]
    pub by: Written<String>,
}

/// An election asked for by an operator.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Elect {
    /// Where.
    #[schemars(with = "PartitionName")]
    pub partition: Written<String>,
    /// Among whom; the preferred leader if not given.
    #[serde(default, rename = "type")]
    pub kind: ElectionType,
}

/// Who may be elected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ElectionType {
    /// The first replica, if it is in sync.
    #[default]
    Preferred,
    /// Any replica, even one that is not in sync.
    Unclean,
}
