//! `ackproof chaos --exhaustive`: every moment of a run instead of random ones.

use std::io;
use std::num::NonZeroU64;
use std::ops::Range;

use ackproof_core::types::Duration;
use clap::Args;

use super::chaos::Chaos;
use super::screen::Screen;
use super::shard::Shard;
use super::{End, numbers};
use crate::chaos::exhaustive::{Bounds, Exhaustive, Fault};
use crate::chaos::keep::Worlds;
use crate::chaos::results::Asked;
use crate::chaos::seeds::Seeds;
use crate::chaos::survive::{Budget, Class};
use crate::chaos::tally::{Plan, Report, WorldId};
use crate::diagnostics::Diagnostics;
use crate::form::Form;
use crate::interrupt;
use crate::library::Place;
use crate::scenario::{Scenario, parse_time};

/// Every moment of a run.
#[derive(Debug, Args)]
pub(super) struct ExhaustiveChoice {
    /// Do something to each broker before every event of the run, each in a world of its own: every fault of --survive, which
    /// may be a process crash, a machine power loss, a pause and a partition, one or two in a world
    #[arg(long, requires = "scenario", conflicts_with_all = ["quiet_after", "unguided"])]
    pub exhaustive: bool,
    /// After how long each fault ends
    #[arg(long, requires = "exhaustive", value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    lasts: Duration,
    /// Producers send no more records than this
    #[arg(long, requires = "exhaustive", value_name = "N", default_value = "20", value_parser = numbers::whole, allow_negative_numbers = true)]
    records: u64,
    /// Only every N-th event
    #[arg(long, requires = "exhaustive", value_name = "N", default_value = "1", value_parser = numbers::some, allow_negative_numbers = true)]
    stride: NonZeroU64,
}

/// What each fault is to be, and how many there are in a world at most.
fn faults(budget: Option<&Budget>) -> Result<(Vec<(Fault, u32)>, u32), String> {
    let Some(Budget(classes)) = budget else { return Ok((Fault::ALL.map(|fault| (fault, 1)).to_vec(), 1)) };
    let swept = || {
        let names = Class::ALL.into_iter().filter(|class| Fault::of(*class).is_some()).map(Class::name);
        names.collect::<Vec<_>>().join(", ")
    };
    let fault = |(class, times): (&Class, &u32)| {
        let fault = Fault::of(*class).ok_or_else(|| format!("--exhaustive knows no {class}, but {}", swept()))?;
        Ok((fault, *times))
    };
    let faults = classes.iter().map(fault).collect::<Result<Vec<_>, String>>()?;
    match faults.iter().map(|(_, times)| times).sum() {
        most @ 1..=2 => Ok((faults, most)),
        more => Err(format!("--exhaustive takes one fault or two in a world, and these are {more}")),
    }
}

impl ExhaustiveChoice {
    /// Sweeps through the scenario.
    pub fn run(
        &self,
        chaos: &Chaos,
        (place, budget): (&Place, Option<&Budget>),
        screen: &mut Screen,
    ) -> io::Result<End> {
        let (faults, most) = match faults(budget) {
            Ok(faults) => faults,
            Err(message) => {
                screen.complain(&format!("error: {message}"));
                return Ok(End::WrongInput);
            }
        };
        let entries = match budget {
            Some(budget) => budget.entries(),
            None => Budget(
                Class::ALL.into_iter().filter(|class| Fault::of(*class).is_some()).map(|class| (class, 1)).collect(),
            )
            .entries(),
        };
        let lasts_ms = self.lasts.0.div_ceil(1_000_000).max(1);
        let bounds = Bounds { faults: most, lasts_ms, stride: self.stride.get(), records: self.records };
        let (sweep, seeds) = match self.sweep(chaos, place, faults, bounds) {
            Ok(sweep) => sweep,
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        let asked = Asked::of_sweep(&sweep, (place.name(), entries), chaos.shrink);
        if let Some(plan) = chaos.parts {
            return one_world(chaos, &sweep, &asked, WorldId { seed: seeds.start, plan }, screen);
        }
        let shard = match chaos.shard(screen) {
            Ok(shard) => shard,
            Err(message) => {
                screen.complain(&format!("error: {message}"));
                return Ok(End::WrongInput);
            }
        };
        let wanted = Seeds::of(seeds.clone());
        let estimate = self.estimate(&sweep, &seeds, shard);
        chaos.search(&sweep, (&asked, &wanted), estimate, screen, &mut |look| {
            let mut report = Report::default();
            let mut over = false;
            for seed in seeds.clone() {
                let part = part(&sweep, seed, shard).map_err(|found| io::Error::other(found.to_string()))?;
                sweep.run(seed, part, chaos.jobs, &mut report, &mut |report, world| {
                    let flow = look(report, world);
                    over |= flow.is_break();
                    flow
                })?;
                if over || interrupt::is_asked() {
                    break;
                }
            }
            Ok(report)
        })
    }

    fn sweep(
        &self,
        chaos: &Chaos,
        place: &Place,
        faults: Vec<(Fault, u32)>,
        bounds: Bounds,
    ) -> Result<(Exhaustive, Range<u64>), Diagnostics> {
        let scenario = Scenario::load(place)?;
        // It was read as a scenario just now, so it is text and TOML.
        let form = Form::parse(&String::from_utf8_lossy(&place.read().unwrap_or_default())).unwrap_or_default();
        let mut sweep = Exhaustive::new(&form, place, faults, bounds)?;
        sweep.wanted = chaos.looking_for.clone();
        let first = chaos.seed.unwrap_or(scenario.seeds.test.start);
        let one = first..first.saturating_add(1);
        Ok((sweep, if chaos.seed.is_some() { one } else { chaos.seeds.clone().unwrap_or(one) }))
    }

    /// How many worlds there are, where each has one fault; with two nobody knows before.
    fn estimate(&self, sweep: &Exhaustive, seeds: &Range<u64>, shard: Option<Shard>) -> u64 {
        let moments = part(sweep, seeds.start, shard).map_or(0, |part| part.end - part.start) / self.stride.get();
        let faults = sweep.faults.len() as u64;
        moments.saturating_mul(faults).saturating_mul(3).saturating_mul(seeds.end - seeds.start)
    }
}

/// The moments of a run that a shard takes.
fn part(sweep: &Exhaustive, seed: u64, shard: Option<Shard>) -> Result<Range<u64>, Diagnostics> {
    let moments = sweep.moments(seed)?;
    Ok(shard.map_or(moments.clone(), |shard| shard.of(&moments)))
}

/// One world of a sweep, or its file.
fn one_world(chaos: &Chaos, sweep: &Exhaustive, asked: &Asked, id: WorldId, screen: &mut Screen) -> io::Result<End> {
    if let Plan::Drawn(parts) = id.plan {
        screen.complain(&format!("error: --parts {parts} is a drawn world; one of a sweep is like 151:kill:1"));
        return Ok(End::WrongInput);
    }
    if chaos.plan {
        screen.print(&sweep.form(id).text())?;
        return Ok(End::AsExpected);
    }
    let world = match sweep.world(id) {
        Ok(world) => world,
        Err(found) => {
            screen.diagnose(&found);
            return Ok(End::WrongInput);
        }
    };
    let wanted = Seeds::of(id.seed..id.seed.saturating_add(1));
    chaos.search(sweep, (asked, &wanted), 1, screen, &mut |look| {
        let mut report = Report::default();
        report.take(&world);
        let _ = look(&report, &world);
        Ok(report)
    })
}
