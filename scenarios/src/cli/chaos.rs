//! `ackproof chaos`: random worlds, until something goes wrong that must not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use ackproof_core::types::Duration;
use ackproof_reports::Kind;
use clap::Args;

use super::exhaustive::ExhaustiveChoice;
use super::screen::{FAILURES, ReportFormat, Screen, WORLDS, hidden};
use super::shard::{Shard, ShardChoice};
use super::told::{Told, counted};
use super::{End, numbers};
use crate::chaos::campaign::{Campaign, Wanted};
use crate::chaos::draw::{Basis, Given, Parts};
use crate::chaos::keep::{self, Shelf, Worlds};
use crate::chaos::results::{Asked, Kept};
use crate::chaos::seeds::Seeds;
use crate::chaos::survive::{Budget, Class};
use crate::chaos::tally::{Plan, Report, WorldResult};
use crate::chaos::toggle::Toggle;
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::interrupt;
use crate::library::{Place, find};
use crate::scenario::parse_seeds;
use crate::shrink::Limits;
use crate::signature::Signature;

/// What is run if nothing else is said.
const SEEDS: Range<u64> = 0..200;

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
  ackproof chaos my-scenario.toml --exhaustive              every broker killed, cut off, ... before every event
  ackproof chaos my-scenario.toml --exhaustive --survive '2 process crashes' --records 2

Classes of faults for --survive: process crash, restart, client crash, pause, machine power loss, rack power loss, total
power loss, partition, message fault, slow link, slow disk, disk error, clock jump, operation. Numbers are totals of one world.

Each failure is kept once per cause, as a scenario file that `ackproof run` replays and `ackproof shrink` makes small. A file
that is there already and says something else stays as it is; the new one gets a number: NAME-2.toml.
Ctrl-C or SIGTERM ends the search at the next world and tells what was found, as at the end; a second one ends it at once.
Exit codes: 0 nothing found, 1 something found, 2 the input or the call is wrong, or a failure could not be written; 130 and
143 interrupted by Ctrl-C or SIGTERM, whatever was found.")]
pub(super) struct Chaos {
    /// A scenario whose cluster, topics and clients are kept; only what is done to them is drawn. Without: everything is
    #[arg(value_name = "SCENARIO")]
    scenario: Option<String>,
    /// The worlds, without the last one; 0..200 if not given, or with --exhaustive the first seed of the scenario
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub(super) seeds: Option<Range<u64>>,
    /// One world
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = numbers::seed, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// What makes that world, as a campaign printed it: cluster/clients/faults, or event:fault:broker
    #[arg(long, value_name = "A/B/C", requires = "seed", conflicts_with = "seeds")]
    pub(super) parts: Option<Plan>,
    /// Print the plan of that world instead of running it
    #[arg(long, requires = "seed", conflicts_with = "seeds")]
    pub(super) plan: bool,
    /// Faults that worlds must survive, like '1 process crash' or '1 process crash, 1 partition'; may be given several times.
    /// Without: any faults
    #[arg(long, visible_alias = "budget", value_name = "FAULT", value_parser = parse_faults)]
    survive: Vec<Faults>,
    /// Switch a historical fix off or on in every world, like maximal_isr=false: does anything find the hole?
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "exhaustive")]
    toggle: Vec<Toggle>,
    /// What is looked for: forbidden, any, or kinds of anomalies like lost-write,duplicate
    #[arg(long, value_name = "WHAT", default_value = "forbidden", value_parser = parse_wanted)]
    pub(super) looking_for: Wanted,
    /// End after so many worlds that showed no new state of the protocol
    #[arg(long, value_name = "N", value_parser = numbers::whole, allow_negative_numbers = true)]
    quiet_after: Option<u64>,
    /// Draw every world afresh, instead of breeding from those that showed something new
    #[arg(long)]
    unguided: bool,
    /// End at the first failure
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    shard: ShardChoice,
    #[command(flatten)]
    exhaustive: ExhaustiveChoice,
    /// How many worlds at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = numbers::jobs, allow_negative_numbers = true)]
    pub(super) jobs: NonZeroUsize,
    /// How many worlds may be run to make each failure small; 0 leaves it as it was found
    #[arg(long, value_name = "N", default_value = "1000", value_parser = numbers::whole, allow_negative_numbers = true)]
    pub(super) shrink: u64,
    /// The folder for failures
    #[arg(long, value_name = "DIR", default_value = "failures")]
    keep: PathBuf,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

/// The faults of one `--survive`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Faults(Vec<(Class, u32)>);

