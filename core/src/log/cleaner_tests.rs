//! Compaction from the cleaner's side: what stays, what goes, when, and what a crash leaves.

use bytes::Bytes;

use super::*;
use crate::config::{CleanupPolicy, LogConfig, Toggles};
use crate::log::testing::{Bench, config, partition, toggles};
use crate::log::{LogManager, UnifiedLog};
use crate::record::{BatchBuilder, Compression, ProducerState};
use crate::storage::FailingDisk;
use crate::storage::{MemoryStorage, Storage};
use crate::types::{Duration, Instant, LeaderEpoch, ProducerEpoch, Ratio, Sequence};

const DAY: u64 = 86_400_000;

pub(super) fn compacted() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        delete_retention_ms: Duration::from_millis(DAY),
        min_cleanable_dirty_ratio: Ratio::new(1, 2),
        segment_bytes: 200,
        ..config()
    }
}

/// A batch with one record.
pub(super) fn put(key: Option<&str>, value: Option<&str>, timestamp: i64, producer: Option<i32>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
    builder.append(Timestamp(timestamp), key.map(str::as_bytes), value.map(str::as_bytes), &[]);
    if let Some(sequence) = producer {
        builder.set_producer_state(ProducerState {
            producer_id: 7,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence),
            transactional: false,
        });
    }
    builder.build().unwrap()
}

/// A log, and the cleaner that has not looked at it yet.
#[derive(Clone)]
pub(super) struct Fixture {
    pub bench: Bench,
    pub logs: BTreeMap<TopicPartition, UnifiedLog>,
    pub cleaner: CleanerManager,
}

impl Fixture {
    pub fn new(config: LogConfig, toggles: Toggles) -> Fixture {
        let mut bench = Bench::new();
        let log = bench.with(|ctx| UnifiedLog::load(partition(), config, toggles, Offset(0), true, ctx)).unwrap();
        Fixture { bench, logs: [(partition(), log)].into(), cleaner: CleanerManager::default() }
    }

    pub fn log(&mut self) -> &mut UnifiedLog {
        self.logs.get_mut(&partition()).unwrap()
    }

    /// Appends `key=value` (nothing after the sign: a tombstone) at the present, and commits it.
    pub fn append(&mut self, records: &[&str]) {
        for record in records {
            let (key, value) = record.split_once('=').unwrap();
            let timestamp = (self.bench.now.0 / 1_000_000) as i64;
            let batch = put(Some(key), (!value.is_empty()).then_some(value), timestamp, None);
            self.append_batch(batch);
        }
    }

    pub fn append_batch(&mut self, batch: Bytes) {
        let Fixture { bench, logs, .. } = self;
        let log = logs.get_mut(&partition()).unwrap();
        let end = bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).unwrap().last_offset.next();
        log.set_high_watermark(end);
    }

    /// Begins a new segment, so that everything before it can be cleaned.
    pub fn roll(&mut self) {
        let Fixture { bench, logs, .. } = self;
        let log = logs.get_mut(&partition()).unwrap();
        let end = log.log_end_offset();
        bench.with(|ctx| log.roll(end, ctx)).unwrap();
    }

    pub fn run(&mut self) -> Cleaned {
        let Fixture { bench, logs, cleaner } = self;
        bench.with(|ctx| cleaner.run(logs, ctx)).unwrap()
    }

    pub fn at(&mut self, millis: u64) {
        self.bench.now = Instant(millis * 1_000_000);
    }

    /// What is in the log: `offset:key=value`.
    pub fn records(&mut self) -> Vec<String> {
        let Fixture { bench, logs, .. } = self;
        survey(&logs[&partition()], &mut bench.disk)
    }
}

fn survey(log: &UnifiedLog, disk: &mut MemoryStorage) -> Vec<String> {
    let batches = log.survey(Offset(0), disk).unwrap();
    let records = batches.iter().flat_map(|batch| batch.records()).map(|record| record.unwrap());
    let text = |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default();
    records.map(|record| format!("{}:{}={}", record.offset, text(record.key), text(record.value))).collect()
}

