//! The life of a broker in the eyes of the controller: registration, heartbeats, fencing, controlled shutdown.
//!
//! Kafka: `BrokerLifecycleManager.scala`, KIP-631; the futures that `BrokerServer.startup` and `shutdown` wait for.
//!
//! ```text
//! Starting ──heartbeat: caught up──▶ Recovery ──heartbeat: not fenced──▶ Running ──SIGTERM──▶ PendingControlledShutdown
//!     │                                 │                                                        │ should shut down,
//!     └──────── SIGTERM, or not registered within a minute ───────────▶ ShuttingDown ◀───────────┘ or five minutes
//! ```
//!
//! As in Kafka, the registration of a life is never repeated: a broker that is told `STALE_BROKER_EPOCH` or
//! `BROKER_ID_NOT_REGISTERED` goes on sending heartbeats with the epoch it has. A session that ran out needs no new
//! registration: the next heartbeat unfences the broker.
//! A leadership that nobody in the ISR can take over does not hold a broker up: the controller takes it away and gives it to
//! nobody (KRaft). ZooKeeper's controller leaves it where it is, and the broker ends after
//! `controlled.shutdown.max.retries` attempts; KRaft ignores that property and `.retry.backoff.ms` (KAFKA-18417).
//! Not modelled: features, migration from ZooKeeper; the controlled shutdown of ZooKeeper clusters is KRaft's here.

use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Listener;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationRequest};
use uuid::Uuid;

use super::controller_channel::{ControllerChannel, Outcome};
use crate::client::ExponentialBackoff;
use crate::config::BrokerConfig;
use crate::log::log_directories::LogDirectories;
use crate::machine::Context;
use crate::protocol::Response;
use crate::types::{BrokerEpoch, BrokerId, Duration, Instant, NodeId, Offset, Prng, StrBytes, earliest};

/// Where a broker is in its life (`BrokerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// The process has not begun.
    NotRunning,
    /// It registers and reads the metadata log.
    Starting,
    /// It is caught up and waits to be unfenced.
    Recovery,
    /// It serves.
    Running,
    /// It waits until the controller has moved its leaders away.
    PendingControlledShutdown,
    /// It is about to end.
    ShuttingDown,
}

impl BrokerState {
    /// Whether its listeners are open: clients' connections are refused before (`SocketServer.enableRequestProcessing`).
    pub fn is_serving(self) -> bool {
        match self {
            BrokerState::NotRunning | BrokerState::Starting | BrokerState::Recovery => false,
            BrokerState::Running | BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown => true,
        }
    }
}

/// `initial.broker.registration.timeout.ms`: the process ends itself if it is not registered by then.
const INITIAL_REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long `BrokerServer.shutdown` waits for the controller's leave.
const CONTROLLED_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Registers the broker and keeps it alive.
#[derive(Clone, Debug)]
pub(super) struct BrokerLifecycleManager {
    config: Arc<BrokerConfig>,
    channel: ControllerChannel<()>,
    state: BrokerState,
    incarnation_id: Uuid,
    broker_epoch: Option<BrokerEpoch>,
    previous_broker_epoch: BrokerEpoch,
    ready_to_unfence: bool,
    /// The ids of the log directories that worked at the start, and of those that have failed since; where they are told.
    log_dirs: Vec<Uuid>,
    offline_log_dirs: Vec<Uuid>,
    got_controlled_shutdown_response: bool,
    failed_attempts: u32,
    communication_in_flight: bool,
    next_is_immediate: bool,
    timer: Option<Instant>,
    /// Registration while starting, the controller's leave while stopping.
    give_up_at: Option<Instant>,
}

impl BrokerLifecycleManager {
    pub fn new(config: Arc<BrokerConfig>, controllers: Vec<NodeId>) -> Self {
        let patience = Duration::from_nanos(config.broker_session_timeout_ms.as_nanos() / 2);
        let channel = ControllerChannel::new(controllers, config.controller_socket_timeout_ms, patience);
        Self {
            config,
            channel,
            state: BrokerState::NotRunning,
            incarnation_id: Uuid::nil(),
            broker_epoch: None,
            previous_broker_epoch: BrokerEpoch(-1),
            ready_to_unfence: false,
            log_dirs: Vec::new(),
            offline_log_dirs: Vec::new(),
            got_controlled_shutdown_response: false,
            failed_attempts: 0,
            communication_in_flight: false,
            next_is_immediate: false,
            timer: None,
            give_up_at: None,
        }
    }

