//! Checkers: one property per file, with its published name and source.
//!
//! [`poll_order`], [`key_order`], [`delivery`], [`share_delivery`], [`effect_order`], [`two_owners`], [`nonmonotonic_commit`], [`stale_key`] and [`stale_end_offset`] judge
//! while the run goes on; the others read the ledger once, when it is over.

pub mod delivery;
pub mod effect_order;
mod effects;
pub mod key_order;
pub mod nonmonotonic_commit;
pub mod poll_order;
pub mod share_delivery;
pub mod stale_end_offset;
pub mod stale_key;
pub mod two_owners;

pub(crate) mod compaction;
pub(crate) mod duplicate;
pub(crate) mod expired_unread;
pub(crate) mod inconsistent_offsets;
pub(crate) mod lost_write;
pub(crate) mod misrouted;
pub(crate) mod phantom;
pub(crate) mod reorder;
pub(crate) mod silent_drop;
pub(crate) mod stuck;
pub(crate) mod unseen;

use crate::anomaly::{Anomaly, Kind};
use crate::ledger::{Ledger, Place};
use crate::verdict::Counts;

/// What the checkers found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What went wrong.
    pub anomalies: Vec<Anomaly>,
    /// How often what happened.
    pub counts: Counts,
    /// Why no verdict is possible.
    pub doubts: Vec<String>,
}

impl Findings {
    /// A reason to doubt, said once.
    pub(crate) fn doubt(&mut self, reason: String) {
        if !self.doubts.contains(&reason) {
            self.doubts.push(reason);
        }
    }
}

/// An anomaly of a logical record.
pub(crate) fn of_record(ledger: &Ledger<'_>, kind: Kind, root: usize) -> Anomaly {
    let sent = &ledger.history.sends[root];
    Anomaly {
        topic: Some(ledger.history.topic_name(sent.topic).to_owned()),
        partition: sent.partition.map(|partition| ledger.history.partition_name(partition).partition),
        key: sent.key.clone(),
        value: sent.value.clone(),
        record: Some(sent.id),
        told_at: sent.told_at,
        ..Anomaly::new(kind)
    }
}

/// An anomaly of a partition.
pub(crate) fn of_partition(ledger: &Ledger<'_>, kind: Kind, partition: usize) -> Anomaly {
    let name = ledger.history.partition_name(partition);
    Anomaly { topic: Some(name.topic.as_str().to_owned()), partition: Some(name.partition), ..Anomaly::new(kind) }
}

/// Puts an anomaly of a record where a copy of it is.
pub(crate) fn at(ledger: &Ledger<'_>, mut anomaly: Anomaly, place: Place) -> Anomaly {
    anomaly.partition = Some(ledger.history.partition_name(place.partition).partition);
    anomaly.offset = Some(ackproof_core::types::Offset(ledger.history.offset(place)));
    anomaly
}
