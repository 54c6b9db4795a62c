//! Which file of a broker is damaged, and where.

use ackproof_core::types::TopicPartition;

use crate::world::Damage;

/// Damage to the files of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDamage {
    /// What is done.
    pub damage: Damage,
    /// To which kind of file.
    pub file: FileKind,
    /// Of which partition; none for the files of the log directory itself.
    pub partition: Option<TopicPartition>,
    /// Of which segment, unless the place says it.
    pub segment: SegmentChoice,
    /// Where in the file.
    pub place: Place,
    /// Which bit of the byte, if one is flipped.
    pub bit: u8,
}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From this byte on.
    From(u64),
    /// The last so many bytes.
    Last(u64),
    /// The batch with the record at this offset, in the segment that has it.
    Offset(i64),
}

/// Which of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentChoice {
    /// The oldest.
    First,
    /// The active one.
    Last,
    /// All of them.
    All,
}

macro_rules! files {
    ($($(#[$doc:meta])* $variant:ident = $key:literal, $name:literal, $place:ident;)*) => {
        /// The kinds of file in a log directory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FileKind {
            $($(#[$doc])* $variant),*
        }

        impl FileKind {
            /// Every kind, by the name that scenarios use.
            pub const ALL: &'static [(&'static str, FileKind)] = &[$(($key, FileKind::$variant)),*];

            /// The name of the file, or the ending of one that each segment has.
            pub fn name(self) -> &'static str {
                match self { $(FileKind::$variant => $name),* }
            }

            /// Whether it belongs to a partition rather than to the whole log directory.
            pub fn is_of_partition(self) -> bool {
                match self { $(FileKind::$variant => files!(@of_partition $place)),* }
            }

            /// The ending, where each segment has such a file.
            pub fn suffix(self) -> Option<&'static str> {
                match self { $(FileKind::$variant => files!(@suffix $place $name)),* }
            }
        }
    };
    (@of_partition segment) => { true };
    (@of_partition partition) => { true };
    (@of_partition directory) => { false };
    (@suffix segment $name:literal) => { Some($name) };
    (@suffix partition $name:literal) => { None };
    (@suffix directory $name:literal) => { None };
}

files! {
    /// The batches of a segment.
    Log = "log", ".log", segment;
    /// Offset to position.
    Index = "index", ".index", segment;
    /// Timestamp to offset.
    TimeIndex = "timeindex", ".timeindex", segment;
    /// Aborted transactions.
    TransactionIndex = "txnindex", ".txnindex", segment;
    /// The state of producers.
    Snapshot = "snapshot", ".snapshot", segment;
    /// Epochs and where they began.
    LeaderEpochCheckpoint = "leader-epoch-checkpoint", "leader-epoch-checkpoint", partition;
    /// The topic id.
    PartitionMetadata = "partition-metadata", "partition.metadata", partition;
    /// Below it everything is on the device.
    RecoveryPointCheckpoint = "recovery-point-checkpoint", "recovery-point-offset-checkpoint", directory;
    /// The high watermarks.
    HighWatermarkCheckpoint = "high-watermark-checkpoint", "replication-offset-checkpoint", directory;
    /// Where logs start.
    LogStartCheckpoint = "log-start-checkpoint", "log-start-offset-checkpoint", directory;
    /// The last stop was clean.
    CleanShutdown = "clean-shutdown", ".kafka_cleanshutdown", directory;
    /// Who the broker is.
    MetaProperties = "meta-properties", "meta.properties", directory;
}
