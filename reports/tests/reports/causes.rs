//! Every cause of the catalog by mechanism, from facts alone; beside each what must not be called so.

use ackproof_core::fact::{Fact, LogStartReason, RetryReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, Sequence, TopicPartition};
use ackproof_reports::contract::{Ending, LegacyKind, OnError};
use ackproof_reports::render::text::{self, PlainText};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use crate::invariants::Replication;
use crate::run::{C1, CONTROLLER, P1, Run, acks, of, orders, p1, with_producer, with_topic};

/// The first anomaly of a kind has this cause, these contributing ones, and is permitted or not.
#[track_caller]
fn check(run: &Run, contract: &Contract, kind: Kind, cause: Cause, contributing: &[Cause], permitted: Answer) {
    let (judgement, explanation) = run.explain(contract);
    let anomaly = judgement.of_kind(kind).next().unwrap_or_else(|| panic!("no {kind} in {:?}", judgement.kinds()));
    assert_eq!((anomaly.cause, anomaly.contributing.as_slice()), (Some(cause), contributing), "{explanation:#?}");
    assert_eq!(anomaly.permitted.answer, permitted, "{}", anomaly.permitted.because);
    let story = explanation.stories.iter().find(|story| story.anomaly.kind == kind);
    assert!(story.is_some_and(|story| cause == Cause::Unknown || !story.steps.is_empty()), "a cause has a story");
}

/// Broker 1 leads, epoch 4, ISR {1,2,3}; records 0 and 1 are in batches of their own, 1 and 2.
fn two_batches() -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent(number, value);
        run.batched(number, number + 1);
    }
    run
}

/// The leader takes a batch of producer 7 for the first one that it has.
fn recognised(run: &mut Run, sent: u64) {
    let found = Fact::DuplicateDetected {
        partition: orders(),
        base_offset: Offset(0),
        producer_id: 7,
        producer_epoch: ProducerEpoch(0),
        base_sequence: Sequence(0),
    };
    run.because(sent, NodeId::Broker(1), found);
}

/// Broker 1 leads, epoch 4, ISR {1,2,3}; record 0 is appended there at offset 0.
fn appended(acks: i16) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    if acks == 1 {
        run.acked(0, 0, 1);
    }
    run
}

#[test]
fn pa_03_acknowledged_before_replicated() {
    let mut run = appended(1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2, 3], true, 0);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &[]);
    check(&run, &acks(1), Kind::LostWrite, Cause::AcknowledgedBeforeReplicated, &[], Answer::Yes);
}

#[test]
fn pa_05_the_same_at_acks_all_would_be_a_bug() {
    let mut run = appended(-1);
    run.acked(0, 0, -1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2, 3], true, 0);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &[]);
    check(&run, &acks(-1), Kind::LostWrite, Cause::AcknowledgedBeforeReplicated, &[], Answer::No);
}

#[test]
fn a_zombie_leader_acknowledges_what_its_successor_never_had() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.elected(2, 5, &[2, 3], true, 0);
    run.appends(sent, 1, 4, 0);
    run.acked(0, 0, 1);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &[]);
    check(&run, &acks(1), Kind::LostWrite, Cause::AcknowledgedBeforeReplicated, &[], Answer::Yes);
}

#[test]
fn re_01_unclean_election() {
    let mut run = appended(-1);
    run.isr(&[1, 2, 3], &[1, 2]);
    run.copies(2, 4, 0);
    run.acked(0, 0, -1);
    run.killed(NodeId::Broker(2));
    run.killed(NodeId::Broker(1));
    run.offline(&[1]);
    run.elected(3, 6, &[3], false, 0);
    run.sent(1, "s");
    run.acked(1, 0, -1);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.truncated(2, 1, 0, TruncationReason::Diverged);
    run.ends_with(3, &["s"]);
    let unclean = with_topic(acks(-1), |topic| topic.unclean_leader_election = true);
    check(&run, &unclean, Kind::LostWrite, Cause::UncleanElection, &[], Answer::Yes);
    check(&run, &unclean, Kind::InconsistentOffsets, Cause::UncleanElection, &[], Answer::Yes);
    check(&run, &acks(-1), Kind::LostWrite, Cause::UncleanElection, &[], Answer::No);
}

#[test]
fn pa_06_acks_all_with_the_leader_alone_in_the_isr() {
    let shrunk = || {
        let mut run = appended(-1);
        run.isr(&[1, 2, 3], &[1]);
        run.acked(0, 0, -1);
        run
    };
    // An unclean election takes it ...
    let mut run = shrunk();
    run.killed(NodeId::Broker(1));
    run.offline(&[1]);
    run.elected(2, 5, &[2], false, 0);
    run.ends_with(2, &[]);
    let unclean = with_topic(acks(-1), |topic| topic.unclean_leader_election = true);
    let also = [Cause::IsrShrunkToLeader];
    check(&run, &unclean, Kind::LostWrite, Cause::UncleanElection, &also, Answer::Yes);
    // ... or the leader's own disk.
    let mut run = shrunk();
    run.lost_power(1);
    run.offline(&[1]);
    run.loaded(1, 0);
    run.elected(1, 5, &[1], true, 0);
    run.ends_with(1, &[]);
    let also = [Cause::UnsyncedDataLostWithPower];
    check(&run, &acks(-1), Kind::LostWrite, Cause::IsrShrunkToLeader, &also, Answer::Yes);
}

#[test]
fn re_02_without_unclean_election_the_partition_waits() {
    let mut run = appended(-1);
    run.isr(&[1, 2, 3], &[1]);
    run.acked(0, 0, -1);
    run.killed(NodeId::Broker(1));
    run.offline(&[1]);
    run.ends_without_leader(&["a"]);
    check(&run, &acks(-1), Kind::Unavailable, Cause::NoEligibleLeader, &[], Answer::Yes);
    check(&run, &acks(-1), Kind::Stuck, Cause::NoEligibleLeader, &[], Answer::Yes);
    assert_eq!(run.judge(&acks(-1)).counts.lost, 0);
}

/// Record 0 is on all three and acknowledged; broker 1 loses it with its power and leads on, counting these as in sync.
fn bounced(isr: &[i32]) -> Run {
    bounced_with(isr, &[])
}

/// The same, and these machines were without power too, and lost nothing.
fn bounced_with(isr: &[i32], dark: &[i32]) -> Run {
    let mut run = appended(-1);
    run.copies(2, 4, 0);
    run.copies(3, 4, 0);
    run.acked(0, 0, -1);
    if isr.len() < 3 {
        run.isr(&[1, 2, 3], isr);
    }
    run.lost_power(1);
    for broker in dark {
        run.say(NodeId::Broker(*broker), Fact::PowerLost { unsynced_bytes: 900, lost_bytes: 0 });
    }
    run.loaded(1, 0);
    run.say(
        NodeId::Broker(1),
        Fact::BecameLeader { partition: orders(), leader_epoch: LeaderEpoch(4), isr: isr.to_vec(), log_end: Offset(0) },
    );
    run.truncated(2, 1, 0, TruncationReason::Diverged);
    run.truncated(3, 1, 0, TruncationReason::Diverged);
    // The offset is given away in the epoch in which it was given out; a copy of that is no copy of the first record.
    for broker in 1..=3 {
        let role = if broker == 1 { Role::Leader } else { Role::Follower };
        run.say(
            NodeId::Broker(broker),
            Fact::Appended {
                partition: orders(),
                role,
                base_offset: Offset(0),
                last_offset: Offset(0),
                leader_epoch: LeaderEpoch(4),
                producer_id: -1,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                crc: 77,
            },
        );
    }
    run.ends_with(1, &[]);
    run
}

