//! Why a partition has no leader.
//!
//! Source: `failure-catalog.md` PA-06, RE-02: without unclean election the partition waits for the last in-sync replica.

use ackproof_core::fact::Fact;
use ackproof_core::types::NodeId;

use super::Tale;
use super::cause::Cause;
use super::lineage::Lineage;
use super::steps::step;
use crate::anomaly::{Anomaly, Kind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let Some(partition) = Tale::partition(anomaly) else { return Tale::unknown() };
    let Some(line) = lineage.partitions.get(&partition) else { return Tale::unknown() };
    if line.final_leader.is_some() || (anomaly.kind == Kind::Stuck && anomaly.record.is_some()) {
        return anomaly.record.map_or_else(Tale::unknown, |record| Tale::told_only(lineage, record));
    }
    let offline = line
        .structure
        .iter()
        .rev()
        .copied()
        .find(|at| matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. } | Fact::LeaderElected { .. }));
    let Some(offline) = offline else { return Tale::unknown() };
    let Fact::PartitionOffline { isr, .. } = &lineage.events[offline].fact else { return Tale::unknown() };
    let mut places = vec![offline];
    // How those that it waits for went.
    places.extend(isr.iter().filter_map(|broker| lineage.last_death(NodeId::Broker(*broker), 0, lineage.events.len())));
    places.extend(line.structure.iter().rev().copied().find(|at| {
        *at < offline && matches!(&lineage.events[*at].fact, Fact::IsrChanged { from, to, .. } if to.len() < from.len())
    }));
    places.sort_unstable();
    Tale::new(Cause::NoEligibleLeader, places.into_iter().map(|at| step(lineage, at)).collect())
}
