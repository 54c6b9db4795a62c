//! A run written by hand: partition orders-0 on brokers 1 to 3, producer p1, consumer c1.

use std::collections::BTreeMap;

use ackproof_core::fact::{
    Event, Fact, LogStartReason, Observer, Payload, ResetReason, RetryReason, Role, TruncationReason,
};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{
    ConnectionId, Instant, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, RecordId, Sequence,
    TopicPartition,
};
use ackproof_reports::contract::{ConsumerContract, Ending, OnError, ProducerContract, TopicContract};
use ackproof_reports::{Answer, Cause, Contract, Explanation, Judge, Judgement, Kind, NodeNames, explain};
use bytes::Bytes;

pub const P1: NodeId = NodeId::Client(1);
pub const C1: NodeId = NodeId::Client(2);
pub const CONTROLLER: NodeId = NodeId::Controller(100);

/// What a batch without idempotence has for producer id, epoch and sequence.
pub const NOBODY: (i64, i16, i32) = (-1, -1, -1);

#[derive(Clone, Debug, Default)]
pub struct Run {
    pub events: Vec<Event>,
    millis: u64,
    leader: i32,
    leader_epoch: i32,
    partition_epoch: i32,
    keys: BTreeMap<String, String>,
}

pub fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

pub fn payload(text: &str) -> Option<Payload> {
    Some(Payload(Bytes::copy_from_slice(text.as_bytes())))
}

pub fn p1(number: u64) -> RecordId {
    RecordId { client: 1, number }
}

pub fn names() -> NodeNames {
    [(P1, "p1"), (C1, "c1"), (CONTROLLER, "controller")].into_iter().collect()
}

/// Three replicas, min.insync.replicas=1, a producer with retries that ignores errors, and these acks.
pub fn acks(acks: i16) -> Contract {
    Contract {
        producers: vec![ProducerContract {
            client: 1,
            name: "p1".into(),
            client_id: "p1".into(),
            acks,
            idempotence: false,
            retries: i32::MAX as u32,
            max_in_flight: 5,
            bumps_epoch: true,
            legacy: None,
            on_error: OnError::Ignore,
            ending: Ending::Closes,
        }],
        topics: vec![TopicContract {
            name: "orders".into(),
            replication_factor: 3,
            min_insync_replicas: 1,
            unclean_leader_election: false,
            eligible_leader_replicas: false,
            unclean_by_operator: false,
            flush_messages: i64::MAX as u64,
            compacted: false,
            delete_retention_ms: 86_400_000,
        }],
        ..Contract::default()
    }
}

pub fn with_producer(mut contract: Contract, change: impl Fn(&mut ProducerContract)) -> Contract {
    contract.producers.iter_mut().for_each(change);
    contract
}

pub fn with_topic(mut contract: Contract, change: impl Fn(&mut TopicContract)) -> Contract {
    contract.topics.iter_mut().for_each(change);
    contract
}

impl Run {
    /// The next fact is said at this time; from then on each a millisecond later.
    pub fn at(&mut self, millis: u64) -> &mut Self {
        self.millis = millis;
        self
    }

    pub fn because(&mut self, cause: u64, node: NodeId, fact: Fact) -> u64 {
        let sequence = self.events.len() as u64 + 1;
        self.events.push(Event { sequence, time: Instant(self.millis * 1_000_000), node, cause, fact });
        self.millis += 1;
        sequence
    }

    pub fn say(&mut self, node: NodeId, fact: Fact) -> u64 {
        self.because(0, node, fact)
    }

    pub fn sent(&mut self, number: u64, value: &str) -> u64 {
        let key = self.keys.get(value).cloned();
        self.say(
            P1,
            Fact::RecordSent {
                record: p1(number),
                topic: "orders".into(),
                key: key.as_deref().and_then(payload),
                value: payload(value),
                resend_of: None,
            },
        )
    }

    pub fn sent_with_key(&mut self, number: u64, key: &str, value: &str) -> u64 {
        self.keys.insert(value.into(), key.into());
        self.sent(number, value)
    }

    pub fn resent(&mut self, number: u64, of: u64, value: &str) -> u64 {
        self.say(
            P1,
            Fact::RecordSent {
                record: p1(number),
                topic: "orders".into(),
                key: self.keys.get(value).and_then(|key| payload(key)),
                value: payload(value),
                resend_of: Some(p1(of)),
            },
        )
    }

    pub fn batched(&mut self, number: u64, batch: u64) {
        self.say(P1, Fact::RecordBatched { record: p1(number), partition: orders(), batch });
    }