#[test]
fn re_25_healthy_copies_that_are_in_sync_may_not_be_overruled() {
    let power = Cause::UnsyncedDataLostWithPower;
    let run = bounced(&[1, 2, 3]);
    check(&run, &acks(-1), Kind::LostWrite, Cause::InSyncCopiesOverruled, &[power], Answer::No);
    let two = with_topic(acks(-1), |topic| topic.min_insync_replicas = 2);
    check(&run, &two, Kind::LostWrite, Cause::InSyncCopiesOverruled, &[power], Answer::No);
    check(&bounced(&[1, 3]), &two, Kind::LostWrite, Cause::InSyncCopiesOverruled, &[power], Answer::No);
    check(&bounced_with(&[1, 2, 3], &[2]), &two, Kind::LostWrite, Cause::InSyncCopiesOverruled, &[power], Answer::No);
    // All of them had lost power: nobody could know before they were back whose disk had it.
    check(&bounced_with(&[1, 2, 3], &[2, 3]), &two, Kind::LostWrite, power, &[], Answer::Yes);
    // The last one in sync is all that the others can follow, and what it had not synced may be gone.
    check(&bounced(&[1]), &two, Kind::LostWrite, power, &[], Answer::Yes);
    // At acks=1 nothing was promised of the others.
    let mut weak = appended(1);
    weak.copies(2, 4, 0);
    weak.lost_power(1);
    weak.loaded(1, 0);
    let (leader_epoch, isr, log_end) = (LeaderEpoch(4), vec![1, 2, 3], Offset(0));
    weak.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
    weak.truncated(2, 1, 0, TruncationReason::Diverged);
    weak.ends_with(1, &[]);
    check(&weak, &acks(1), Kind::LostWrite, Cause::InSyncCopiesOverruled, &[power], Answer::Yes);
}

#[test]
fn re_06_the_last_known_leader_has_what_its_disk_has() {
    let history = |remembers: bool| {
        let mut run = appended(-1);
        run.copies(2, 4, 0);
        run.copies(3, 4, 0);
        run.acked(0, 0, -1);
        for broker in 1..=3 {
            run.lost_power(broker);
        }
        run.offline(&[]);
        let last_known_elr = if remembers { vec![2] } else { Vec::new() };
        run.say(CONTROLLER, Fact::EligibleLeadersChanged { partition: orders(), elr: Vec::new(), last_known_elr });
        run.loaded(2, 0);
        run.elected(2, 6, &[2], false, 0);
        run.loaded(1, 1);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        run
    };
    let power = [Cause::UnsyncedDataLostWithPower];
    let elr = with_topic(acks(-1), |topic| topic.eligible_leader_replicas = true);
    check(&history(true), &elr, Kind::LostWrite, Cause::LastKnownLeaderElected, &power, Answer::Yes);
    let synced = with_topic(elr.clone(), |topic| topic.flush_messages = 1);
    check(&history(true), &synced, Kind::LostWrite, Cause::LastKnownLeaderElected, &power, Answer::No);
    check(&history(false), &elr, Kind::LostWrite, Cause::UncleanElection, &[], Answer::No);
}

#[test]
fn st_03_unsynced_data_lost_with_power() {
    let mut run = appended(-1);
    run.copies(2, 4, 0);
    run.copies(3, 4, 0);
    run.acked(0, 0, -1);
    for broker in 1..=3 {
        run.lost_power(broker);
    }
    run.loaded(2, 0);
    run.elected(2, 5, &[2], true, 0);
    run.loaded(1, 1);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.loaded(3, 0);
    run.ends_with(2, &[]);
    check(&run, &acks(-1), Kind::LostWrite, Cause::UnsyncedDataLostWithPower, &[], Answer::Yes);
    let synced = with_topic(acks(-1), |topic| topic.flush_messages = 1);
    check(&run, &synced, Kind::LostWrite, Cause::UnsyncedDataLostWithPower, &[], Answer::No);
}

#[test]
fn st_01_a_kill_keeps_the_page_cache_so_a_shorter_log_is_the_disks_doing() {
    let mut run = appended(1);
    run.killed(NodeId::Broker(1));
    run.loaded(1, 0);
    run.elected(1, 5, &[1, 2, 3], true, 0);
    run.ends_with(1, &[]);
    check(
        &run,
        &acks(1),
        Kind::LostWrite,
        Cause::DiskLostData,
        &[Cause::AcknowledgedBeforeReplicated],
        Answer::Unknown,
    );
}

#[test]
fn st_06_a_torn_batch_is_the_powers_doing_if_the_power_went() {
    let torn = |power: bool| {
        let mut run = appended(1);
        match power {
            true => run.lost_power(1),
            false => run.killed(NodeId::Broker(1)),
        };
        run.truncated(1, 1, 0, TruncationReason::CorruptTail);
        run.loaded(1, 0);
        run.elected(1, 5, &[1], true, 0);
        run.ends_with(1, &[]);
        run
    };
    let also = [Cause::AcknowledgedBeforeReplicated];
    check(&torn(true), &acks(1), Kind::LostWrite, Cause::UnsyncedDataLostWithPower, &also, Answer::Yes);
    check(&torn(false), &acks(1), Kind::LostWrite, Cause::CorruptTail, &also, Answer::Yes);
}

#[test]
fn st_15_a_recovery_that_finds_the_broken_write_whole_loses_what_took_its_offset() {
    // The first byte of the next batch is the one that the broken one lacked: the log is cut behind it, not at it.
    let mut run = appended(1);
    run.killed(NodeId::Broker(1));
    run.truncated(1, 2, 1, TruncationReason::CorruptTail);
    run.loaded(1, 1);
    run.elected(1, 5, &[1], true, 1);
    run.ends_with(1, &["the one whose write broke off"]);
    let also = [Cause::AcknowledgedBeforeReplicated];
    check(&run, &acks(1), Kind::LostWrite, Cause::CorruptTail, &also, Answer::Yes);
}

#[test]
fn a_follower_that_cuts_to_its_high_watermark_and_then_leads() {
    let mut run = appended(-1);
    run.copies(2, 4, 0);
    run.acked(0, 0, -1);
    run.truncated(2, 1, 0, TruncationReason::ToHighWatermark);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2], true, 0);
    run.truncated(1, 1, 0, TruncationReason::ToHighWatermark);
    run.ends_with(2, &[]);
    check(&run, &acks(-1), Kind::LostWrite, Cause::TruncatedToHighWatermark, &[], Answer::No);
}

#[test]
fn a_loss_without_a_destruction_in_the_trace_stays_unknown() {
    let mut run = appended(1);
    run.ends_with(1, &[]);
    check(&run, &acks(1), Kind::LostWrite, Cause::Unknown, &[], Answer::Yes);
}

