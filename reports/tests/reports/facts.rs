//! Every fact survives JSON, has a sentence, and enters the digest with every field.

use std::collections::BTreeSet;

use ackproof_core::fact::{
    Event, Fact, ForgottenReason, LogStartReason, Observer, Payload, RemovalReason, ResetReason, RetryReason, Role,
    ShareReason, ShareState, TruncationReason,
};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{
    BrokerEpoch, ConnectionId, Instant, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, RecordId, Sequence,
};
use ackproof_reports::Digest;
use ackproof_reports::render::describe::describe;
use bytes::Bytes;
use serde_json::Value;

use crate::run::{P1, names, orders, p1, payload};

/// One fact of every kind; the test below keeps it complete.
#[expect(clippy::too_many_lines, reason = "one entry per kind of fact")]
pub fn all() -> Vec<Fact> {
    let partition = orders();
    let (o, epoch, error) = (Offset, LeaderEpoch(5), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (key, value) = (payload("k3"), Some(Payload(Bytes::from_static(&[0xff, 0x00, 0x80]))));
    vec![
        Fact::ClusterReady,
        Fact::NodeStarted,
        Fact::NodeKilled,
        Fact::NodeStopped,
        Fact::NodePaused,
        Fact::NodeResumed,
        Fact::PowerLost { unsynced_bytes: 9, lost_bytes: 4 },
        Fact::FaultInjected { fault: 1, what: "kill the leader of orders-0".into() },
        Fact::FaultBit { fault: 1, what: "killed broker 1".into() },
        Fact::FaultHealed { fault: 1 },
        Fact::MessageLost { connection: ConnectionId(8), to: P1, what: "Produce response".into() },
        Fact::LogLoaded {
            partition: partition.clone(),
            log_start: o(0),
            log_end: o(17),
            clean: false,
            hole: Some((o(3), o(9))),
        },
        Fact::Appended {
            partition: partition.clone(),
            role: Role::Leader,
            base_offset: o(17),
            last_offset: o(18),
            leader_epoch: epoch,
            producer_id: 7,
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(3),
            crc: 0xfeed_beef,
        },
        Fact::DuplicateDetected {
            partition: partition.clone(),
            base_offset: o(17),
            producer_id: 7,
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(3),
        },
        Fact::AppendRefused { partition: partition.clone(), error },
        Fact::ProduceAnswered { partition: partition.clone(), to: P1, base_offset: o(17), acks: 1, error },
        Fact::FollowerFetched { partition: partition.clone(), follower: 2, log_end: o(17) },
        Fact::HighWatermarkAdvanced { partition: partition.clone(), role: Role::Follower, from: o(16), to: o(17) },
        Fact::IsrProposed { partition: partition.clone(), from: vec![1, 2], to: vec![1] },
        Fact::BecameLeader { partition: partition.clone(), leader_epoch: epoch, isr: vec![1], log_end: o(17) },
        Fact::BecameFollower { partition: partition.clone(), leader_epoch: epoch, leader: 2, log_end: o(17) },
        Fact::Truncated { partition: partition.clone(), from: o(18), to: o(17), reason: TruncationReason::Diverged },
        Fact::TruncationForbidden { partition: partition.clone(), leader_end: o(3), log_end: o(5) },
        Fact::SegmentRolled { partition: partition.clone(), base_offset: o(17) },
        Fact::LogStartOffsetAdvanced {
            partition: partition.clone(),
            from: o(3),
            to: o(17),
            reason: LogStartReason::RetentionBytes,
        },
        Fact::Cleaned { partition: partition.clone(), from: o(3), to: o(17), records_before: 12, records_after: 5 },
        Fact::CleaningFailed { partition: partition.clone(), what: "a batch is damaged".into() },
        Fact::ProducerExpired { partition: partition.clone(), producer_id: 7, reason: ForgottenReason::Silent },
        Fact::DiskHarmed { what: "emptied the disk of broker 1".into() },
        Fact::IsrAdopted { partition: partition.clone(), isr: vec![1, 2], partition_epoch: PartitionEpoch(9) },
        Fact::MetadataHeldBack { base_offset: o(3), last_offset: o(4), lag_ms: 5000 },
        Fact::ControlledShutdownBegan { broker: 3 },
        Fact::FetchRefused { partition: partition.clone(), offset: o(3), error: ErrorCode::CORRUPT_MESSAGE },
        Fact::MetadataReplayed { base_offset: o(3), last_offset: o(4), leader_epoch: epoch, crc: 0xfeed_beef },
        Fact::StorageFailed { what: "append: no space left".into() },
        Fact::BrokerRegistered { broker: 1, epoch: BrokerEpoch(12) },
        Fact::BrokerUnfenced { broker: 1 },
        Fact::BrokerFenced { broker: 1 },
        Fact::TopicCreated { topic: "orders".into(), replicas: vec![vec![1, 2, 3], vec![2, 3, 1]] },
        Fact::LeaderElected {
            partition: partition.clone(),
            leader: 2,
            leader_epoch: epoch,
            partition_epoch: PartitionEpoch(6),
            isr: vec![2, 3],
            clean: true,
        },
        Fact::PartitionOffline {
            partition: partition.clone(),
            isr: vec![1],
            leader_epoch: epoch,
            partition_epoch: PartitionEpoch(8),
        },
        Fact::IsrChanged {
            partition: partition.clone(),
            from: vec![1, 2],
            to: vec![1],
            partition_epoch: PartitionEpoch(7),
        },
        Fact::PartitionsAdded { topic: "orders".into(), first: 2, replicas: vec![vec![1, 2], vec![2, 1]] },
        Fact::TopicDeleted { topic: "orders".into() },
        Fact::ReplicasReassigned {
            partition: partition.clone(),
            replicas: vec![4, 5, 1],
            adding: vec![4, 5],
            removing: vec![1],
        },
        Fact::EligibleLeadersChanged { partition: partition.clone(), elr: vec![1], last_known_elr: vec![2] },
        Fact::ConfigAltered {
            resource: "topic orders".into(),
            name: "min.insync.replicas".into(),
            value: Some("1".into()),
        },
        Fact::AdminAnswered { call: "delete topic orders".into(), error },
        Fact::LogDeleted { partition: partition.clone(), log_end: o(17) },
        Fact::ReplicaThrottled { partition: partition.clone(), follower: 4, role: Role::Leader },
        Fact::ClientThrottled { client: P1, api: "Produce".into(), throttle_ms: 250 },
        Fact::PartitionSurveyed {
            partition: partition.clone(),
            replicas: vec![1, 2],
            adding: vec![4],
            removing: vec![3],
            elr: vec![2],
            last_known_elr: vec![1],
        },
        Fact::RecordSent {
            record: p1(42),
            topic: "orders".into(),
            key: key.clone(),
            value: value.clone(),
            resend_of: Some(RecordId { client: 1, number: 41 }),
        },
        Fact::RecordBatched { record: p1(42), partition: partition.clone(), batch: 9 },
        Fact::BatchSent {
            batch: 9,
            partition: partition.clone(),
            attempt: 2,
            producer_id: 7,
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(3),
            broker: 1,
        },
        Fact::BatchFailedAgain { batch: 9, partition: partition.clone(), error },
        Fact::BatchRetried { batch: 9, partition: partition.clone(), reason: RetryReason::Error(error) },
        Fact::RecordAcknowledged { record: p1(42), partition: partition.clone(), offset: o(17), acks: -1 },
        Fact::RecordFailed { record: p1(42), partition: Some(partition.clone()), error, definite: false },
        Fact::RecordAbandoned { record: p1(42), unsent: true },
        Fact::Polled { partition: partition.clone(), offset: o(17), key: key.clone(), value: value.clone() },
        Fact::PollFailed { partition: partition.clone(), position: o(17), error: ErrorCode::CORRUPT_MESSAGE },
        Fact::PositionReset {
            partition: partition.clone(),
            from: o(-1),
            to: o(17),
            reason: ResetReason::NoPosition,
            told_by: None,
        },
        Fact::ClientWarned { what: "idempotence is disabled because acks is set to 1".into() },
        Fact::PartitionsAssigned {
            group: "billing".into(),
            member: "consumer-1-a".into(),
            generation: 3,
            partitions: vec![partition.clone()],
        },
        Fact::PartitionsRevoked { group: "billing".into(), partitions: vec![partition.clone()], lost: true },
        Fact::PartitionsPaused { partitions: vec![partition.clone()] },
        Fact::GroupEpochsSurveyed { group: "billing".into(), epoch: 3, target_epoch: 3 },
        Fact::GroupMemberSurveyed {
            group: "billing".into(),
            member: "consumer-1-a".into(),
            host: "/client-1".into(),
            client_id: "c1".into(),
            epoch: 3,
            assigned: vec![partition.clone()],
            target: vec![partition.clone()],
        },
        Fact::SharePartitionsAssigned {
            group: "workers".into(),
            member: "m-1".into(),
            epoch: 3,
            partitions: vec![partition.clone()],
        },
        Fact::SharePartitionLoaded {
            group: "workers".into(),
            partition: partition.clone(),
            start: o(17),
            known: true,
            in_flight: 3,
        },
        Fact::ShareAcquired {
            group: "workers".into(),
            partition: partition.clone(),
            member: "m-1".into(),
            first: o(17),
            last: o(18),
            delivery_count: 1,
            lock_ms: 30_000,
        },
        Fact::ShareStateChanged {
            group: "workers".into(),
            partition: partition.clone(),
            member: "m-1".into(),
            first: o(17),
            last: o(18),
            state: ShareState::Archived,
            delivery_count: 5,
            reason: ShareReason::Released,
        },
        Fact::ShareAcknowledgeRefused {
            group: "workers".into(),
            partition: partition.clone(),
            member: "m-1".into(),
            first: o(17),
            last: o(18),
            error,
        },
        Fact::SharePolled {
            group: "workers".into(),
            partition: partition.clone(),
            offset: o(17),
            delivery_count: 2,
            key: key.clone(),
            value: value.clone(),
        },
        Fact::ShareAcknowledgeAnswered {
            group: "workers".into(),
            partition: partition.clone(),
            first: o(17),
            last: o(18),
            error,
        },
        Fact::SharePartitionSurveyed {
            group: "workers".into(),
            partition: partition.clone(),
            start: o(17),
            end: o(20),
            available: 1,
            acquired: 2,
        },
        Fact::PartitionsResumed { partitions: vec![partition.clone()] },
        Fact::WokenUp { call: "poll()".into() },
        Fact::CommitAnswered { group: "billing".into(), partition: partition.clone(), offset: o(18), error },
        Fact::Processed { group: Some("billing".into()), partition: partition.clone(), offset: o(17) },
        Fact::StoreWrote {
            transaction: 3,
            group: "billing".into(),
            partition: partition.clone(),
            offset: o(18),
            results: vec![o(16), o(17)],
            client: 2,
        },
        Fact::StoreRefused {
            group: "billing".into(),
            partition: partition.clone(),
            expected: o(16),
            found: o(18),
            client: 2,
        },
        Fact::StoreLoaded { transactions: 3 },
        Fact::ProcessingFailed {
            group: Some("billing".into()),
            partition: partition.clone(),
            offset: o(17),
            attempt: 2,
        },
        Fact::GaveUp {
            group: Some("billing".into()),
            partition: partition.clone(),
            offset: o(17),
            to: Some("orders-dlt".into()),
        },
        Fact::OffsetCommitted { group: "billing".into(), partition: partition.clone(), offset: o(18), generation: 3 },
        Fact::CommitRefused { group: "billing".into(), member: "consumer-1-a".into(), error },
        Fact::GroupStateChanged {
            group: "billing".into(),
            state: "Stable".into(),
            generation: 3,
            members: vec!["consumer-1-a".into()],
        },
        Fact::MemberRemoved {
            group: "billing".into(),
            member: "consumer-1-a".into(),
            reason: RemovalReason::SessionExpired,
        },
        Fact::MemberReconciled {
            group: "billing".into(),
            member: "consumer-1-a".into(),
            epoch: 3,
            state: "UNREVOKED_PARTITIONS".into(),
            assigned: Vec::new(),
            revoking: vec![partition.clone()],
        },
        Fact::GroupsLoaded { partition: 34, groups: 2 },
        Fact::GroupsNotLoaded { partition: 34 },
        Fact::ReplicaSurveyed {
            partition: partition.clone(),
            broker: 1,
            running: true,
            leader: false,
            in_isr: true,
            log_start: o(0),
            high_watermark: o(17),
            log_end: o(18),
            leader_epoch: epoch,
        },
        Fact::GroupSurveyed {
            group: "billing".into(),
            state: "Stable".into(),
            assignor: "range".into(),
            members: vec!["consumer-1-a".into()],
        },
        Fact::GroupPartitionSurveyed {
            group: "billing".into(),
            partition: partition.clone(),
            committed: o(17),
            member: "consumer-1-a".into(),
            host: "/c1".into(),
            client_id: "consumer-1".into(),
        },
        Fact::RecordSurveyed { partition, broker: 1, offset: o(17), leader_epoch: epoch, key, value },
        Fact::Stuck { what: "c1 waits for a leader of orders-0".into() },
        Fact::RunEnded { quiescent: true },
    ]
}

pub fn event(fact: Fact) -> Event {
    Event { sequence: 2, time: Instant(5), node: NodeId::Broker(1), cause: 1, fact }
}

fn digest(event: &Event) -> u64 {
    let mut digest = Digest::new();
    digest.observe(event);
    digest.value()
}

#[test]
fn the_list_has_every_kind_of_fact() {
    let error = serde_json::from_str::<Fact>("\"no-such-fact\"").expect_err("there is no such fact").to_string();
    let known: BTreeSet<&str> = error.split('`').skip(3).step_by(2).collect();
    let listed: BTreeSet<&str> = all().iter().map(Fact::kind).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_fact_comes_back_from_json_as_it_was() {
    for fact in all() {
        let event = event(fact);
        let line = serde_json::to_string(&event).expect("facts are JSON");
        assert_eq!(serde_json::from_str::<Event>(&line).expect(&line), event);
    }
}

#[test]
fn every_fact_has_a_sentence() {
    let sentences: Vec<String> = all().into_iter().map(|fact| describe(&event(fact), &names())).collect();
    for (fact, sentence) in all().iter().zip(&sentences) {
        assert!(!sentence.ends_with(fact.kind()) || sentence.contains(' '), "{sentence}");
        assert!(!sentence.contains(&format!("broker 1: {}", fact.kind())), "{} has no sentence", fact.kind());
    }
    insta::assert_snapshot!("sentences", sentences.join("\n"));
}

#[test]
fn every_field_enters_the_digest() {
    let mut seen = BTreeSet::new();
    for fact in all() {
        assert!(seen.insert(digest(&event(fact.clone()))), "{} has a digest of its own", fact.kind());
        let json = serde_json::to_value(event(fact.clone())).expect("facts are JSON");
        let mut others = 0;
        for other in changes(&json) {
            let Ok(other) = serde_json::from_value::<Event>(other) else { continue };
            assert_ne!(digest(&other), digest(&event(fact.clone())), "{other:?}");
            others += 1;
        }
        assert!(others >= 4, "at least number, time, node and cause of {} could be changed", fact.kind());
    }
}

#[test]
fn the_digest_depends_on_the_order_of_facts() {
    let (one, two) = (event(Fact::NodeKilled), event(Fact::NodeStarted));
    let of = |events: [&Event; 2]| {
        let mut digest = Digest::new();
        events.into_iter().for_each(|event| digest.observe(event));
        digest
    };
    assert_ne!(of([&one, &two]), of([&two, &one]));
    assert_eq!(of([&one, &two]).to_string().len(), 16);
}

/// The value with one leaf changed, for every leaf; a change may make it something that is no event.
pub fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(is) => vec![Value::Bool(!is)],
        Value::Number(number) => [1, -1].iter().filter_map(|step| Some(Value::from(number.as_i64()? + step))).collect(),
        Value::String(text) => ["leader", "follower", "seek", "out-of-range", "diverged", "NONE", "orders-7"]
            .iter()
            .map(|other| (*other).to_owned())
            .chain([format!("{text}1")])
            .filter(|other| other != text)
            .map(Value::String)
            .collect(),
        Value::Array(items) => (0..items.len())
            .flat_map(|index| changes(&items[index]).into_iter().map(move |other| (index, other)))
            .map(|(index, other)| {
                let mut items = items.clone();
                items[index] = other;
                Value::Array(items)
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| changes(field).into_iter().map(move |other| (name.clone(), other)))
            .map(|(name, other)| {
                let mut fields = fields.clone();
                fields.insert(name, other);
                Value::Object(fields)
            })
            .collect(),
    }
}
