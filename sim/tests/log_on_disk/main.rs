//! A log on a simulated disk against a simple model - the list of the batches that were written - with crashes anywhere.
//!
//! A crash is a kill, which leaves the page cache, or a loss of power, which keeps of it what each [`Keep`] says; between two
//! operations, or inside one: after so many calls to the disk every further call fails, as for a process that is gone, also while the
//! log recovers from the crash before.
//!
//! After each start: what was synced is there; what is there is what was written, byte by byte and in order; every index, epoch and
//! sequence says what the batches say; and the log can be written to again. Of unflushed segments a loss of power may leave a hole, as it
//! does in Kafka.
//!
//! `ACKPROOF_LOG_CASES=100000 cargo test --release -p ackproof-sim --test log_on_disk` looks longer than the 2,000 cases of every day, which
//! are always the same ones.

mod on_disk;

use ackproof_sim::world::Keep;
use on_disk::{Crash, LogOnDisk};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

/// Cases unless the environment says otherwise.
const CASES: u32 = 2_000;

/// What a log is configured with.
#[derive(Clone, Debug)]
struct Setup {
    version: &'static str,
    segment_bytes: u64,
    index_interval_bytes: u64,
    flush_messages: u64,
}

/// What is done to the log. Numbers that choose a place are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Append {
        records: u32,
        value_bytes: usize,
        producer: Option<i64>,
    },
    Replicate {
        batches: Vec<(u32, usize)>,
    },
    NextEpoch,
    TruncateTo {
        batch: usize,
    },
    StartAnew {
        offset: i64,
    },
    Flush,
    /// Time passes, and what is scheduled is done.
    Wait {
        millis: u64,
    },
    CleanStop,
    Crash(Crash),
}

/// A step, and perhaps a crash inside it: after so many calls to the disk.
#[derive(Clone, Debug)]
struct Transition {
    step: Step,
    dies_after: Option<(u64, Crash)>,
}

fn crash() -> impl Strategy<Value = Crash> {
    let keep = prop_oneof![
        Just(Keep::Nothing),
        Just(Keep::Prefix),
        Just(Keep::Torn),
        Just(Keep::Subset),
        Just(Keep::Everything),
    ];
    prop_oneof![
        1 => Just(Crash::Kill),
        3 => (keep, any::<u64>()).prop_map(|(keep, seed)| Crash::PowerLoss { keep, seed }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value_bytes = prop_oneof![4 => 1..40_usize, 1 => 1_000..6_000_usize];
    prop_oneof![
        8 => (1..5_u32, value_bytes.clone(), prop::option::of(0..2_i64))
            .prop_map(|(records, value_bytes, producer)| Step::Append { records, value_bytes, producer }),
        3 => prop::collection::vec((1..4_u32, value_bytes), 1..4).prop_map(|batches| Step::Replicate { batches }),
        1 => Just(Step::NextEpoch),
        2 => any::<usize>().prop_map(|batch| Step::TruncateTo { batch }),
        1 => (0..40_i64).prop_map(|offset| Step::StartAnew { offset }),
        2 => Just(Step::Flush),
        2 => prop_oneof![0..50_u64, 1_000..100_000_u64].prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::CleanStop),
        3 => crash().prop_map(Step::Crash),
    ]
}

/// What may happen to a log: anything, at any time.
struct Anything;

impl ReferenceStateMachine for Anything {
    type State = Setup;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Setup> {
        (
            prop::sample::select(vec!["2.2", "2.8", "3.9", "4.1"]),
            prop::sample::select(vec![200, 700, 20_000]),
            prop::sample::select(vec![0, 150, 4096]),
            prop::sample::select(vec![1, 5, u64::MAX]),
        )
            .prop_map(|(version, segment_bytes, index_interval_bytes, flush_messages)| Setup {
                version,
                segment_bytes,
                index_interval_bytes,
                flush_messages,
            })
            .boxed()
    }

    fn transitions(_: &Setup) -> BoxedStrategy<Transition> {
        let dies_after = prop::option::weighted(0.25, (0..30_u64, crash()));
        (step(), dies_after).prop_map(|(step, dies_after)| Transition { step, dies_after }).boxed()
    }

    fn apply(setup: Setup, _: &Transition) -> Setup {
        setup
    }
}

struct Test;

impl StateMachineTest for Test {
    type SystemUnderTest = LogOnDisk;
    type Reference = Anything;

    fn init_test(setup: &Setup) -> LogOnDisk {
        LogOnDisk::new(setup)
    }

    fn apply(mut log: LogOnDisk, _: &Setup, transition: Transition) -> LogOnDisk {
        log.take(&transition);
        log
    }

    fn teardown(mut log: LogOnDisk, _: Setup) {
        log.check_everything();
    }
}

fn config() -> Config {
    let cases =
        std::env::var("ACKPROOF_LOG_CASES").ok().map_or(CASES, |cases| cases.parse().expect("a number of cases"));
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..Config::default() }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn what_was_synced_is_never_lost_and_what_is_read_is_what_was_written(sequential 1..24 => Test);
}

/// The model convicts: a disk whose `sync` lies loses what the log had on it.
#[test]
#[should_panic(expected = "was on the device")]
fn a_sync_that_lies_is_found_out() {
    let mut log = LogOnDisk::new(&Setup {
        version: "3.9",
        segment_bytes: 20_000,
        index_interval_bytes: 4096,
        flush_messages: u64::MAX,
    });
    log.let_syncs_lie();
    let crash = Crash::PowerLoss { keep: Keep::Nothing, seed: 0 };
    for step in [Step::Append { records: 3, value_bytes: 10, producer: None }, Step::Flush, Step::Crash(crash)] {
        log.take(&Transition { step, dies_after: None });
    }
}