#[test]
fn pa_01_acks_0_whatever_became_of_it() {
    // In the socket of a broker that dies.
    let mut socket = Run::default();
    socket.elected(1, 4, &[1, 2, 3], true, 0);
    socket.sent(0, "a");
    socket.batched(0, 1);
    let sent = socket.transmits(1, 1, 1);
    socket.acked(0, -1, 0);
    socket.lost_message(sent, NodeId::Broker(1), "Produce request");
    socket.killed(NodeId::Broker(1));
    socket.ends_with(2, &[]);
    check(&socket, &acks(0), Kind::SilentDrop, Cause::AcknowledgedWithoutAsking, &[], Answer::Yes);
    // In a log that was cut.
    let mut log = appended(0);
    log.acked(0, -1, 0);
    log.killed(NodeId::Broker(1));
    log.elected(2, 5, &[2, 3], true, 0);
    log.truncated(1, 1, 0, TruncationReason::Diverged);
    log.ends_with(2, &[]);
    let also = [Cause::AcknowledgedBeforeReplicated];
    check(&log, &acks(0), Kind::SilentDrop, Cause::AcknowledgedWithoutAsking, &also, Answer::Yes);
}

#[test]
fn pa_02_acks_0_and_an_error_that_nobody_hears() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.acked(0, -1, 0);
    let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    run.because(sent, NodeId::Broker(1), Fact::AppendRefused { partition: orders(), error });
    run.ends_with(2, &[]);
    check(&run, &acks(0), Kind::SilentDrop, Cause::AcknowledgedWithoutAsking, &[], Answer::Yes);
    let (_, explanation) = run.explain(&acks(0));
    let story = text::explanation(&explanation, &crate::run::names(), &PlainText);
    let refused = "NOT_LEADER_OR_FOLLOWER: nobody hears of it, the broker closes the connection   ← the drop";
    assert!(story.contains(refused), "{story}");
}

#[test]
fn cr_11_cr_12_lg_01_lg_02_the_client_lost_it() {
    let legacy = with_producer(acks(0), |producer| producer.legacy = Some(LegacyKind::Async));
    let exits = with_producer(acks(-1), |producer| producer.ending = Ending::Exits);
    let failing = [
        (ErrorCode::CLIENT_BUFFER_EXHAUSTED, acks(-1), Cause::ClientBufferExhausted),
        (ErrorCode::CLIENT_METADATA_TIMEOUT, acks(-1), Cause::MetadataTimeout),
        (ErrorCode::CLIENT_DELIVERY_TIMEOUT, acks(-1), Cause::DeliveryTimeout),
        (ErrorCode::CLIENT_EXPIRED_UNSENT, acks(-1), Cause::DeliveryTimeout),
        (ErrorCode::CLIENT_RECORD_TOO_LARGE, acks(-1), Cause::RecordTooLarge),
        (ErrorCode::CLIENT_QUEUE_FULL, legacy.clone(), Cause::LegacyQueueFull),
        (ErrorCode::CLIENT_FAILED_TO_SEND, legacy.clone(), Cause::RetriesExhausted),
        (ErrorCode::CLIENT_CLOSED, acks(-1), Cause::ClientClosed),
        (ErrorCode::NOT_ENOUGH_REPLICAS, acks(-1), Cause::RetriesExhausted),
        (ErrorCode::INVALID_RECORD, acks(-1), Cause::RefusedByBroker),
    ];
    for (error, contract, cause) in failing {
        let mut run = Run::default();
        run.sent(0, "a");
        run.failed(0, error);
        run.ends_with(1, &[]);
        check(&run, &contract, Kind::SilentDrop, cause, &[], Answer::Yes);
    }
    let ending = [
        (true, exits.clone(), Cause::ProcessExitedWithUnsentRecords),
        (false, exits, Cause::ProcessExitedBeforeAnswer),
        (true, legacy, Cause::LegacyQueueLostWithProcess),
    ];
    for (unsent, contract, cause) in ending {
        let mut run = Run::default();
        run.sent(0, "a");
        run.abandoned(0, unsent);
        run.killed(P1);
        run.ends_with(1, &[]);
        check(&run, &contract, Kind::SilentDrop, cause, &[], Answer::Yes);
    }
}

/// Batch 1 is appended, its answer does not arrive, and it is sent again: the log has it twice.
fn resent(reason: RetryReason, producer_id: i64, second_id: i64) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let first = run.transmits_as(1, 1, 1, producer_id);
    let append = run.appends_as(first, 1, 4, 0, producer_id, if producer_id < 0 { -1 } else { 1 });
    run.lost_message(append, P1, "Produce response");
    run.retries(1, reason);
    let second = run.transmits_as(1, 2, 1, second_id);
    run.appends_as(second, 1, 4, 1, second_id, if second_id < 0 { -1 } else { 1 });
    run.acked(0, 1, -1);
    run.ends_with(1, &["a", "a"]);
    run
}

#[test]
fn nc_01_cr_01_resent_after_a_lost_response() {
    let run = resent(RetryReason::Disconnected, -1, -1);
    check(&run, &acks(-1), Kind::Duplicate, Cause::ResentAfterLostResponse, &[], Answer::Yes);
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    check(&run, &idempotent, Kind::Duplicate, Cause::ResentAfterLostResponse, &[], Answer::No);
    let no_retries = with_producer(acks(-1), |producer| producer.retries = 0);
    check(&run, &no_retries, Kind::Duplicate, Cause::ResentAfterLostResponse, &[], Answer::No);
}

#[test]
fn a_retry_after_an_error_that_came_after_the_append() {
    let run = resent(RetryReason::Error(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND), -1, -1);
    check(&run, &acks(-1), Kind::Duplicate, Cause::ResentAfterIndefiniteError, &[], Answer::Yes);
}

#[test]
fn cr_03_idempotence_that_fails_is_a_bug() {
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    let run = resent(RetryReason::Disconnected, 7, 7);
    check(&run, &idempotent, Kind::Duplicate, Cause::DuplicateNotRecognised, &[], Answer::No);
    let run = resent(RetryReason::Disconnected, 7, 8);
    check(&run, &idempotent, Kind::Duplicate, Cause::SequenceReset, &[], Answer::No);
}

#[test]
fn nc_02_a_late_request_after_its_retry() {
    let mut run = two_batches();
    let stalled = run.transmits(1, 1, 1);
    run.retries(1, RetryReason::RequestTimeout);
    let retry = run.transmits(1, 2, 1);
    let next = run.transmits(2, 1, 1);
    run.appends(retry, 1, 4, 0);
    run.appends(next, 1, 4, 1);
    run.acked(0, 0, -1);
    run.acked(1, 1, -1);
    run.appends(stalled, 1, 4, 2);
    run.ends_with(1, &["a", "b", "a"]);
    check(&run, &acks(-1), Kind::Duplicate, Cause::LateRequestAppendedAfterRetry, &[], Answer::Yes);
    check(&run, &acks(-1), Kind::ReplayReorder, Cause::LateRequestAppendedAfterRetry, &[], Answer::Yes);
}

