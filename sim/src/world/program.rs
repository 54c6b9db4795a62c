//! What happens to programs and not to processes: what they work with goes away, and somebody starts them again.

use ackproof_core::client::{Call, Work};
use ackproof_core::fact::Observer;

use super::run::Happening;
use super::{NodeIndex, World};

impl World {
    /// What the programs of these nodes work with goes away: nothing can be processed.
    pub(super) fn cut_off(&mut self, step: usize, targets: &[NodeIndex]) {
        for target in targets {
            let node = self.node_mut(*target);
            node.outages.push(step);
            node.app.cut_off(true);
        }
    }

    /// It comes back.
    pub(super) fn end_outage(&mut self, step: usize, targets: &[NodeIndex]) {
        for target in targets {
            let node = self.node_mut(*target);
            node.outages.retain(|other| *other != step);
            node.app.cut_off(!node.outages.is_empty());
        }
    }

    /// An outage has done something when a program has met it.
    pub(super) fn notice_outage(&mut self, index: NodeIndex, call: &Call, cause: u64, observer: &mut dyn Observer) {
        if !matches!(call, Call::Worked(_, _, Work::Failed(_))) {
            return;
        }
        for step in self.node(index).outages.clone() {
            if self.faults.bites(step) == 0 {
                self.hit(step, index, "took away what is needed by", cause, observer);
            }
        }
    }

    /// A program that has ended by itself is started again, if somebody does.
    pub(super) fn maybe_restart(&mut self, index: NodeIndex) {
        let Some(after) = self.node(index).app.restarts_after() else { return };
        self.node_mut(index).is_coming_back = true;
        self.queue.push(self.now + after, Happening::Start(index));
    }
}
