//! The one place where a world and madsim's clock meet.
//!
//! The world is stepped to madsim's time before anything is asked of it, and by a task that sleeps until the world's next
//! event. So a call at a time finds everything handled that was due by then, whatever order madsim polls its tasks in.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "inside its runtime madsim's Instant is virtual time, although it is the standard library's type"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ackproof_core::client::{Call, Completion};
use ackproof_core::fact::Observer;
use ackproof_core::types::{Duration, Instant};
use tokio::sync::Notify;

use crate::world::{NodeIndex, Outcome, World};

/// A world and those who wait for it.
pub(super) struct Host {
    pub world: World,
    pub observer: Box<dyn Observer + Send>,
    started_at: madsim::time::Instant,
    /// What clients have said and nobody has fetched yet.
    heard: BTreeMap<NodeIndex, Vec<Completion>>,
}

/// A host shared by the driver and all handles.
#[derive(Clone)]
pub(super) struct Shared {
    host: Arc<Mutex<Host>>,
    /// Something has changed: a completion has come, or the next event is earlier than it was.
    changed: Arc<Notify>,
}

impl Shared {
    pub fn new(world: World, observer: Box<dyn Observer + Send>) -> Self {
        let started_at = madsim::time::Instant::now();
        let host = Host { world, observer, started_at, heard: BTreeMap::new() };
        Self { host: Arc::new(Mutex::new(host)), changed: Arc::new(Notify::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Host> {
        // A panic while the lock was held is a failed test already; what it left behind does no further harm.
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the world to the present and does something with it.
    pub fn with<T>(&self, act: impl FnOnce(&mut World, &mut dyn Observer) -> T) -> T {
        let mut host = self.lock();
        host.catch_up();
        let Host { world, observer, .. } = &mut *host;
        let result = act(world, &mut **observer);
        host.listen();
        drop(host);
        self.changed.notify_waiters();
        result
    }

    /// Starts the process of a client, in place of one that runs. Returns which of its lives this is.
    pub fn begin(&self, client: NodeIndex) -> u32 {
        // What was said to the last program is not said to this one.
        self.lock().heard.remove(&client);
        self.with(|world, observer| {
            world.kill_process(client, observer);
            world.start_process(client, observer);
            world.life(client)
        })
    }

    /// Kills the process of a client, if this is the life that it is in.
    pub fn end(&self, client: NodeIndex, life: u32) {
        self.with(|world, observer| {
            if world.life(client) == life {
                world.kill_process(client, observer);
            }
        });
    }

    /// Looks at the world as it is.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// Runs the world to its end without a host: the one that there was has failed.
    pub fn run_out(&self) {
        let Host { world, observer, .. } = &mut *self.lock();
        world.host_is_done();
        world.run(&mut **observer);
    }

    /// Makes a call for a client.
    pub fn call(&self, client: NodeIndex, call: Call) {
        self.with(|world, observer| world.call(client, call, observer));
    }

    /// Waits for a completion of a client that `pick` wants; others stay for those who want them.
    pub async fn hear<T>(&self, client: NodeIndex, mut pick: impl FnMut(&Completion) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut host = self.lock();
                let heard = host.heard.entry(client).or_default();
                let found = heard.iter().enumerate().find_map(|(at, completion)| Some((at, pick(completion)?)));
                if let Some((at, result)) = found {
                    heard.remove(at);
                    return result;
                }
            }
            changed.await;
        }
    }

    /// Steps the world through its events, each at its time, until the run is over.
    pub async fn drive(&self) {
        loop {
            let next = {
                let mut host = self.lock();
                host.catch_up();
                host.listen();
                if host.world.outcome() != Outcome::Running {
                    None
                } else {
                    host.world.next_at().map(|at| host.started_at + as_std(at.since(Instant::START)))
                }
            };
            self.changed.notify_waiters();
            let Some(next) = next else { return };
            // Only now: the driver must not wake itself.
            let changed = self.changed.notified();
            // `sleep_until` rounds up to a millisecond; `reset` does not.
            let sleep = madsim::time::sleep_until(next);
            tokio::pin!(sleep);
            sleep.as_mut().reset(next);
            tokio::select! {
                biased;
                () = &mut sleep => {}
                () = changed => {}
            }
        }
    }

    /// Waits until something about the world is true.
    pub async fn until(&self, mut holds: impl FnMut(&World) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(&self.lock().world) {
                return;
            }
            changed.await;
        }
    }
}

impl Host {
    fn catch_up(&mut self) {
        if super::elapsed().is_none() {
            // The runtime has failed and is being taken apart: its time has ended, and the clock is the machine's own again.
            return;
        }
        let elapsed = madsim::time::Instant::now() - self.started_at;
        let now = Instant::START + Duration(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        while self.world.outcome() == Outcome::Running && self.world.next_at().is_some_and(|at| at <= now) {
            self.world.step(&mut *self.observer);
        }
        if self.world.outcome() == Outcome::Running {
            self.world.advance_to(now);
        }
    }

    /// Collects what clients have said.
    fn listen(&mut self) {
        let externals: Vec<NodeIndex> = self.world.external_clients().collect();
        for client in externals {
            let said = self.world.take_completions(client);
            if !said.is_empty() {
                self.heard.entry(client).or_default().extend(said);
            }
        }
    }
}

fn as_std(duration: Duration) -> std::time::Duration {
    std::time::Duration::from_nanos(duration.0)
}
