//! Who is alive, by heartbeats. It is memory only: a controller that starts knows nobody's last heartbeat and gives
//! everyone a session that begins now.
//!
//! Kafka: `BrokerHeartbeatManager`; since 4.0 `BrokerHeartbeatTracker`: a session is that of a broker epoch, begins with its first
//! heartbeat, and being fenced does not end it. A broker that is started again is then turned away until the session of the one before is
//! over, even after a controlled shutdown.
//!
//! ```text
//!            caught up, does not want to be fenced                 wants to stop, leads something
//!   FENCED ────────────────────────────────────────▶ UNFENCED ─────────────────────────────────────▶ CONTROLLED_SHUTDOWN
//!     │ ▲                                              │  │                                                  │
//!     │ └──── session ran out, wants to be fenced ─────┘  │ wants to stop, leads nothing                     │
//!     │ wants to stop                                     │                leads nothing, and all active ones know it
//!     └───────────────────────────────────────▶ SHUTDOWN_NOW ◀───────────────────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{BrokerEpoch, Duration, Instant, Offset};

/// What a broker is to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerControlState {
    /// It neither leads nor is in an ISR.
    Fenced,
    /// It works.
    Unfenced,
    /// It hands over its leaderships.
    ControlledShutdown,
    /// It may stop.
    ShutdownNow,
}

impl BrokerControlState {
    /// Whether a broker in this state is fenced.
    pub fn is_fenced(self) -> bool {
        match self {
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow => true,
            BrokerControlState::Unfenced | BrokerControlState::ControlledShutdown => false,
        }
    }
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How much of the metadata log the broker has.
    pub metadata_offset: Offset,
    /// It wants to be fenced.
    pub want_fence: bool,
    /// It wants to stop.
    pub want_shut_down: bool,
}

#[derive(Clone, Debug)]
struct BrokerHeartbeatState {
    epoch: BrokerEpoch,
    last_contact: Instant,
    /// Whether a heartbeat has been heard in this epoch.
    heard: bool,
    metadata_offset: Offset,
    fenced: bool,
    /// Once every active broker has this much of the metadata log, they know that this one leads nothing any more.
    controlled_shutdown_offset: Option<Offset>,
}

/// The heartbeats of all registered brokers.
#[derive(Clone, Debug)]
pub struct BrokerHeartbeats {
    session_timeout: Duration,
    /// Whether a session is that of an epoch (since 4.0), and not that of an unfenced broker.
    by_epoch: bool,
    brokers: BTreeMap<i32, BrokerHeartbeatState>,
    /// The unfenced ones, by last contact.
    unfenced: BTreeSet<(Instant, i32)>,
}

impl BrokerHeartbeats {
    /// Nobody has been heard of.
    pub fn new(session_timeout: Duration, by_epoch: bool) -> Self {
        Self { session_timeout, by_epoch, brokers: BTreeMap::new(), unfenced: BTreeSet::new() }
    }

    /// A new incarnation: whatever was known of the broker is forgotten. The same one may register again, in its epoch.
    pub fn register(&mut self, broker: i32, epoch: BrokerEpoch, fenced: bool, now: Instant) {
        let heard = self.brokers.get(&broker).is_some_and(|state| state.epoch == epoch && state.heard);
        self.remove(broker);
        let state = BrokerHeartbeatState {
            epoch,
            last_contact: now,
            heard,
            metadata_offset: Offset::NONE,
            fenced,
            controlled_shutdown_offset: None,
        };
        self.brokers.insert(broker, state);
        self.track(broker);
    }

