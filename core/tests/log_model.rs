//! The log against a model: a list of batches.
//!
//! Appends as leader and as follower, truncations, flushes, clean stops, kills and torn tails in any order, with small
//! segments and dense or sparse indexes. After each step everything that the log says is what the list says.

use ackproof_core::config::{BrokerConfig, KafkaVersion, LogConfig, TimestampType, Toggles};
use ackproof_core::fact::TruncationReason;
use ackproof_core::log::{ProducerStateManager, UnifiedLog};
use ackproof_core::machine::{Context, Effects};
use ackproof_core::record::{BatchBuilder, Compression, ProducerState, RecordBatch, with_offset_and_epoch};
use ackproof_core::storage::{MemoryStorage, OpenMode, Storage};
use ackproof_core::types::{
    Duration, Instant, LeaderEpoch, Offset, Prng, ProducerEpoch, Sequence, Timestamp, TopicPartition,
};
use bytes::Bytes;
use proptest::prelude::*;

/// What is done to the log. Numbers that choose a place are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    AppendAsLeader {
        records: i32,
        timestamp: i64,
        producer: Option<i64>,
    },
    AppendAsFollower {
        batches: Vec<(i32, i64)>,
    },
    NextEpoch,
    TruncateTo {
        batch: usize,
    },
    StartAnew {
        offset: i64,
    },
    Flush,
    CleanStop,
    Kill,
    /// Killed, and of the bytes that were not synced the last so many per mille are gone.
    TornTail {
        per_mille: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let timestamp = 0..50i64;
    prop_oneof![
        8 => (1..5, timestamp.clone(), prop::option::of(0..3i64))
            .prop_map(|(records, timestamp, producer)| Step::AppendAsLeader { records, timestamp, producer }),
        3 => prop::collection::vec((1..4, timestamp), 1..4).prop_map(|batches| Step::AppendAsFollower { batches }),
        2 => Just(Step::NextEpoch),
        2 => any::<usize>().prop_map(|batch| Step::TruncateTo { batch }),
        1 => (0..40i64).prop_map(|offset| Step::StartAnew { offset }),
        1 => Just(Step::Flush),
        1 => Just(Step::CleanStop),
        1 => Just(Step::Kill),
        2 => (0..1000u64).prop_map(|per_mille| Step::TornTail { per_mille }),
    ]
}

fn configuration() -> impl Strategy<Value = LogConfig> {
    (
        prop::sample::select(vec![200, 500, 1 << 30]),
        prop::sample::select(vec![0, 150, 4096]),
        prop::sample::select(vec![1, 5, u64::MAX]),
        prop::sample::select(vec![24, 10 << 20]),
    )
        .prop_map(|(segment_bytes, index_interval_bytes, flush_messages, segment_index_bytes)| LogConfig {
            segment_bytes,
            segment_ms: Duration::from_millis(30),
            segment_index_bytes,
            index_interval_bytes,
            flush_messages,
            flush_ms: Duration::FOREVER,
            max_message_bytes: 1 << 20,
            min_insync_replicas: 1,
            unclean_leader_election_enable: false,
            message_timestamp_type: TimestampType::CreateTime,
            ..BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config.log
        })
}

/// The log, its disk, and the list of what should be in it.
struct World {
    disk: MemoryStorage,
    config: LogConfig,
    log: UnifiedLog,
    epoch: LeaderEpoch,
    next_sequence: [i32; 3],
    start: Offset,
    end: Offset,
    batches: Vec<RecordBatch>,
}

fn with<R>(disk: &mut MemoryStorage, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let mut effects = Effects::default();
    call(&mut Context::new(Instant(0), Timestamp(0), &mut Prng::new(1), disk, &mut effects))
}

fn load(disk: &mut MemoryStorage, config: &LogConfig, recovery_point: Offset, clean: bool) -> UnifiedLog {
    let toggles = Toggles::of(KafkaVersion::new(3, 9));
    let partition = TopicPartition::of("t", 0);
    with(disk, |ctx| UnifiedLog::load(partition, config.clone(), toggles, recovery_point, clean, ctx))
        .expect("it loads")
}

fn build(records: i32, timestamp: i64, state: ProducerState) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
    for n in 0..records {
        builder.append(Timestamp(timestamp + i64::from(n)), None, Some(b"value"), &[]);
    }
    builder.set_producer_state(state);
    RecordBatch::parse(&builder.build().expect("uncompressed"), 0).expect("a whole batch")
}

