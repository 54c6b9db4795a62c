//! What the disks hold at the end.
//!
//! The survey is the ground truth that promises are held against. It reads the log of each partition's leader (of every
//! replica, where nobody leads) as a consumer would after the dust has settled, and describes every replica as
//! `kafka-topics --describe` does. A replica whose process does not run is loaded from a copy of its disk, as its next
//! start would load it.

use std::collections::BTreeMap;

use ackproof_core::config::{BrokerConfig, LogConfig};
use ackproof_core::fact::{Fact, Observer, Payload};
use ackproof_core::log::{Checkpointed, OffsetCheckpointFile, UnifiedLog};
use ackproof_core::metadata::PartitionRegistration;
use ackproof_core::storage::Storage as _;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, Prng, Timestamp, TopicPartition, is_internal};
use ackproof_core::{Context, Effects};

use crate::world::{Node, NodeIndex, SimDisk, SimMachine, World};

/// One replica as it is now.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) running: bool,
    log_start: Offset,
    pub(super) high_watermark: Offset,
    pub(super) log_end: Offset,
    leader_epoch: LeaderEpoch,
}

impl World {
    /// Says what the disks hold.
    pub(crate) fn survey(&mut self, observer: &mut dyn Observer) {
        let Some(image) = self.controller_image() else { return };
        let partitions: Vec<_> = image.partitions.iter().map(|(name, state)| (name.clone(), state.clone())).collect();
        let controller = self.find(self.servers().controllers[0]);
        let mut readers = Readers::default();
        for (partition, state) in partitions {
            // What the brokers keep for themselves nobody sent.
            if is_internal(partition.topic.as_str()) {
                continue;
            }
            if let Some(controller) = controller {
                self.surveyed(controller, describe_partition(&partition, &state), observer);
            }
            let PartitionRegistration { leader, isr, replicas, .. } = state;
            for broker in replicas {
                let Some(node) = self.find(NodeId::Broker(broker)) else { continue };
                let reader = readers.of(self, node);
                let Some(log) = self.load(node, &partition, reader) else { continue };
                let replica = describe(self.node_at(node), &log);
                let fact = Fact::ReplicaSurveyed {
                    partition: partition.clone(),
                    broker,
                    running: replica.running,
                    leader: leader == broker,
                    in_isr: isr.contains(&broker),
                    log_start: replica.log_start,
                    high_watermark: replica.high_watermark,
                    log_end: replica.log_end,
                    leader_epoch: replica.leader_epoch,
                };
                self.surveyed(node, fact, observer);
                if leader == broker || leader < 0 {
                    self.survey_records(node, broker, &log, reader, observer);
                }
            }
        }
    }

    fn survey_records(
        &mut self,
        node: NodeIndex,
        broker: i32,
        log: &UnifiedLog,
        reader: &mut Reader,
        observer: &mut dyn Observer,
    ) {
        let chunks = log.survey(log.log_start_offset(), &mut reader.disk).unwrap_or_default();
        for batch in chunks {
            if batch.is_control() {
                continue;
            }
            for record in batch.records().map_while(Result::ok) {
                let fact = Fact::RecordSurveyed {
                    partition: log.partition().clone(),
                    broker,
                    offset: record.offset,
                    leader_epoch: batch.partition_leader_epoch(),
                    key: record.key.map(Payload),
                    value: record.value.map(Payload),
                };
                self.surveyed(node, fact, observer);
            }
        }
    }

    /// A replica's log: the one in memory, or what the next start would load.
    fn load(&self, index: NodeIndex, partition: &TopicPartition, reader: &mut Reader) -> Option<UnifiedLog> {
        let node = self.node_at(index);
        if let Some(SimMachine::Broker(broker)) = &node.machine {
            // A log in a directory that has failed is on the disk only.
            if let Some(log) = broker.replica_manager().log(partition) {
                return Some(log.clone());
            }
        }
        let config = self.broker_config(node.id)?;
        let name = partition.to_string();
        let inside = |root: String| if root.is_empty() { name.clone() } else { format!("{root}/{name}") };
        let directory = config.log_directory_roots().into_iter().map(inside).find(|path| node.disk.exists(path))?;
        let log_start = reader.log_start(directory.strip_suffix(&name)?, partition);
        let checkpointed = Checkpointed { recovery_point: Offset(0), log_start };
        let mut effects = Effects::default();
        let mut rng = Prng::new(0);
        let mut ctx = Context::new(self.now(), Timestamp(0), &mut rng, &mut reader.disk, &mut effects);
        let log: LogConfig = config.log.clone();
        UnifiedLog::load_in(&directory, partition.clone(), log, config.toggles, checkpointed, false, &mut ctx).ok()
    }

