//! Facts of share groups, as words.

use ackproof_core::fact::{Fact, ShareReason, ShareState};

use super::{Digest, Words};

impl Words for ShareState {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            ShareState::Available => 0,
            ShareState::Acquired => 1,
            ShareState::Acknowledged => 2,
            ShareState::Archived => 4,
        });
    }
}

impl Words for ShareReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            ShareReason::Accepted => 0,
            ShareReason::Released => 1,
            ShareReason::Rejected => 2,
            ShareReason::Gap => 3,
            ShareReason::LockExpired => 4,
            ShareReason::SessionClosed => 5,
        });
    }
}

/// Takes a fact of a share group; none other is handed to it.
pub(super) fn absorb(d: &mut Digest, fact: &Fact) {
    match fact {
        Fact::SharePartitionsAssigned { group, member, epoch, partitions } => {
            d.put(310u64).put(group.as_str()).put(member.as_str()).put(*epoch).put(partitions.len() as u64);
            partitions.iter().for_each(|partition| partition.absorb(d));
        }
        Fact::SharePartitionLoaded { group, partition, start, known, in_flight } => {
            d.put(140u64).put(group.as_str()).put(partition).put(start.0).put(*known).put(*in_flight);
        }
        Fact::ShareAcquired { group, partition, member, first, last, delivery_count, lock_ms } => {
            d.put(141u64).put(group.as_str()).put(partition).put(member.as_str()).put(first.0).put(last.0);
            d.put(u32::from(*delivery_count)).put(*lock_ms);
        }
        Fact::ShareStateChanged { group, partition, member, first, last, state, delivery_count, reason } => {
            d.put(142u64).put(group.as_str()).put(partition).put(member.as_str()).put(first.0).put(last.0);
            d.put(*state).put(u32::from(*delivery_count)).put(*reason);
        }
        Fact::ShareAcknowledgeRefused { group, partition, member, first, last, error } => {
            d.put(143u64).put(group.as_str()).put(partition).put(member.as_str()).put(first.0).put(last.0).put(error.0);
        }
        Fact::SharePolled { group, partition, offset, delivery_count, key, value } => {
            d.put(144u64).put(group.as_str()).put(partition).put(offset.0).put(u32::from(*delivery_count));
            d.payload(key.as_ref());
            d.payload(value.as_ref());
        }
        Fact::ShareAcknowledgeAnswered { group, partition, first, last, error } => {
            d.put(145u64).put(group.as_str()).put(partition).put(first.0).put(last.0).put(error.0);
        }
        Fact::SharePartitionSurveyed { group, partition, start, end, available, acquired } => {
            d.put(146u64).put(group.as_str()).put(partition).put(start.0).put(end.0).put(*available).put(*acquired);
        }
        _ => {}
    }
}