#[test]
fn one_request_appended_twice() {
    let mut run = appended(0);
    let sent = run.events[run.events.len() - 1].cause;
    run.appends(sent, 1, 4, 1);
    run.acked(0, 0, -1);
    run.ends_with(1, &["a", "a"]);
    check(&run, &acks(-1), Kind::Duplicate, Cause::RequestDeliveredTwice, &[], Answer::Yes);
    // Whoever sends a batch once only has no part in it.
    let once = with_producer(acks(-1), |producer| producer.retries = 0);
    check(&run, &once, Kind::Duplicate, Cause::RequestDeliveredTwice, &[], Answer::Yes);
}

/// Two requests wait in the connection of a leader that does not answer; the client gives both up and sends the next one on a new
/// connection. What led to the turn of the second is not what led to it, but it left its client once only.
#[test]
fn nc_02_a_late_request_that_waited_for_its_turn() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for (number, value) in [(0, "a"), (1, "b"), (2, "c")] {
        run.sent(number, value);
        run.batched(number, number + 1);
    }
    let first = run.transmits(1, 1, 1);
    run.transmits(2, 1, 1);
    run.failed(0, ErrorCode::NETWORK_EXCEPTION);
    run.failed(1, ErrorCode::NETWORK_EXCEPTION);
    let third = run.transmits(3, 1, 1);
    run.appends(third, 1, 4, 0);
    run.acked(2, 0, -1);
    run.appends(first, 1, 4, 1);
    run.appends(first, 1, 4, 2);
    run.ends_with(1, &["c", "a", "b"]);
    let once = with_producer(acks(-1), |producer| producer.retries = 0);
    let causes: Vec<_> = run.explain(&once).0.of_kind(Kind::Reorder).map(|anomaly| anomaly.cause).collect();
    assert_eq!(causes, [Some(Cause::LateRequestAppended); 2]);
    check(&run, &once, Kind::Reorder, Cause::LateRequestAppended, &[], Answer::Yes);
}

#[test]
fn one_request_appended_twice_behind_a_later_one() {
    let repeated = |twice: bool| {
        let mut run = two_batches();
        let (first, second) = (run.transmits(1, 1, 1), run.transmits(2, 1, 1));
        run.appends(first, 1, 4, 0);
        run.appends(second, 1, 4, 1);
        let again = if twice {
            first
        } else {
            run.retries(1, RetryReason::RequestTimeout);
            run.transmits(1, 2, 1)
        };
        run.appends(again, 1, 4, 2);
        run.ends_with(1, &["a", "b", "a"]);
        run
    };
    let once = with_producer(acks(-1), |producer| producer.retries = 0);
    let replayed = Kind::ReplayReorder;
    check(&repeated(true), &once, replayed, Cause::RequestDeliveredTwice, &[], Answer::Yes);
    check(&repeated(false), &acks(-1), replayed, Cause::ResentAfterLostResponse, &[], Answer::Yes);
}

#[test]
fn cr_05_pa_12_resent_by_the_application() {
    let mut run = appended(0);
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.resent(1, 0, "a");
    run.batched(1, 2);
    let again = run.transmits(2, 1, 1);
    run.appends(again, 1, 4, 1);
    run.acked(1, 1, -1);
    run.ends_with(1, &["a", "a"]);
    let idempotent = with_producer(acks(-1), |producer| {
        producer.idempotence = true;
        producer.on_error = OnError::Resend;
    });
    check(&run, &idempotent, Kind::Duplicate, Cause::ResentByApplication, &[], Answer::Yes);
}

/// What is sent again for minutes: a story is told as long as there may be one that differs, and every copy has its cause.
#[test]
fn of_many_resends_some_are_told_and_all_are_explained() {
    let mut run = appended(0);
    for again in 1..=300 {
        run.failed(again - 1, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        run.resent(again, 0, "a");
        run.batched(again, again + 1);
        let sent = run.transmits(again + 1, 1, 1);
        run.appends(sent, 1, 4, again as i64);
    }
    run.ends_with(1, &vec!["a"; 301]);
    let resending = with_producer(acks(-1), |producer| producer.on_error = OnError::Resend);
    let (judgement, explanation) = run.explain(&resending);
    let causes: Vec<_> = judgement.of_kind(Kind::Duplicate).map(|copy| (copy.cause, copy.permitted.answer)).collect();
    assert_eq!(causes, vec![(Some(Cause::ResentByApplication), Answer::Yes); 300]);
    let told = explanation.stories.iter().filter(|story| story.anomaly.kind == Kind::Duplicate).count();
    let more = explanation.more.iter().find(|more| more.kind == Kind::Duplicate).map_or(0, |more| more.times);
    assert!(told > 0 && explanation.stories.iter().all(|story| !story.steps.is_empty()), "{explanation:#?}");
    assert_eq!(told as u64 + more, 300);
}

/// Two batches in flight; the first is refused and retried, the second goes ahead.
fn overtaken(first_retry: bool) -> Run {
    let mut run = two_batches();
    let mut first = run.transmits(1, 1, 1);
    let second = run.transmits(2, 1, 1);
    if first_retry {
        run.retries(1, RetryReason::Error(ErrorCode::NOT_ENOUGH_REPLICAS));
    }
    run.appends(second, 1, 4, 0);
    if first_retry {
        first = run.transmits(1, 2, 1);
    }
    run.appends(first, 1, 4, 1);
    run.acked(1, 0, -1);
    run.acked(0, 1, -1);
    run.ends_with(1, &["b", "a"]);
    run
}

#[test]
fn cr_02_a_retry_is_overtaken_in_flight() {
    let run = overtaken(true);
    check(&run, &acks(-1), Kind::Reorder, Cause::RetryOvertakenInFlight, &[], Answer::Yes);
    let one = with_producer(acks(-1), |producer| producer.max_in_flight = 1);
    check(&run, &one, Kind::Reorder, Cause::RetryOvertakenInFlight, &[], Answer::No);
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    check(&run, &idempotent, Kind::Reorder, Cause::RetryOvertakenInFlight, &[], Answer::No);
}

#[test]
fn a_disorder_without_a_retry_stays_unknown() {
    check(&overtaken(false), &acks(-1), Kind::Reorder, Cause::Unknown, &[], Answer::Yes);
}

#[test]
fn without_a_chain_of_causes_the_transmissions_still_tell_a_retry() {
    let mut run = resent(RetryReason::Disconnected, -1, -1);
    run.events.iter_mut().for_each(|event| event.cause = 0);
    check(&run, &acks(-1), Kind::Duplicate, Cause::ResentAfterLostResponse, &[], Answer::Yes);
}

#[test]
fn losses_that_differ_in_nothing_but_the_record_are_told_once_and_counted() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for number in 0..10 {
        run.sent(number, &format!("v{number}"));
        run.batched(number, number + 1);
        let sent = run.transmits(number + 1, 1, 1);
        run.appends(sent, 1, 4, number as i64);
        run.acked(number, number as i64, 1);
    }
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2, 3], true, 0);
    run.truncated(1, 10, 0, TruncationReason::Diverged);
    run.ends_with(2, &[]);
    let (judgement, explanation) = run.explain(&acks(1));
    assert_eq!(judgement.counts.lost, 10);
    assert!(judgement.anomalies.iter().all(|anomaly| anomaly.is_due_to(Cause::AcknowledgedBeforeReplicated)));
    assert_eq!(explanation.stories.len(), 1);
    assert_eq!(explanation.more.iter().map(|more| more.times).collect::<Vec<_>>(), [9]);
}