    fn broker_config(&self, id: NodeId) -> Option<&BrokerConfig> {
        self.spec().brokers.iter().find(|config| NodeId::Broker(config.broker_id) == id).map(|config| &**config)
    }

    /// Whether every partition has a leader whose process runs.
    pub(crate) fn is_led(&self) -> bool {
        self.controller_image().is_some_and(|image| {
            image.partitions.iter().all(|(partition, state)| self.running_replica(state.leader, partition).is_some())
        })
    }

    /// Whether every follower has heard of its leader's high watermark. Kafka does not promise that it ever does without new
    /// records, so a run waits for it a little and no longer.
    pub(crate) fn followers_know_the_high_watermark(&self) -> bool {
        self.controller_image().is_some_and(|image| {
            image.partitions.iter().all(|(partition, state)| {
                let mark = |broker: i32| self.running_replica(broker, partition).map(|replica| replica.high_watermark);
                state.isr.iter().all(|broker| mark(*broker) == mark(state.leader))
            })
        })
    }

    pub(super) fn running_replica(&self, broker: i32, partition: &TopicPartition) -> Option<Replica> {
        let node = self.node_at(self.find(NodeId::Broker(broker))?);
        match &node.machine {
            Some(SimMachine::Broker(machine)) if node.is_alive() => {
                machine.replica_manager().log(partition).map(|log| describe(node, log))
            }
            _ => None,
        }
    }

    pub(super) fn node_at(&self, index: NodeIndex) -> &Node {
        &self.nodes()[index.0 as usize]
    }
}

/// One broker's disk as the survey reads it: a copy, for whom nothing is wrong with it. Made once for all partitions.
struct Reader {
    disk: SimDisk,
    /// What the checkpoint in each log directory says of log start offsets.
    log_starts: BTreeMap<String, BTreeMap<TopicPartition, Offset>>,
}

/// The disks that the survey has come to.
#[derive(Default)]
struct Readers(BTreeMap<NodeIndex, Reader>);

impl Readers {
    fn of(&mut self, world: &World, node: NodeIndex) -> &mut Reader {
        let copy = || Reader { disk: world.node_at(node).disk.without_faults(), log_starts: BTreeMap::new() };
        self.0.entry(node).or_insert_with(copy)
    }
}

impl Reader {
    /// Where a log starts, as the checkpoint of its log directory says.
    fn log_start(&mut self, log_directory: &str, partition: &TopicPartition) -> Offset {
        let disk = &mut self.disk;
        let read = || {
            let path = format!("{log_directory}{}", OffsetCheckpointFile::LOG_START.name());
            OffsetCheckpointFile::LOG_START.read_at(&path, disk).unwrap_or_default()
        };
        let starts = self.log_starts.entry(log_directory.to_owned()).or_insert_with(read);
        starts.get(partition).copied().unwrap_or(Offset(0))
    }
}

fn describe_partition(partition: &TopicPartition, state: &PartitionRegistration) -> Fact {
    Fact::PartitionSurveyed {
        partition: partition.clone(),
        replicas: state.replicas.clone(),
        adding: state.adding_replicas.clone(),
        removing: state.removing_replicas.clone(),
        elr: state.elr.clone(),
        last_known_elr: state.last_known_elr.clone(),
    }
}

fn describe(node: &Node, log: &UnifiedLog) -> Replica {
    Replica {
        running: node.is_alive(),
        log_start: log.log_start_offset(),
        high_watermark: log.high_watermark(),
        log_end: log.log_end_offset(),
        leader_epoch: log.latest_epoch().unwrap_or(LeaderEpoch::NONE),
    }
}
