//! What happens next: events in the order of their time, and of their number where times are equal.
//!
//! The heap holds keys only; payloads wait in a slab, so that sifting moves 16 bytes whatever an event carries.
//!
//! ```text
//!  127            64 63           24 23       0
//!  ┌────────────────┬───────────────┬──────────┐
//!  │ time, ns       │ number        │ slot     │   one integer, so that a comparison is one
//!  └────────────────┴───────────────┴──────────┘
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ackproof_core::types::Instant;

/// Sixteen million events can wait at a time, and a run can have 2^40 of them.
const SLOT_BITS: u32 = 24;

/// Events waiting for their time.
#[derive(Clone, Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<u128>>,
    payloads: Vec<Option<T>>,
    free: Vec<u32>,
    pushed: u64,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), payloads: Vec::new(), free: Vec::new(), pushed: 0 }
    }
}

impl<T> EventQueue<T> {
    /// Adds an event. Of two at one time, the one added first comes first.
    pub fn push(&mut self, at: Instant, event: T) {
        let slot = if let Some(slot) = self.free.pop() {
            self.payloads[slot as usize] = Some(event);
            slot
        } else {
            assert!(self.payloads.len() < 1 << SLOT_BITS, "more events wait than there are slots");
            self.payloads.push(Some(event));
            (self.payloads.len() - 1) as u32
        };
        assert!(self.pushed < 1 << (64 - SLOT_BITS), "more events than there are numbers");
        self.heap.push(Reverse(u128::from(at.0) << 64 | u128::from(self.pushed << SLOT_BITS | u64::from(slot))));
        self.pushed += 1;
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(key)| time_of(*key))
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse(key) = self.heap.pop()?;
        let slot = key as u32 & ((1 << SLOT_BITS) - 1);
        let event = self.payloads[slot as usize].take().expect("a key in the heap has its payload in the slab");
        self.free.push(slot);
        Some((time_of(key), event))
    }

    /// How many events were ever added.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

fn time_of(key: u128) -> Instant {
    Instant((key >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_out_by_time_and_then_in_the_order_of_going_in(times in prop::collection::vec(0u64..20, 0..200)) {
            let mut queue = EventQueue::default();
            for (number, time) in times.iter().enumerate() {
                queue.push(Instant(*time), number);
            }
            let mut expected: Vec<(u64, usize)> = times.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            let got: Vec<(u64, usize)> = std::iter::from_fn(|| queue.pop()).map(|(at, number)| (at.0, number)).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(queue.is_empty());
        }
    }
}
