//! Which steps of the plan are waiting, due, in force, and over; and whether they did anything.

use std::sync::Arc;

use ackproof_core::fact::Event;
use ackproof_core::types::NodeId;

use super::plan::{Selector, Step, Trigger};
use super::trigger::Waiting;

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Its trigger has not been met.
    Waiting,
    /// It will happen after its delay.
    Scheduled,
    /// It has happened, and will end by itself or by a later step.
    InForce,
    /// It has happened, and nothing of it remains.
    Over,
}

#[derive(Clone, Debug)]
struct Progress {
    waiting: Waiting,
    state: StepState,
    bites: u64,
}

/// The plan at work.
#[derive(Clone, Debug)]
pub struct FaultEngine {
    steps: Arc<Vec<Step>>,
    progress: Vec<Progress>,
    /// How many steps still wait for a fact; facts are looked at only while there are any.
    waiting_for_facts: usize,
    /// Before which event the next step is due that waits for one.
    next_event: u64,
}

impl FaultEngine {
    /// Nothing has happened yet.
    pub fn new(steps: Arc<Vec<Step>>) -> Self {
        let progress: Vec<Progress> = steps
            .iter()
            .map(|step| Progress { waiting: Waiting::for_trigger(&step.trigger), state: StepState::Waiting, bites: 0 })
            .collect();
        let waiting_for_facts = progress.iter().filter(|step| step.waits_for_facts()).count();
        let mut engine = Self { steps, progress, waiting_for_facts, next_event: u64::MAX };
        engine.look_for_next_event();
        engine
    }

    /// One step more. Returns its number.
    pub fn add(&mut self, step: Step) -> usize {
        let waiting = Waiting::for_trigger(&step.trigger);
        let progress = Progress { waiting, state: StepState::Waiting, bites: 0 };
        self.waiting_for_facts += usize::from(progress.waits_for_facts());
        self.progress.push(progress);
        Arc::make_mut(&mut self.steps).push(step);
        self.look_for_next_event();
        self.steps.len() - 1
    }

    /// Before which event the next step is due that waits for one.
    pub fn next_event(&self) -> u64 {
        self.next_event
    }

    /// The steps that are due before this event.
    pub fn due_before(&self, event: u64) -> Vec<usize> {
        let waiting = self.numbered().filter(|(_, number)| *number <= event);
        waiting.map(|(step, _)| step).collect()
    }

    /// The steps that still wait for an event, with its number.
    fn numbered(&self) -> impl Iterator<Item = (usize, u64)> {
        let waiting = self.steps.iter().zip(&self.progress).enumerate();
        let waiting = waiting.filter(|(_, (_, progress))| progress.state == StepState::Waiting);
        waiting.filter_map(|(number, (step, _))| match step.trigger {
            Trigger::Event(event) => Some((number, event)),
            Trigger::At(_) | Trigger::Fact(_) | Trigger::After(_) | Trigger::All(_) => None,
        })
    }

    fn look_for_next_event(&mut self) {
        self.next_event = self.numbered().map(|(_, event)| event).min().unwrap_or(u64::MAX);
    }

    /// The plan.
    pub fn steps(&self) -> &Arc<Vec<Step>> {
        &self.steps
    }

    /// Where a step is.
    pub fn state(&self, step: usize) -> StepState {
        self.progress[step].state
    }

    /// Moves a step on.
    pub fn set_state(&mut self, step: usize, state: StepState) {
        let progress = &mut self.progress[step];
        if progress.state == StepState::Waiting && progress.waits_for_facts() {
            self.waiting_for_facts -= 1;
        }
        progress.state = state;
        if self.next_event < u64::MAX {
            self.look_for_next_event();
        }
    }

    /// Counts one effect of a step. Returns whether it was the first.
    pub fn bite(&mut self, step: usize) -> bool {
        self.progress[step].bites += 1;
        self.progress[step].bites == 1
    }

    /// How often each step did something.
    pub fn bites(&self, step: usize) -> u64 {
        self.progress[step].bites
    }

    /// Whether any step waits for facts of this kind. Facts of other kinds are met often, and cost nothing more than this.
    pub fn wants(&self, kind: &str) -> bool {
        self.waiting_for_facts > 0
            && self.steps.iter().zip(&self.progress).any(|(step, progress)| {
                progress.state == StepState::Waiting && progress.waits_for_facts() && step.trigger.concerns(kind)
            })
    }

    /// Takes a fact. Returns the steps that are due now.
    pub fn notice(&mut self, event: &Event, is_node: &mut dyn FnMut(&Selector, NodeId) -> bool) -> Vec<usize> {
        let mut due = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let is_open = step.not_before.is_none_or(|earlier| self.progress[earlier].has_happened());
            let progress = &mut self.progress[number];
            if progress.state == StepState::Waiting
                && progress.waits_for_facts()
                && is_open
                && progress.waiting.take(&step.trigger, event, is_node)
            {
                due.push(number);
            }
        }
        due
    }

    /// The steps that come after `done`.
    pub fn followers(&self, done: usize) -> Vec<usize> {
        let follows = |step: &Step| step.trigger == Trigger::After(done);
        (0..self.steps.len())
            .filter(|number| self.progress[*number].state == StepState::Waiting && follows(&self.steps[*number]))
            .collect()
    }

    /// Whether a step is on its way or in force and will end by itself.
    pub fn is_busy(&self) -> bool {
        self.steps.iter().zip(&self.progress).any(|(step, progress)| match progress.state {
            StepState::Scheduled => true,
            StepState::InForce => step.lasts.is_some(),
            StepState::Waiting | StepState::Over => false,
        })
    }
}

impl Progress {
    fn has_happened(&self) -> bool {
        matches!(self.state, StepState::InForce | StepState::Over)
    }

    fn waits_for_facts(&self) -> bool {
        match &self.waiting {
            Waiting::NotForFacts => false,
            Waiting::Facts(_) | Waiting::All(_) => true,
        }
    }
}
