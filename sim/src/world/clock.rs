//! A node's own clocks: a monotonic one that may run fast or slow, and a wall clock that may be wrong and jump.
//!
//! The monotonic clock never jumps and never runs backwards, as `CLOCK_MONOTONIC` does not; drift bends both.

use ackproof_core::types::{Duration, Instant, Timestamp};

/// The wall-clock time at which every run starts, in milliseconds since 1970: 2026-01-01 00:00:00 UTC.
pub const RUN_STARTS_AT: Timestamp = Timestamp(1_767_225_600_000);

const MILLION: i128 = 1_000_000;

/// The clocks of one machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeClock {
    /// How many parts per million the clock runs fast (or, negative, slow).
    drift_ppm: i32,
    /// Since when it runs at this rate, in world time and in its own.
    since_world: Instant,
    since_local: Instant,
    /// Error of the wall clock in milliseconds.
    wall_offset_ms: i64,
}

impl NodeClock {
    /// What the monotonic clock shows at the world's `now`.
    pub fn local(&self, now: Instant) -> Instant {
        if self.drift_ppm == 0 && self.since_local == self.since_world {
            return now;
        }
        let elapsed = i128::from(now.since(self.since_world).0);
        let local = elapsed * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        self.since_local + Duration(u64::try_from(local).unwrap_or(0))
    }

    /// The world's time at which the monotonic clock shows at least `local`.
    pub fn world(&self, local: Instant) -> Instant {
        if local == Instant::NEVER || (self.drift_ppm == 0 && self.since_local == self.since_world) {
            return local;
        }
        let rate = MILLION + i128::from(self.drift_ppm);
        let elapsed = (i128::from(local.since(self.since_local).0) * MILLION + rate - 1) / rate;
        self.since_world + Duration(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// What the wall clock shows at the world's `now`.
    pub fn wall(&self, now: Instant) -> Timestamp {
        let millis = i64::try_from(self.local(now).0 / 1_000_000).unwrap_or(i64::MAX);
        Timestamp(RUN_STARTS_AT.0.saturating_add(millis).saturating_add(self.wall_offset_ms))
    }

    /// Moves the wall clock.
    pub fn jump(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }

    /// From `now` on the clock runs at another rate, at most half or one and a half times as fast.
    pub fn set_drift(&mut self, now: Instant, ppm: i32) {
        self.since_local = self.local(now);
        self.since_world = now;
        self.drift_ppm = ppm.clamp(-500_000, 500_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_true_clock_shows_the_worlds_time() {
        let clock = NodeClock::default();
        assert_eq!(clock.local(Instant(5)), Instant(5));
        assert_eq!(clock.wall(Instant(2_000_000)), Timestamp(RUN_STARTS_AT.0 + 2));
    }

    #[test]
    fn a_fast_clock_gains_and_a_jump_moves_only_the_wall() {
        let mut clock = NodeClock::default();
        clock.set_drift(Instant(1_000_000_000), 1_000);
        assert_eq!(clock.local(Instant(2_000_000_000)), Instant(2_001_000_000));
        clock.jump(-5_000);
        assert_eq!(clock.local(Instant(2_000_000_000)), Instant(2_001_000_000));
        assert_eq!(clock.wall(Instant(2_000_000_000)), Timestamp(RUN_STARTS_AT.0 + 2_001 - 5_000));
    }

    proptest! {
        #[test]
        fn a_deadline_is_never_shown_early(ppm in -500_000i32..500_000, start in 0u64..1 << 40, deadline in 0u64..1 << 50) {
            let mut clock = NodeClock::default();
            clock.set_drift(Instant(start), ppm);
            let local = Instant(start + deadline);
            prop_assert!(clock.local(clock.world(local)) >= local);
        }
    }
}