#[test]
fn of_every_key_the_last_record_stays_where_it_was() {
    let mut fixture = Fixture::new(compacted(), toggles());
    fixture.append(&["a=1", "b=1", "a=2", "c=1", "a=3", "b=2"]);
    fixture.roll();
    fixture.append(&["a=4"]);
    assert_eq!(fixture.run(), Cleaned::One);
    // The active segment has a later `a`, but nobody has looked at it.
    assert_eq!(fixture.records(), ["3:c=1", "4:a=3", "5:b=2", "6:a=4"]);
    assert_eq!(fixture.run(), Cleaned::Nothing);
    let cleaned =
        Fact::Cleaned { partition: partition(), from: Offset(0), to: Offset(6), records_before: 6, records_after: 3 };
    assert!(fixture.bench.facts().contains(&cleaned));
    assert_eq!(fixture.cleaner.changed_checkpoints(), Some(vec![(partition(), Offset(6))]));
    assert_eq!(fixture.cleaner.changed_checkpoints(), None, "it is written once");
    // Reading from a gap gives what comes behind it.
    let Fixture { bench, logs, .. } = &mut fixture;
    let read = bench.with(|ctx| logs[&partition()].read(Offset(1), Offset(7), 9_999, true, ctx)).unwrap();
    assert_eq!(crate::log::testing::parse(&read).base_offset(), Offset(3));
}

#[test]
fn small_segments_are_joined_and_their_files_go() {
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 300, ..compacted() }, toggles());
    for _ in 0..4 {
        fixture.append(&["a=1", "b=1"]);
        fixture.roll();
    }
    assert_eq!(fixture.log().segments().len(), 5);
    fixture.run();
    // 300 bytes hold two segments of two records.
    assert_eq!(fixture.log().segments().len(), 3);
    let Fixture { bench, logs, .. } = &mut fixture;
    let log = logs.get_mut(&partition()).unwrap();
    bench.with(|ctx| log.run_tasks(ctx)).unwrap();
    let removed_at = log.task_due().unwrap();
    assert_eq!(removed_at, bench.now + compacted().file_delete_delay_ms, "the originals are there until then");
}

#[test]
fn a_log_is_cleaned_when_more_than_half_of_it_is_dirty() {
    let mut fixture = Fixture::new(compacted(), toggles());
    fixture.append(&["a=1", "b=1", "c=1", "d=1"]);
    fixture.roll();
    assert_eq!(fixture.run(), Cleaned::One);
    for more in [1, 2, 3] {
        fixture.append(&["e=1"]);
        fixture.roll();
        assert_eq!(fixture.run(), Cleaned::Nothing, "{more} of {}", 4 + more);
    }
    fixture.append(&["f=1", "e=2"]);
    fixture.roll();
    assert_eq!(fixture.run(), Cleaned::One, "5 of 9");
    // Records that have waited for too long are reason enough.
    fixture.append(&["f=2"]);
    fixture.roll();
    assert_eq!(fixture.run(), Cleaned::Nothing);
    let config = LogConfig { max_compaction_lag_ms: Duration::from_millis(50), ..compacted() };
    fixture.at(1_000);
    fixture.append(&["g=1"]);
    fixture.roll();
    fixture.log().update_config(config);
    assert_eq!(fixture.run(), Cleaned::Nothing);
    fixture.at(1_051);
    assert_eq!(fixture.run(), Cleaned::One);
}

#[test]
fn what_is_active_uncommitted_or_young_is_not_touched() {
    let mut fixture = Fixture::new(compacted(), toggles());
    fixture.append(&["a=1", "a=2"]);
    assert_eq!(fixture.run(), Cleaned::Nothing, "all of it is active");
    fixture.roll();
    fixture.append(&["a=3"]);
    let mut uncommitted = fixture.clone();
    uncommitted.log().high_watermark = Offset(1);
    assert_eq!(uncommitted.run(), Cleaned::Nothing);

    let config = LogConfig { min_compaction_lag_ms: Duration::from_millis(100), ..compacted() };
    fixture.log().update_config(config);
    fixture.at(99);
    assert_eq!(fixture.run(), Cleaned::Nothing);
    fixture.at(100);
    assert_eq!(fixture.run(), Cleaned::One);
    assert_eq!(fixture.records(), ["1:a=2", "2:a=3"]);
}

