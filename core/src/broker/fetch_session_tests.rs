//! Tests of `fetch_session.rs`.

use bytes::Bytes;

use super::*;
use crate::types::Duration;

const NOW: Instant = Instant(1_000);

struct Fetcher {
    manager: FetchManager,
    rng: Prng,
    now: Instant,
}

fn orders(partition: i32) -> TopicPartition {
    TopicPartition::of("orders", partition)
}

fn from(offset: i64) -> FetchPartition {
    FetchPartition {
        fetch_offset: Offset(offset),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        log_start_offset: Offset(-1),
        max_bytes: 1000,
    }
}

fn found(high_watermark: i64, records: &'static [u8]) -> FetchResult {
    FetchResult {
        error: ErrorCode::NONE,
        high_watermark: Offset(high_watermark),
        last_stable_offset: Offset(high_watermark),
        log_start_offset: Offset(0),
        diverging: None,
        preferred_read_replica: None,
        records: Bytes::from_static(records),
    }
}

impl Fetcher {
    fn with_slots(slots: usize) -> Self {
        Self { manager: FetchManager::new(slots), rng: Prng::new(1), now: NOW }
    }

    /// Asks, and finds in every partition what `find` says. The partitions fetched, and the answer.
    fn fetch(
        &mut self,
        session: (i32, i32),
        requested: &[i32],
        forgotten: &[i32],
        find: impl Fn(i32) -> FetchResult,
    ) -> (Vec<i32>, SessionAnswer) {
        self.fetch_as(false, session, requested, forgotten, find)
    }

    fn fetch_as(
        &mut self,
        is_follower: bool,
        session: (i32, i32),
        requested: &[i32],
        forgotten: &[i32],
        find: impl Fn(i32) -> FetchResult,
    ) -> (Vec<i32>, SessionAnswer) {
        let requested = requested.iter().map(|p| (orders(*p), from(7))).collect();
        let forgotten: Vec<TopicPartition> = forgotten.iter().copied().map(orders).collect();
        let (context, asked) = self.manager.new_context(session, is_follower, requested, &forgotten, self.now);
        let found = asked.iter().map(|(p, _)| (p.clone(), find(p.partition)));
        let response = self.manager.respond(context, found.collect(), self.now, &mut self.rng);
        (asked.into_iter().map(|(p, _)| p.partition).collect(), response)
    }

    fn new_session(&mut self, partitions: &[i32]) -> i32 {
        self.fetch((0, 0), partitions, &[], |_| found(5, b"")).1.session_id
    }
}

fn answered(response: &SessionAnswer) -> Vec<i32> {
    response.partitions.iter().map(|(partition, _)| partition.partition).collect()
}

#[test]
fn a_full_fetch_answers_everything_and_opens_a_session() {
    let mut fetcher = Fetcher::with_slots(10);
    let (asked, response) = fetcher.fetch((0, 0), &[0, 1], &[], |_| found(5, b""));
    assert_eq!(asked, [0, 1]);
    assert_eq!(answered(&response), [0, 1]);
    assert!(response.session_id > 0);
}

#[test]
fn an_incremental_fetch_asks_for_the_whole_session_and_answers_what_changed() {
    let mut fetcher = Fetcher::with_slots(10);
    let session = fetcher.new_session(&[0, 1, 2, 3]);
    let (asked, response) = fetcher.fetch((session, 1), &[], &[], |p| match p {
        0 => found(5, b""),
        1 => found(6, b""),
        2 => found(5, b"batch"),
        _ => FetchResult { error: ErrorCode::NOT_LEADER_OR_FOLLOWER, ..found(5, b"") },
    });
    assert_eq!(asked, [0, 1, 2, 3]);
    assert_eq!(answered(&response), [1, 2, 3], "a new high watermark, data, an error");
    assert_eq!(response.session_id, session);

    let (asked, response) = fetcher.fetch((session, 2), &[], &[], |p| found(if p == 1 { 6 } else { 5 }, b""));
    assert_eq!(asked, [0, 1, 3, 2], "what had data goes to the end");
    assert_eq!(answered(&response), [3], "the error is gone, and that is news");
}

