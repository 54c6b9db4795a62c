//! Tests of your own service: ordinary async Rust against a simulated cluster, under many seeds, judged.
//!
//! [`simulate`] takes a scenario and gives a [`Simulation`], which a test of yours runs. Everything happens in virtual time on one
//! thread per seed, inside [madsim](https://docs.rs/madsim): the cluster, its failures and the service. The same judges as
//! everywhere say what became of the service's messages.
//!
//! ```
//! use ackproof::app::Stage;
//!
//! // In a #[test] fn:
//! ackproof::simulate(Stage::kafka("3.9").brokers(3).broker_config("min.insync.replicas", 2).topic("orders", 1, 3))
//!     .producer("shop", [("acks", "all")])
//!     .step(r#"at = "1s"
//!              kill = "leader of orders-0"
//!              for = "10s""#)
//!     .seeds(0..2)
//!     .run(|cluster| async move {
//!         let producer = cluster.producer("shop");
//!         for order in 0..50 {
//!             let delivery = producer.send("orders", None, format!("order {order}").as_bytes()).await.unwrap();
//!             delivery.await.expect("retries outlive the crash");
//!             madsim::time::sleep(std::time::Duration::from_millis(100)).await;
//!         }
//!     });
//! ```
//!
//! The judge counts what the service says: what `send` was answered, and what [`Consumer::processed`] and the commits say. A consumer
//! in a group that never calls `processed` has processed nothing, and is told so.
//!
//! # What a test prints when a seed goes wrong
//!
//! The verdict, the story of each message that was lost, doubled or reordered, what was expected, and the line that shows the seed
//! again: `MADSIM_TEST_SEED=17 cargo test the_name_of_the_test -- --exact`. The seed is written to a file
//! ([`Regressions`]) and runs first from then on.
//!
//! # Environment
//!
//! | Variable | Meaning |
//! |---|---|
//! | `MADSIM_TEST_SEED` | this seed instead of those of the test |
//! | `MADSIM_TEST_NUM` | so many seeds, from `MADSIM_TEST_SEED` on, or from the first one of the test |
//! | `MADSIM_TEST_JOBS` | so many seeds at a time |
//! | `MADSIM_TEST_CHECK_DETERMINISM` | set to anything: every seed runs twice, and both runs must be the same |
//! | `MADSIM_TEST_TIME_LIMIT` | seconds of virtual time after which a run fails |
//! | `MADSIM_TEST_CONFIG`, `MADSIM_ALLOW_SYSTEM_THREAD` | as in madsim |
//! | `ACKPROOF_REGRESSIONS` | `off`: no file of failing seeds is read or written |
//!
//! # What it needs
//!
//! The feature `app`, and `--cfg madsim` in `.cargo/config.toml`; `docs/testing-your-service.md` walks through all of it.
//!
//! Not modelled: third-party Kafka clients. The service uses the clients of [`Cluster`], behind a trait of its own where it uses
//! others in production. A scenario's steps may kill brokers, never the service: that is killed with
//! `madsim::runtime::Handle::kill`, which lets go of its clients too.

mod environment;
mod failure;
mod hosted;
mod name;
mod regressions;
mod script;
mod simulation;

pub use ackproof_core::client::{ConsumerRecord, RecordMetadata};
pub use ackproof_core::protocol::ErrorCode;
pub use ackproof_core::types::{Duration, RecordId};
pub use ackproof_reports::{Cause, Kind};
pub use ackproof_sim::app::{Admin, Cluster, Consumer, Delivery, Polled, Producer, elapsed};

pub use crate::audit::Promise;
pub use failure::{BadSeed, Failure, Wrong};
pub use hosted::Ending;
pub use regressions::Regressions;
pub use script::{Properties, Script, Stage};
pub use simulation::{Passed, Simulation};

/// Begins a simulation of a scenario: see [`Script`] for what that may be.
///
/// Nothing runs yet. What is wrong with the scenario is said by [`Simulation::run`].
///
/// ```
/// // A file, from the folder of the package: ackproof::simulate("tests/leader-dies.toml")
/// // One of the library, with its own programs and failures; the test only looks on.
/// ackproof::simulate("durability/acks-all-leader-crashes").seeds(0..1).run(|cluster| async move {
///     assert!(cluster.leader_of("orders", 0).is_some());
/// });
/// ```
#[track_caller]
pub fn simulate(scenario: impl Into<Script>) -> Simulation {
    Simulation::new(scenario.into(), std::panic::Location::caller())
}
