//! What a reader of committed transactions may see of a log: up to the last stable offset, and not what was aborted.
//!
//! ```text
//!  log start       first unstable offset        high watermark     log end
//!      │ decided and committed │ open, or its end not committed │      │
//!      ├───────────────────────┴────────────────────────────────┴──────┤
//!                              ▲ last stable offset
//! ```
//!
//! Kafka: `UnifiedLog.lastStableOffset`, `maybeIncrementFirstUnstableOffset`, `collectAbortedTransactions`; KIP-98.
//! Not modelled: fetches that ask for it (`isolation.level`), the markers' way here (WriteTxnMarkers).

use super::transaction_index::AbortedTxn;
use super::unified_log::UnifiedLog;
use crate::types::Offset;

impl UnifiedLog {
    /// Below it everything is committed, and every transaction decided.
    pub fn last_stable_offset(&self) -> Offset {
        let unstable = self.producers.first_unstable_offset().map(|first| first.max(self.log_start));
        unstable.map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }

    /// The aborted transactions that a reader of `from` up to below `up_to` passes over.
    pub fn aborted_transactions(&self, from: Offset, up_to: Offset) -> Vec<AbortedTxn> {
        let mut found = Vec::new();
        let first = self.segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        for segment in &self.segments[first..] {
            if segment.transaction_index().collect(from, up_to, &mut found) {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::LogConfig;
    use crate::fact::TruncationReason;
    use crate::log::AppendError;
    use crate::log::testing::{Batch, Bench, config};
    use crate::protocol::ErrorCode;
    use crate::record::{EndTransactionMarker, TransactionResult};
    use crate::storage::Storage;
    use crate::types::{LeaderEpoch, ProducerEpoch, Timestamp};

    /// What a leader sends its followers: records of a producer's transaction, or its end.
    #[derive(Clone, Copy)]
    enum Sent {
        /// One record of producer so-and-so, with this sequence.
        Record(i64, i32),
        Commit(i64),
        Abort(i64),
    }
    use Sent::{Abort, Commit, Record};

    fn bytes(sent: Sent, offset: i64) -> Bytes {
        let end = |producer: i64, result| {
            let marker = EndTransactionMarker { result, coordinator_epoch: 3 };
            marker.batch((producer, ProducerEpoch(0)), (Offset(offset), LeaderEpoch(0)), Timestamp(2_000))
        };
        match sent {
            Record(producer, sequence) => {
                Batch::of(1).producer(producer, 0, sequence).in_transaction().at(offset, 0).build()
            }
            Commit(producer) => end(producer, TransactionResult::Commit),
            Abort(producer) => end(producer, TransactionResult::Abort),
        }
    }

    fn append(log: &mut UnifiedLog, bench: &mut Bench, sent: &[Sent]) {
        for one in sent {
            let bytes = bytes(*one, log.log_end_offset().0);
            bench.with(|ctx| log.append_as_follower(bytes, ctx)).unwrap();
        }
    }

    /// 9 begins at 0, 11 at 1; 9 is aborted at 2, begins anew at 3 and is committed at 4; 11 is aborted at 5.
    const HISTORY: [Sent; 6] = [Record(9, 0), Record(11, 0), Abort(9), Record(9, 1), Commit(9), Abort(11)];

    fn aborted(log: &UnifiedLog) -> Vec<(i64, i64, i64, i64)> {
        let all = log.segments().iter().flat_map(|segment| segment.transaction_index().entries());
        all.map(|txn| (txn.producer_id, txn.first_offset.0, txn.last_offset.0, txn.last_stable_offset.0)).collect()
    }

    /// What [`HISTORY`] leaves in the indexes: when 9 was aborted, 11 was open from 1 on.
    const ABORTED: [(i64, i64, i64, i64); 2] = [(9, 0, 2, 1), (11, 1, 5, 6)];

    fn one_batch_each() -> LogConfig {
        // A marker has 78 bytes, a record a few less.
        LogConfig { segment_bytes: 80, ..config() }
    }

    #[test]
    fn what_is_open_or_ended_above_the_high_watermark_is_not_stable() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let stable = |log: &mut UnifiedLog, high_watermark: i64| {
            log.set_high_watermark(Offset(high_watermark));
            log.last_stable_offset().0
        };
        append(&mut log, &mut bench, &HISTORY[..2]);
        assert_eq!(stable(&mut log, 2), 0, "both are open");
        append(&mut log, &mut bench, &HISTORY[2..3]);
        assert_eq!(stable(&mut log, 2), 0, "the end of 9 is not committed");
        assert_eq!(stable(&mut log, 3), 1, "11 is open");
        append(&mut log, &mut bench, &HISTORY[3..]);
        assert_eq!(stable(&mut log, 5), 1, "the end of 11 is not committed");
        assert_eq!(stable(&mut log, 6), 6);
        assert_eq!(aborted(&log), ABORTED);
    }

    #[test]
    fn a_reader_passes_over_what_was_aborted_in_its_range() {
        let mut bench = Bench::new();
        let mut log = bench.load(one_batch_each());
        append(&mut log, &mut bench, &HISTORY);
        for (from, up_to, producers) in [(0, 6, &[9, 11][..]), (3, 6, &[11]), (0, 1, &[9]), (6, 6, &[])] {
            let found = log.aborted_transactions(Offset(from), Offset(up_to));
            let found: Vec<i64> = found.iter().map(|txn| txn.producer_id).collect();
            assert_eq!(found, producers, "{from}..{up_to}");
        }
    }

    #[test]
    fn truncation_opens_again_what_the_markers_had_ended() {
        let mut bench = Bench::new();
        for layout in [config(), one_batch_each()] {
            let mut log = bench.load(layout);
            append(&mut log, &mut bench, &HISTORY);
            log.set_high_watermark(Offset(6));
            bench.with(|ctx| log.truncate_to(Offset(5), TruncationReason::Diverged, ctx)).unwrap();
            assert_eq!((log.last_stable_offset().0, aborted(&log)), (1, ABORTED[..1].to_vec()));
            bench.with(|ctx| log.truncate_to(Offset(2), TruncationReason::Diverged, ctx)).unwrap();
            assert_eq!((log.last_stable_offset().0, aborted(&log)), (0, Vec::new()));
            bench = Bench::new();
        }
    }

    #[test]
    fn an_open_transaction_is_still_open_after_a_clean_stop() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &HISTORY[..5]);
        bench.with(|ctx| log.close(ctx)).unwrap();
        let mut log = bench.load(config());
        log.set_high_watermark(Offset(5));
        assert_eq!((log.last_stable_offset().0, aborted(&log)), (1, ABORTED[..1].to_vec()));
        append(&mut log, &mut bench, &HISTORY[5..]);
        log.set_high_watermark(Offset(6));
        assert_eq!((log.last_stable_offset().0, aborted(&log)), (6, ABORTED.to_vec()));
    }