    /// A controller that starts knows nobody's last heartbeat: everybody has a session that begins now.
    pub fn take_over(&mut self, broker: i32, epoch: BrokerEpoch, fenced: bool, now: Instant) {
        self.register(broker, epoch, fenced, now);
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.heard = true;
        }
    }

    /// The broker is no longer registered.
    pub fn remove(&mut self, broker: i32) {
        if let Some(state) = self.brokers.remove(&broker) {
            self.unfenced.remove(&(state.last_contact, broker));
        }
    }

    /// The broker has been fenced or unfenced. A fenced broker leaves its controlled shutdown: it may stop at once.
    pub fn set_fenced(&mut self, broker: i32, fenced: bool) {
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        state.fenced = fenced;
        if fenced {
            state.controlled_shutdown_offset = None;
        }
        self.track(broker);
    }

    /// A heartbeat arrived.
    pub fn touch(&mut self, broker: i32, metadata_offset: Offset, now: Instant) {
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        self.unfenced.remove(&(state.last_contact, broker));
        state.last_contact = now;
        state.heard = true;
        state.metadata_offset = metadata_offset;
        self.track(broker);
    }

    fn track(&mut self, broker: i32) {
        let Some(state) = self.brokers.get(&broker) else { return };
        if state.fenced {
            self.unfenced.remove(&(state.last_contact, broker));
        } else {
            self.unfenced.insert((state.last_contact, broker));
        }
    }

    /// The controlled shutdown of a broker will be over when all active brokers have read up to `offset`. Only the
    /// first call counts.
    pub fn begin_controlled_shutdown(&mut self, broker: i32, offset: Offset) {
        if let Some(state) = self.brokers.get_mut(&broker)
            && !state.fenced
        {
            state.controlled_shutdown_offset.get_or_insert(offset);
        }
    }

    /// Whether somebody has this broker id now, so that another process is turned away.
    pub fn has_valid_session(&self, broker: i32, now: Instant) -> bool {
        let is_bound = |state: &BrokerHeartbeatState| if self.by_epoch { state.heard } else { !state.fenced };
        let state = self.brokers.get(&broker);
        state.is_some_and(|state| is_bound(state) && now < state.last_contact + self.session_timeout)
    }

    /// Whether the broker is on its way out.
    pub fn is_shutting_down(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|state| state.controlled_shutdown_offset.is_some())
    }

    /// When the next session runs out.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.unfenced.first().map(|(last_contact, _)| *last_contact + self.session_timeout)
    }

    /// The broker that has been silent the longest, if that is too long.
    pub fn find_one_stale(&self, now: Instant) -> Option<i32> {
        let (last_contact, broker) = self.unfenced.first().copied()?;
        (last_contact + self.session_timeout <= now).then_some(broker)
    }

    fn lowest_active_offset(&self) -> Offset {
        let active = self.brokers.values().filter(|state| !state.fenced && state.controlled_shutdown_offset.is_none());
        active.map(|state| state.metadata_offset).min().unwrap_or(Offset(i64::MAX))
    }

    /// What the broker is.
    pub fn current_state(&self, broker: i32) -> BrokerControlState {
        match self.brokers.get(&broker) {
            Some(state) if state.controlled_shutdown_offset.is_some() => BrokerControlState::ControlledShutdown,
            Some(state) if !state.fenced => BrokerControlState::Unfenced,
            Some(_) | None => BrokerControlState::Fenced,
        }
    }

    /// What a heartbeat makes of the broker that registered at `registered_at`.
    pub fn next_state(
        &self,
        broker: i32,
        heartbeat: &Heartbeat,
        registered_at: Offset,
        has_leaderships: impl Fn() -> bool,
    ) -> BrokerControlState {
        use BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
        match self.current_state(broker) {
            Fenced if heartbeat.want_shut_down => ShutdownNow,
            Fenced if !heartbeat.want_fence && heartbeat.metadata_offset >= registered_at => Unfenced,
            Fenced => Fenced,
            Unfenced if heartbeat.want_fence && heartbeat.want_shut_down => ShutdownNow,
            Unfenced if heartbeat.want_fence => Fenced,
            Unfenced if heartbeat.want_shut_down && has_leaderships() => ControlledShutdown,
            Unfenced if heartbeat.want_shut_down => ShutdownNow,
            Unfenced => Unfenced,
            ControlledShutdown if has_leaderships() => ControlledShutdown,
            ControlledShutdown => {
                let offset = self.brokers.get(&broker).and_then(|state| state.controlled_shutdown_offset);
                if offset <= Some(self.lowest_active_offset()) { ShutdownNow } else { ControlledShutdown }
            }
            ShutdownNow => ShutdownNow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::START + SECOND.times(seconds)
    }

    fn heartbeat(metadata_offset: i64, want_fence: bool, want_shut_down: bool) -> Heartbeat {
        Heartbeat { metadata_offset: Offset(metadata_offset), want_fence, want_shut_down }
    }

    #[test]
    fn states_follow_heartbeats() {
        use BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
        for (fenced, offset, want_fence, want_shut_down, leads, expected) in [
            (true, 4, false, false, false, Fenced),
            (true, 5, false, false, false, Unfenced),
            (true, 5, true, false, false, Fenced),
            (true, 0, true, true, false, ShutdownNow),
            (false, 5, false, false, true, Unfenced),
            (false, 5, true, false, true, Fenced),
            (false, 5, true, true, true, ShutdownNow),
            (false, 5, false, true, true, ControlledShutdown),
            (false, 5, false, true, false, ShutdownNow),
        ] {
            let mut heartbeats = BrokerHeartbeats::new(SECOND, false);
            heartbeats.register(1, BrokerEpoch(5), fenced, at(0));
            let said = heartbeat(offset, want_fence, want_shut_down);
            assert_eq!(heartbeats.next_state(1, &said, Offset(5), || leads), expected, "fenced {fenced}, {said:?}");
        }
    }

    #[test]
    fn a_controlled_shutdown_ends_when_all_active_brokers_know_of_it() {
        let mut heartbeats = BrokerHeartbeats::new(SECOND, false);
        for broker in [1, 2] {
            heartbeats.register(broker, BrokerEpoch(5), false, at(0));
            heartbeats.touch(broker, Offset(10), at(0));
        }
        heartbeats.begin_controlled_shutdown(1, Offset(20));
        heartbeats.begin_controlled_shutdown(1, Offset(99));
        let said = heartbeat(20, false, true);
        assert_eq!(heartbeats.next_state(1, &said, Offset(0), || false), BrokerControlState::ControlledShutdown);
        heartbeats.touch(2, Offset(20), at(0));
        assert_eq!(heartbeats.next_state(1, &said, Offset(0), || true), BrokerControlState::ControlledShutdown);
        assert_eq!(heartbeats.next_state(1, &said, Offset(0), || false), BrokerControlState::ShutdownNow);
    }

    #[test]
    fn the_longest_silent_unfenced_broker_goes_stale_first() {
        let mut heartbeats = BrokerHeartbeats::new(SECOND.times(9), false);
        heartbeats.register(1, BrokerEpoch(5), false, at(0));
        heartbeats.register(2, BrokerEpoch(5), false, at(0));
        heartbeats.register(3, BrokerEpoch(5), true, at(0));
        heartbeats.touch(1, Offset(0), at(4));
        assert_eq!(heartbeats.next_expiry(), Some(at(9)));
        assert_eq!(heartbeats.find_one_stale(at(8)), None);
        assert_eq!(heartbeats.find_one_stale(at(9)), Some(2));
        assert!(!heartbeats.has_valid_session(2, at(9)));
        heartbeats.set_fenced(2, true);
        assert_eq!(heartbeats.find_one_stale(at(12)), None);
        assert_eq!(heartbeats.next_expiry(), Some(at(13)));
        heartbeats.remove(1);
        assert_eq!(heartbeats.next_expiry(), None);
    }

    /// Another process of the broker comes before the session of this one is over: while it is fenced, unfenced, and fenced again.
    #[test]
    fn since_4_0_a_session_begins_with_a_heartbeat_and_outlives_being_fenced() {
        let bound = |by_epoch: bool| {
            let mut heartbeats = BrokerHeartbeats::new(SECOND.times(9), by_epoch);
            heartbeats.register(1, BrokerEpoch(5), true, at(0));
            let mut bound = vec![heartbeats.has_valid_session(1, at(1))];
            heartbeats.touch(1, Offset(0), at(1));
            bound.push(heartbeats.has_valid_session(1, at(2)));
            heartbeats.set_fenced(1, false);
            bound.push(heartbeats.has_valid_session(1, at(2)));
            heartbeats.set_fenced(1, true);
            bound.extend([2, 10].map(|seconds| heartbeats.has_valid_session(1, at(seconds))));
            // Its registration is amended, and then there is another one.
            heartbeats.register(1, BrokerEpoch(5), true, at(3));
            bound.push(heartbeats.has_valid_session(1, at(4)));
            heartbeats.register(1, BrokerEpoch(9), true, at(3));
            bound.push(heartbeats.has_valid_session(1, at(4)));
            bound
        };
        assert_eq!(bound(false), [false, false, true, false, false, false, false]);
        assert_eq!(bound(true), [false, true, true, true, false, true, false]);
    }
}
