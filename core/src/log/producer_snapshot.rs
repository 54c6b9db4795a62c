//! The state of the producers as a file, so that a start need not read all of the log.
//!
//! ```text
//! 00000000000000000017.snapshot          the state below offset 17
//!
//! version i16 = 1 │ CRC-32C u32 of what follows │ entries i32
//! entry: producer id i64 │ epoch i16 │ last sequence i32 │ last offset i64 │ offset delta i32 │ timestamp i64
//!        │ coordinator epoch i32 │ first offset of the open transaction i64, or -1
//! ```
//!
//! One is written when a segment is rolled, when the log is closed, and while the state is rebuilt. Only the *last* batch of
//! each producer is in it: after a start an older duplicate is no duplicate any more but out of order.
//!
//! Kafka: `ProducerStateManager` (`takeSnapshot`, `loadFromSnapshot`, `removeStraySnapshots`), `SnapshotFile`.
//! Not modelled: that producers which have expired are not even loaded; they go with the next check.

use std::io;

use bytes::Bytes;

use super::producer_state::{BatchMetadata, ProducerStateEntry, ProducerStateManager};
use crate::storage::{OpenMode, Storage};
use crate::types::{Offset, ProducerEpoch, Sequence, Timestamp};

/// The ending of a snapshot's file.
pub(super) const SNAPSHOT_SUFFIX: &str = ".snapshot";

const VERSION: i16 = 1;
/// Version and checksum.
const HEADER_BYTES: usize = 6;
const ENTRY_BYTES: usize = 46;

/// The path of the snapshot of what lies below `offset`.
pub(super) fn snapshot_path(directory: &str, offset: Offset) -> String {
    format!("{directory}/{:020}{SNAPSHOT_SUFFIX}", offset.0)
}

/// The bytes of a snapshot.
pub fn encode(entries: &[ProducerStateEntry]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + entries.len() * ENTRY_BYTES);
    body.extend((entries.len() as u32).to_be_bytes());
    for entry in entries {
        let last = entry.batches().last();
        let offset = last.map_or(Offset::NONE, |batch| batch.last_offset);
        let delta = last.map_or(0, |batch| batch.last_offset.0 - batch.first_offset.0);
        body.extend(entry.producer_id.to_be_bytes());
        body.extend(entry.producer_epoch.0.to_be_bytes());
        body.extend(last.map_or(Sequence::NONE, |batch| batch.last_sequence).0.to_be_bytes());
        body.extend(offset.0.to_be_bytes());
        body.extend(i32::try_from(delta).unwrap_or(0).to_be_bytes());
        body.extend(entry.last_timestamp().0.to_be_bytes());
        body.extend(entry.coordinator_epoch.to_be_bytes());
        body.extend(entry.current_txn_first_offset.unwrap_or(Offset::NONE).0.to_be_bytes());
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(crc32c::crc32c(&body).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The entries of a snapshot; `None` if it cannot be right.
pub fn decode(bytes: &[u8]) -> Option<Vec<ProducerStateEntry>> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let (version, crc) = header.split_at_checked(2)?;
    let version_fits = i16::from_be_bytes(version.try_into().ok()?) == VERSION;
    if !version_fits || u32::from_be_bytes(crc.try_into().ok()?) != crc32c::crc32c(body) {
        return None;
    }
    let (count, entries) = body.split_at_checked(4)?;
    let count = usize::try_from(i32::from_be_bytes(count.try_into().ok()?)).ok()?;
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    (entries.len() >= count).then(|| entries[..count].iter().map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8; ENTRY_BYTES]) -> ProducerStateEntry {
    fn at<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&bytes[start..start + N]);
        field
    }
    let last_sequence = Sequence(i32::from_be_bytes(at(bytes, 10)));
    let last_offset = Offset(i64::from_be_bytes(at(bytes, 14)));
    let delta = i32::from_be_bytes(at(bytes, 22));
    let timestamp = Timestamp(i64::from_be_bytes(at(bytes, 26)));
    let first_txn = Offset(i64::from_be_bytes(at(bytes, 38)));
    let mut entry =
        ProducerStateEntry::new(i64::from_be_bytes(at(bytes, 0)), ProducerEpoch(i16::from_be_bytes(at(bytes, 8))));
    entry.coordinator_epoch = i32::from_be_bytes(at(bytes, 34));
    entry.current_txn_first_offset = (first_txn >= Offset(0)).then_some(first_txn);
    entry.last_timestamp = timestamp;
    if last_offset >= Offset(0) {
        entry.add(
            entry.producer_epoch,
            BatchMetadata {
                first_sequence: last_sequence.minus(delta),
                last_sequence,
                first_offset: Offset(last_offset.0.wrapping_sub(i64::from(delta))),
                last_offset,
                timestamp,
            },
        );
    }
    entry
}