#[test]
fn st_08_a_consumer_does_not_get_past_a_damaged_record() {
    let reads = |reads_on: bool| {
        let mut run = appended(-1);
        run.acked(0, 0, -1);
        let error = ErrorCode::CORRUPT_MESSAGE;
        run.say(C1, Fact::PollFailed { partition: orders(), position: Offset(0), error });
        if reads_on {
            run.polled(0, "a");
        }
        run.say(CONTROLLER, Fact::Stuck { what: "c1 is at offset 0 of orders-0, which ends at 1".into() });
        run.ends_with(1, &["a"]);
        run
    };
    check(&reads(false), &acks(-1), Kind::Stuck, Cause::CorruptRecord, &[], Answer::Yes);
    // Whoever reads the leader's log in the end cannot read it either.
    let mut run = appended(-1);
    run.acked(0, 0, -1);
    run.say(C1, Fact::PollFailed { partition: orders(), position: Offset(0), error: ErrorCode::CORRUPT_MESSAGE });
    run.ends_with(1, &[]);
    check(&run, &acks(-1), Kind::LostWrite, Cause::CorruptRecord, &[], Answer::Unknown);
    check(&reads(true), &acks(-1), Kind::Stuck, Cause::Unknown, &[], Answer::Unknown);
}

#[test]
fn cr_15_two_requests_in_one_breath_are_told_apart() {
    // The application has sent a record again, twice: two batches, which leave at one instant, and two copies.
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    for (again, batch) in [(1, 1), (2, 2)] {
        run.resent(again, 0, "a");
        run.batched(again, batch);
    }
    let first = run.at(500).transmits_as(1, 1, 1, 7);
    let second = run.at(500).transmits_as(2, 1, 1, 7);
    run.appends_as(first, 1, 4, 0, 7, 1);
    run.appends_as(second, 1, 4, 1, 7, 2);
    run.acked(1, 0, -1);
    run.acked(2, 1, -1);
    run.ends_with(1, &["a", "a"]);
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    check(&run, &idempotent, Kind::Duplicate, Cause::ResentByApplication, &[], Answer::Yes);
}

#[test]
fn cr_14_a_buffer_that_was_reused_takes_a_record_astray() {
    let strays = |reused: bool| {
        let elsewhere = TopicPartition::of("orders", 1);
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let sent = run.transmits(1, 1, 1);
        run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        run.sent(1, "b");
        run.say(P1, Fact::RecordBatched { record: p1(1), partition: elsewhere.clone(), batch: 2 });
        if reused {
            let what = "wrote the buffer of a later batch into Produce request from p1 to broker 1".into();
            run.because(sent, P1, Fact::FaultBit { fault: 1, what });
        }
        run.appends(sent, 1, 4, 0);
        run.surveyed(&elsewhere, 1, &["b"]);
        run.ends_with(1, &["b"]);
        run
    };
    check(&strays(true), &acks(-1), Kind::Misrouted, Cause::BufferReused, &[], Answer::No);
    check(&strays(false), &acks(-1), Kind::Misrouted, Cause::Unknown, &[], Answer::No);
}

#[test]
fn nc_04_a_flipped_partition_number_takes_a_record_astray() {
    let strays = |flipped: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let sent = run.transmits(1, 1, 1);
        if flipped {
            let what = "flipped a bit of Produce request from p1 to broker 1".into();
            run.because(sent, P1, Fact::FaultBit { fault: 1, what });
        }
        run.failed(0, ErrorCode::UNKNOWN_SERVER_ERROR);
        let partition = TopicPartition::of("orders", 1);
        run.surveyed(&partition, 1, &["a"]);
        run.ends_with(1, &[]);
        run
    };
    check(&strays(true), &acks(-1), Kind::Misrouted, Cause::CorruptedInFlight, &[], Answer::Yes);
    check(&strays(false), &acks(-1), Kind::Misrouted, Cause::Unknown, &[], Answer::No);
    // Where it was sent is where it belongs.
    let mut run = appended(-1);
    run.acked(0, 0, -1);
    run.ends_with(1, &["a"]);
    assert_eq!(run.judge(&acks(-1)).of_kind(Kind::Misrouted).count(), 0);
}

/// KAFKA-14034: batch 1 fails, and batch 2, which is in flight behind it, is sent again in a new epoch.
#[test]
fn cr_03_renumbered_because_another_batch_failed() {
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    let renumbered = |fails: Option<ErrorCode>| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        for number in 0..2 {
            run.sent(number, if number == 0 { "a" } else { "b" });
            run.batched(number, number + 1);
        }
        run.transmits_as(1, 1, 1, 7);
        let first = run.transmits_as(2, 1, 1, 7);
        run.appends_as(first, 1, 4, 0, 7, 1);
        if let Some(error) = fails {
            run.failed(0, error);
        }
        run.retries(2, RetryReason::RequestTimeout);
        let second = run.transmits_as(2, 2, 1, 7);
        run.appends_as(second, 1, 4, 1, 7, 0);
        run.acked(1, 1, -1);
        run.ends_with(1, &["b", "b"]);
        run
    };
    let (duplicate, renumber) = (Kind::Duplicate, Cause::RenumberedInFlight);
    check(&renumbered(Some(ErrorCode::REQUEST_TIMED_OUT)), &idempotent, duplicate, renumber, &[], Answer::Yes);
    // One that was never sent leaves the sequences alone.
    for innocent in [None, Some(ErrorCode::CLIENT_EXPIRED_UNSENT)] {
        check(&renumbered(innocent), &idempotent, duplicate, Cause::SequenceReset, &[], Answer::No);
    }
}

/// The only batch in flight behind the one that failed had sequence 0, and begins the new epoch with it.
#[test]
fn cr_03_one_sequence_in_two_epochs_is_not_one_sequence_twice() {
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    let again_in = |epoch: i16| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        run.sent(1, "b");
        run.batched(1, 2);
        let first = run.transmits_under(2, 1, 1, (7, 0, 0));
        run.failed(0, ErrorCode::REQUEST_TIMED_OUT);
        run.retries(2, RetryReason::RequestTimeout);
        run.appends_under(first, 1, 4, 0, (7, 0, 0));
        let second = run.transmits_under(2, 2, 1, (7, epoch, 0));
        run.appends_under(second, 1, 4, 1, (7, epoch, 0));
        run.acked(1, 1, -1);
        run.ends_with(1, &["b", "b"]);
        run
    };
    check(&again_in(1), &idempotent, Kind::Duplicate, Cause::RenumberedInFlight, &[], Answer::Yes);
    check(&again_in(0), &idempotent, Kind::Duplicate, Cause::DuplicateNotRecognised, &[], Answer::No);
}