    #[test]
    fn an_unclean_start_builds_the_indexes_anew() {
        for layout in [config(), one_batch_each()] {
            let mut bench = Bench::new();
            let mut log = bench.load(layout.clone());
            append(&mut log, &mut bench, &HISTORY);
            for name in bench.disk.list("orders-0").unwrap() {
                if name.ends_with(".txnindex") {
                    bench.disk.remove(&format!("orders-0/{name}")).unwrap();
                }
            }
            let mut log = bench.recover(layout, 0);
            log.set_high_watermark(Offset(6));
            assert_eq!((log.last_stable_offset().0, aborted(&log)), (6, ABORTED.to_vec()));
        }
    }

    #[test]
    fn an_index_whose_records_are_gone_is_emptied() {
        let mut bench = Bench::new();
        let mut log = bench.load(one_batch_each());
        append(&mut log, &mut bench, &HISTORY);
        // The page of the log was lost, that of its index was not.
        let file = bench.disk.open("orders-0/00000000000000000005.log", crate::storage::OpenMode::Truncate).unwrap();
        bench.disk.close(file);
        let log = bench.recover(one_batch_each(), 5);
        assert_eq!((log.log_end_offset().0, aborted(&log)), (5, ABORTED[..1].to_vec()));
    }

    #[test]
    fn an_index_that_cannot_be_right_is_built_anew_at_a_clean_start_and_a_missing_one_is_not_missed() {
        let mut bench = Bench::new();
        let mut log = bench.load(one_batch_each());
        append(&mut log, &mut bench, &HISTORY);
        bench.with(|ctx| log.close(ctx)).unwrap();
        let (first, last) = ("orders-0/00000000000000000002.txnindex", "orders-0/00000000000000000005.txnindex");
        // The marker of the second index would lie below its segment.
        let content = bench.disk.content(first).unwrap();
        let file = bench.disk.open(last, crate::storage::OpenMode::Truncate).unwrap();
        bench.disk.append(file, content).unwrap();
        let log = bench.load(one_batch_each());
        assert_eq!(aborted(&log), ABORTED);
        let mut log = log;
        bench.with(|ctx| log.close(ctx)).unwrap();
        bench.disk.remove(first).unwrap();
        assert_eq!(aborted(&bench.load(one_batch_each())), ABORTED[1..]);
    }

    /// A snapshot from the middle of a segment is enough to know the producers, but not what was aborted before it.
    #[test]
    fn an_index_in_doubt_is_built_from_the_beginning_of_its_segment() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &HISTORY[..3]);
        bench.with(|ctx| log.close(ctx)).unwrap();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &HISTORY[3..]);
        bench.with(|ctx| log.close(ctx)).unwrap();
        for name in ["00000000000000000006.snapshot", "00000000000000000000.index"] {
            bench.disk.remove(&format!("orders-0/{name}")).unwrap();
        }
        assert!(bench.disk.exists("orders-0/00000000000000000003.snapshot"));
        assert_eq!(aborted(&bench.load(config())), ABORTED);
    }

    #[test]
    fn a_leader_takes_no_record_outside_of_the_open_transaction() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[Record(9, 0)]);
        let plain = Batch::of(1).producer(9, 0, 1).build();
        let refused = bench.with(|ctx| log.append_as_leader(plain, LeaderEpoch(0), ctx));
        assert!(matches!(refused, Err(AppendError::Refused(ErrorCode::INVALID_TXN_STATE))));
        let within = Batch::of(1).producer(9, 0, 1).in_transaction().build();
        bench.with(|ctx| log.append_as_leader(within, LeaderEpoch(0), ctx)).unwrap();
    }

    #[test]
    fn a_marker_without_records_ends_nothing() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[Abort(9), Commit(11)]);
        log.set_high_watermark(Offset(2));
        assert_eq!((log.last_stable_offset().0, aborted(&log)), (2, Vec::new()));
        let entry = log.producers().entry(9).unwrap();
        assert_eq!((entry.coordinator_epoch, entry.last_timestamp()), (3, Timestamp(2_000)));
    }
}