#[test]
fn partitions_are_added_updated_and_forgotten() {
    let mut fetcher = Fetcher::with_slots(10);
    let session = fetcher.new_session(&[0, 1]);
    let (asked, _) = fetcher.fetch((session, 1), &[2, 0], &[1], |_| found(5, b""));
    assert_eq!(asked, [0, 2]);
    let (asked, response) = fetcher.fetch((session, 2), &[], &[0, 2], |_| found(5, b""));
    assert!(asked.is_empty());
    assert_eq!(response.session_id, INVALID_SESSION_ID, "an empty session is closed");
    let (_, response) = fetcher.fetch((session, 3), &[], &[], |_| found(5, b""));
    assert_eq!(response.error, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn a_wrong_epoch_or_an_unknown_session_is_refused() {
    let mut fetcher = Fetcher::with_slots(10);
    let session = fetcher.new_session(&[0]);
    for (id, epoch, error) in [
        (session, 2, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        (session + 1, 1, ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        (session, 1, ErrorCode::NONE),
        (session, 1, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
    ] {
        let (asked, response) = fetcher.fetch((id, epoch), &[0], &[], |_| found(5, b""));
        assert_eq!(response.error, error, "session {id}, epoch {epoch}");
        assert_eq!(asked.is_empty(), !error.is_none());
    }
}

#[test]
fn an_answer_that_was_overtaken_by_another_request_is_refused() {
    let mut fetcher = Fetcher::with_slots(10);
    let session = fetcher.new_session(&[0]);
    let (slow, _) = fetcher.manager.new_context((session, 1), false, Vec::new(), &[], NOW);
    fetcher.fetch((session, 2), &[], &[], |_| found(6, b"batch"));
    let response = fetcher.manager.respond(slow, vec![(orders(0), found(5, b""))], NOW, &mut fetcher.rng);
    assert_eq!(response.error, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert!(response.partitions.is_empty());
}

#[test]
fn the_final_epoch_closes_the_session_and_opens_none() {
    let mut fetcher = Fetcher::with_slots(10);
    let session = fetcher.new_session(&[0]);
    let (asked, response) = fetcher.fetch((session, -1), &[0], &[], |_| found(5, b""));
    assert_eq!((asked, response.session_id), (vec![0], INVALID_SESSION_ID));
    let (_, response) = fetcher.fetch((session, 1), &[], &[], |_| found(5, b""));
    assert_eq!(response.error, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn without_room_there_is_no_session_until_one_may_be_evicted() {
    let long = Duration::from_secs(121);
    let mut fetcher = Fetcher::with_slots(1);
    let first = fetcher.new_session(&[0]);
    assert_eq!(fetcher.new_session(&[0, 1]), INVALID_SESSION_ID, "the first is new and in use");
    fetcher.now += Duration::from_secs(60);
    fetcher.fetch((first, 1), &[], &[], |_| found(5, b""));
    fetcher.now += Duration::from_secs(61);
    assert_eq!(fetcher.new_session(&[0, 1]), INVALID_SESSION_ID, "used a minute ago, when it was a minute old");
    fetcher.fetch((first, 2), &[], &[], |_| found(5, b""));
    let bigger = fetcher.new_session(&[0, 1]);
    assert_ne!(bigger, INVALID_SESSION_ID, "old and smaller");
    fetcher.now += long;
    assert_ne!(fetcher.new_session(&[0]), INVALID_SESSION_ID, "not used for two minutes");
    let (_, response) = fetcher.fetch_as(true, (0, 0), &[0], &[], |_| found(5, b""));
    assert_ne!(response.session_id, INVALID_SESSION_ID, "a follower's comes before a consumer's");
    assert_eq!(fetcher.new_session(&[0, 1, 2]), INVALID_SESSION_ID, "and stays");
}

#[test]
fn with_no_slots_every_fetch_is_full() {
    let mut fetcher = Fetcher::with_slots(0);
    assert_eq!(fetcher.new_session(&[0, 1]), INVALID_SESSION_ID);
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!([next_epoch(0), next_epoch(7), next_epoch(i32::MAX), next_epoch(-1)], [1, 8, 1, -1]);
}