/// Batch 1 expires before batch 2 is sent; its request ends afterwards, and it fails once more.
#[test]
fn cr_03_renumbered_because_an_expired_batch_failed_again() {
    let idempotent = with_producer(acks(-1), |producer| producer.idempotence = true);
    let history = |fails_again: bool| {
        let mut run = two_batches();
        run.transmits_under(1, 1, 1, (7, 0, 0));
        run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        let first = run.transmits_under(2, 1, 1, (7, 1, 0));
        if fails_again {
            let error = ErrorCode::NETWORK_EXCEPTION;
            run.say(P1, Fact::BatchFailedAgain { batch: 1, partition: orders(), error });
        }
        run.retries(2, RetryReason::RequestTimeout);
        run.appends_under(first, 1, 4, 0, (7, 1, 0));
        let second = run.transmits_under(2, 2, 1, (7, 2, 0));
        run.appends_under(second, 1, 4, 1, (7, 2, 0));
        run.acked(1, 1, -1);
        run.ends_with(1, &["b", "b"]);
        run
    };
    check(&history(true), &idempotent, Kind::Duplicate, Cause::RenumberedInFlight, &[], Answer::Yes);
    check(&history(false), &idempotent, Kind::Duplicate, Cause::SequenceReset, &[], Answer::No);
}

/// KAFKA-14397: batch 1 fails at delivery.timeout.ms, and batch 2 gets the sequence under which it is appended.
#[test]
fn cr_03_acknowledged_for_a_batch_that_was_given_up() {
    let of = |bumps_epoch: bool| {
        with_producer(acks(-1), |producer| (producer.idempotence, producer.bumps_epoch) = (true, bumps_epoch))
    };
    let mut run = two_batches();
    let first = run.transmits_under(1, 1, 1, (7, 0, 0));
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.appends_under(first, 1, 4, 0, (7, 0, 0));
    let second = run.transmits_under(2, 1, 1, (7, 0, 0));
    recognised(&mut run, second);
    run.acked(1, 0, -1);
    run.ends_with(1, &["a"]);
    let (lost, cause) = (Kind::LostWrite, Cause::AcknowledgedForAnother);
    check(&run, &of(false), lost, cause, &[], Answer::Yes);
    check(&run, &of(true), lost, cause, &[], Answer::No);
    check(&run, &of(false), Kind::InconsistentOffsets, cause, &[], Answer::Yes);

    // Both batches behind one that was given up get the same sequence, and leave in one breath.
    let twice = |written: u64| {
        let mut run = two_batches();
        let sent = [run.transmits_under(1, 1, 1, (7, 0, 0)), run.transmits_under(2, 1, 1, (7, 0, 0))];
        run.appends_under(sent[written as usize], 1, 4, 0, (7, 0, 0));
        recognised(&mut run, sent[1 - written as usize]);
        run.acked(0, 0, -1);
        run.acked(1, 0, -1);
        run.ends_with(1, [&["a"], &["b"]][written as usize]);
        run
    };
    check(&twice(0), &of(false), lost, cause, &[], Answer::Yes);
    check(&twice(1), &of(false), lost, cause, &[], Answer::Yes);
}

/// What the application sends again goes to another partition, and is recognised there.
#[test]
fn cr_03_an_attempt_in_another_partition_is_not_taken_for_another() {
    let cause = Cause::AcknowledgedForAnother;
    let mut run = two_batches();
    let first = run.transmits_under(1, 1, 1, (7, 0, 0));
    run.appends_under(first, 1, 4, 0, (7, 0, 0));
    run.acked(0, 0, -1);
    run.failed(1, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.resent(2, 1, "b");
    let (elsewhere, producer_epoch, base_sequence) = (TopicPartition::of("orders", 1), ProducerEpoch(0), Sequence(0));
    run.say(P1, Fact::RecordBatched { record: p1(2), partition: elsewhere.clone(), batch: 9 });
    for attempt in 1..=2 {
        let (partition, producer_id) = (elsewhere.clone(), 7);
        let sent =
            Fact::BatchSent { batch: 9, partition, attempt, producer_id, producer_epoch, base_sequence, broker: 1 };
        let sent = run.say(P1, sent);
        if attempt == 2 {
            let (partition, base_offset) = (elsewhere.clone(), Offset(0));
            let found = Fact::DuplicateDetected { partition, base_offset, producer_id, producer_epoch, base_sequence };
            run.because(sent, NodeId::Broker(1), found);
        }
    }
    run.say(P1, Fact::RecordAcknowledged { record: p1(2), partition: elsewhere, offset: Offset(0), acks: -1 });
    run.elected(2, 5, &[2, 3], true, 0);
    run.appends(0, 2, 5, 0);
    run.polled(0, "b");
    run.ends_with(2, &["b"]);
    let (judgement, _) =
        run.explain(&with_producer(acks(-1), |producer| (producer.idempotence, producer.bumps_epoch) = (true, false)));
    assert!(judgement.anomalies.iter().all(|anomaly| anomaly.cause != Some(cause)), "{:?}", judgement.anomalies);
}

/// Its own first transmission is what the leader recognises, also where a batch of another partition left under the same sequence, and the request
/// had waited in its connection.
#[test]
fn cr_03_its_own_first_transmission_is_recognised() {
    for waited in [false, true] {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let mut first = run.transmits_under(1, 1, 1, (7, 0, 0));
        if waited {
            let (producer_epoch, base_sequence, partition) =
                (ProducerEpoch(0), Sequence(0), TopicPartition::of("orders", 1));
            run.say(
                P1,
                Fact::BatchSent {
                    batch: 9,
                    partition,
                    attempt: 1,
                    producer_id: 7,
                    producer_epoch,
                    base_sequence,
                    broker: 1,
                },
            );
            first = 0;
        }
        run.appends_under(first, 1, 4, 0, (7, 0, 0));
        run.retries(1, RetryReason::RequestTimeout);
        let second = run.transmits_under(1, 2, 1, (7, 0, 0));
        recognised(&mut run, second);
        run.acked(0, 0, -1);
        run.elected(2, 5, &[2, 3], true, 0);
        run.ends_with(2, &[]);
        let contract = with_producer(acks(-1), |producer| (producer.idempotence, producer.bumps_epoch) = (true, false));
        check(&run, &contract, Kind::LostWrite, Cause::AcknowledgedBeforeReplicated, &[], Answer::No);
    }
}

/// Record 0 is acknowledged and deleted. The producer, told UNKNOWN_PRODUCER_ID, begins at sequence 0 in the same epoch (before 2.5); the leader,
/// which lost its power, has record 0 back and takes record 1 for it.
#[test]
fn cr_03_acknowledged_for_a_record_that_was_deleted_and_came_back() {
    let of = |bumps_epoch: bool| {
        let contract =
            with_producer(acks(-1), |producer| (producer.idempotence, producer.bumps_epoch) = (true, bumps_epoch));
        with_topic(contract, |topic| topic.flush_messages = 1)
    };
    let history = |second_is_recognised: bool, deleted_late: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let first = run.transmits_under(1, 1, 1, (7, 0, 0));
        run.appends_under(first, 1, 4, 0, (7, 0, 0));
        run.acked(0, 0, -1);
        if !deleted_late {
            run.deletes(1, 1, LogStartReason::DeleteRecords);
        }
        run.lost_power(1);
        run.loaded(1, 1);
        run.sent(1, "b");
        run.batched(1, 2);
        let second = run.transmits_under(2, 1, 1, (7, 0, 0));
        if second_is_recognised {
            recognised(&mut run, second);
        }
        run.acked(1, 0, -1);
        if deleted_late {
            run.deletes(1, 1, LogStartReason::DeleteRecords);
        }
        run.ends_with(1, &["a"]);
        run
    };
    let (early, cause) = (history(true, false), Cause::AcknowledgedForAnother);
    for kind in [Kind::InconsistentOffsets, Kind::LostWrite] {
        check(&early, &of(false), kind, cause, &[], Answer::Yes);
        check(&early, &of(true), kind, cause, &[], Answer::No);
    }
    // What deletes it later may have deleted it, as far as anybody was told; the offset has two values all the same.
    let (late, _) = history(true, true).explain(&of(false));
    assert_eq!(late.of_kind(Kind::LostWrite).count(), 0);
    check(&history(true, true), &of(false), Kind::InconsistentOffsets, cause, &[], Answer::Yes);
    let (unknown, _) = history(false, false).explain(&of(false));
    let causes: Vec<_> = unknown.of_kind(Kind::InconsistentOffsets).map(|found| found.cause).collect();
    assert_eq!(causes.len(), 1);
    assert_ne!(causes[0], Some(cause), "nobody took it for another");
}

