//! Drawing: one named stream of random numbers, with the questions that a plan asks of it.

use ackproof_core::types::Prng;

/// A stream of draws.
#[derive(Clone, Debug)]
pub(super) struct Dice(Prng);

impl Dice {
    /// The stream of this name below a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        Self(Prng::new(seed).fork("chaos").fork(name))
    }

    /// Whether something that happens `times` out of `of` happens.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.0.below(of) < times
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let place = usize::try_from(self.0.below(of.len().max(1) as u64)).unwrap_or(0);
        &of[place]
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            let other = usize::try_from(self.between(0, place as u64)).unwrap_or(0);
            list.swap(place, other);
        }
    }

    /// A number, both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    /// A number as TOML has it.
    pub fn number(&mut self, low: u32, high: u32) -> i64 {
        i64::try_from(self.between(low.into(), high.into())).unwrap_or(0)
    }

    /// A length of time in milliseconds, small ones as likely as large ones: each power of two from `low` to `high`.
    pub fn millis(&mut self, low: u64, high: u64) -> String {
        self.millis_after(0, low, high)
    }

    /// The same, behind a moment.
    pub fn millis_after(&mut self, begin: u64, low: u64, high: u64) -> String {
        let steps = u64::from((high / low.max(1)).max(1).ilog2());
        let floor = low << self.between(0, steps);
        let millis = self.between(floor, (floor * 2).min(high).max(floor));
        format!("{}ms", begin.saturating_add(millis))
    }
}
