//! Faults of messages, links, disks and files, as they were written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::steps::CutDirection;
use super::values::{Fraction, Nodes, NumberOrRange, PartitionName, Time, TimeOrRange, Value, Written};

/// A class of messages. What is not given matches everything.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Messages {
    /// The API by Kafka's name: Produce, Fetch, Metadata, ...
    pub api: Option<Written<String>>,
    /// Requests or responses.
    pub message: Option<MessageKind>,
    /// The senders.
    #[schemars(with = "Option<Nodes>")]
    pub from: Option<Written<Value>>,
    /// The receivers.
    #[schemars(with = "Option<Nodes>")]
    pub to: Option<Written<Value>>,
    /// A partition that the message carries (Produce and Fetch).
    #[schemars(with = "Option<PartitionName>")]
    pub partition: Option<Written<String>>,
    /// How many matching messages pass first; none if not given.
    #[schemars(with = "Option<NumberOrRange>")]
    pub skip: Option<Written<Value>>,
    /// How many messages are concerned; all until the step ends if not given.
    #[schemars(with = "Option<NumberOrRange>")]
    pub times: Option<Written<Value>>,
    /// With `corrupt` only: where the bit lies; `records` if not given.
    pub part: Option<Corruption>,
    /// With `delay` and `duplicate`: how much later.
    #[schemars(with = "Option<TimeOrRange>")]
    pub by: Option<Written<String>>,
}

/// Requests or responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// From the one who opened the connection.
    Request,
    /// From the one who accepted it.
    Response,
}

/// Where a bit of a message is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Corruption {
    /// In the records of a Produce request or Fetch response, where their CRC covers them; the bit is drawn.
    Records,
    /// In the base offset of the first batch, which the CRC does not cover.
    BaseOffset,
    /// In the leader epoch of the first batch, which the CRC does not cover either.
    LeaderEpoch,
    /// In the partition number of a Produce request: its lowest bit.
    Partition,
}

/// What becomes of links. What is not given stays.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// From these nodes
    #[schemars(with = "Nodes")]
    pub from: Written<Value>,
    /// to those.
    #[schemars(with = "Nodes")]
    pub to: Written<Value>,
    /// In both directions if not given.
    #[serde(default)]
    pub direction: CutDirection,
    /// The time a message takes, or a range from which each message draws.
    #[schemars(with = "Option<TimeOrRange>")]
    pub latency: Option<Written<String>>,
    /// How many packets are lost and sent again.
    #[schemars(with = "Option<Fraction>")]
    pub loss: Option<Written<String>>,
    /// Bytes per second.
    pub bandwidth: Option<Written<u64>>,
}

/// Disks that misbehave.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskFault {
    /// Whose disks.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// Only this log directory, one of `log.dirs`; the whole disk if not given.
    pub dir: Option<Written<String>>,
    /// What is wrong with them.
    #[serde(default)]
    pub faults: Vec<DiskFaultKind>,
    /// So many more bytes fit; the write that does not fit is cut off with ENOSPC.
    pub room: Option<Written<u64>>,
    /// Every call takes so much longer.
    #[schemars(with = "Option<Time>")]
    pub slow: Option<Written<String>>,
    /// How many calls of each disk are concerned; all until the step ends if not given.
    pub times: Option<Written<u64>>,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFaultKind {
    /// Every call fails with EIO.
    IoError,
    /// Every read fails with EIO.
    ReadError,
    /// Every write fails with EIO before a byte is written.
    WriteError,
    /// Every write fails with EIO after some of its bytes have reached the file.
    PartialWrite,
    /// Every write fails with ENOSPC.
    Full,
    /// Every fsync fails with EIO; the pages stay dirty.
    SyncError,
    /// Every fsync fails with EIO, and the system forgets that the pages are dirty ("fsyncgate").
    SyncErrorDropsPages,
    /// As that, but the error is told to nobody.
    SyncDropsPages,
    /// Every fsync says yes and does nothing.
    SyncLies,
    /// No file can be opened and no connection accepted: EMFILE.
    NoFileHandles,
    /// Calls do not come back until the step ends.
    Stalled,
}

/// Disks as they were earlier.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rollback {
    /// Whose disks.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// As they were when the step of this name happened.
    pub to: Written<String>,
}

/// A file of a broker, and a place in it. Without a place, the last byte.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilePart {
    /// Whose.
    #[schemars(with = "Nodes")]
    pub nodes: Written<Value>,
    /// Which file: `log`, `index`, `timeindex`, `txnindex`, `snapshot`, `leader-epoch-checkpoint`, `partition-metadata` of
    /// a partition; `recovery-point-checkpoint`, `high-watermark-checkpoint`, `log-start-checkpoint`, `clean-shutdown`,
    /// `meta-properties` of the log directory. `log` if not given.
    pub file: Option<Written<String>>,
    /// Of which partition.
    #[schemars(with = "Option<PartitionName>")]
    pub partition: Option<Written<String>>,
    /// Of which segment; the active one if not given.
    pub segment: Option<SegmentName>,
    /// Place: the batch with the record at this offset (of a log), in its segment.
    pub offset: Option<Written<i64>>,
    /// Place: from this byte on, the byte at this position.
    pub byte: Option<Written<u64>>,
    /// Place: the last so many bytes, the byte that is so far from the end.
    pub last: Option<Written<u64>>,
}

/// Which of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentName {
    /// The oldest.
    First,
    /// The active one.
    Last,
    /// All of them.
    All,
}
