//! What happens next: events in the order of their time, and of their number where times are equal.
//!
//! The heap holds keys only; payloads wait in a slab, so that sifting moves 24 bytes whatever an event carries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ackproof_core::types::Instant;

/// Events waiting for their time.
#[derive(Clone, Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
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
            self.payloads.push(Some(event));
            (self.payloads.len() - 1) as u32
        };
        self.heap.push(Reverse((at, self.pushed, slot)));
        self.pushed += 1;
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        let event = self.payloads[slot as usize].take().expect("a key in the heap has its payload in the slab");
        self.free.push(slot);
        Some((at, event))
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
