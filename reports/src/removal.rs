//! What the log of a partition may forget: where it begins by the rules, and how far it is compacted.
//!
//! Who says that a log begins later says why; what had not been committed there at that time must not go, whatever the reason
//! (KAFKA-5634). A trace that never says why a log begins where it begins is believed.

use ackproof_core::types::{Instant, NodeId, Offset};

/// What the replicas of a partition said of their beginnings and of the cleaner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    /// Of each replica; they are few.
    high_watermarks: Vec<(NodeId, Offset)>,
    /// When it was deleted up to where, as far as that was allowed.
    deletions: Vec<(Instant, Offset)>,
    /// The cleaner of some replica has been up to here.
    compacted: Offset,
}

impl Removal {
    /// A replica's high watermark moved.
    pub(crate) fn committed(&mut self, node: NodeId, to: Offset) {
        match self.high_watermarks.iter_mut().find(|(of, _)| *of == node) {
            Some((_, high_watermark)) => *high_watermark = to,
            None => self.high_watermarks.push((node, to)),
        }
    }

    /// A replica begins later.
    pub(crate) fn begins(&mut self, node: NodeId, to: Offset, at: Instant) {
        let known = self.high_watermarks.iter().find(|(of, _)| *of == node);
        let allowed = known.map_or(to, |(_, high_watermark)| to.min(*high_watermark));
        self.deletions.push((at, allowed));
    }

    /// The cleaner of a replica has been here.
    pub(crate) fn cleaned(&mut self, to: Offset) {
        self.compacted = self.compacted.max(to);
    }

    /// Whether a record that lies below the log start was allowed to go.
    pub(crate) fn may_be_forgotten(&self, offset: Offset) -> bool {
        self.deletions.is_empty() || self.deletions.iter().any(|(_, start)| offset < *start)
    }

    /// Whether a record that was there was deleted by the rules. That stays so if the log is lost afterwards, and begins at 0 again.
    pub(crate) fn was_deleted(&self, offset: Offset, (since, until): (Instant, Instant)) -> bool {
        self.deletions.iter().any(|(at, to)| (since..until).contains(at) && offset < *to)
    }

    /// Whether the cleaner has looked at an offset.
    pub(crate) fn is_compacted(&self, offset: Offset) -> bool {
        offset < self.compacted
    }
}
