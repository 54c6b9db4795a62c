//! What a program and its store say to each other.

use crate::types::{Offset, TopicPartition};

/// What a program asks of its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// How far it has come in these partitions.
    Read {
        /// In whose name: its group.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// A transaction: all of it, or nothing.
    Write {
        /// In whose name: its group.
        group: String,
        /// What is written, a row for each partition.
        entries: Vec<Entry>,
        /// Whether it is written only where every row is as the program expects it (`UPDATE .. WHERE offset = ?`,
        /// `checkAndPut`).
        guarded: bool,
    },
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The partition.
    pub partition: TopicPartition,
    /// What the program believes to be there; none is no row.
    pub expected: Option<Offset>,
    /// The offset of the next record.
    pub offset: Offset,
    /// The records whose results are written with it.
    pub results: Vec<Offset>,
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreResponse {
    /// How far the program has come; none where there is no row.
    Offsets(Vec<(TopicPartition, Option<Offset>)>),
    /// The transaction is written.
    Written,
    /// A row is not as it was expected: nothing is written.
    Refused,
    /// Its disk failed.
    Failed,
}
