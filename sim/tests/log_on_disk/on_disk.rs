//! The log under test, its disk, and the list of what was written to it.

use std::io;
use std::sync::Arc;

use ackproof_core::config::{BrokerConfig, LogConfig, Property};
use ackproof_core::fact::TruncationReason;
use ackproof_core::log::{AppendError, LogManager, ProducerStateManager};
use ackproof_core::record::{BatchBuilder, Compression, ProducerState, RecordBatch, with_offset_and_epoch};
use ackproof_core::storage::FailingDisk;
use ackproof_core::types::{
    BrokerEpoch, Duration, Instant, LeaderEpoch, Offset, Prng, ProducerEpoch, Sequence, Timestamp, TopicPartition,
};
use ackproof_core::{Context, Effects};
use ackproof_sim::world::{DiskFault, DiskFaults, DiskSpec, Keep, SimDisk};
use bytes::Bytes;

use crate::{Setup, Step, Transition};

/// How a life of the process ends when nobody asked it to.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// The page cache stays.
    Kill,
    /// Of the page cache stays what `keep` says, drawn from `seed`.
    PowerLoss { keep: Keep, seed: u64 },
}

/// What is known of the log: the model.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Where the log begins.
    start: Offset,
    batches: Vec<RecordBatch>,
    /// Where it ends.
    end: Offset,
    /// Whether batches are missing in the middle, see [`LogOnDisk::learn`].
    has_holes: bool,
    /// Everything below is on the device: the log said so.
    synced: Offset,
    /// What a step that died was about to append.
    under_way: Vec<RecordBatch>,
    /// Where a step that died was about to cut the log, or to begin it anew.
    cut: Option<Cut>,
    /// What must have survived the crashes since the last start that ended well.
    at_least: Option<Offset>,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    To(Offset),
    Anew(Offset),
}

impl Model {
    fn begin_at(&mut self, offset: Offset) {
        *self = Model { start: offset, end: offset, synced: offset, ..Model::default() };
    }

    fn cut_to(&mut self, to: Offset) {
        self.batches.retain(|batch| batch.next_offset() <= to);
        self.end = self.end.min(to);
        self.synced = self.synced.min(to);
    }

    /// Where the log ends if what is under way gets there.
    fn end_at_most(&self) -> Offset {
        self.under_way.last().map_or(self.end, RecordBatch::next_offset)
    }
}

/// A log, its disk, and the model.
pub struct LogOnDisk {
    config: Arc<BrokerConfig>,
    log_config: LogConfig,
    partition: TopicPartition,
    manager: LogManager,
    disk: FailingDisk<SimDisk>,
    now: Instant,
    epoch: LeaderEpoch,
    written: u64,
    /// Whether a crash since the last start that ended well was a loss of power.
    lost_power: bool,
    model: Model,
}

impl LogOnDisk {
    /// An empty log on an empty disk.
    pub fn new(setup: &Setup) -> Self {
        let version = setup.version.parse().expect("a version of Kafka");
        let properties = [Property::new("broker.id", "1")];
        let mut config = BrokerConfig::resolve(version, &properties).expect("known properties").config;
        // Smaller than some versions let a user say: so that a short history has many segments.
        config.log.segment_bytes = setup.segment_bytes;
        config.log.index_interval_bytes = setup.index_interval_bytes;
        config.log.flush_messages = setup.flush_messages;
        config.log.segment_ms = Duration::from_secs(20);
        let config = Arc::new(config);
        let mut log = Self {
            log_config: config.log.clone(),
            manager: LogManager::new(config.clone()),
            config,
            partition: TopicPartition::of("orders", 0),
            disk: FailingDisk { disk: SimDisk::new(DiskSpec::default(), Prng::new(0)), left: None },
            now: Instant(1),
            epoch: LeaderEpoch(0),
            written: 0,
            lost_power: false,
            model: Model::default(),
        };
        log.start().expect("an empty disk has nothing that could fail");
        log
    }

    /// From now on every `sync` says yes and does nothing.
    pub fn let_syncs_lie(&mut self) {
        let faults = DiskFaults { kinds: vec![DiskFault::SyncLies], ..DiskFaults::default() };
        self.disk.disk.add_faults(0, faults, self.now);
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut LogManager, &mut Context<'_>) -> R) -> R {
        let mut effects = Effects::default();
        let mut rng = Prng::new(1);
        let wall = Timestamp(self.now.0 as i64 / 1_000_000);
        self.disk.disk.begin(self.now);
        call(&mut self.manager, &mut Context::new(self.now, wall, &mut rng, &mut self.disk, &mut effects))
    }