impl ProducerStateManager {
    /// Writes a snapshot of the state below the map's end, if that has moved since the last one; says where it is. It is
    /// synced here, or by whoever flushes what was rolled.
    pub(super) fn take_snapshot(
        &mut self,
        directory: &str,
        sync: bool,
        storage: &mut dyn Storage,
    ) -> io::Result<Option<String>> {
        if self.map_end <= self.last_snapshot {
            return Ok(None);
        }
        let path = snapshot_path(directory, self.map_end);
        let file = storage.open(&path, OpenMode::Truncate)?;
        let written = storage.append(file, Bytes::from(encode(self.entries())));
        let written = if sync { written.and_then(|()| storage.sync(file)) } else { written };
        storage.close(file);
        written?;
        self.snapshots.insert(self.map_end);
        self.last_snapshot = self.map_end;
        Ok(Some(path))
    }

    /// Finds the snapshots of a directory, and removes those that belong to no segment, but for the newest one beyond the
    /// last segment's base: that is the one of the last clean stop.
    pub(super) fn find_snapshots(
        &mut self,
        directory: &str,
        bases: &[Offset],
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let names = storage.list(directory)?;
        self.snapshots = names.iter().filter_map(|name| offset_in(name, SNAPSHOT_SUFFIX)).collect();
        let strays: Vec<Offset> =
            self.snapshots.iter().copied().filter(|at| bases.binary_search(at).is_err()).collect();
        let newest = strays.last().copied().filter(|at| bases.last().is_none_or(|last| at >= last));
        for stray in strays.into_iter().filter(|at| Some(*at) != newest) {
            self.remove_snapshot(stray, directory, storage)?;
        }
        Ok(())
    }

    /// Drops what lies outside of (log start, `end`], and goes back to the newest snapshot that is left, if the state is not
    /// that of `end` already.
    pub(super) fn truncate_and_reload(
        &mut self,
        log_start: Offset,
        end: Offset,
        directory: &str,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let outside: Vec<Offset> = self.snapshots.iter().copied().filter(|at| *at > end || *at <= log_start).collect();
        for snapshot in outside {
            self.remove_snapshot(snapshot, directory, storage)?;
        }
        if self.map_end == end {
            self.on_log_start_incremented(log_start);
            return Ok(());
        }
        self.clear();
        while let Some(newest) = self.snapshots.last().copied() {
            let path = snapshot_path(directory, newest);
            let file = storage.open(&path, OpenMode::Existing)?;
            let len = usize::try_from(storage.len(file)?).map_err(io::Error::other)?;
            let bytes = storage.read_at(file, 0, len);
            storage.close(file);
            if let Some(entries) = decode(&bytes?) {
                self.load(entries);
                (self.map_end, self.last_snapshot) = (newest, newest);
                return Ok(());
            }
            // Torn or corrupt: the one before it has to do.
            self.remove_snapshot(newest, directory, storage)?;
        }
        (self.map_end, self.last_snapshot) = (log_start, log_start);
        Ok(())
    }

    /// Forgets everything; the log begins anew at `offset`.
    pub(super) fn start_at(&mut self, offset: Offset, directory: &str, storage: &mut dyn Storage) -> io::Result<()> {
        self.clear();
        for snapshot in std::mem::take(&mut self.snapshots) {
            self.remove_snapshot(snapshot, directory, storage)?;
        }
        (self.map_end, self.last_snapshot) = (offset, Offset(0));
        Ok(())
    }

    pub(super) fn remove_snapshot(
        &mut self,
        offset: Offset,
        directory: &str,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        self.snapshots.remove(&offset);
        let path = snapshot_path(directory, offset);
        if storage.exists(&path) { storage.remove(&path) } else { Ok(()) }
    }
}

