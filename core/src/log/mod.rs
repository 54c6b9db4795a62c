//! One replica's data: segments, indexes, epochs, checkpoints, recovery.
