//! `buffer.memory`: what the batches of a producer may take up together.
//!
//! Kafka: `BufferPool`. Its free list of buffers of `batch.size` saves allocations and changes nothing in the account, so
//! there is none here. Who waits for memory is served in order, and nobody overtakes: the producer's queue of sends.

/// An account of bytes.
#[derive(Clone, Debug)]
pub(super) struct BufferPool {
    total: u64,
    available: u64,
}

/// Why there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoMemory {
    /// Others must give some back first.
    Exhausted,
    /// There never is that much.
    MoreThanTotal,
}

impl BufferPool {
    pub(super) fn new(total: u64) -> Self {
        Self { total, available: total }
    }

    pub(super) fn allocate(&mut self, bytes: u64) -> Result<(), NoMemory> {
        if bytes > self.total {
            return Err(NoMemory::MoreThanTotal);
        }
        self.available = self.available.checked_sub(bytes).ok_or(NoMemory::Exhausted)?;
        Ok(())
    }

    /// # Panics
    /// If more comes back than was taken.
    pub(super) fn deallocate(&mut self, bytes: u64) {
        self.available += bytes;
        assert!(self.available <= self.total, "memory came back twice");
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> u64 {
        self.total - self.available
    }
}