#[test]
fn a_tombstone_goes_when_its_horizon_has_passed() {
    let mut fixture = Fixture::new(compacted(), toggles());
    fixture.at(1_000);
    fixture.append(&["a=1", "a="]);
    fixture.roll();
    fixture.run();
    assert_eq!(fixture.records(), ["1:a="], "it has not been there for delete.retention.ms");
    let batch = fixture.logs[&partition()].survey(Offset(0), &mut fixture.bench.disk).unwrap().remove(0);
    assert_eq!(batch.delete_horizon(), Some(Timestamp(1_000 + DAY as i64)));

    for (now, left) in [(DAY, 1), (DAY + 1_000, 0)] {
        fixture.at(now);
        fixture.append(&["b=1", "b=2", "b=3", "b=4"]);
        fixture.roll();
        assert_eq!(fixture.run(), Cleaned::One);
        let tombstones = fixture.records().iter().filter(|record| record.ends_with('=')).count();
        assert_eq!(tombstones, left, "at {now}");
    }
}

#[test]
fn without_the_fix_a_busy_log_keeps_its_tombstones_for_ever() {
    for (fix, left) in [(true, 0), (false, 1)] {
        let toggles = Toggles { delete_horizon: fix, ..toggles() };
        // All segments fit into one: it is as young as its youngest record.
        let mut fixture = Fixture::new(LogConfig { segment_bytes: 1 << 20, ..compacted() }, toggles);
        fixture.at(3_600_000);
        fixture.append(&["a=1", "a="]);
        fixture.roll();
        for hour in 1..73 {
            fixture.at(hour * 3_600_000);
            fixture.append(&["b=1", "b=2", "b=3"]);
            fixture.roll();
            fixture.run();
        }
        let tombstones = fixture.records().iter().filter(|record| record.ends_with('=')).count();
        assert_eq!(tombstones, left, "with the fix: {fix}");
    }
}

#[test]
fn the_last_batch_of_a_producer_stays_without_its_records() {
    let mut fixture = Fixture::new(compacted(), toggles());
    for sequence in 0..3 {
        fixture.append_batch(put(Some("a"), Some("by 7"), 5, Some(sequence)));
    }
    fixture.append(&["a=by another"]);
    fixture.roll();
    fixture.run();
    assert_eq!(fixture.records(), ["3:a=by another"]);
    let batches = fixture.logs[&partition()].survey(Offset(0), &mut fixture.bench.disk).unwrap();
    let headers: Vec<(i64, i32)> = batches.iter().map(|batch| (batch.base_offset().0, batch.records_count())).collect();
    assert_eq!(headers, [(2, 0), (3, 1)]);
    // A start without snapshots finds the sequence in what is left.
    let mut after = fixture.bench.clone();
    let names: Vec<String> = after.disk.list("orders-0").unwrap();
    for name in names.iter().filter(|name| name.ends_with(".snapshot")) {
        after.disk.remove(&format!("orders-0/{name}")).unwrap();
    }
    let log = after.recover(compacted(), 0);
    assert_eq!(log.producers().entry(7).unwrap().batches()[0].last_sequence, Sequence(2));
}

#[test]
fn records_without_a_key_go_and_a_damaged_batch_stops_the_cleaner() {
    let mut fixture = Fixture::new(config(), toggles());
    fixture.append_batch(put(None, Some("from before the policy"), 5, None));
    fixture.append(&["a=1"]);
    fixture.roll();
    fixture.log().update_config(compacted());
    let mut damaged = fixture.clone();
    fixture.run();
    assert_eq!(fixture.records(), ["1:a=1"]);

    let path = "orders-0/00000000000000000000.log";
    let mut bytes = damaged.bench.disk.content(path).unwrap().to_vec();
    // The length of the first record.
    bytes[61] = 0x7e;
    damaged.bench.disk.put(path, bytes.into());
    let Fixture { bench, .. } = &mut damaged;
    let log = bench.load(compacted());
    damaged.logs.insert(partition(), log);
    damaged.log().set_high_watermark(Offset(2));
    assert_eq!(damaged.run(), Cleaned::One);
    assert_eq!(damaged.run(), Cleaned::Nothing, "it is not tried again");
    let said = damaged.bench.facts();
    assert!(said.iter().any(|fact| matches!(fact, Fact::CleaningFailed { .. })), "{said:?}");
}

