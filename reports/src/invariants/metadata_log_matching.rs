//! `MetadataLogMatching`: what a broker has read of the metadata log is what the controller has in it.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: the metadata log of every broker is a prefix of that of the
//! controller. Brokers read committed batches only, so the first broker that reads one makes it count for all: others must
//! read the same there, and no controller may write anything else there.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::types::NodeId;

use super::replica_log::Batch;

/// The topic of the metadata log.
const TOPIC: &str = "__cluster_metadata";

/// What was read of the metadata log, by whom.
#[derive(Clone, Debug, Default)]
pub(super) struct MetadataLogs {
    /// Batches by their base offset, each with its first reader.
    read: BTreeMap<i64, (Batch, NodeId)>,
    told: bool,
}

impl MetadataLogs {
    /// Takes a fact. Says what is wrong, if it is broken for the first time.
    pub(super) fn take(&mut self, event: &Event) -> Option<String> {
        let what = match &event.fact {
            Fact::MetadataReplayed { base_offset, last_offset, leader_epoch, crc } => {
                let batch = Batch { base: base_offset.0, last: last_offset.0, epoch: leader_epoch.0, crc: Some(*crc) };
                self.replayed(event.node, batch)
            }
            Fact::Appended { partition, role: Role::Leader, base_offset, leader_epoch, .. }
                if matches!(event.node, NodeId::Controller(_)) && partition.topic.as_str() == TOPIC =>
            {
                self.written(base_offset.0, leader_epoch.0)
            }
            _ => None,
        };
        let what = what.filter(|_| !self.told);
        self.told |= what.is_some();
        what
    }

    fn replayed(&mut self, reader: NodeId, batch: Batch) -> Option<String> {
        let Some((first, by)) = self.read.get(&batch.base) else {
            let before = self.read.range(..batch.base).next_back().map(|(_, (before, by))| (*before, *by));
            let after = self.read.range(batch.base..).next().map(|(_, (after, by))| (*after, *by));
            self.read.insert(batch.base, (batch, reader));
            let overlaps = |other: &Batch| other.base <= batch.last && batch.base <= other.last;
            let (_, by) = before.into_iter().chain(after).find(|(other, _)| overlaps(other))?;
            return Some(format!("{reader} and {by} have read different batches at metadata offset {}", batch.base));
        };
        (*first != batch)
            .then(|| format!("{reader} and {by} have read different batches at metadata offset {}", batch.base))
    }

    fn written(&mut self, base: i64, epoch: i32) -> Option<String> {
        let (_, (batch, by)) = self.read.range(base..).next()?;
        // One that was deposed long ago may write what nobody will read.
        (epoch >= batch.epoch)
            .then(|| format!("metadata offset {} was read by {by}, and a controller writes it anew", batch.base))
    }
}