/// Before 2.8 a leader goes on behind a write that failed half-way; where the next segment has been synced meanwhile, nobody cuts it off, and the
/// broker does not start (KAFKA-10778).
#[test]
fn st_15_behind_a_torn_write_a_log_cannot_be_read_any_more() {
    const DAMAGED: &str = "loading the logs: 00000000000000000000.log is damaged below its end";
    let judged = |failure: &str, recovered: bool, at_start: &str| {
        let failed = |run: &mut Run, what: &str| {
            run.say(NodeId::Broker(1), Fact::StorageFailed { what: what.into() });
        };
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        failed(&mut run, failure);
        if recovered {
            run.killed(NodeId::Broker(1));
            run.loaded(1, 0);
        }
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.acked(0, 0, -1);
        run.killed(NodeId::Broker(1));
        failed(&mut run, at_start);
        run.ends_without_leader(&[]);
        let (judgement, _) = run.explain(&acks(-1));
        judgement.of_kind(Kind::LostWrite).map(|found| found.cause).collect::<Vec<_>>()
    };
    let torn = "appending to orders-0: EIO: input/output error, after a part of the write";
    assert_eq!(judged(torn, false, DAMAGED), [Some(Cause::CorruptTail)]);
    assert_eq!(judged("appending to orders-0: EIO: input/output error", false, DAMAGED), [Some(Cause::Unknown)]);
    assert_eq!(judged(torn, true, DAMAGED), [Some(Cause::Unknown)], "recovery had cut it off before");
    assert_eq!(judged(torn, false, "the disk is full"), [Some(Cause::Unknown)]);
}

/// The same with every record synced: where nothing else was cut off behind it, recovery cuts the log at what the failed write has left.
#[test]
fn st_15_recovery_cuts_a_log_where_a_write_had_failed() {
    let judged = |failure: &str, recovered: bool, unfenced: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        run.say(NodeId::Broker(1), Fact::StorageFailed { what: failure.into() });
        if recovered {
            run.killed(NodeId::Broker(1));
            run.loaded(1, 0);
        }
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.acked(0, 0, 1);
        run.lost_power(1);
        run.truncated(1, 1, 0, TruncationReason::CorruptTail);
        run.loaded(1, 0);
        run.elected(1, 5, &[1], true, 0);
        run.ends_with(1, &[]);
        let mut contract = with_topic(acks(1), |topic| topic.flush_messages = 1);
        contract.lacks.extend(unfenced.then(|| "append_fence_after_error".to_owned()));
        let (judgement, _) = run.explain(&contract);
        let found = judgement.of_kind(Kind::LostWrite).next().expect("it is lost");
        (found.cause, found.permitted.answer)
    };
    let torn = "appending to orders-0: EIO: input/output error, after a part of the write";
    let (behind, power) = (Some(Cause::AppendedBehindFailedWrite), Some(Cause::UnsyncedDataLostWithPower));
    assert_eq!(judged(torn, false, true), (behind, Answer::Yes));
    assert_eq!(judged(torn, false, false), (behind, Answer::No), "since 2.8 nobody goes on there");
    assert_eq!(judged(torn, true, true), (power, Answer::No), "recovery had cut it off before");
    assert_eq!(judged("appending to orders-0: EIO: input/output error", false, true), (power, Answer::No));
    let elsewhere = "appending to orders-1: EIO: input/output error, after a part of the write";
    assert_eq!(judged(elsewhere, false, true), (power, Answer::No), "another log");
}

