//! The bytes that must survive: record batches, format v2.
//!
//! [`batch`] reads a batch where it lies, [`record`] the records in it; [`builder`] writes one; [`patch`] changes the
//! few header fields that brokers and producers change after the fact; [`filter`] takes records out; [`control`] ends a transaction.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod filter;
pub mod patch;
#[expect(clippy::module_inception, reason = "a record of the record layer; Kafka calls it the same")]
pub mod record;
mod varint;

pub use batch::{Attributes, BATCH_OVERHEAD, BatchError, Batches, RecordBatch, batches};
pub use builder::{BatchBuilder, ProducerState};
pub use compression::{Compression, CompressionRatioEstimator};
pub use control::{EndTransactionMarker, TransactionResult};
pub use filter::WhenEmpty;
pub use patch::{with_max_timestamp, with_offset_and_epoch, with_producer_state};
pub use record::{Header, Record, Records};
