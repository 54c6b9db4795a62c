//! `ReplicationQuorumSuperset`: a leader waits at least for everybody who may be elected.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: for every leader that is not stale, the ISR of the
//! controller is a subset of its maximal ISR, the one that it knows together with the one that it has asked for.
//! Not modelled: the part about the ELR (KIP-966: its members are in the maximal ISR, too, while that has at least
//! min.insync.replicas members); a partition below it moves no high watermark, so LeaderCandidateCompleteness sees it.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    let looks = match scene.change {
        Change::Isr { .. } => true,
        Change::LeaderIsr(broker) | Change::BecameLeader(broker, _) => *broker == partition.decided.leader,
        _ => false,
    };
    let (broker, replica) = partition.current_leader().filter(|_| looks)?;
    let leads = replica.leads.as_ref()?;
    let missing = partition.decided.isr.iter().find(|member| !leads.counts(**member))?;
    Some(format!(
        "broker {missing} is in the ISR {:?}, and the leader, broker {broker}, does not wait for it: it knows {:?} and has asked for {:?}",
        partition.decided.isr,
        leads.isr,
        leads.proposed.as_deref().unwrap_or_default()
    ))
}