    pub fn transmits(&mut self, batch: u64, attempt: u32, broker: i32) -> u64 {
        self.transmits_as(batch, attempt, broker, -1)
    }

    pub fn transmits_as(&mut self, batch: u64, attempt: u32, broker: i32, producer_id: i64) -> u64 {
        let identity = if producer_id < 0 { NOBODY } else { (producer_id, 0, batch as i32) };
        self.transmits_under(batch, attempt, broker, identity)
    }

    /// With this producer id, epoch and sequence.
    pub fn transmits_under(&mut self, batch: u64, attempt: u32, broker: i32, identity: (i64, i16, i32)) -> u64 {
        let (producer_id, producer_epoch, base_sequence) =
            (identity.0, ProducerEpoch(identity.1), Sequence(identity.2));
        let partition = orders();
        self.say(P1, Fact::BatchSent { batch, partition, attempt, producer_id, producer_epoch, base_sequence, broker })
    }

    pub fn retries(&mut self, batch: u64, reason: RetryReason) -> u64 {
        self.say(P1, Fact::BatchRetried { batch, partition: orders(), reason })
    }

    /// The leader appends what a transmission brought.
    pub fn appends(&mut self, cause: u64, broker: i32, epoch: i32, offset: i64) -> u64 {
        self.appends_under(cause, broker, epoch, offset, NOBODY)
    }

    pub fn appends_as(&mut self, cause: u64, broker: i32, epoch: i32, offset: i64, id: i64, sequence: i32) -> u64 {
        self.appends_under(cause, broker, epoch, offset, (id, 0, sequence))
    }

    /// With this producer id, epoch and sequence.
    pub fn appends_under(
        &mut self,
        cause: u64,
        broker: i32,
        epoch: i32,
        offset: i64,
        identity: (i64, i16, i32),
    ) -> u64 {
        self.appended(cause, broker, (Role::Leader, epoch), (offset, offset), identity, offset as u32)
    }

    /// A broker has a batch of these offsets, of this producer, and with this checksum.
    pub fn appended(
        &mut self,
        cause: u64,
        broker: i32,
        (role, epoch): (Role, i32),
        (base, last): (i64, i64),
        identity: (i64, i16, i32),
        crc: u32,
    ) -> u64 {
        self.because(
            cause,
            NodeId::Broker(broker),
            Fact::Appended {
                partition: orders(),
                role,
                base_offset: Offset(base),
                last_offset: Offset(last),
                leader_epoch: LeaderEpoch(epoch),
                producer_id: identity.0,
                producer_epoch: ProducerEpoch(identity.1),
                base_sequence: Sequence(identity.2),
                crc,
            },
        )
    }

    /// A record is sent in a batch of its own, and the leader appends it. The batch has the next number.
    pub fn sent_and_appended(&mut self, number: u64, value: &str, broker: i32, epoch: i32, offset: i64) -> u64 {
        self.sent(number, value);
        self.batched(number, number + 1);
        let sent = self.transmits(number + 1, 1, broker);
        self.appends(sent, broker, epoch, offset)
    }

    /// A follower copies.
    pub fn copies(&mut self, broker: i32, epoch: i32, offset: i64) -> u64 {
        self.appended(0, broker, (Role::Follower, epoch), (offset, offset), NOBODY, offset as u32)
    }

    pub fn acked(&mut self, number: u64, offset: i64, acks: i16) -> u64 {
        self.say(P1, Fact::RecordAcknowledged { record: p1(number), partition: orders(), offset: Offset(offset), acks })
    }

    pub fn failed(&mut self, number: u64, error: ErrorCode) -> u64 {
        self.say(
            P1,
            Fact::RecordFailed { record: p1(number), partition: Some(orders()), error, definite: error.is_definite() },
        )
    }

    pub fn abandoned(&mut self, number: u64, unsent: bool) -> u64 {
        self.say(P1, Fact::RecordAbandoned { record: p1(number), unsent })
    }

    pub fn killed(&mut self, node: NodeId) -> u64 {
        self.say(node, Fact::NodeKilled)
    }

    pub fn lost_power(&mut self, broker: i32) -> u64 {
        self.say(NodeId::Broker(broker), Fact::PowerLost { unsynced_bytes: 900, lost_bytes: 300 })
    }

    pub fn loaded(&mut self, broker: i32, log_end: i64) -> u64 {
        self.loaded_without(broker, None, log_end)
    }

    /// With a hole.
    pub fn loaded_without(&mut self, broker: i32, hole: Option<(i64, i64)>, log_end: i64) -> u64 {
        let (partition, log_start, log_end) = (orders(), Offset(0), Offset(log_end));
        let hole = hole.map(|(from, to)| (Offset(from), Offset(to)));
        self.say(NodeId::Broker(broker), Fact::LogLoaded { partition, log_start, log_end, clean: false, hole })
    }