#[test]
fn compact_and_delete_does_both() {
    let both = CleanupPolicy { delete: true, compact: true };
    let retention_ms = Duration::from_millis(500);
    let mut fixture = Fixture::new(LogConfig { cleanup_policy: both, retention_ms, ..compacted() }, toggles());
    fixture.append(&["a=1", "a=2", "b=1"]);
    fixture.roll();
    fixture.at(400);
    fixture.append(&["c=1"]);
    fixture.run();
    assert_eq!(fixture.records(), ["1:a=2", "2:b=1", "3:c=1"]);
    fixture.at(501);
    fixture.run();
    assert_eq!(fixture.records(), ["3:c=1"]);
}

/// Killed after every single step of a cleaning, the log comes back with the last value of every key, and can be cleaned.
#[test]
fn a_crash_at_any_step_loses_no_last_value() {
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 300, ..compacted() }, toggles());
    for round in 0..4 {
        for key in ["a", "b", "c"] {
            fixture.append(&[&format!("{key}={round}")]);
        }
        fixture.roll();
    }
    fixture.append(&["d=1"]);
    let last = |mut records: Vec<String>| {
        let mut values = BTreeMap::new();
        records.sort_by_key(|record| record.split_once(':').unwrap().0.parse::<i64>().unwrap());
        for record in records {
            let (_, record) = record.split_once(':').unwrap();
            let (key, value) = record.split_once('=').unwrap();
            values.insert(key.to_owned(), value.to_owned());
        }
        values
    };
    let expected = last(fixture.records());
    let mut finished = false;
    let mut steps = 0;
    while !finished {
        let mut fixture = fixture.clone();
        let Fixture { bench, logs, cleaner } = &mut fixture;
        let mut dying = FailingDisk { disk: std::mem::take(&mut bench.disk), left: Some(steps) };
        let mut rng = crate::types::Prng::new(1);
        let mut effects = crate::machine::Effects::default();
        let mut ctx = Context::new(bench.now, Timestamp(0), &mut rng, &mut dying, &mut effects);
        finished = cleaner.run(logs, &mut ctx).is_ok();
        bench.disk = dying.disk;
        for recovery_point in [0, 12] {
            let mut bench = bench.clone();
            let mut log = bench.recover(compacted(), recovery_point);
            assert_eq!(last(survey(&log, &mut bench.disk)), expected, "after {steps} steps");
            assert_eq!(log.log_end_offset(), Offset(13), "after {steps} steps");
            let names = bench.disk.list("orders-0").unwrap();
            assert!(!names.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")), "{names:?}");
            log.set_high_watermark(Offset(13));
            let mut again: BTreeMap<TopicPartition, UnifiedLog> = [(partition(), log)].into();
            let mut cleaner = CleanerManager::default();
            while bench.with(|ctx| cleaner.run(&mut again, ctx)).unwrap() == Cleaned::One {}
            assert_eq!(last(survey(&again[&partition()], &mut bench.disk)), expected, "cleaned again, after {steps}");
        }
        steps += 1;
    }
    assert!(steps > 20, "only {steps} steps");
}

#[test]
fn the_cleaner_of_a_broker_runs_every_fifteen_seconds_unless_it_is_off() {
    for (enabled, left) in [(true, 2), (false, 3)] {
        let mut bench = Bench::new();
        let broker = crate::log::testing::broker_config(compacted());
        let broker = crate::config::BrokerConfig { log_cleaner_enable: enabled, ..(*broker).clone() };
        let mut manager = LogManager::new(broker.into());
        bench.with(|ctx| manager.load_all(ctx)).unwrap();
        let log = bench.with(|ctx| manager.get_or_create(&partition(), &compacted(), None, ctx).map(|log| log.clone()));
        assert!(log.is_ok());
        for value in ["1", "2", "3"] {
            let log = manager.get_mut(&partition()).unwrap();
            if value == "3" {
                bench.with(|ctx| log.roll(Offset(2), ctx)).unwrap();
            }
            let batch = put(Some("a"), Some(value), 5, None);
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).unwrap();
            log.set_high_watermark(log.log_end_offset());
        }
        bench.now = Instant(15_000_000_000);
        bench.with(|ctx| manager.on_deadline(ctx)).unwrap();
        assert_eq!(survey(manager.get(&partition()).unwrap(), &mut bench.disk).len(), left);
        let checkpoint = bench.disk.content("cleaner-offset-checkpoint");
        assert_eq!(checkpoint.is_some_and(|text| text == "0\n1\norders 0 2\n"), enabled);
    }
}
