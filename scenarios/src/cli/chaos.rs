//! `ackproof chaos`: random worlds, until something goes wrong that must not.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use ackproof_reports::Kind;
use clap::Args;

use super::End;
use super::screen::{ReportFormat, Screen, WORLDS, hidden};
use super::shard::ShardChoice;
use super::told::Told;
use crate::chaos::campaign::{Campaign, Wanted};
use crate::chaos::draw::{Basis, Given, Parts};
use crate::chaos::keep;
use crate::chaos::results::{Asked, Kept};
use crate::chaos::seeds::Seeds;
use crate::chaos::survive::{Budget, Class};
use crate::chaos::tally::{Report, WorldResult};
use crate::chaos::toggle::Toggle;
use crate::library::find;
use crate::scenario::parse_seeds;
use crate::shrink::Limits;
use crate::signature::Signature;

/// Draw random worlds and look for what must not happen
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof chaos                                            200 worlds, everything drawn from the seed
  ackproof chaos --seeds 0..10000 --jobs 2                  a night
  ackproof chaos my-scenario.toml --survive '1 process crash' --survive '1 partition'
  ackproof chaos --looking-for lost-write,duplicate         permitted or not
  ackproof chaos --seed 17 --plan                           what world 17 is, as a scenario file
  ackproof chaos --seeds 0..10000 --shard 0/4 --format json > shard-0.ndjson
  ackproof merge shard-*.ndjson                             what all shards came to

Classes of faults for --survive: process crash, restart, client crash, pause, machine power loss, rack power loss, total
power loss, partition, message fault, slow link, slow disk, disk error, clock jump, operation. Numbers are totals of one world.

Each failure is kept once per cause, as a scenario file that `ackproof run` replays and `ackproof shrink` makes small.
Exit codes: 0 nothing found, 1 something found, 2 the input or the call is wrong.")]
pub(super) struct Chaos {
    /// A scenario whose cluster, topics and clients are kept; only what is done to them is drawn. Without: everything is
    #[arg(value_name = "SCENARIO")]
    scenario: Option<String>,
    /// The worlds, without the last one
    #[arg(long, value_name = "A..B", default_value = "0..200", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// One world
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(..u64::MAX))]
    seed: Option<u64>,
    /// The seeds of its parts, as a campaign printed them: cluster/clients/faults
    #[arg(long, value_name = "A/B/C", requires = "seed")]
    parts: Option<Parts>,
    /// Print the plan of that world instead of running it
    #[arg(long, requires = "seed")]
    plan: bool,
    /// A fault that worlds must survive, like '1 process crash'; may be given several times. Without: any faults
    #[arg(long, value_name = "FAULT", value_parser = Budget::parse)]
    survive: Vec<(Class, u32)>,
    /// Switch a historical fix off or on in every world, like maximal_isr=false: does anything find the hole?
    #[arg(long, value_name = "NAME=VALUE")]
    toggle: Vec<Toggle>,
    /// What is looked for: forbidden, any, or kinds of anomalies like lost-write,duplicate
    #[arg(long, value_name = "WHAT", default_value = "forbidden", value_parser = parse_wanted)]
    looking_for: Wanted,
    /// End after so many worlds that showed no new state of the protocol
    #[arg(long, value_name = "N")]
    quiet_after: Option<u64>,
    /// Draw every world afresh, instead of breeding from those that showed something new
    #[arg(long)]
    unguided: bool,
    /// End at the first failure
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    shard: ShardChoice,
    /// How many worlds at a time
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// How many worlds may be run to make each failure small; 0 leaves it as it was found
    #[arg(long, value_name = "N", default_value = "1000")]
    shrink: u64,
    /// The folder for failures
    #[arg(long, value_name = "DIR", default_value = "failures")]
    keep: PathBuf,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

fn parse_wanted(text: &str) -> Result<Wanted, String> {
    match text {
        "forbidden" => Ok(Wanted::Forbidden),
        "any" => Ok(Wanted::Any),
        kinds => {
            let kind = |name: &str| {
                Kind::by_name(name.trim())
                    .ok_or_else(|| format!("`{name}` is neither forbidden nor any nor a kind of anomaly"))
            };
            kinds.split(',').map(kind).collect::<Result<_, _>>().map(Wanted::Kinds)
        }
    }
}