    pub fn state(&self) -> BrokerState {
        self.state
    }

    /// The epoch of the registration, once there is one.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.broker_epoch
    }

    /// `Input::Start`; the logs are loaded, and say in which epoch the last life stopped cleanly, if it did.
    pub fn start(&mut self, previous_broker_epoch: BrokerEpoch, ctx: &mut Context<'_>) {
        self.previous_broker_epoch = previous_broker_epoch;
        let rng: &mut Prng = ctx.rng();
        self.incarnation_id = Uuid::from_u64_pair(rng.next_u64(), rng.next_u64());
        self.state = BrokerState::Starting;
        self.give_up_at = Some(ctx.now() + INITIAL_REGISTRATION_TIMEOUT);
        self.send_registration(ctx);
    }

    /// Takes note of the log directories. One that has failed since the last time is told at once.
    pub fn note_directories(&mut self, directories: &LogDirectories, now: Instant) {
        if !self.config.tells_log_directories || !directories.are_several() {
            return;
        }
        if self.state == BrokerState::NotRunning {
            self.log_dirs = directories.online().map(|(_, directory)| directory.id).collect();
        }
        let failed = directories.all().iter().filter(|directory| !directory.online);
        let count = failed.clone().filter(|directory| self.log_dirs.contains(&directory.id)).count();
        if count > self.offline_log_dirs.len() {
            self.offline_log_dirs =
                failed.map(|directory| directory.id).filter(|id| self.log_dirs.contains(id)).collect();
            if self.broker_epoch.is_some() {
                self.schedule(Duration::ZERO, now);
            }
        }
    }

    /// The first metadata are published; the next heartbeat asks to be unfenced.
    pub fn set_ready_to_unfence(&mut self, ctx: &Context<'_>) {
        if !self.ready_to_unfence {
            self.ready_to_unfence = true;
            self.schedule(Duration::ZERO, ctx.now());
        }
    }

    /// SIGTERM with `controlled.shutdown.enable`.
    pub fn begin_controlled_shutdown(&mut self, ctx: &Context<'_>) {
        match self.state {
            BrokerState::PendingControlledShutdown => {}
            BrokerState::Running => {
                self.state = BrokerState::PendingControlledShutdown;
                self.give_up_at = Some(ctx.now() + CONTROLLED_SHUTDOWN_TIMEOUT);
                self.schedule(Duration::ZERO, ctx.now());
            }
            BrokerState::NotRunning | BrokerState::Starting | BrokerState::Recovery | BrokerState::ShuttingDown => {
                self.begin_shutdown();
            }
        }
    }

    /// No word with the controller any more.
    pub fn begin_shutdown(&mut self) {
        self.state = BrokerState::ShuttingDown;
        self.timer = None;
        self.give_up_at = None;
    }

    pub fn channel(&mut self) -> &mut ControllerChannel<()> {
        &mut self.channel
    }

    pub fn owns(&self, connection: crate::types::ConnectionId) -> bool {
        self.channel.owns(connection)
    }

    /// After every input: takes what the controller answered, and does what is due. `metadata_end` is the offset of the
    /// last metadata record applied.
    pub fn poll(&mut self, metadata_end: Offset, ctx: &mut Context<'_>) {
        while let Some(((), outcome)) = self.channel.take_outcome() {
            self.communication_in_flight = false;
            match outcome {
                Outcome::Answered(Response::BrokerRegistration(response)) if response.error_code == 0 => {
                    self.failed_attempts = 0;
                    self.broker_epoch = Some(BrokerEpoch(response.broker_epoch));
                    if self.state == BrokerState::Starting {
                        self.give_up_at = None;
                    }
                    self.schedule(Duration::ZERO, ctx.now());
                }
                Outcome::Answered(Response::BrokerHeartbeat(response)) if response.error_code == 0 => {
                    self.failed_attempts = 0;
                    self.on_heartbeat(response.is_caught_up, response.is_fenced, response.should_shut_down, ctx.now());
                }
                Outcome::Answered(_) | Outcome::TimedOut => self.schedule_after_failure(ctx),
            }
        }
        if self.give_up_at.is_some_and(|at| at <= ctx.now()) {
            self.begin_shutdown();
        }
        if self.timer.is_some_and(|at| at <= ctx.now()) {
            self.timer = None;
            self.communicate(metadata_end, ctx);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        if self.state == BrokerState::ShuttingDown {
            return None;
        }
        earliest([self.timer, self.give_up_at, self.channel.next_deadline()])
    }

    fn on_heartbeat(&mut self, is_caught_up: bool, is_fenced: bool, should_shut_down: bool, now: Instant) {
        let interval = self.config.broker_heartbeat_interval_ms;
        match self.state {
            BrokerState::Starting => {
                if is_caught_up {
                    self.state = BrokerState::Recovery;
                }
                self.schedule(Duration::from_millis(10), now);
            }
            BrokerState::Recovery => {
                if !is_fenced {
                    self.state = BrokerState::Running;
                }
                self.schedule(interval, now);
            }
            BrokerState::Running => self.schedule(interval, now),
            BrokerState::PendingControlledShutdown if should_shut_down => self.begin_shutdown(),
            BrokerState::PendingControlledShutdown => {
                let first = !self.got_controlled_shutdown_response;
                self.got_controlled_shutdown_response = true;
                self.schedule(if first { Duration::from_millis(50) } else { interval }, now);
            }
            BrokerState::NotRunning | BrokerState::ShuttingDown => {}
        }
    }

    fn schedule_after_failure(&mut self, ctx: &mut Context<'_>) {
        let backoff =
            ExponentialBackoff { initial: Duration::from_millis(100), max: self.config.broker_session_timeout_ms };
        let delay = backoff.after(self.failed_attempts, ctx.rng());
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        self.next_is_immediate = false;
        self.schedule(delay, ctx.now());
    }

    /// There is one timer: a later call replaces an earlier one.
    fn schedule(&mut self, delay: Duration, now: Instant) {
        if self.state == BrokerState::ShuttingDown {
            return;
        }
        let delay = if self.next_is_immediate { Duration::ZERO } else { delay };
        self.next_is_immediate = false;
        self.timer = Some(now + delay);
    }

    fn communicate(&mut self, metadata_end: Offset, ctx: &mut Context<'_>) {
        match self.broker_epoch {
            _ if self.communication_in_flight => self.next_is_immediate = true,
            Some(epoch) => self.send_heartbeat(epoch, metadata_end, ctx),
            None => self.send_registration(ctx),
        }
    }

    fn send_registration(&mut self, ctx: &mut Context<'_>) {
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("PLAINTEXT"))
            .with_host(super::host_of(self.config.broker_id))
            .with_port(super::PORT as u16);
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(self.config.broker_id))
            .with_incarnation_id(self.incarnation_id)
            .with_listeners(vec![listener])
            .with_log_dirs(self.log_dirs.clone())
            .with_rack(self.config.broker_rack.clone().map(StrBytes::from_string))
            .with_previous_broker_epoch(self.previous_broker_epoch.0);
        self.communication_in_flight = true;
        self.channel.send((), request, ctx);
    }

    fn send_heartbeat(&mut self, epoch: BrokerEpoch, metadata_end: Offset, ctx: &mut Context<'_>) {
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.config.broker_id))
            .with_broker_epoch(epoch.0)
            .with_current_metadata_offset(metadata_end.0)
            .with_offline_log_dirs(self.offline_log_dirs.clone())
            .with_want_fence(!self.ready_to_unfence)
            .with_want_shut_down(self.state == BrokerState::PendingControlledShutdown);
        self.communication_in_flight = true;
        self.channel.send((), request, ctx);
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
