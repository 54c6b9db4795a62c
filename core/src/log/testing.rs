//! What the tests of this module share: batches in one line, a log on a disk in memory.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{BrokerConfig, KafkaVersion, LogConfig, TimestampType, Toggles};
use crate::fact::Fact;
use crate::log::UnifiedLog;
use crate::machine::{Context, Effect, Effects};
use crate::record::{BatchBuilder, Compression, ProducerState, RecordBatch};
use crate::storage::MemoryStorage;
use crate::types::{Duration, Instant, LeaderEpoch, Offset, Prng, ProducerEpoch, Sequence, Timestamp, TopicPartition};

/// A batch to build.
pub struct Batch {
    records: i32,
    value_size: usize,
    timestamp: i64,
    state: ProducerState,
    base_offset: Offset,
    epoch: LeaderEpoch,
}

impl Batch {
    /// With so many records.
    pub fn of(records: i32) -> Batch {
        Batch {
            records,
            value_size: 5,
            timestamp: 1_000,
            state: ProducerState::NONE,
            base_offset: Offset(0),
            epoch: LeaderEpoch::NONE,
        }
    }

    /// Of one record and exactly `size` bytes.
    pub fn of_size(size: usize) -> Bytes {
        let mut batch = Batch::of(1);
        for value_size in 0..size {
            batch.value_size = value_size;
            let bytes = batch.build();
            if bytes.len() == size {
                return bytes;
            }
        }
        panic!("no batch has {size} bytes");
    }

    pub fn timestamp(mut self, timestamp: i64) -> Batch {
        self.timestamp = timestamp;
        self
    }

    pub fn producer(mut self, producer_id: i64, epoch: i16, base_sequence: i32) -> Batch {
        self.state = ProducerState {
            producer_id,
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(base_sequence),
            transactional: false,
        };
        self
    }

    pub fn in_transaction(mut self) -> Batch {
        self.state.transactional = true;
        self
    }

    pub fn at(mut self, base_offset: i64, epoch: i32) -> Batch {
        self.base_offset = Offset(base_offset);
        self.epoch = LeaderEpoch(epoch);
        self
    }

    pub fn build(&self) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None, usize::MAX).at(self.base_offset, self.epoch);
        let value = vec![b'v'; self.value_size];
        for n in 0..self.records {
            builder.append(Timestamp(self.timestamp + i64::from(n)), None, Some(&value), &[]);
        }
        builder.set_producer_state(self.state);
        builder.build().expect("uncompressed")
    }
}

pub fn parse(bytes: &Bytes) -> RecordBatch {
    RecordBatch::parse(bytes, 0).expect("a whole batch")
}

pub fn partition() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: Duration::from_secs(7 * 24 * 3600),
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        flush_messages: u64::MAX,
        flush_ms: Duration::FOREVER,
        max_message_bytes: 1 << 20,
        min_insync_replicas: 1,
        unclean_leader_election_enable: false,
        message_timestamp_type: TimestampType::CreateTime,
        ..defaults()
    }
}

/// What a topic has by default in 3.9.
fn defaults() -> LogConfig {
    BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config.log
}

pub fn toggles() -> Toggles {
    Toggles::of(KafkaVersion::new(3, 9))
}

/// What a broker of 3.9 has by default, with these defaults for topics.
pub fn broker_config(log: LogConfig) -> Arc<BrokerConfig> {
    let resolved = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order");
    // Without a cleaner, whose timer would come before all others.
    Arc::new(BrokerConfig { log, log_cleaner_enable: false, ..resolved.config })
}

/// A disk, a clock, and what was said.
#[derive(Clone)]
pub struct Bench {
    pub disk: MemoryStorage,
    pub now: Instant,
    rng: Prng,
    effects: Effects,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { disk: MemoryStorage::default(), now: Instant(0), rng: Prng::new(1), effects: Effects::default() }
    }

    /// Calls something that needs a context.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let wall_clock = Timestamp((self.now.0 / 1_000_000) as i64);
        call(&mut Context::new(self.now, wall_clock, &mut self.rng, &mut self.disk, &mut self.effects))
    }

    /// The facts said since the last call.
    pub fn facts(&mut self) -> Vec<Fact> {
        let said = std::mem::take(&mut self.effects.said);
        said.into_iter()
            .map(|(_, effect)| match effect {
                Effect::Fact(fact) => fact,
                other => panic!("a log says facts only, not {other:?}"),
            })
            .collect()
    }

    /// Loads `orders-0` after a clean stop.
    pub fn load(&mut self, config: LogConfig) -> UnifiedLog {
        self.with(|ctx| UnifiedLog::load(partition(), config, toggles(), Offset(0), true, ctx)).expect("it loads")
    }

    /// Loads `orders-0` after an unclean stop.
    pub fn recover(&mut self, config: LogConfig, recovery_point: i64) -> UnifiedLog {
        self.with(|ctx| UnifiedLog::load(partition(), config, toggles(), Offset(recovery_point), false, ctx))
            .expect("it recovers")
    }
}
