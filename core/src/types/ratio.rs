//! A probability without floating point.

use serde::{Deserialize, Serialize};

use super::Prng;

/// `numerator` times out of `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many.
    pub numerator: u32,
    /// Out of how many; never 0.
    pub denominator: u32,
}

impl Ratio {
    /// It never happens.
    pub const ZERO: Ratio = Ratio { numerator: 0, denominator: 1 };

    /// `numerator` out of `denominator`.
    ///
    /// # Panics
    /// If the denominator is 0 or smaller than the numerator.
    pub const fn new(numerator: u32, denominator: u32) -> Ratio {
        assert!(denominator > 0, "a ratio needs a denominator");
        assert!(numerator <= denominator, "a probability is at most 1");
        Ratio { numerator, denominator }
    }

    /// Draws once. A ratio of zero draws nothing, so that switching a fault off leaves the stream as it was.
    pub fn happens(self, rng: &mut Prng) -> bool {
        self.numerator > 0 && rng.below(u64::from(self.denominator)) < u64::from(self.numerator)
    }
}