/// The offset in the name of a file: twenty digits and an ending.
pub(super) fn offset_in(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    let number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if number { digits.parse().ok().map(Offset) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::log::AppendError;
    use crate::log::testing::{Batch, Bench, config, parse};
    use crate::protocol::ErrorCode;
    use crate::types::LeaderEpoch;

    #[test]
    fn the_file_is_kafkas() {
        let mut state = ProducerStateManager::default();
        state.update(&parse(&Batch::of(3).producer(7, 2, 40).at(100, 0).timestamp(5_000).build()));
        let bytes = encode(state.entries());
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[2..6], crc32c::crc32c(&bytes[6..]).to_be_bytes());
        let fields = [
            &[0, 0, 0, 1][..],
            &7i64.to_be_bytes(),
            &2i16.to_be_bytes(),
            &42i32.to_be_bytes(),
            &102i64.to_be_bytes(),
            &2i32.to_be_bytes(),
            &5_002i64.to_be_bytes(),
            &(-1i32).to_be_bytes(),
            &(-1i64).to_be_bytes(),
        ];
        assert_eq!(bytes[6..], fields.concat());
        let entries = decode(&bytes).unwrap();
        assert_eq!(entries[0].batches(), state.entries()[0].batches());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(decode(&flipped), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn sequences_wrap_backwards_as_they_do_forwards() {
        for (last, delta, first) in [(5, 3, 2), (3, 3, 0), (1, 3, i32::MAX - 1), (0, 1, i32::MAX)] {
            assert_eq!(Sequence(last).minus(delta), Sequence(first));
            assert_eq!(Sequence(first).plus(delta), Sequence(last));
        }
    }

    fn one_batch_each() -> LogConfig {
        LogConfig { segment_bytes: Batch::of(2).build().len() as u64, ..config() }
    }

    fn snapshots(bench: &mut Bench) -> Vec<i64> {
        let names = bench.disk.list("orders-0").unwrap();
        names.iter().filter_map(|name| offset_in(name, SNAPSHOT_SUFFIX)).map(|offset| offset.0).collect()
    }

    /// Four segments with one batch each by producer 7, sequences 0 to 7.
    fn four(bench: &mut Bench) -> crate::log::UnifiedLog {
        let mut log = bench.load(one_batch_each());
        for n in 0..4 {
            let batch = Batch::of(2).producer(7, 0, n * 2).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).unwrap();
        }
        log
    }

    #[test]
    fn one_is_taken_at_every_roll_and_at_the_end() {
        let mut bench = Bench::new();
        let mut log = four(&mut bench);
        assert_eq!(snapshots(&mut bench), [2, 4, 6]);
        bench.with(|ctx| log.close(ctx)).unwrap();
        assert_eq!(snapshots(&mut bench), [2, 4, 6, 8]);
    }

    #[test]
    fn after_a_start_only_the_last_batch_is_a_duplicate() {
        let mut bench = Bench::new();
        let mut log = four(&mut bench);
        bench.with(|ctx| log.close(ctx)).unwrap();
        let mut log = bench.load(one_batch_each());
        let mut send = |sequence: i32| {
            let batch = Batch::of(2).producer(7, 0, sequence).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx))
        };
        assert!(send(6).unwrap().duplicate);
        match send(4) {
            Err(AppendError::Refused(error)) => assert_eq!(error, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            other => panic!("the one before is not known any more: {other:?}"),
        }
        assert!(!send(8).unwrap().duplicate);
    }

    #[test]
    fn a_snapshot_that_is_torn_is_passed_over() {
        let mut bench = Bench::new();
        let mut log = four(&mut bench);
        bench.with(|ctx| log.close(ctx)).unwrap();
        for damaged in [vec![8], vec![6, 8], vec![2, 4, 6, 8]] {
            let mut bench = bench.clone();
            for at in &damaged {
                let path = snapshot_path("orders-0", Offset(*at));
                let torn = bench.disk.content(&path).unwrap().slice(..20);
                bench.disk.put(&path, torn);
            }
            let log = bench.load(one_batch_each());
            let last = log.producers().entry(7).unwrap().batches().last().copied().unwrap();
            assert_eq!((last.last_sequence, last.last_offset), (Sequence(7), Offset(7)), "{damaged:?}");
            // What was read again beyond them is written again.
            assert!(snapshots(&mut bench).contains(&8), "{damaged:?}");
        }
    }

    #[test]
    fn without_any_a_clean_start_knows_nobody_and_an_unclean_one_reads_the_log() {
        let mut bench = Bench::new();
        let mut log = four(&mut bench);
        bench.with(|ctx| log.close(ctx)).unwrap();
        for at in snapshots(&mut bench) {
            bench.disk.remove(&snapshot_path("orders-0", Offset(at))).unwrap();
        }
        let mut other = bench.clone();
        assert_eq!(bench.load(one_batch_each()).producers().entries(), []);
        assert_eq!(snapshots(&mut bench), [4, 6, 8]);
        let mut third = other.clone();
        assert_eq!(other.recover(one_batch_each(), 0).producers().entries().len(), 1);
        assert_eq!(snapshots(&mut other), [2, 4, 6, 8]);
        // One is taken where each segment begins that is recovered: the next start need not read what lies below.
        third.recover(one_batch_each(), 3);
        assert_eq!(snapshots(&mut third), [2, 4, 6, 8]);
    }

    #[test]
    fn whoever_was_forgotten_for_being_quiet_does_not_come_back_when_the_log_is_cut() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        for n in 0..2 {
            let batch = Batch::of(2).producer(7, 0, n * 2).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).unwrap();
        }
        bench.now = crate::types::Instant(10_000_000_000);
        bench.with(|ctx| log.remove_expired_producers(crate::types::Duration::from_secs(1), ctx));
        assert_eq!(log.producers().entries(), []);
        bench.with(|ctx| log.truncate_to(Offset(2), crate::fact::TruncationReason::Diverged, ctx)).unwrap();
        assert_eq!((log.log_end_offset(), log.producers().entries()), (Offset(2), &[][..]));
    }

    #[test]
    fn strays_go_but_for_the_newest_beyond_the_last_segment() {
        let mut bench = Bench::new();
        let mut log = four(&mut bench);
        bench.with(|ctx| log.close(ctx)).unwrap();
        for at in [1, 3, 7] {
            let path = snapshot_path("orders-0", Offset(at));
            bench.disk.put(&path, Bytes::from(encode(&[])));
        }
        bench.load(one_batch_each());
        assert_eq!(snapshots(&mut bench), [2, 4, 6, 8]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            decode(&bytes);
            // With a fitting checksum it gets further.
            let mut sealed = vec![0, 1];
            sealed.extend(crc32c::crc32c(&bytes).to_be_bytes());
            sealed.extend(&bytes);
            decode(&sealed);
        }
    }
}