fn parse_faults(text: &str) -> Result<Faults, String> {
    text.split(',').map(Budget::parse).collect::<Result<_, _>>().map(Faults)
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

/// The one scenario of this name.
fn one(name: &str) -> Result<Place, Diagnostics> {
    let mut places = find(name)?;
    if places.len() == 1 {
        return Ok(places.remove(0));
    }
    let message = format!("these are {} scenarios", places.len());
    Err(Diagnostic::about_file(&Source::new(name, ""), message).remedy("a campaign takes one").into())
}

/// Hears of each world, and says whether to go on.
type Look<'a> = dyn FnMut(&Report, &WorldResult) -> ControlFlow<()> + 'a;
/// Runs worlds.
pub(super) type Runner<'a> = dyn FnMut(&mut Look<'_>) -> io::Result<Report> + 'a;

impl Chaos {
    /// Runs it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let budget = (!self.survive.is_empty()).then(|| {
            let mut budget = Budget::default();
            for (class, number) in self.survive.iter().flat_map(|faults| &faults.0) {
                *budget.0.entry(*class).or_default() += number;
            }
            budget
        });
        let place = match self.scenario.as_deref().map(one).transpose() {
            Ok(place) => place,
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        if let Some(place) = place.as_ref().filter(|_| self.exhaustive.exhaustive) {
            return self.exhaustive.run(self, (place, budget.as_ref()), screen);
        }
        let basis = match place.as_ref().map(Given::load).transpose() {
            Ok(given) => given.map_or(Basis::Nothing, |given| Basis::Given(Box::new(given))),
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        let campaign = Campaign {
            basis,
            budget,
            toggles: self.toggle.clone(),
            wanted: self.looking_for.clone(),
            guided: !self.unguided && self.seed.is_none(),
            quiet_after: self.quiet_after,
        };
        self.draw(&campaign, screen)
    }

    /// Random worlds.
    fn draw(&self, campaign: &Campaign, screen: &mut Screen) -> io::Result<End> {
        let parts = match self.parts {
            None => None,
            Some(Plan::Drawn(parts)) => Some(parts),
            Some(swept @ Plan::Swept(..)) => {
                screen.complain(&format!("error: --parts {swept} is a world of a sweep, which needs --exhaustive"));
                return Ok(End::WrongInput);
            }
        };
        if let (Some(seed), true) = (self.seed, self.plan) {
            screen.print(&campaign.drawn(parts.unwrap_or(Parts::fresh(seed))).text())?;
            return Ok(End::AsExpected);
        }
        let all = match self.seed {
            Some(seed) => seed..seed + 1,
            None => self.seeds.clone().unwrap_or(SEEDS),
        };
        let range = match self.shard(screen) {
            Ok(shard) => shard.map_or(all.clone(), |shard| shard.of(&all)),
            Err(message) => {
                screen.complain(&format!("error: {message}"));
                return Ok(End::WrongInput);
            }
        };
        let asked = Asked::of(campaign, self.shrink);
        // Of all shards: whoever merges them sees what is missing.
        let wanted = Seeds::of(all);
        self.search(campaign, (&asked, &wanted), range.end - range.start, screen, &mut |look| {
            campaign.run(range.clone(), self.jobs, parts, look)
        })
    }

    /// The part of the worlds that is meant, if it is not all of them. One world is no part.
    pub(super) fn shard(&self, screen: &mut Screen) -> Result<Option<Shard>, String> {
        if self.seed.is_some() && !self.exhaustive.exhaustive {
            return Ok(None);
        }
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let Some((shard, says)) = self.shard.choose(&variable)? else { return Ok(None) };
        if let Some(says) = says {
            screen.complain(&says);
        }
        Ok(Some(shard))
    }

    /// The folder for failures, if they can be written to it.
    fn shelf(&self) -> Result<Shelf, String> {
        Shelf::at(&self.keep).map_err(|error| format!("error: --keep {}: {error}", self.keep.display()))
    }

    /// Runs worlds, keeps what failed and tells it.
    pub(super) fn search(
        &self,
        worlds: &dyn Worlds,
        (asked, wanted): (&Asked, &Seeds),
        count: u64,
        screen: &mut Screen,
        run: &mut Runner<'_>,
    ) -> io::Result<End> {
        let mut shelf = match self.shelf() {
            Ok(shelf) => shelf,
            Err(message) => {
                screen.complain(&message);
                return Ok(End::WrongInput);
            }
        };
        let is_json = self.format == ReportFormat::Json;
        if is_json {
            screen.print(&asked.line(wanted))?;
        }
        interrupt::watch()?;
        let started = now();
        let progress = if is_json { hidden() } else { screen.bar(count, WORLDS) };
        let mut stopped = Ok(());
        let report = run(&mut |report, world| {
            progress.set_position(report.worlds);
            progress.set_message(so_far(report));
            keep_new(&mut shelf, worlds, report, world);
            stopped = if is_json { screen.print(&world.line()) } else { Ok(()) };
            let over = stopped.is_err() || (self.fail_fast && !report.is_clean()) || interrupt::is_asked();
            if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.finish_and_clear();
        stopped?;
        let is_whole = asked.exhaustive.is_none() && self.is_whole(&report, count);
        let elapsed = Duration(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let kept = self.kept(worlds, &report, &mut shelf, screen);
        if is_json {
            for (signature, kept) in &kept {
                screen.print(&kept.line(*signature))?;
            }
            report.swept_lines().iter().try_for_each(|line| screen.print(line))?;
            screen.print(&report.line(wanted, asked))?;
        }
        let interrupted = interrupt::code().map(|_| match is_whole {
            true => "interrupted while failures were made small".to_owned(),
            false if asked.exhaustive.is_some() => format!("interrupted after {}", counted(report.worlds, "world")),
            false => format!("interrupted after {} of {}", report.worlds, counted(count, "world")),
        });
        let told = Told { asked, report: &report, kept: &kept, shelf: &shelf, missing: &[], interrupted };
        told.tell(self.format, Some(elapsed), screen)?;
        Ok(match (interrupt::code(), complaints(&shelf, screen), report.is_clean()) {
            (Some(code), ..) => End::Interrupted(code),
            (None, true, _) => End::WrongInput,
            (None, false, false) => End::NotAsExpected,
            (None, false, true) => End::AsExpected,
        })
    }

    /// Makes each failure small, if that is wanted and works, and writes it again.
    fn kept(
        &self,
        worlds: &dyn Worlds,
        report: &Report,
        shelf: &mut Shelf,
        screen: &Screen,
    ) -> BTreeMap<Signature, Kept> {
        let progress = screen.bar(report.failures.len() as u64, FAILURES);
        // Of a given scenario only what was drawn is made smaller.
        let limits = Limits { worlds: self.shrink, keeps_configuration: self.scenario.is_some() };
        let mut kept = BTreeMap::new();
        for (signature, failure) in &report.failures {
            progress.set_message(format!("making {signature} small"));
            let world = failure.first();
            let small = (self.shrink > 0).then(|| keep::small(worlds, *signature, failure, limits)).flatten();
            let is_small = small.as_ref().is_some_and(|small| !(small.cut_short && interrupt::is_asked()));
            let (form, seed) = match small {
                Some(small) => (small.form, small.seed),
                None => (keep::form(worlds, *signature, failure), world.seed),
            };
            shelf.put(*signature, &form);
            kept.insert(*signature, Kept { world, is_small, form, seed });
            progress.inc(1);
        }
        progress.finish_and_clear();
        kept
    }

    /// Whether no world is left to be run.
    fn is_whole(&self, report: &Report, count: u64) -> bool {
        let is_quiet = self.quiet_after.is_some_and(|after| report.quiet >= after);
        !interrupt::is_asked() || report.worlds >= count || is_quiet || (self.fail_fast && !report.is_clean())
    }
}

/// Writes what a world has shown first.
fn keep_new(shelf: &mut Shelf, worlds: &dyn Worlds, report: &Report, world: &WorldResult) {
    for signature in &world.failures {
        if let Some(failure) = report.failures.get(signature).filter(|failure| failure.times == 1) {
            shelf.put(*signature, &keep::form(worlds, *signature, failure));
        }
    }
}

/// Says what is not where one looks for it. Whether something could not be written.
pub(super) fn complaints(shelf: &Shelf, screen: &mut Screen) -> bool {
    for (there, beside) in shelf.beside() {
        let (there, beside) = (there.display(), beside.display());
        screen.complain(&format!("{there} was there and says something else: it stays, and this is {beside}"));
    }
    if let Some(unwritten) = shelf.unwritten() {
        screen.complain(&format!("error: a failure could not be written: {unwritten}"));
    }
    shelf.unwritten().is_some()
}

/// The wall clock is for progress and the report alone; nothing in a world sees it.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "how long it took is told, never used")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// So many failures are named while it runs.
const SHOWN: usize = 3;

fn so_far(report: &Report) -> String {
    let Report { coverage, failures, .. } = report;
    let mut out = format!("{} simulated s, {coverage} states", report.sim_time.0 / 1_000_000_000);
    for (signature, failure) in failures.iter().take(SHOWN) {
        let _ = write!(out, ", {} {}", failure.times, signature.slug());
    }
    if failures.len() > SHOWN {
        let _ = write!(out, " and {} more", failures.len() - SHOWN);
    }
    out
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
