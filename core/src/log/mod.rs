//! One replica's data: segments, indexes, epochs, producer state, checkpoints, recovery.
//!
//! Reading order: [`unified_log`] is the whole of one replica (its appends are in `append`, its start in `loader`),
//! [`segment`] one file of batches with its [`offset_index`] and [`time_index`], [`leader_epoch_cache`] and
//! [`producer_state`] what is remembered about the batches, [`log_manager`] all logs of a broker with its
//! [`checkpoints`].

pub mod checkpoints;
pub mod log_manager;
pub mod unified_log;

pub use checkpoints::OffsetCheckpointFile;
pub use log_manager::LogManager;
pub use unified_log::{AppendError, AppendInfo, UnifiedLog};
