//! Bytes per second over a sliding time, and how long to be silent until they are few enough.
//!
//! Kafka: `metrics/stats/{Rate,SampledStat}`, `QuotaUtils.throttleTime`. A rate is what the last `quota.window.num` windows
//! hold over the time they span, at least all but one of them.

use std::collections::VecDeque;

use super::{Duration, Instant};

/// `quota.window.num`.
const WINDOWS: usize = 11;
/// `quota.window.size.seconds`.
const WINDOW: Duration = Duration::from_secs(1);

/// The bytes of one window.
#[derive(Clone, Copy, Debug)]
struct Sample {
    begins: Instant,
    bytes: u64,
}

/// The bytes of the last windows.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    samples: VecDeque<Sample>,
}

impl Rate {
    /// Notes bytes.
    pub fn record(&mut self, bytes: u64, now: Instant) {
        self.purge(now);
        match self.samples.back_mut().filter(|sample| now < sample.begins + WINDOW) {
            Some(sample) => sample.bytes += bytes,
            None => self.samples.push_back(Sample { begins: now, bytes }),
        }
    }

    /// Forgets bytes that were noted just now after all.
    pub fn unrecord(&mut self, bytes: u64) {
        if let Some(sample) = self.samples.back_mut() {
            sample.bytes = sample.bytes.saturating_sub(bytes);
        }
    }

    /// All bytes, and the milliseconds they are spread over.
    fn measure(&mut self, now: Instant) -> (u64, u64) {
        self.purge(now);
        let bytes = self.samples.iter().map(|sample| sample.bytes).sum();
        let elapsed = self.samples.front().map_or(0, |oldest| now.since(oldest.begins).as_millis());
        let window = WINDOW.as_millis();
        // What has not been observed yet counts as silence, so that the first bytes are no burst.
        let missing = (WINDOWS as u64 - 1).saturating_sub(elapsed / window);
        (bytes, elapsed + missing * window)
    }

    /// Whether the bytes per second are more than `limit`.
    pub fn exceeds(&mut self, limit: u64, now: Instant) -> bool {
        let (bytes, millis) = self.measure(now);
        u128::from(bytes) * 1000 > u128::from(limit) * u128::from(millis)
    }

    /// How long it takes without a byte until the rate is `limit` again.
    pub fn throttle_time(&mut self, limit: u64, now: Instant) -> Duration {
        let (bytes, millis) = self.measure(now);
        let spread = u128::from(bytes) * 1000 / u128::from(limit.max(1));
        Duration::from_millis(u64::try_from(spread).unwrap_or(u64::MAX).saturating_sub(millis))
    }

    fn purge(&mut self, now: Instant) {
        let span = WINDOW.times(WINDOWS as u64);
        while self.samples.front().is_some_and(|sample| sample.begins + span <= now) {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    #[test]
    fn silence_lasts_until_the_average_is_the_limit() {
        let mut rate = Rate::default();
        rate.record(20_000, at(0));
        // 20,000 bytes at 1,000 a second are 20 seconds' worth; ten seconds of silence before the first count.
        assert_eq!(rate.throttle_time(1_000, at(0)), Duration::from_secs(10));
        assert!(rate.exceeds(1_000, at(0)) && !rate.exceeds(2_000, at(0)));
        assert_eq!(rate.throttle_time(2_000, at(0)), Duration::ZERO);
        // At 10.5 s the window still counts, at 11 s it is forgotten.
        assert_eq!(rate.throttle_time(1_000, at(10_500)), Duration::from_millis(9_500));
        assert_eq!(rate.throttle_time(1_000, at(11_000)), Duration::ZERO);
    }
}
