//! What became of one world, and of many: the sum of a campaign, world by world in the order of their seeds.
//!
//! A sum is made of worlds alone, so that it is the same whether one process ran them or several did and were merged.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ackproof_core::types::Duration;

use super::draw::Parts;
use super::exhaustive::Blow;
use super::seeds::Seeds;
use crate::signature::Signature;

/// So many worlds of each failure are named.
const NAMED: usize = 10;

/// What a world is, beside the seed of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Drawn, from the seeds of its parts.
    Drawn(Parts),
    /// A given one, with one fault or two at certain moments.
    Swept(Blow, Option<Blow>),
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plan::Drawn(parts) => parts.fmt(f),
            Plan::Swept(first, None) => first.fmt(f),
            Plan::Swept(first, Some(second)) => write!(f, "{first}+{second}"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('+') {
            Some((first, second)) => Ok(Plan::Swept(first.parse()?, Some(second.parse()?))),
            None if text.contains(':') => Ok(Plan::Swept(text.parse()?, None)),
            None => text.parse().map(Plan::Drawn),
        }
    }
}

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorldId {
    /// The seed of its run.
    pub seed: u64,
    /// What it is.
    pub plan: Plan,
}

/// How far a run was swept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The events before which something was done.
    pub events: Seeds,
    /// All that there are.
    pub of: Seeds,
}

impl Swept {
    /// Takes what another shard has swept.
    pub fn add(&mut self, other: &Swept) {
        self.events.add_all(&other.events);
        self.of.add_all(&other.of);
    }
}

/// What became of one world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldResult {
    /// Which.
    pub id: WorldId,
    /// Events handled in it.
    pub events: u64,
    /// Virtual time passed in it.
    pub sim_time: Duration,
    /// Pairs of states that no world before it had shown.
    pub new: Vec<u32>,
    /// What went wrong and was looked for.
    pub failures: Vec<Signature>,
    /// Whether something went wrong that was not looked for, and nothing else.
    pub permitted: bool,
    /// Whether something went wrong, and the world was too long to be run again with its trace.
    pub unexplained: bool,
    /// What the program said when it broke.
    pub panic: Option<String>,
}

impl WorldResult {
    /// A world in which nothing happened.
    pub fn nothing(id: WorldId) -> Self {
        let (new, failures) = (Vec::new(), Vec::new());
        let (permitted, unexplained) = (false, false);
        Self { id, events: 0, sim_time: Duration::ZERO, new, failures, permitted, unexplained, panic: None }
    }
}

/// One way in which worlds failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// In how many worlds.
    pub times: u64,
    /// The first of them.
    pub worlds: Vec<WorldId>,
}

impl Failure {
    /// The first world that failed so.
    pub fn first(&self) -> WorldId {
        self.worlds.first().copied().unwrap_or(WorldId { seed: 0, plan: Plan::Drawn(Parts::fresh(0)) })
    }

    fn add(&mut self, world: WorldId) {
        self.times += 1;
        if self.worlds.len() < NAMED {
            self.worlds.push(world);
        }
    }
}

/// What a campaign has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Worlds that were run.
    pub worlds: u64,
    /// Their seeds.
    pub seeds: Seeds,
    /// Events handled in them.
    pub events: u64,
    /// Virtual time passed in them.
    pub sim_time: Duration,
    /// Pairs of states that were seen.
    pub coverage: u64,
    /// Worlds since the last new pair.
    pub quiet: u64,
    /// Worlds in which something went wrong that was not looked for, and nothing else.
    pub permitted: u64,
    /// Worlds in which something went wrong that were too long to be explained.
    pub unexplained: Failure,
    /// How far runs were swept, by their seeds.
    pub swept: BTreeMap<u64, Swept>,
    /// What went wrong and was looked for.
    pub failures: BTreeMap<Signature, Failure>,
    /// Worlds whose program broke, by what it said.
    pub panics: BTreeMap<String, Failure>,
}

impl Report {
    /// Takes the next world.
    pub fn take(&mut self, world: &WorldResult) {
        self.worlds += 1;
        self.seeds.add_one(world.id.seed);
        self.events = self.events.saturating_add(world.events);
        self.sim_time = Duration(self.sim_time.0.saturating_add(world.sim_time.0));
        self.coverage += world.new.len() as u64;
        self.quiet = if world.new.is_empty() { self.quiet + 1 } else { 0 };
        self.permitted += u64::from(world.permitted);
        if world.unexplained {
            self.unexplained.add(world.id);
        }
        for signature in &world.failures {
            self.failures.entry(*signature).or_default().add(world.id);
        }
        if let Some(said) = &world.panic {
            self.panics.entry(said.clone()).or_default().add(world.id);
        }
    }

    /// Takes how far a run was swept.
    pub fn sweep(&mut self, seed: u64, swept: &Swept) {
        self.swept.entry(seed).or_default().add(swept);
    }

    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.panics.is_empty()
    }

    /// In how many ways something went wrong.
    pub fn ways(&self) -> usize {
        self.failures.len() + self.panics.len()
    }
}