    pub fn truncated(&mut self, broker: i32, from: i64, to: i64, reason: TruncationReason) -> u64 {
        self.say(
            NodeId::Broker(broker),
            Fact::Truncated { partition: orders(), from: Offset(from), to: Offset(to), reason },
        )
    }

    /// The controller changes the ISR.
    /// The controller decides, and the leader hears of it.
    /// The log of a broker begins at this offset from now on, and began at 0 before.
    pub fn deletes(&mut self, broker: i32, to: i64, reason: LogStartReason) -> u64 {
        let (from, to) = (Offset(0), Offset(to));
        self.say(NodeId::Broker(broker), Fact::LogStartOffsetAdvanced { partition: orders(), from, to, reason })
    }

    /// The cleaner of a broker has been through everything below this offset.
    pub fn cleaned(&mut self, broker: i32, to: i64) -> u64 {
        let (from, to) = (Offset(0), Offset(to));
        let fact = Fact::Cleaned { partition: orders(), from, to, records_before: 9, records_after: 3 };
        self.say(NodeId::Broker(broker), fact)
    }

    pub fn isr(&mut self, from: &[i32], to: &[i32]) -> u64 {
        let decided = self.isr_decided(from, to);
        let (leader, millis) = (NodeId::Broker(self.leader), self.millis);
        let partition_epoch = PartitionEpoch(self.partition_epoch);
        self.because(decided, leader, Fact::IsrAdopted { partition: orders(), isr: to.to_vec(), partition_epoch });
        // In the same breath, as far as stories are concerned.
        self.millis = millis;
        decided
    }

    pub fn isr_decided(&mut self, from: &[i32], to: &[i32]) -> u64 {
        self.partition_epoch += 1;
        self.say(
            CONTROLLER,
            Fact::IsrChanged {
                partition: orders(),
                from: from.to_vec(),
                to: to.to_vec(),
                partition_epoch: PartitionEpoch(self.partition_epoch),
            },
        )
    }

    pub fn offline(&mut self, isr: &[i32]) -> u64 {
        self.leader_epoch += 1;
        self.partition_epoch += 1;
        let (leader_epoch, partition_epoch) = (LeaderEpoch(self.leader_epoch), PartitionEpoch(self.partition_epoch));
        self.say(
            CONTROLLER,
            Fact::PartitionOffline { partition: orders(), isr: isr.to_vec(), leader_epoch, partition_epoch },
        )
    }

    /// The controller elects, and the broker leads from its log end on.
    pub fn elected(&mut self, leader: i32, epoch: i32, isr: &[i32], clean: bool, log_end: i64) -> u64 {
        let elected = self.elects(leader, epoch, isr, clean);
        self.because(
            elected,
            NodeId::Broker(leader),
            Fact::BecameLeader {
                partition: orders(),
                leader_epoch: LeaderEpoch(epoch),
                isr: isr.to_vec(),
                log_end: Offset(log_end),
            },
        )
    }

    /// The controller elects.
    pub fn elects(&mut self, leader: i32, epoch: i32, isr: &[i32], clean: bool) -> u64 {
        (self.leader, self.leader_epoch) = (leader, epoch);
        self.partition_epoch += 1;
        self.say(
            CONTROLLER,
            Fact::LeaderElected {
                partition: orders(),
                leader,
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: PartitionEpoch(self.partition_epoch),
                isr: isr.to_vec(),
                clean,
            },
        )
    }

    pub fn lost_message(&mut self, cause: u64, to: NodeId, what: &str) -> u64 {
        let fact = Fact::MessageLost { connection: ConnectionId(1), to, what: what.into() };
        // Said at the sender's: broker 1 or p1.
        let from = if matches!(to, NodeId::Client(_)) { NodeId::Broker(1) } else { P1 };
        self.because(cause, from, fact)
    }

    pub fn polled(&mut self, offset: i64, value: &str) -> u64 {
        self.polled_by(C1, offset, value)
    }

    pub fn polled_by(&mut self, client: NodeId, offset: i64, value: &str) -> u64 {
        let key = self.keys.get(value).cloned();
        self.say(
            client,
            Fact::Polled {
                partition: orders(),
                offset: Offset(offset),
                key: key.as_deref().and_then(payload),
                value: payload(value),
            },
        )
    }

    pub fn repositioned(&mut self, from: i64, to: i64, reason: ResetReason) -> u64 {
        let (from, to) = (Offset(from), Offset(to));
        self.say(C1, Fact::PositionReset { partition: orders(), from, to, reason, told_by: None })
    }

