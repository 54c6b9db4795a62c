//! One replica's data: segments, indexes, epochs, producer state, checkpoints, recovery.
//!
//! Reading order: [`unified_log`] is the whole of one replica (what it takes in is in `append`, how it is cut in
//! `truncation`, what is decided of it in `transactions`, how it starts in `loader`, what it may forget in `retention` and `cleaner`); [`segment`] is one file of batches with its [`offset_index`], [`time_index`] and [`transaction_index`];
//! [`leader_epoch_cache`] and [`producer_state`] are what is remembered about the batches; [`log_manager`] is all logs
//! of a broker with their [`checkpoints`]; [`partition_metadata`] says whose log a directory is.

mod append;
mod batch_scanner;
pub mod checkpoints;
mod cleaner;
mod cleaner_manager;
#[cfg(test)]
mod durability_tests;
mod index_file;
pub mod leader_epoch_cache;
mod leftovers;
mod loader;
pub mod log_directories;
pub mod log_manager;
pub mod offset_index;
pub mod partition_metadata;
mod producer_loading;
pub mod producer_snapshot;
pub mod producer_state;
#[cfg(test)]
mod recovery_tests;
mod retention;
pub mod segment;
#[cfg(test)]
mod segment_tests;
#[cfg(test)]
mod testing;
pub mod time_index;
mod torn_tail;
pub mod transaction_index;
mod transactions;
mod truncation;
pub mod unified_log;
mod validator;
#[cfg(test)]
mod watched_disk;

pub use append::{AppendError, AppendInfo};
pub use checkpoints::OffsetCheckpointFile;
pub use leader_epoch_cache::{EpochEntry, LeaderEpochFileCache};
pub use loader::Checkpointed;
pub use log_manager::LogManager;
pub use producer_state::{ProducerStateEntry, ProducerStateManager};
pub use segment::LogSegment;
pub use transaction_index::{AbortedTxn, TransactionIndex};
pub use unified_log::UnifiedLog;