/// KIP-903: the leader asks for broker 1's place in the ISR; broker 1 loses its power and its log, and its next process gets the place.
#[test]
fn re_17_the_next_process_gets_the_place_of_the_one_before() {
    let before_3_5 = |lacks: bool| {
        let mut contract = acks(-1);
        contract.lacks.extend(lacks.then(|| "isr_broker_epoch".to_owned()));
        contract
    };
    let history = |registers_first: bool| {
        let mut run = Run::default();
        run.elected(2, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 2, 4, 0);
        run.copies(1, 4, 0);
        run.acked(0, 0, -1);
        run.isr_decided(&[1, 2], &[2]);
        if !registers_first {
            run.proposes(2, &[2], &[2, 1]);
        }
        run.lost_power(1);
        run.loaded(1, 0);
        run.registered(1);
        if registers_first {
            run.proposes(2, &[2], &[2, 1]);
        }
        run.isr_decided(&[2], &[2, 1]);
        run.elected(1, 5, &[2, 1], true, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        run
    };
    let (cause, power) = (Cause::ReplacedIncarnationJoined, [Cause::UnsyncedDataLostWithPower]);
    check(&history(false), &before_3_5(true), Kind::LostWrite, cause, &power, Answer::Yes);
    check(&history(false), &before_3_5(false), Kind::LostWrite, cause, &power, Answer::No);
    check(&history(true), &before_3_5(true), Kind::LostWrite, Cause::InSyncCopiesOverruled, &power, Answer::No);
}

/// Broker 1 loses its power and its log; it has been asked for, and gets into the ISR by being elected from outside of it.
#[test]
fn who_is_elected_from_outside_of_the_isr_is_let_in_by_nobody() {
    let history = |is_elected: bool| {
        let mut run = Run::default();
        run.elected(2, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 2, 4, 0);
        run.copies(1, 4, 0);
        run.acked(0, 0, -1);
        run.isr_decided(&[1, 2], &[2]);
        run.proposes(2, &[2], &[2, 1]);
        run.lost_power(1);
        run.loaded(1, 0);
        run.registered(1);
        let election = if is_elected { run.elects(1, 5, &[1], false) } else { 0 };
        let (from, to, partition_epoch) = (vec![2], vec![1], PartitionEpoch(9));
        run.because(election, CONTROLLER, Fact::IsrChanged { partition: orders(), from, to, partition_epoch });
        run.elected(1, 6, &[1], true, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        of(Kind::LostWrite, &run, &acks(-1))[0].1
    };
    assert_eq!(history(true), Some(Cause::UncleanElection));
    assert_eq!(history(false), Some(Cause::ReplacedIncarnationJoined));
}

/// Broker 1 had proposed an ISR while it led itself; that let nobody in.
#[test]
fn a_proposal_of_who_is_in_the_isr_lets_nobody_in() {
    let history = |proposed: [i32; 1]| {
        let mut run = Run::default();
        run.elected(2, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 2, 4, 0);
        run.copies(1, 4, 0);
        run.acked(0, 0, -1);
        run.proposes(1, &proposed, &[1]);
        run.isr_decided(&[1, 2], &[2]);
        run.lost_power(1);
        run.loaded(1, 0);
        run.registered(1);
        run.isr_decided(&[2], &[2, 1]);
        run.elected(1, 5, &[2, 1], true, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        of(Kind::LostWrite, &run, &acks(-1))[0].1
    };
    assert_ne!(history([1]), Some(Cause::ReplacedIncarnationJoined));
    assert_eq!(history([2]), Some(Cause::ReplacedIncarnationJoined));
}

/// Leader 1 proposes broker 3 before or after it takes the ISR {1,2}, which it knew, or when it has answered: the controller lets broker 3 in.
#[test]
fn a_leader_that_forgets_whom_it_has_proposed() {
    let history = |order: [&str; 3]| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        for what in order {
            match what {
                "proposes" => run.proposes(1, &[1, 2], &[1, 2, 3]),
                "adopts" => run.adopts(1, &[1, 2]),
                _ => {
                    run.sent_and_appended(0, "a", 1, 4, 0);
                    run.copies(2, 4, 0);
                    run.acked(0, 0, -1)
                }
            };
        }
        run.isr_decided(&[1, 2], &[1, 2, 3]);
        run.killed(NodeId::Broker(1));
        run.elected(3, 5, &[3], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(3, &[]);
        run
    };
    let judged = |order: [&str; 3], cause: Cause, answer: Answer| {
        check(&history(order), &acks(-1), Kind::LostWrite, cause, &[], answer);
    };
    judged(["proposes", "adopts", "answers"], Cause::ProposalForgotten, Answer::Yes);
    judged(["adopts", "proposes", "answers"], Cause::AcknowledgedBeforeReplicated, Answer::No);
    judged(["adopts", "answers", "proposes"], Cause::JoinedIsrWithoutIt, Answer::No);
    judged(["proposes", "answers", "adopts"], Cause::AcknowledgedBeforeReplicated, Answer::No);
}

/// Batches 1 and 2 are written; the leader is started again, and knows only batch 2 of the producer.
#[test]
fn cr_03_a_restart_forgets_all_but_the_last_batch() {
    let idempotent = |in_flight: u32| {
        with_producer(acks(-1), |producer| (producer.idempotence, producer.max_in_flight) = (true, in_flight))
    };
    let renumbered = |restarts: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
            let sent = run.transmits_as(number + 1, 1, 1, 7);
            run.appends_as(sent, 1, 4, number as i64, 7, number as i32 + 1);
        }
        if restarts {
            run.killed(NodeId::Broker(1));
            run.loaded(1, 2);
        }
        let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        run.say(NodeId::Broker(1), Fact::AppendRefused { partition: orders(), error });
        run.retries(1, RetryReason::Error(error));
        let again = run.transmits_as(1, 2, 1, 7);
        run.appends_as(again, 1, 4, 2, 7, 0);
        run.acked(0, 2, -1);
        run.acked(1, 1, -1);
        run.ends_with(1, &["a", "b", "a"]);
        run
    };
    let cause = Cause::BatchForgottenByRestart;
    for kind in [Kind::Duplicate, Kind::ReplayReorder] {
        check(&renumbered(true), &idempotent(5), kind, cause, &[], Answer::Yes);
        check(&renumbered(true), &idempotent(1), kind, cause, &[], Answer::No);
    }
    check(&renumbered(false), &idempotent(5), Kind::Duplicate, Cause::SequenceReset, &[], Answer::No);
}

/// Broker 1 loses the end of its log, leads on in epoch 4 and appends there once more; later it is to follow broker 2.
#[test]
fn re_25_written_twice_in_one_epoch() {
    let parted = |second_epoch: i32| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.lost_power(1);
        run.loaded(1, 0);
        let sent = run.transmits(1, 2, 1);
        run.appends(sent, 1, second_epoch, 0);
        let error = ErrorCode::UNKNOWN_SERVER_ERROR;
        run.say(NodeId::Broker(1), Fact::FetchRefused { partition: orders(), offset: Offset(1), error });
        run.say(CONTROLLER, Fact::Stuck { what: "orders-0: broker 1 is at offset 1 and waits".into() });
        run.acked(0, 0, -1);
        run.ends_with(2, &["a"]);
        run
    };
    check(&parted(4), &acks(-1), Kind::Stuck, Cause::WrittenTwiceInOneEpoch, &[], Answer::Yes);
    check(&parted(5), &acks(-1), Kind::Stuck, Cause::KeptWhereItParted, &[], Answer::No);
}

/// Broker 1 writes in epoch 4 and in epoch 5, loses all of it with its power, leads on in epoch 5, and writes there where it had written in
/// epoch 4: nothing tells broker 2 that its end of epoch 5 is another one.
#[test]
fn re_25_written_twice_in_one_epoch_and_further_on_the_first_time() {
    let parted = |first_epoch: i32| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        let sent = run.transmits(1, 1, 1);
        run.appends(sent, 1, first_epoch, 1);
        run.lost_power(1);
        run.loaded(1, 0);
        let sent = run.transmits(2, 2, 1);
        run.appends(sent, 1, 5, 0);
        let error = ErrorCode::UNKNOWN_SERVER_ERROR;
        run.say(NodeId::Broker(1), Fact::FetchRefused { partition: orders(), offset: Offset(1), error });
        run.say(CONTROLLER, Fact::Stuck { what: "orders-0: broker 1 is at offset 1 and waits".into() });
        run.acked(0, 0, -1);
        run.ends_with(2, &["a"]);
        run
    };
    check(&parted(5), &acks(-1), Kind::Stuck, Cause::WrittenTwiceInOneEpoch, &[], Answer::Yes);
    check(&parted(4), &acks(-1), Kind::Stuck, Cause::KeptWhereItParted, &[], Answer::No);
}

/// Broker 2 comes to itself, still leading in epoch 4, and appends where broker 1 has led on in epoch 5.
#[test]
fn the_surviving_copy_is_not_the_latest_append() {
    let mut run = Run::default();
    run.elected(2, 4, &[1, 2], true, 0);
    run.sent_and_appended(0, "a", 2, 4, 0);
    run.copies(1, 4, 0);
    run.elected(1, 5, &[1], true, 1);
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.resent(1, 0, "a");
    run.batched(1, 2);
    let again = run.transmits(2, 1, 1);
    run.appends(again, 1, 5, 1);
    run.acked(1, 1, -1);
    let late = run.transmits(1, 2, 2);
    run.appends(late, 2, 4, 1);
    run.truncated(2, 2, 1, TruncationReason::Diverged);
    run.ends_with(1, &["a", "a"]);
    check(&run, &acks(-1), Kind::Duplicate, Cause::ResentByApplication, &[], Answer::Yes);
}
