//! The names of facts.

use super::Fact;

impl Fact {
    /// The kind as it stands in the trace: `appended`, `leader-elected`.
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::ClusterReady => "cluster-ready",
            Fact::NodeStarted => "node-started",
            Fact::NodeKilled => "node-killed",
            Fact::NodeStopped => "node-stopped",
            Fact::NodePaused => "node-paused",
            Fact::NodeResumed => "node-resumed",
            Fact::PowerLost { .. } => "power-lost",
            Fact::FaultInjected { .. } => "fault-injected",
            Fact::FaultBit { .. } => "fault-bit",
            Fact::FaultHealed { .. } => "fault-healed",
            Fact::DiskHarmed { .. } => "disk-harmed",
            Fact::MessageLost { .. } => "message-lost",
            Fact::LogLoaded { .. } => "log-loaded",
            Fact::Appended { .. } => "appended",
            Fact::DuplicateDetected { .. } => "duplicate-detected",
            Fact::AppendRefused { .. } => "append-refused",
            Fact::ProduceAnswered { .. } => "produce-answered",
            Fact::FollowerFetched { .. } => "follower-fetched",
            Fact::HighWatermarkAdvanced { .. } => "high-watermark-advanced",
            Fact::IsrProposed { .. } => "isr-proposed",
            Fact::IsrAdopted { .. } => "isr-adopted",
            Fact::BecameLeader { .. } => "became-leader",
            Fact::BecameFollower { .. } => "became-follower",
            Fact::Truncated { .. } => "truncated",
            Fact::SegmentRolled { .. } => "segment-rolled",
            Fact::MetadataReplayed { .. } => "metadata-replayed",
            Fact::StorageFailed { .. } => "storage-failed",
            Fact::BrokerRegistered { .. } => "broker-registered",
            Fact::BrokerUnfenced { .. } => "broker-unfenced",
            Fact::BrokerFenced { .. } => "broker-fenced",
            Fact::TopicCreated { .. } => "topic-created",
            Fact::LeaderElected { .. } => "leader-elected",
            Fact::PartitionOffline { .. } => "partition-offline",
            Fact::IsrChanged { .. } => "isr-changed",
            Fact::RecordSent { .. } => "record-sent",
            Fact::RecordBatched { .. } => "record-batched",
            Fact::BatchSent { .. } => "batch-sent",
            Fact::BatchRetried { .. } => "batch-retried",
            Fact::RecordAcknowledged { .. } => "record-acknowledged",
            Fact::RecordFailed { .. } => "record-failed",
            Fact::RecordAbandoned { .. } => "record-abandoned",
            Fact::Polled { .. } => "polled",
            Fact::PositionReset { .. } => "position-reset",
            Fact::ClientWarned { .. } => "client-warned",
            Fact::ReplicaSurveyed { .. } => "replica-surveyed",
            Fact::RecordSurveyed { .. } => "record-surveyed",
            Fact::Stuck { .. } => "stuck",
            Fact::RunEnded { .. } => "run-ended",
        }
    }
}