impl World {
    fn new(config: LogConfig) -> World {
        let mut disk = MemoryStorage::default();
        let log = load(&mut disk, &config, Offset(0), true);
        let (start, end) = (Offset(0), Offset(0));
        World { disk, config, log, epoch: LeaderEpoch(0), next_sequence: [0; 3], start, end, batches: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::AppendAsLeader { records, timestamp, producer } => self.append(*records, *timestamp, *producer),
            Step::AppendAsFollower { batches } => self.replicate(batches),
            Step::NextEpoch => self.epoch = self.epoch.next(),
            Step::TruncateTo { batch } => {
                let at = batch % (self.batches.len() + 1);
                let to = self.batches.get(at).map_or(self.end, RecordBatch::base_offset);
                let cut = with(&mut self.disk, |ctx| self.log.truncate_to(to, TruncationReason::Diverged, ctx));
                assert_eq!(cut.unwrap(), to < self.end);
                self.cut_to(to);
            }
            Step::StartAnew { offset } => {
                with(&mut self.disk, |ctx| {
                    self.log.truncate_fully_and_start_at(Offset(*offset), TruncationReason::OutOfRange, ctx)
                })
                .unwrap();
                self.batches.clear();
                (self.start, self.end) = (Offset(*offset), Offset(*offset));
            }
            Step::Flush => {
                with(&mut self.disk, |ctx| self.log.flush(ctx)).unwrap();
                assert_eq!(self.log.recovery_point(), self.end);
            }
            Step::CleanStop => {
                with(&mut self.disk, |ctx| self.log.close(ctx)).unwrap();
                self.log = load(&mut self.disk, &self.config, self.log.recovery_point(), true);
            }
            Step::Kill => self.log = load(&mut self.disk, &self.config, self.log.recovery_point(), false),
            Step::TornTail { per_mille } => self.tear(*per_mille),
        }
    }

    fn append(&mut self, records: i32, timestamp: i64, producer: Option<i64>) {
        let state = producer.map_or(ProducerState::NONE, |producer_id| ProducerState {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(self.next_sequence[producer_id as usize]),
            transactional: false,
        });
        let sent = build(records, timestamp, state);
        let bytes = sent.bytes().clone();
        let info = with(&mut self.disk, |ctx| self.log.append_as_leader(bytes, self.epoch, ctx)).unwrap();
        assert_eq!((info.base_offset, info.duplicate), (self.end, false));
        self.expect(&sent);
        if producer.is_some() {
            // Sent again it is recognised, and nothing changes.
            let bytes = sent.into_bytes();
            let again = with(&mut self.disk, |ctx| self.log.append_as_leader(bytes, self.epoch, ctx)).unwrap();
            assert_eq!(
                (again.base_offset, again.last_offset, again.duplicate),
                (info.base_offset, info.last_offset, true)
            );
        }
    }

    fn replicate(&mut self, batches: &[(i32, i64)]) {
        let mut bytes = Vec::new();
        for (records, timestamp) in batches {
            self.expect(&build(*records, *timestamp, ProducerState::NONE));
            bytes.extend_from_slice(self.batches.last().expect("just added").bytes());
        }
        // A set larger than a segment cannot come from a log whose segments are of that size.
        if bytes.len() as u64 > self.config.segment_bytes {
            let base = self.batches[self.batches.len() - batches.len()].base_offset();
            self.cut_to(base);
            return;
        }
        let info = with(&mut self.disk, |ctx| self.log.append_as_follower(Bytes::from(bytes), ctx)).unwrap().unwrap();
        assert_eq!(info.last_offset.next(), self.end);
    }

    fn expect(&mut self, sent: &RecordBatch) {
        let bytes = with_offset_and_epoch(sent, self.end, self.epoch);
        let batch = RecordBatch::parse(&bytes, 0).expect("a whole batch");
        self.end = batch.next_offset();
        self.batches.push(batch);
        self.resume_sequences();
    }

