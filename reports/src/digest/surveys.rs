//! What is found at the end of a run, as words.

use ackproof_core::fact::Fact;

use super::{Digest, Words};

/// Takes what a survey has found; no other fact is handed to it.
pub(super) fn absorb(d: &mut Digest, fact: &Fact) {
    match fact {
        Fact::GroupSurveyed { group, state, assignor, members } => {
            d.put(109u64).put(group.as_str()).put(state.as_str()).put(assignor.as_str()).put(members.len() as u64);
            members.iter().for_each(|member| member.as_str().absorb(d));
        }
        Fact::GroupEpochsSurveyed { group, epoch, target_epoch } => {
            d.put(303u64).put(group.as_str()).put(*epoch).put(*target_epoch);
        }
        Fact::GroupMemberSurveyed { group, member, host, client_id, epoch, assigned, target } => {
            d.put(304u64)
                .put(group.as_str())
                .put(member.as_str())
                .put(host.as_str())
                .put(client_id.as_str())
                .put(*epoch);
            for partitions in [assigned, target] {
                d.put(partitions.len() as u64);
                partitions.iter().for_each(|partition| partition.absorb(d));
            }
        }
        Fact::GroupPartitionSurveyed { group, partition, committed, member, host, client_id } => {
            d.put(110u64).put(group.as_str()).put(partition).put(committed.0);
            d.put(member.as_str()).put(host.as_str()).put(client_id.as_str());
        }
        Fact::ReplicaSurveyed {
            partition,
            broker,
            running,
            leader,
            in_isr,
            log_start,
            high_watermark,
            log_end,
            leader_epoch,
        } => {
            d.put(42u64)
                .put(partition)
                .put(*broker)
                .put(*running)
                .put(*leader)
                .put(*in_isr)
                .put(log_start.0)
                .put(high_watermark.0)
                .put(log_end.0)
                .put(leader_epoch.0);
        }
        Fact::RecordSurveyed { partition, broker, offset, leader_epoch, key, value } => {
            d.put(43u64).put(partition).put(*broker).put(offset.0).put(leader_epoch.0);
            d.payload(key.as_ref());
            d.payload(value.as_ref());
        }
        _ => {}
    }
}
