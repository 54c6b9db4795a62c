//! Damage to files behind the back of the process: bit rot, tails that never reached the device, files that are gone.

use ackproof_core::storage::Storage as _;
use bytes::Bytes;

use super::{Entry, SimDisk};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is another.
    FlipBit,
    /// The end of it is gone.
    Truncate,
    /// The end of it reads as zeros.
    ZeroTail,
    /// It is gone. A process that has it open keeps it until it ends.
    Delete,
}

/// Which part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// From this position on, or the byte there.
    From(u64),
    /// The last so many bytes, or the byte there.
    Last(u64),
}

impl Extent {
    fn position(self, len: u64) -> u64 {
        match self {
            Extent::From(position) => position,
            Extent::Last(bytes) => len.saturating_sub(bytes),
        }
    }
}

impl SimDisk {
    /// Damages a file. Returns whether it had what was to be damaged.
    pub fn damage(&mut self, path: &str, damage: Damage, extent: Extent, bit: u8) -> bool {
        if damage == Damage::Delete {
            // The bytes stay for those who have it open.
            let is_file = matches!(self.names.get(path), Some(Entry::File(_)));
            return is_file && self.names.remove(path).is_some();
        }
        let Some(file) = self.file_at_mut(path) else { return false };
        let position = extent.position(file.len());
        if position >= file.len() {
            return false;
        }
        match damage {
            Damage::FlipBit => file.flip_bit(position * 8 + u64::from(bit % 8)),
            Damage::Truncate => {
                file.cut(position);
                true
            }
            Damage::ZeroTail => file.zero_from(position) > 0,
            Damage::Delete => false,
        }
    }

    /// All bytes of a file.
    pub fn content(&self, path: &str) -> Option<Bytes> {
        let file = self.file_at(path)?;
        Some(file.read(0, usize::try_from(file.len()).ok()?))
    }

    /// The names in a directory, in order.
    pub fn names_in(&self, directory: &str) -> Vec<String> {
        self.clone().list(directory).unwrap_or_default()
    }

    /// The directories of this name in the log directories; those themselves for the empty name.
    pub fn directories(&self, name: &str) -> Vec<String> {
        let roots = if self.devices.is_empty() { vec![String::new()] } else { self.devices.clone() };
        let inside = |root: String| match (root.is_empty(), name.is_empty()) {
            (_, true) => root,
            (true, false) => name.to_owned(),
            (false, false) => format!("{root}/{name}"),
        };
        roots.into_iter().map(inside).filter(|path| path.is_empty() || self.names.contains_key(path)).collect()
    }
}
