//! How long to wait before the next attempt: exponential, with jitter.
//!
//! Kafka: `common/utils/ExponentialBackoff`; KIP-144, KIP-580, KIP-601.

use crate::types::{Duration, Prng};

/// Doubles from `initial` to `max`, each time up to a fifth more or less, never above `max`. Where `max` is not above
/// `initial` it is that constant, without jitter, as in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExponentialBackoff {
    /// The wait after the first failure.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl ExponentialBackoff {
    /// The same wait every time.
    pub const fn constant(wait: Duration) -> Self {
        Self { initial: wait, max: wait }
    }

    /// The wait after so many failures; 0 is the first.
    pub fn after(self, attempts: u32, rng: &mut Prng) -> Duration {
        if self.max <= self.initial {
            return self.max;
        }
        let doubled = self.initial.times(1_u64.checked_shl(attempts).unwrap_or(u64::MAX)).min(self.max);
        let fifth = doubled.as_nanos() / 5;
        let jittered = doubled.as_nanos() - fifth + rng.below(2 * fifth + 1);
        Duration::from_nanos(jittered).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_with_a_fifth_of_jitter_and_stops_at_the_maximum() {
        let backoff = ExponentialBackoff { initial: Duration::from_millis(50), max: Duration::from_millis(1000) };
        let mut rng = Prng::new(3);
        for (attempts, low, high) in [(0, 40, 60), (1, 80, 120), (3, 320, 480), (5, 800, 1000), (200, 800, 1000)] {
            let drawn: Vec<u64> = (0..100).map(|_| backoff.after(attempts, &mut rng).as_millis()).collect();
            assert!(drawn.iter().all(|wait| (low..=high).contains(wait)), "after {attempts}: {drawn:?}");
            assert!(drawn.iter().any(|wait| *wait != drawn[0]), "no jitter after {attempts}");
        }
    }

    #[test]
    fn a_maximum_not_above_the_start_is_a_constant() {
        let backoff = ExponentialBackoff { initial: Duration::from_millis(100), max: Duration::from_millis(100) };
        assert_eq!(backoff.after(7, &mut Prng::new(1)), Duration::from_millis(100));
    }
}
