//! A scenario run once inside madsim, with a program of the user's.
//!
//! Each run has a thread of its own: what the standard library draws once for each thread, like the order of a `HashMap`, is then the
//! same for the same seed. If the program panics, the world is run to its end without it: what became of its messages is known
//! all the same.

use std::fmt::Debug;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ackproof_core::fact::{Event, Observer};
use ackproof_sim::app::Cluster;
use ackproof_sim::{ClusterSpec, World};
use madsim::runtime::{Builder, Runtime};

use super::name::TestName;
use crate::guard::said;
use crate::log::FactLog;
use crate::runner::{Host, Pass, Watch};
use crate::scenario::Scenario;

/// What the code of a test may return: nothing, or a `Result` whose error fails the test.
///
/// ```
/// use ackproof::app::{ErrorCode, Stage};
///
/// ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .producer("shop", [("acks", "all")])
///     .seeds(0..1)
///     .run(|cluster| async move {
///         cluster.producer("shop").send("orders", None, b"order 1").await?.await?;
///         Ok::<(), ErrorCode>(())
///     });
/// ```
pub trait Ending {
    /// The error as a text.
    fn ended(self) -> Result<(), String>;
}

impl Ending for () {
    fn ended(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Debug> Ending for Result<(), E> {
    fn ended(self) -> Result<(), String> {
        self.map_err(|error| format!("the test returned {error:?}"))
    }
}

/// A test's own code as the host of its scenario.
pub(super) struct Hosted<'a, F> {
    program: &'a F,
    name: &'a TestName,
    /// How the program failed in the last run, if it did.
    failed: Mutex<Option<String>>,
}

impl<'a, F> Hosted<'a, F> {
    pub fn new(program: &'a F, name: &'a TestName) -> Self {
        Self { program, name, failed: Mutex::new(None) }
    }

    /// How the program failed in the last run, if it did.
    pub fn take_failure(&self) -> Option<String> {
        locked(&self.failed).take()
    }
}

impl<F, R> Host for Hosted<'_, F>
where
    F: Fn(Cluster) -> R + Sync,
    R: Future,
    R::Output: Ending,
{
    fn pass(&self, scenario: &Scenario, seed: u64, keep_trace: bool, log: Option<FactLog>) -> Pass {
        let ear = Ear(Arc::new(Mutex::new(Some(Watch::new(scenario, keep_trace, log)))));
        let spec = Arc::new(scenario.plan(seed));
        let heard = tracing::dispatcher::get_default(Clone::clone);
        let name = format!("{} with seed {seed}", self.name.told());
        let (pass, failed) = std::thread::scope(|scope| {
            let run = || tracing::dispatcher::with_default(&heard, || self.live(&spec, &ear));
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, run);
            // A machine that has no thread left can run no test.
            thread.expect("a thread for the run").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        *locked(&self.failed) = failed;
        pass
    }

    fn replay(&self, _scenario: &Scenario, seed: u64) -> String {
        self.name.replay(seed)
    }
}

impl<F, R> Hosted<'_, F>
where
    F: Fn(Cluster) -> R + Sync,
    R: Future,
    R::Output: Ending,
{
    fn live(&self, spec: &Arc<ClusterSpec>, ear: &Ear) -> (Pass, Option<String>) {
        let runtime = runtime(spec.seed);
        let running = Mutex::new(None);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let cluster = Cluster::start(spec.clone(), Box::new(ear.clone())).await;
                *locked(&running) = Some(cluster.clone());
                let ended = (self.program)(cluster.clone()).await.ended();
                cluster.finish().await;
                // Every poll of every task draws from this: two runs that end alike have done the same.
                (ended, madsim::rand::random::<u64>())
            })
        }));
        let cluster = locked(&running).take();
        match ended {
            Ok((ended, outside)) => {
                let pass = ear.finish(cluster.as_ref(), spec);
                // Only now: what tasks of the test still hold dies with them, and no longer concerns anybody.
                drop(runtime);
                (Pass { outside, ..pass }, ended.err())
            }
            Err(panic) => {
                drop(runtime);
                if let Some(cluster) = &cluster {
                    // It was perhaps the world itself that panicked, and does so again.
                    let _ = catch_unwind(AssertUnwindSafe(|| cluster.run_out()));
                }
                (ear.finish(cluster.as_ref(), spec), Some(panicked(&*panic)))
            }
        }
    }
}

/// As madsim would make it; its variables have been looked at before.
fn runtime(seed: u64) -> Runtime {
    let Builder { config, time_limit, allow_system_thread, .. } = Builder::from_env();
    let mut runtime = Runtime::with_seed_and_config(seed, config);
    if let Some(limit) = time_limit {
        runtime.set_time_limit(limit);
    }
    runtime.set_allow_system_thread(allow_system_thread);
    runtime
}

/// Takes the facts of a run out of its world.
#[derive(Clone)]
struct Ear(Arc<Mutex<Option<Watch>>>);

impl Observer for Ear {
    fn observe(&mut self, event: &Event) {
        if let Some(watch) = &mut *locked(&self.0) {
            watch.observe(event);
        }
    }
}

impl Ear {
    /// Stops listening.
    fn finish(&self, cluster: Option<&Cluster>, spec: &Arc<ClusterSpec>) -> Pass {
        let watch = locked(&self.0).take().expect("a run is finished once");
        match cluster {
            Some(cluster) => cluster.look(|world| watch.finish(world)),
            // It never got ready.
            None => {
                let world = World::new(spec.clone());
                watch.finish(&world)
            }
        }
    }
}

/// A panic while the lock was held has failed the test already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    format!("the test panicked: {}", said(panic).unwrap_or_else(|| "without a message".to_owned()))
}