    /// Kafka cuts at the first batch that is not whole, and everything behind it.
    fn tear(&mut self, per_mille: u64) {
        let active = self.log.segments().last().expect("an active segment");
        let base = active.base_offset();
        let synced: u64 = self
            .batches
            .iter()
            .filter(|batch| batch.base_offset() >= base && batch.next_offset() <= self.log.recovery_point())
            .map(|batch| batch.size_in_bytes() as u64)
            .sum();
        let size = active.size() - (active.size() - synced) * per_mille / 1000;
        let file = self.disk.open(&format!("t-0/{:020}.log", base.0), OpenMode::Existing).unwrap();
        self.disk.truncate(file, size).unwrap();
        let (mut left, mut end) = (size, base);
        for batch in self.batches.iter().filter(|batch| batch.base_offset() >= base) {
            let bytes = batch.size_in_bytes() as u64;
            if bytes > left {
                break;
            }
            (left, end) = (left - bytes, batch.next_offset());
        }
        self.log = load(&mut self.disk, &self.config, self.log.recovery_point(), false);
        self.cut_to(end);
    }

    fn cut_to(&mut self, to: Offset) {
        self.batches.retain(|batch| batch.last_offset() < to);
        self.end = to;
        self.resume_sequences();
    }

    /// A producer goes on from what is in the log.
    fn resume_sequences(&mut self) {
        self.next_sequence = [0; 3];
        for batch in self.batches.iter().filter(|batch| batch.has_producer_id()) {
            self.next_sequence[batch.producer_id() as usize] = batch.last_sequence().0 + 1;
        }
    }

    fn check(&mut self) {
        assert_eq!((self.log.log_start_offset(), self.log.log_end_offset()), (self.start, self.end));
        assert!(self.log.recovery_point() <= self.end);
        assert!(self.start <= self.log.high_watermark() && self.log.high_watermark() <= self.end);
        assert_eq!(self.log.survey(Offset(0), &mut self.disk).unwrap(), self.batches);
        self.check_epochs();
        let mut producers = ProducerStateManager::default();
        for batch in &self.batches {
            producers.update(batch);
        }
        assert_eq!(self.log.producers().entries().len(), producers.entries().len());
        for entry in producers.entries() {
            let found = self.log.producers().entry(entry.producer_id).expect("it has written to the log");
            // A snapshot has the last batch of a producer only, so after a start or a truncation there may be fewer.
            assert!(!found.batches().is_empty() && entry.batches().ends_with(found.batches()), "{found:?}");
            assert_eq!(found.producer_epoch, entry.producer_epoch);
        }
        self.check_reads();
        self.check_timestamps();
    }

    fn check_epochs(&self) {
        let latest = self.batches.last().map(RecordBatch::partition_leader_epoch);
        assert_eq!(self.log.latest_epoch(), latest);
        for batch in &self.batches {
            let epoch = batch.partition_leader_epoch();
            let later = self.batches.iter().find(|other| other.partition_leader_epoch() > epoch);
            let end = later.map_or(self.end, RecordBatch::base_offset);
            assert_eq!(self.log.end_offset_for_epoch(epoch), Some((epoch, end)));
            assert_eq!(self.log.epoch_for_offset(batch.last_offset()), Some(epoch));
        }
    }

    fn check_reads(&mut self) {
        for batch in &self.batches {
            for from in [batch.base_offset(), batch.last_offset()] {
                let read = with(&mut self.disk, |ctx| self.log.read(from, self.end, 1, true, ctx));
                assert_eq!(read.as_ref(), Ok(batch.bytes()), "the batch at {from}");
            }
        }
        assert_eq!(with(&mut self.disk, |ctx| self.log.read(self.end, self.end, 1, true, ctx)), Ok(Bytes::new()));
    }

    fn check_timestamps(&mut self) {
        let mut records = Vec::new();
        for batch in &self.batches {
            records.extend(batch.records().map(|record| record.expect("a record")));
        }
        for timestamp in [0, 10, 25, 40, 52] {
            let first = records.iter().find(|record| record.timestamp.0 >= timestamp).map(|record| record.offset);
            let found = with(&mut self.disk, |ctx| self.log.offset_for_timestamp(Timestamp(timestamp), ctx)).unwrap();
            assert_eq!(found.map(|(_, offset, _)| offset), first, "timestamp {timestamp}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_the_list_of_its_batches(
        config in configuration(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(config);
        for step in &steps {
            world.take(step);
            world.check();
        }
    }
}
