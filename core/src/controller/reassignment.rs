//! Moving a partition to other replicas: they are added, catch up, and only then the old ones go.
//!
//! Kafka: `PartitionReassignmentReplicas`, `PartitionReassignmentRevert`, KIP-455.
//!
//! ```text
//! [1,2,3] ── reassign to [4,5,6] ──▶ [4,5,6,1,2,3] adding 4,5,6 removing 1,2,3 ── ISR has 4,5,6 ──▶ [4,5,6]
//!    ▲                                        │
//!    └──────────── cancelled: what was added goes, what was to be removed stays
//! ```

use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use super::Decision;
use super::election::Election;
use super::replication_control::ReplicationControl;
use super::topic_creation::{check_replicas, settle};
use crate::metadata::records::PartitionChangeRecord;
use crate::metadata::{MetadataRecord, PartitionRegistration};
use crate::protocol::ErrorCode;
use crate::types::TopicPartition;

/// The replicas of a partition, and which of them come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReassignmentReplicas {
    /// All of them, preferred leader first.
    pub replicas: Vec<i32>,
    /// Those on their way in.
    pub adding: Vec<i32>,
    /// Those on their way out.
    pub removing: Vec<i32>,
}

impl ReassignmentReplicas {
    /// Those of a partition as it is.
    pub fn of(partition: &PartitionRegistration) -> Self {
        Self {
            replicas: partition.replicas.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
        }
    }

    /// On the way from `current` to `target`.
    pub fn between(current: &[i32], target: &[i32]) -> Self {
        let without = |these: &[i32], those: &[i32]| {
            let mut rest: Vec<i32> = these.iter().copied().filter(|replica| !those.contains(replica)).collect();
            rest.sort_unstable();
            rest
        };
        let removing = without(current, target);
        let replicas = target.iter().chain(&removing).copied().collect();
        Self { replicas, adding: without(target, current), removing }
    }

    /// Whether anything is on its way.
    pub fn is_in_progress(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas and the ISR afterwards, if the reassignment is complete with this ISR: all who stay are in it.
    pub fn completed(&self, isr: &[i32]) -> Option<(Vec<i32>, Vec<i32>)> {
        if !self.is_in_progress() {
            return None;
        }
        let staying = |list: &[i32]| list.iter().copied().filter(|replica| !self.removing.contains(replica)).collect();
        let (replicas, isr): (Vec<i32>, Vec<i32>) = (staying(&self.replicas), staying(isr));
        let complete = !isr.is_empty() && !replicas.is_empty() && replicas.iter().all(|replica| isr.contains(replica));
        complete.then_some((replicas, isr))
    }

    /// As if it had never begun.
    fn original(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|replica| !self.adding.contains(replica)).collect()
    }
}

impl ReplicationControl<'_> {
    /// AlterPartitionReassignments.
    pub fn alter_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Decision<AlterPartitionReassignmentsResponse> {
        let mut records = Vec::new();
        let mut response = AlterPartitionReassignmentsResponse::default().with_error_message(None);
        for topic in &request.topics {
            let mut answer = ReassignableTopicResponse::default().with_name(topic.name.clone());
            for target in &topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), target.partition_index);
                let result = ReassignablePartitionResponse::default().with_partition_index(target.partition_index);
                let decided = self.alter_reassignment(&partition, target);
                let change = decided.map(|record| record.map(MetadataRecord::PartitionChange));
                let (error, message) = settle(change, &mut records);
                answer.partitions.push(result.with_error_code(error).with_error_message(message));
            }
            response.responses.push(answer);
        }
        Decision { records, response }
    }

    fn alter_reassignment(
        &self,
        partition: &TopicPartition,
        target: &ReassignablePartition,
    ) -> Result<Option<PartitionChangeRecord>, (ErrorCode, String)> {
        let Some(registration) = self.image.partitions.get(partition) else {
            let message = format!("Unable to find partition {partition}.");
            return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
        };
        let unknown = || (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("Unable to find partition {partition}."));
        let builder = self.builder(partition, registration).ok_or_else(unknown)?;
        let builder = match &target.replicas {
            Some(replicas) => {
                let replicas: Vec<i32> = replicas.iter().map(|broker| broker.0).collect();
                check_replicas(self.image, &replicas, None)
                    .map_err(|message| (ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))?;
                let mut target = ReassignmentReplicas::between(&registration.replicas, &replicas);
                // One that was under way gives way to the new one. Where that adds, or removes, nothing, Kafka leaves
                // standing what the old one did.
                if target.adding.is_empty() {
                    target.adding.clone_from(&registration.adding_replicas);
                }
                if target.removing.is_empty() {
                    target.removing.clone_from(&registration.removing_replicas);
                }
                builder.target_replicas(target)
            }
            None => {
                let (original, isr) = self.reverted(partition, registration)?;
                builder.target_replicas(original).target_isr(isr).election(self.election(&partition.topic))
            }
        };
        Ok(builder.build(|replica| self.image.is_active(replica)))
    }

    /// What a cancelled reassignment goes back to.
    fn reverted(
        &self,
        partition: &TopicPartition,
        registration: &PartitionRegistration,
    ) -> Result<(ReassignmentReplicas, Vec<i32>), (ErrorCode, String)> {
        let ongoing = ReassignmentReplicas::of(registration);
        if !ongoing.is_in_progress() {
            let message = "No partition reassignment is in progress.".to_owned();
            return Err((ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, message));
        }
        let original = ongoing.original();
        let mut isr: Vec<i32> =
            registration.isr.iter().copied().filter(|replica| !ongoing.adding.contains(replica)).collect();
        if isr.is_empty() {
            if self.election(&partition.topic) != Election::Unclean {
                let message = format!(
                    "Unable to revert partition assignment for {partition} because it would require an unclean leader \
                     election."
                );
                return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            isr.extend(original.first());
        }
        Ok((ReassignmentReplicas { replicas: original, adding: Vec::new(), removing: Vec::new() }, isr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_replicas_stay_until_the_new_ones_are_in_sync() {
        let moving = ReassignmentReplicas::between(&[1, 2, 3], &[4, 3]);
        assert_eq!(
            (&moving.replicas[..], &moving.adding[..], &moving.removing[..]),
            (&[4, 3, 1, 2][..], &[4][..], &[1, 2][..])
        );
        for (isr, expected) in [
            (&[1, 2, 3][..], None),
            (&[1, 2, 4], None),
            (&[1, 2, 3, 4], Some((vec![4, 3], vec![3, 4]))),
            (&[4, 3], Some((vec![4, 3], vec![4, 3]))),
        ] {
            assert_eq!(moving.completed(isr), expected, "ISR {isr:?}");
        }
        assert_eq!(moving.original(), [3, 1, 2]);
    }

    #[test]
    fn another_order_of_the_same_replicas_is_no_move() {
        let ordered = ReassignmentReplicas::between(&[1, 2, 3], &[3, 1, 2]);
        assert_eq!(ordered.replicas, [3, 1, 2]);
        assert!(!ordered.is_in_progress());
        assert_eq!(ordered.completed(&[1, 2, 3]), None);
    }
}