impl Chaos {
    /// Runs it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let basis = match self.basis() {
            Ok(basis) => basis,
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        let budget = (!self.survive.is_empty()).then(|| {
            let mut budget = Budget::default();
            for (class, number) in &self.survive {
                *budget.0.entry(*class).or_default() += number;
            }
            budget
        });
        let campaign = Campaign {
            basis,
            budget,
            toggles: self.toggle.clone(),
            wanted: self.looking_for.clone(),
            guided: !self.unguided && self.seed.is_none(),
            quiet_after: self.quiet_after,
        };
        if let (Some(seed), true) = (self.seed, self.plan) {
            let parts = self.parts.unwrap_or(Parts::fresh(seed));
            screen.print(&campaign.form(parts).text())?;
            return Ok(End::AsExpected);
        }
        self.search(&campaign, screen)
    }

    fn basis(&self) -> Result<Basis, crate::diagnostics::Diagnostics> {
        let Some(name) = &self.scenario else { return Ok(Basis::Nothing) };
        let mut places = find(name)?;
        if places.len() != 1 {
            let source = crate::diagnostics::Source::new(name, "");
            let message = format!("these are {} scenarios", places.len());
            let found = crate::diagnostics::Diagnostic::about_file(&source, message);
            return Err(found.remedy("a campaign takes one").into());
        }
        Given::load(&places.remove(0)).map(|given| Basis::Given(Box::new(given)))
    }

    /// The worlds of this process.
    fn range(&self, screen: &mut Screen) -> Result<Range<u64>, String> {
        if let Some(seed) = self.seed {
            return Ok(seed..seed + 1);
        }
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let Some((shard, says)) = self.shard.choose(&variable)? else { return Ok(self.seeds.clone()) };
        let range = shard.of(&self.seeds);
        if let Some(says) = says {
            screen.complain(&format!("seeds {}..{}: {says}", range.start, range.end));
        }
        Ok(range)
    }

    fn search(&self, campaign: &Campaign, screen: &mut Screen) -> io::Result<End> {
        let range = match self.range(screen) {
            Ok(range) => range,
            Err(message) => {
                screen.complain(&format!("error: {message}"));
                return Ok(End::WrongInput);
            }
        };
        let asked = Asked::of(campaign, self.shrink);
        // Of all shards: whoever merges them sees what is missing.
        let wanted = Seeds::of(if self.seed.is_some() { range.clone() } else { self.seeds.clone() });
        let is_json = self.format == ReportFormat::Json;
        if is_json {
            screen.print(&asked.line(&wanted))?;
        }
        let started = now();
        let progress = if is_json { hidden() } else { screen.bar(range.end - range.start, WORLDS) };
        let mut stopped = Ok(());
        let report = campaign.run(range, self.jobs, self.parts, &mut |report, world| {
            progress.set_position(report.worlds);
            progress.set_message(so_far(report));
            let new = self.keep_new(campaign, report, world);
            stopped = new.and_then(|()| if is_json { screen.print(&world.line()) } else { Ok(()) });
            let over = stopped.is_err() || (self.fail_fast && !report.is_clean());
            if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.finish_and_clear();
        stopped?;
        let speed = u128::from(report.worlds) * 1_000 / started.elapsed().as_millis().max(1);
        let kept = self.kept(campaign, &report, screen)?;
        if is_json {
            for (signature, kept) in &kept {
                screen.print(&kept.line(*signature))?;
            }
            screen.print(&report.line(&wanted))?;
        }
        let (report, missing) = (&report, &Seeds::default());
        let told = Told { asked: &asked, report, kept: &kept, folder: &self.keep, missing };
        told.tell(self.format, u64::try_from(speed).ok(), screen)?;
        Ok(if report.is_clean() { End::AsExpected } else { End::NotAsExpected })
    }

    /// Makes each failure small, if that is wanted and works, and writes it again.
    fn kept(&self, campaign: &Campaign, report: &Report, screen: &Screen) -> io::Result<BTreeMap<Signature, Kept>> {
        let progress = screen.bar(report.failures.len() as u64, WORLDS);
        // Of a given scenario only what was drawn is made smaller.
        let limits = Limits { worlds: self.shrink, keeps_configuration: self.scenario.is_some() };
        let mut kept = BTreeMap::new();
        for (signature, failure) in &report.failures {
            progress.set_message(format!("making {signature} small"));
            let world = failure.first();
            let small = (self.shrink > 0).then(|| keep::small(campaign, *signature, failure, limits)).flatten();
            let is_small = small.is_some();
            let (form, seed) = match small {
                Some(small) => (small.form, small.seed),
                None => (keep::form(campaign, *signature, failure), world.seed),
            };
            if is_small {
                keep::put(&self.keep, *signature, &form)?;
            }
            kept.insert(*signature, Kept { world, is_small, form, seed });
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(kept)
    }

    /// Writes what a world has shown first.
    fn keep_new(&self, campaign: &Campaign, report: &Report, world: &WorldResult) -> io::Result<()> {
        for signature in &world.failures {
            if let Some(failure) = report.failures.get(signature).filter(|failure| failure.times == 1) {
                keep::write(&self.keep, campaign, *signature, failure)?;
            }
        }
        Ok(())
    }
}

/// The wall clock is for progress and the report alone; nothing in a world sees it.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "how long it took is told, never used")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn so_far(report: &Report) -> String {
    let Report { coverage, failures, .. } = report;
    format!("{} simulated s, {coverage} states, {} failures", report.sim_time.0 / 1_000_000_000, failures.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_a_word_or_kinds() {
        assert_eq!(parse_wanted("any"), Ok(Wanted::Any));
        assert_eq!(parse_wanted("lost-write, duplicate"), Ok(Wanted::Kinds(vec![Kind::LostWrite, Kind::Duplicate])));
        assert!(parse_wanted("lost-writes").is_err_and(|error| error.contains("lost-writes")));
        assert!("1/2".parse::<Parts>().is_err());
        for text in ["any", "forbidden", "lost-write,duplicate"] {
            assert_eq!(parse_wanted(text).map(|wanted| wanted.to_string()), Ok(text.to_owned()));
        }
    }
}
