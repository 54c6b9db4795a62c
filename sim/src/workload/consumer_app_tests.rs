//! A program with workers, its client played by the test.

use ackproof_core::types::Timestamp;

use super::*;

fn record(offset: i64) -> ConsumerRecord {
    let (partition, timestamp) = (TopicPartition::of("orders", 0), Timestamp::NONE);
    ConsumerRecord { partition, offset: Offset(offset), timestamp, key: None, value: None, headers: Vec::new() }
}

/// A worker processes; each record is committed.
fn with_worker(processing_each: Duration) -> ConsumerApp {
    let source = Source::Assign(vec![TopicPartition::of("orders", 0)]);
    let reading = ConsumerWorkload::reading(source, Duration::from_millis(100));
    let workload = ConsumerWorkload { hand_over: true, commit: CommitPolicy::AfterEach, processing_each, ..reading };
    ConsumerApp::new(Arc::new(workload), 0, Instant::START, 0)
}

/// What it does at `now`, and the call that it waits in afterwards: it waits in one at most.
fn calls(app: &mut ConsumerApp, waits_in: &mut Option<Call>, now: Instant) -> usize {
    let mut processed = 0;
    while let Some(call) = app.next_call(now) {
        match call {
            Call::Poll { .. } | Call::Commit { sync: true, .. } => {
                assert_eq!(*waits_in, None, "{call:?} is another thread's");
                *waits_in = Some(call);
            }
            Call::Worked(..) => processed += 1,
            _ => {}
        }
    }
    processed
}

#[test]
fn what_a_worker_wants_committed_is_committed_one_after_another_by_the_loop() {
    for processing_each in [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(1)] {
        let (mut app, mut now, mut waits_in) = (with_worker(processing_each), Instant::START, None);
        let (mut unread, mut processed, mut committed) = (vec![3..5, 0..3], 0, Vec::new());
        for _ in 0..1000 {
            processed += calls(&mut app, &mut waits_in, now);
            match waits_in.take() {
                Some(Call::Commit { call, offsets: Some(offsets), .. }) => {
                    committed.push(offsets[0].1.0);
                    now += Duration::from_millis(5);
                    processed += calls(&mut app, &mut Some(Call::Poll { timeout: Duration::ZERO }), now);
                    app.completed(Completion::Committed { call, result: Ok(()) }, now);
                }
                Some(_) => {
                    now += Duration::from_millis(20);
                    processed += calls(&mut app, &mut Some(Call::Poll { timeout: Duration::ZERO }), now);
                    let records = unread.pop().into_iter().flatten().map(record).collect();
                    app.completed(Completion::Polled(Ok(records)), now);
                }
                None => now += Duration::from_millis(1),
            }
        }
        assert_eq!((processed, committed), (5, vec![1, 2, 3, 4, 5]), "{processing_each:?} each");
        assert!(!app.is_processing());
    }
}

#[test]
fn a_loop_that_has_ended_commits_nothing_and_does_not_begin_again() {
    let (mut app, now) = (with_worker(Duration::from_millis(1)), Instant::START);
    let mut waits_in = None;
    calls(&mut app, &mut waits_in, now);
    app.completed(Completion::Polled(Ok((0..3).map(record).collect())), now);
    app.completed(Completion::Polled(Err(ErrorCode::OFFSET_OUT_OF_RANGE)), now);
    waits_in = None;
    let mut processed = 0;
    for later in 0..10 {
        processed += calls(&mut app, &mut waits_in, now + Duration::from_millis(later));
    }
    assert_eq!((processed, waits_in), (3, None));
    assert!(!app.is_processing());
}