    /// The end: the log of this leader, from offset 0.
    pub fn ends_with(&mut self, leader: i32, log: &[&str]) -> &mut Self {
        self.ends_from(Some(leader), 0, log)
    }

    /// The end without a leader: what broker 1 has on disk.
    pub fn ends_without_leader(&mut self, on_disk: &[&str]) -> &mut Self {
        self.ends_from(None, 0, on_disk)
    }

    /// What the leader of another partition has on its disk.
    pub fn surveyed(&mut self, partition: &TopicPartition, leader: i32, log: &[&str]) {
        let log: Vec<(Option<&str>, &str)> = log.iter().map(|value| (None, *value)).collect();
        self.surveyed_with_key(partition, leader, &log);
    }

    /// The same, with keys.
    pub fn surveyed_with_key(&mut self, partition: &TopicPartition, leader: i32, log: &[(Option<&str>, &str)]) {
        let end = Offset(log.len() as i64);
        let replica = Fact::ReplicaSurveyed {
            partition: partition.clone(),
            broker: leader,
            running: true,
            leader: true,
            in_isr: true,
            log_start: Offset(0),
            high_watermark: end,
            log_end: end,
            leader_epoch: LeaderEpoch(5),
        };
        self.say(CONTROLLER, replica);
        for (offset, (key, value)) in (0..).zip(log) {
            let record = Fact::RecordSurveyed {
                partition: partition.clone(),
                broker: leader,
                offset: Offset(offset),
                leader_epoch: LeaderEpoch(5),
                key: key.and_then(payload),
                value: payload(value),
            };
            self.say(CONTROLLER, record);
        }
    }

    pub fn ends_from(&mut self, leader: Option<i32>, start: i64, log: &[&str]) -> &mut Self {
        let world = CONTROLLER;
        let end = Offset(start + log.len() as i64);
        for broker in 1..=3 {
            self.say(
                world,
                Fact::ReplicaSurveyed {
                    partition: orders(),
                    broker,
                    running: leader.is_some() || broker != 1,
                    leader: Some(broker) == leader,
                    in_isr: leader.is_some() || broker == 1,
                    log_start: Offset(start),
                    high_watermark: end,
                    log_end: end,
                    leader_epoch: LeaderEpoch(5),
                },
            );
        }
        for (offset, value) in (start..).zip(log) {
            let key = self.keys.get(*value).cloned();
            self.say(
                world,
                Fact::RecordSurveyed {
                    partition: orders(),
                    broker: leader.unwrap_or(1),
                    offset: Offset(offset),
                    leader_epoch: LeaderEpoch(5),
                    key: key.as_deref().and_then(payload),
                    value: payload(value),
                },
            );
        }
        self.say(world, Fact::RunEnded { quiescent: true });
        self
    }

    pub fn judge(&self, contract: &Contract) -> Judgement {
        let mut judge = Judge::new(contract.clone());
        self.events.iter().for_each(|event| judge.observe(event));
        judge.finish()
    }

    pub fn explain(&self, contract: &Contract) -> (Judgement, Explanation) {
        let mut judgement = self.judge(contract);
        let explanation = explain(&mut judgement, &self.events, contract);
        (judgement, explanation)
    }
}

/// Two consumers, c1 and c2, in the group `billing`.
pub fn group(change: impl Fn(&mut ConsumerContract)) -> Contract {
    let consumer = |client, name: &str| ConsumerContract {
        client,
        name: name.into(),
        resets_to_latest: false,
        validates_position: true,
        topics: Vec::new(),
        group: Some("billing".into()),
        instance: None,
        returns_without_leading: false,
        says_processed: true,
        commits_before_processing: false,
        upserts: false,
        last_wins: false,
        versioned: false,
    };
    let mut consumers = vec![consumer(2, "c1"), consumer(3, "c2")];
    consumers.iter_mut().for_each(change);
    Contract { consumers, ..acks(-1) }
}

/// A member of the group `billing` has processed what is at an offset.
pub fn processed(run: &mut Run, member: NodeId, offset: i64) {
    run.say(member, Fact::Processed { group: Some("billing".into()), partition: orders(), offset: Offset(offset) });
}

/// The anomalies of a kind: offset, cause and whether they are permitted.
pub fn of(kind: Kind, run: &Run, contract: &Contract) -> Vec<(i64, Option<Cause>, Answer)> {
    let (judgement, _) = run.explain(contract);
    let found = judgement.of_kind(kind);
    found.map(|one| (one.offset.map_or(-1, |offset| offset.0), one.cause, one.permitted.answer)).collect()
}