    /// A process starts and loads what is on the disk.
    fn start(&mut self) -> io::Result<()> {
        self.manager = LogManager::new(self.config.clone());
        let (partition, config) = (self.partition.clone(), self.log_config.clone());
        self.with(|manager, ctx| {
            manager.load_all(ctx)?;
            manager.get_or_create(&partition, &config, None, ctx).map(|_| ())
        })
    }

    /// Does a step, with a crash inside it where there is one.
    pub fn take(&mut self, transition: &Transition) {
        self.now += Duration::from_millis(1);
        self.disk.left = transition.dies_after.map(|(calls, _)| calls);
        let done = self.perform(&transition.step);
        let died = self.disk.has_failed();
        self.disk.left = None;
        match (done, transition.dies_after) {
            (Ok(()), _) if !died => self.settle(),
            // Also where the step was done with the last call that it had.
            (_, Some((_, crash))) if died => self.crash(crash),
            (done, _) => panic!("{:?} failed on a healthy disk: {done:?}", transition.step),
        }
    }

    /// The log has done what it was told: the model knows it too.
    fn settle(&mut self) {
        self.model.end = self.model.end_at_most();
        let under_way = std::mem::take(&mut self.model.under_way);
        self.model.batches.extend(under_way);
        match self.model.cut.take() {
            Some(Cut::To(to)) => self.model.cut_to(to),
            Some(Cut::Anew(at)) => self.model.begin_at(at),
            None => {}
        }
        let log = self.manager.get(&self.partition).expect("it was created");
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (self.model.start, self.model.end));
        self.model.synced = self.model.synced.max(log.recovery_point());
    }

    fn perform(&mut self, step: &Step) -> io::Result<()> {
        let partition = self.partition.clone();
        match step {
            Step::Append { records, value_bytes, producer } => self.append(*records, *value_bytes, *producer),
            Step::Replicate { batches } => self.replicate(batches),
            Step::NextEpoch => {
                self.epoch = self.epoch.next();
                Ok(())
            }
            Step::TruncateTo { batch } => {
                let at = batch % (self.model.batches.len() + 1);
                let to = self.model.batches.get(at).map_or(self.model.end, RecordBatch::base_offset);
                self.model.cut = Some(Cut::To(to));
                let reason = TruncationReason::Diverged;
                self.with(|manager, ctx| manager.truncate_to(&partition, to, reason, ctx)).map(|_| ())
            }
            Step::StartAnew { offset } => {
                self.model.cut = Some(Cut::Anew(Offset(*offset)));
                self.with(|manager, ctx| {
                    manager.truncate_fully_and_start_at(&partition, Offset(*offset), TruncationReason::OutOfRange, ctx)
                })
            }
            Step::Flush => self.with(|manager, ctx| manager.get_mut(&partition).expect("created").flush(ctx)),
            Step::Wait { millis } => self.wait(Duration::from_millis(*millis)),
            Step::CleanStop => {
                self.with(|manager, ctx| manager.shutdown(BrokerEpoch(1), ctx))?;
                self.model.synced = self.model.end;
                self.restart(None)
            }
            Step::Crash(crash) => self.restart(Some(*crash)),
        }
    }

    fn batch(&mut self, records: u32, value_bytes: usize, state: ProducerState) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
        let now = self.now.0 as i64 / 1_000_000;
        for n in 0..records {
            self.written += 1;
            let value = format!("{:0>value_bytes$}", self.written);
            builder.append(Timestamp(now + i64::from(n)), None, Some(value.as_bytes()), &[]);
        }
        builder.set_producer_state(state);
        RecordBatch::parse(&builder.build().expect("uncompressed"), 0).expect("a whole batch")
    }

    /// A producer goes on from what the log knows of it.
    fn next_sequence(&self, producer_id: i64) -> i32 {
        let log = self.manager.get(&self.partition).expect("it was created");
        let last = log.producers().entry(producer_id).and_then(|entry| entry.batches().last());
        last.map_or(0, |batch| batch.last_sequence.0 + 1)
    }

    fn append(&mut self, records: u32, value_bytes: usize, producer: Option<i64>) -> io::Result<()> {
        let state = producer.map_or(ProducerState::NONE, |producer_id| ProducerState {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(self.next_sequence(producer_id)),
            transactional: false,
        });
        let (partition, epoch) = (self.partition.clone(), self.epoch);
        let sent = self.batch(records, value_bytes, state);
        if sent.size_in_bytes() as u64 > self.log_config.segment_bytes {
            return Ok(());
        }
        let bytes = with_offset_and_epoch(&sent, self.model.end, epoch);
        self.model.under_way = vec![RecordBatch::parse(&bytes, 0).expect("a whole batch")];
        let sent = sent.into_bytes();
        said(self.with(|manager, ctx| {
            manager.get_mut(&partition).expect("created").append_as_leader(sent, epoch, ctx).map(|_| ())
        }))
    }

    fn replicate(&mut self, batches: &[(u32, usize)]) -> io::Result<()> {
        let (mut end, mut all) = (self.model.end, Vec::new());
        let mut under_way = Vec::new();
        for (records, value_bytes) in batches {
            let sent = self.batch(*records, *value_bytes, ProducerState::NONE);
            let bytes = with_offset_and_epoch(&sent, end, self.epoch);
            // A set larger than a segment cannot come from a log whose segments are of that size.
            if (all.len() + bytes.len()) as u64 > self.log_config.segment_bytes {
                break;
            }
            all.extend_from_slice(&bytes);
            let batch = RecordBatch::parse(&bytes, 0).expect("a whole batch");
            end = batch.next_offset();
            under_way.push(batch);
        }
        if under_way.is_empty() {
            return Ok(());
        }
        self.model.under_way = under_way;
        let partition = self.partition.clone();
        said(self.with(|manager, ctx| {
            manager.get_mut(&partition).expect("created").append_as_follower(Bytes::from(all), ctx).map(|_| ())
        }))
    }

    fn wait(&mut self, time: Duration) -> io::Result<()> {
        let until = self.now + time;
        while let Some(due) = self.manager.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.with(LogManager::on_deadline)?;
        }
        self.now = until;
        Ok(())
    }

    /// The process ends and another one starts; what it finds is what there must be.
    fn restart(&mut self, crash: Option<Crash>) -> io::Result<()> {
        let survives = match crash {
            None | Some(Crash::Kill) => self.model.end,
            Some(Crash::PowerLoss { keep, seed }) => {
                self.disk.disk.lose_power(self.now, keep, &mut Prng::new(seed));
                self.lost_power = true;
                self.model.synced
            }
        };
        // A start may die as well: what survives is what survives all crashes until one ends well.
        let at_least = self.model.at_least.map_or(survives, |earlier| earlier.min(survives));
        self.model.at_least = Some(at_least);
        self.start()?;
        self.model.at_least = None;
        self.disk.left = None;
        self.learn(at_least);
        self.check_everything();
        Ok(())
    }

    /// Compares what a start has found with what must and what may be there, and takes it over.
    ///
    /// Kafka's recovery stops at the first batch that is not whole, and drops all later segments. A segment that lost its end
    /// between two batches looks whole to it: what was lost of several segments that were not flushed yet can leave a hole, and an
    /// empty last one the log's end where it was. So does this log.
    ///
    /// A crash between a truncation and the checkpoint behind it leaves a recovery point above the new end, in Kafka too: until the next
    /// checkpoint it speaks of batches that are appended there and flushed by nobody. The model does not go there.
    fn learn(&mut self, at_least: Offset) {
        if self.model.cut.is_some() {
            self.with(|manager, ctx| manager.checkpoint_recovery_points(ctx)).expect("a healthy disk");
        }
        let actual = self.surveyed();
        let may_have_holes = std::mem::take(&mut self.lost_power);
        let end_at_most = self.model.end_at_most();
        let written: Vec<RecordBatch> =
            self.model.batches.iter().cloned().chain(std::mem::take(&mut self.model.under_way)).collect();
        assert!(is_part_of(&actual, &written), "{actual:?} is more than {written:?}");
        let log = self.manager.get(&self.partition).expect("it was created");
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        match self.model.cut.take() {
            None => {
                assert_eq!(start, self.model.start);
                self.take_over(actual, &written, end, (at_least, end_at_most), may_have_holes);
            }
            Some(Cut::To(to)) => {
                // The replica is where it was before it was told to truncate, and is told so again.
                let (partition, reason) = (self.partition.clone(), TruncationReason::Diverged);
                self.with(|manager, ctx| manager.truncate_to(&partition, to, reason, ctx)).expect("a healthy disk");
                let below = |batches: Vec<RecordBatch>| -> Vec<RecordBatch> {
                    batches.into_iter().filter(|batch| batch.next_offset() <= to).collect()
                };
                let bounds = (at_least.min(to), to);
                self.take_over(below(actual), &below(written), end.min(to), bounds, may_have_holes);
            }
            Some(Cut::Anew(at)) => {
                let partition = self.partition.clone();
                self.with(|manager, ctx| {
                    manager.truncate_fully_and_start_at(&partition, at, TruncationReason::OutOfRange, ctx)
                })
                .expect("a healthy disk");
                self.model.begin_at(at);
            }
        }
    }

    fn take_over(
        &mut self,
        actual: Vec<RecordBatch>,
        written: &[RecordBatch],
        end: Offset,
        (at_least, at_most): (Offset, Offset),
        may_have_holes: bool,
    ) {
        let safe = written.iter().take_while(|batch| batch.next_offset() <= at_least).count();
        assert!(actual.starts_with(&written[..safe]), "below {at_least} all was on the device: {actual:?}");
        assert!((at_least..=at_most).contains(&end), "the log ends at {end}, not within {at_least}..={at_most}");
        let stops = actual.last().map_or(self.model.start, RecordBatch::next_offset);
        if !written.starts_with(&actual) || (stops != end && !self.model.has_holes) {
            assert!(may_have_holes, "a hole without a loss of power: {actual:?} of {written:?}, up to {end}");
            self.model.has_holes = true;
        }
        self.model.batches = actual;
        self.model.end = end;
        self.model.synced = self.model.synced.min(end);
    }

    fn surveyed(&mut self) -> Vec<RecordBatch> {
        let log = self.manager.get(&self.partition).expect("it was created");
        log.survey(Offset(0), &mut self.disk).expect("a healthy disk")
    }

    /// Everything that the log says is what the list says.
    pub fn check_everything(&mut self) {
        let model = self.model.clone();
        assert_eq!(self.surveyed(), model.batches);
        let log = self.manager.get(&self.partition).expect("it was created");
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end));
        assert!(log.recovery_point() <= model.end, "the recovery point is {}", log.recovery_point());
        self.check_reads();
        // What is remembered beside the batches may know of those in a hole.
        if model.has_holes {
            return;
        }
        let log = self.manager.get(&self.partition).expect("it was created");
        let mut producers = ProducerStateManager::default();
        for batch in &model.batches {
            producers.update(batch);
        }
        assert_eq!(log.producers().entries().len(), producers.entries().len());
        for entry in producers.entries() {
            let found = log.producers().entry(entry.producer_id).expect("it has written to the log");
            // A snapshot has the last batch of a producer only, so after a start or a truncation there may be fewer.
            assert!(!found.batches().is_empty() && entry.batches().ends_with(found.batches()), "{found:?}");
            assert_eq!(found.producer_epoch, entry.producer_epoch);
        }
        for batch in &model.batches {
            let epoch = batch.partition_leader_epoch();
            let later = model.batches.iter().find(|other| other.partition_leader_epoch() > epoch);
            let end = later.map_or(model.end, RecordBatch::base_offset);
            assert_eq!(log.end_offset_for_epoch(epoch), Some((epoch, end)));
        }
    }

    /// Every batch is found by its offsets and by its time.
    fn check_reads(&mut self) {
        let model = self.model.clone();
        for batch in &model.batches {
            for from in [batch.base_offset(), batch.last_offset()] {
                assert_eq!(self.read(from).as_ref(), Ok(batch.bytes()), "the batch at {from}");
            }
        }
        assert_eq!(self.read(model.end), Ok(Bytes::new()));
        for batch in model.batches.iter().step_by(3) {
            let timestamp = batch.records().next().expect("it has records").expect("they are whole").timestamp;
            let mut records =
                model.batches.iter().flat_map(|batch| batch.records()).map(|record| record.expect("whole"));
            let first = records.find(|record| record.timestamp >= timestamp).map(|record| record.offset);
            let partition = self.partition.clone();
            let found = self.with(|manager, ctx| {
                manager.get(&partition).expect("created").offset_for_timestamp(timestamp, ctx).expect("a healthy disk")
            });
            assert_eq!(found.map(|(_, offset, _)| offset), first, "the first record at {timestamp:?} or later");
        }
    }

    fn read(&mut self, from: Offset) -> Result<Bytes, ackproof_core::protocol::ErrorCode> {
        let (partition, end) = (self.partition.clone(), self.model.end);
        self.with(|manager, ctx| manager.get_mut(&partition).expect("created").read(from, end, 1, true, ctx))
    }

    fn crash(&mut self, crash: Crash) {
        self.restart(Some(crash)).expect("a log can be recovered");
    }
}

/// Whether `these` are among `those`, in the same order.
fn is_part_of(these: &[RecordBatch], those: &[RecordBatch]) -> bool {
    let mut those = those.iter();
    these.iter().all(|batch| those.any(|other| other == batch))
}

/// An append must not be refused; a failing disk is the crash.
fn said(result: Result<(), AppendError>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(AppendError::Storage(error)) => Err(error),
        Err(AppendError::Refused(error)) => panic!("a good batch was refused: {error}"),
    }
}
