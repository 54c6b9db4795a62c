//! Steps before an event of a certain number, and steps that a sweep adds to a world on its way.
//!
//! A sweep forks a world before an event and does something in the fork. A plan that has the same as a step before that event gives
//! the same world, fact by fact: that is how what a sweep has found becomes a scenario file.

use ackproof_core::fact::Observer;

use super::World;
use crate::faults::Step;

impl World {
    /// Does now what a plan would do that had this step besides, before the next event.
    pub fn inject(&mut self, step: Step, observer: &mut dyn Observer) {
        let number = self.faults.add(step);
        self.perform(number, observer);
    }

    /// Does the steps that are due before the next event.
    pub(super) fn perform_numbered(&mut self, observer: &mut dyn Observer) {
        for step in self.faults.due_before(self.events()) {
            // Two steps before one event are one moment: neither is an event in front of the other.
            if self.faults.steps()[step].delay == Default::default() {
                self.perform(step, observer);
            } else {
                self.schedule(step);
            }
        }
    }
}
