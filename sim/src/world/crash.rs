//! A crash from outside of the plan: how a sweep breaks a world before any of its events.
//!
//! It draws from the streams that are named after the faults of the node, so the rest of the world goes on as it would have.

use ackproof_core::fact::{Fact, Observer};
use ackproof_core::types::Duration;

use super::run::Happening;
use super::{Keep, NodeIndex, World};

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// SIGKILL: its memory is gone, the page cache stays.
    Kill,
    /// Its machine loses power.
    PowerLoss(Keep),
}

impl World {
    /// Crashes a node now and has it back after a while. The run does not end before that.
    pub fn crash(&mut self, victim: NodeIndex, crash: Crash, back_after: Duration, observer: &mut dyn Observer) {
        match crash {
            Crash::Kill => self.end_process(victim, Fact::NodeKilled, 0, observer),
            Crash::PowerLoss(keep) => self.lose_power(victim, keep, 0, observer),
        }
        self.node_mut(victim).is_coming_back = true;
        self.queue.push(self.now() + back_after, Happening::Start(victim));
    }
}
