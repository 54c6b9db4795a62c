//! Seeded randomness with named forks.
//!
//! A fork depends on the seed and its name only, never on how much was drawn elsewhere: a new fault or node
//! re-rolls nothing that was there before, which is what shrinking and counterfactuals rest on.

use rand::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// One named stream of random numbers.
#[derive(Clone, Debug)]
pub struct Prng {
    seed: u64,
    generator: Xoshiro256PlusPlus,
}

impl Prng {
    /// The stream that `seed` names.
    pub fn new(seed: u64) -> Self {
        Self { seed, generator: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// The stream `name` below this one. It is the same however much was drawn from `self`.
    #[must_use]
    pub fn fork(&self, name: &str) -> Prng {
        // FNV-1a over the name, started from the seed and finished by SplitMix64's mixer.
        let hash = name.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Prng::new(mixed ^ (mixed >> 31))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        // Lemire's multiply-shift; the bias is below bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    ///
    /// # Panics
    /// If `low > high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range has no number");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_does_not_depend_on_what_was_drawn() {
        let fresh = Prng::new(7);
        let mut used = Prng::new(7);
        used.next_u64();
        assert_eq!(fresh.fork("network").next_u64(), used.fork("network").next_u64());
        assert_ne!(fresh.fork("network").next_u64(), fresh.fork("disk").next_u64());
        assert_ne!(Prng::new(8).fork("network").next_u64(), fresh.fork("network").next_u64());
    }

    #[test]
    fn between_includes_both_ends() {
        let mut rng = Prng::new(1);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.between(3, 5)).collect();
        assert_eq!(drawn, [3, 4, 5].into());
    }
}
