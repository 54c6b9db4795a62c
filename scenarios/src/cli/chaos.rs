//! `ackproof chaos`: random worlds, until something goes wrong that must not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use ackproof_core::types::Duration;
use ackproof_reports::Kind;
use ackproof_reports::render::text::PlainText;
use clap::Args;
use serde_json::json;

use super::End;
use super::screen::{Format, Screen, WORLDS};
use crate::chaos::campaign::{Campaign, Report, Wanted};
use crate::chaos::draw::{Basis, Given, Parts};
use crate::chaos::keep;
use crate::chaos::survive::{Budget, Class};
use crate::form::Form;
use crate::library::{Place, find};
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
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// The seeds of its parts, as a campaign printed them: cluster/clients/faults
    #[arg(long, value_name = "A/B/C", requires = "seed", value_parser = parse_parts)]
    parts: Option<Parts>,
    /// Print the plan of that world instead of running it
    #[arg(long, requires = "seed")]
    plan: bool,
    /// A fault that worlds must survive, like '1 process crash'; may be given several times. Without: any faults
    #[arg(long, value_name = "FAULT", value_parser = Budget::parse)]
    survive: Vec<(Class, u32)>,
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
    /// Only the I-th of N equal parts of the worlds, counted from 0: for CI matrices and clusters
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<(u64, u64)>,
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
    format: Format,
}

/// A failure as it was written.
struct Kept {
    form: Form,
    seed: u64,
    is_small: bool,
}

/// What a campaign has come to, and what it wrote.
type Found<'a> = (&'a Report, &'a BTreeMap<Signature, Kept>);

fn parse_parts(text: &str) -> Result<Parts, String> {
    let parts: Option<Vec<u64>> = text.split('/').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([cluster, clients, faults]) => Ok(Parts { cluster: *cluster, clients: *clients, faults: *faults }),
        _ => Err(format!("`{text}`: write three seeds, like 17/17/903")),
    }
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

fn parse_shard(text: &str) -> Result<(u64, u64), String> {
    let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    numbers.filter(|(part, of)| part < of).ok_or_else(|| format!("`{text}`: write part/parts, like 0/4"))
}

/// The I-th of N parts of a range; the parts differ by one world at most.
fn shard(seeds: &Range<u64>, (part, of): (u64, u64)) -> Range<u64> {
    let length = u128::from(seeds.end - seeds.start);
    let edge = |part: u64| seeds.start + u64::try_from(length * u128::from(part) / u128::from(of)).unwrap_or(u64::MAX);
    edge(part)..edge(part + 1)
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

    fn search(&self, campaign: &Campaign, screen: &mut Screen) -> io::Result<End> {
        let seeds = match self.seed {
            Some(seed) => seed..seed.saturating_add(1),
            None => self.shard.map_or(self.seeds.clone(), |part| shard(&self.seeds, part)),
        };
        let started = now();
        let progress = screen.bar(seeds.end - seeds.start, WORLDS);
        let mut shown = 0;
        let mut stopped = Ok(());
        let parts = self.parts;
        let report = campaign.run(seeds.clone(), self.jobs, parts, &mut |report| {
            progress.set_position(report.worlds);
            progress.set_message(so_far(report));
            if report.failures.len() > shown {
                shown = report.failures.len();
                stopped = progress.suspend(|| self.keep_new(campaign, report));
            }
            let over = stopped.is_err() || (self.fail_fast && (shown > 0 || !report.panics.is_empty()));
            if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.finish_and_clear();
        stopped?;
        let wall = started.elapsed();
        let kept = self.kept(campaign, &report, screen)?;
        match self.format {
            Format::Human => screen.print(&self.told(campaign, (&report, &kept), &seeds, wall))?,
            Format::Json => screen.print(&self.lines(campaign, (&report, &kept), &seeds))?,
        }
        Ok(if report.failures.is_empty() && report.panics.is_empty() { End::AsExpected } else { End::NotAsExpected })
    }

    /// Makes each failure small, if that is wanted and works, and writes it again.
    fn kept(&self, campaign: &Campaign, report: &Report, screen: &Screen) -> io::Result<BTreeMap<Signature, Kept>> {
        let progress = screen.bar(report.failures.len() as u64, WORLDS);
        // Of a given scenario only what was drawn is made smaller.
        let limits = Limits { worlds: self.shrink, keeps_configuration: self.scenario.is_some() };
        let mut kept = BTreeMap::new();
        for (signature, failure) in &report.failures {
            progress.set_message(format!("making {signature} small"));
            let small = (self.shrink > 0).then(|| keep::small(campaign, *signature, failure, limits)).flatten();
            let is_small = small.is_some();
            let (form, seed) = match small {
                Some(small) => (small.form, small.seed),
                None => (keep::form(campaign, *signature, failure), failure.first().0),
            };
            if is_small {
                keep::put(&self.keep, *signature, &form)?;
            }
            kept.insert(*signature, Kept { form, seed, is_small });
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(kept)
    }

    /// Writes what has no file yet.
    fn keep_new(&self, campaign: &Campaign, report: &Report) -> io::Result<()> {
        for (signature, failure) in report.failures.iter().filter(|(_, failure)| failure.times == 1) {
            keep::write(&self.keep, campaign, *signature, failure)?;
        }
        Ok(())
    }

    fn told(
        &self,
        campaign: &Campaign,
        (report, kept): Found<'_>,
        seeds: &Range<u64>,
        wall: std::time::Duration,
    ) -> String {
        let mut out = String::new();
        for (signature, failure) in &report.failures {
            let _ = writeln!(out, "{signature}");
            let _ =
                writeln!(out, "  in {} of {} worlds; seeds {}", failure.times, report.worlds, listed(&failure.worlds));
            let Some(Kept { form, seed, is_small }) = kept.get(signature) else { continue };
            let path = keep::path(&self.keep, *signature);
            let place = Place::Disk(path.clone());
            if let Some(story) = keep::story(form, &place, *seed, *signature, &PlainText) {
                let _ = writeln!(out, "\n{}\n", indented(story.trim_end()));
            }
            let _ = writeln!(out, "  replay  ackproof run {} --seed {seed}", path.display());
            if !is_small {
                let _ = writeln!(out, "  small   ackproof shrink {} --seed {seed}", path.display());
            }
            out.push('\n');
        }
        for (seed, parts, said) in &report.panics {
            let _ = writeln!(
                out,
                "PANIC in world {seed}: {said}\n  replay  ackproof chaos --seed {seed} --parts {}\n",
                named(*parts)
            );
        }
        let budget = campaign.budget.as_ref().map_or("any faults".to_owned(), Budget::to_string);
        let _ = writeln!(
            out,
            "{} worlds (seeds {}..{}, {budget}): {}",
            report.worlds,
            seeds.start,
            seeds.end,
            match report.failures.len() + report.panics.len() {
                0 => format!("nothing {}", self.words()),
                1 => format!("one way {}", self.words()),
                ways => format!("{ways} ways {}", self.words()),
            }
        );
        let _ = writeln!(out, "{}", figures(report, wall));
        out
    }

    fn words(&self) -> &'static str {
        match self.looking_for {
            Wanted::Forbidden => "to fail that the configuration forbids",
            Wanted::Any | Wanted::Kinds(_) => "to fail of what was looked for",
        }
    }

    /// One object per failure, and one for the campaign.
    fn lines(&self, campaign: &Campaign, (report, kept): Found<'_>, seeds: &Range<u64>) -> String {
        let mut out = String::new();
        for (signature, failure) in &report.failures {
            let line = json!({
                "failure": signature.to_string(),
                "forbidden": signature.is_forbidden(),
                "times": failure.times,
                "worlds": failure.worlds.iter().map(|(seed, parts)| json!({ "seed": seed, "parts": named(*parts) })).collect::<Vec<_>>(),
                "file": keep::path(&self.keep, *signature),
                "seed": kept.get(signature).map(|kept| kept.seed),
                "steps": kept.get(signature).map(|kept| kept.form.sections("step").count()),
            });
            let _ = writeln!(out, "{line}");
        }
        for (seed, parts, said) in &report.panics {
            let _ = writeln!(out, "{}", json!({ "panic": said, "seed": seed, "parts": named(*parts) }));
        }
        let line = json!({
            "worlds": report.worlds,
            "seeds": [seeds.start, seeds.end],
            "survive": campaign.budget.as_ref().map(Budget::to_string),
            "events": report.events,
            "sim_seconds": report.sim_time.0 / 1_000_000_000,
            "coverage": report.coverage,
            "worlds_since_new_coverage": report.quiet,
        });
        let _ = writeln!(out, "{line}");
        out
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

fn figures(report: &Report, wall: std::time::Duration) -> String {
    let seconds = |time: Duration| time.0 / 1_000_000_000;
    let per_second = u128::from(report.worlds) * 1_000 / wall.as_millis().max(1);
    format!(
        "{} simulated s, {} events, {} worlds/s; {} pairs of protocol states seen, the last new one {} worlds ago",
        seconds(report.sim_time),
        report.events,
        per_second,
        report.coverage,
        report.quiet
    )
}

fn named(parts: Parts) -> String {
    format!("{}/{}/{}", parts.cluster, parts.clients, parts.faults)
}

fn listed(worlds: &[(u64, Parts)]) -> String {
    worlds.iter().map(|(seed, _)| seed.to_string()).collect::<Vec<_>>().join(", ")
}

pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_worlds_out() {
        for parts in 1..9 {
            let all: Vec<u64> = (0..parts).flat_map(|part| shard(&(3..103), (part, parts))).collect();
            assert_eq!(all, (3..103).collect::<Vec<_>>(), "{parts}");
        }
        assert_eq!(shard(&(0..u64::MAX), (1, 2)).end, u64::MAX);
        assert!(parse_shard("4/4").is_err() && parse_shard("1").is_err());
    }

    #[test]
    fn what_is_looked_for_is_a_word_or_kinds() {
        assert_eq!(parse_wanted("any"), Ok(Wanted::Any));
        assert_eq!(parse_wanted("lost-write, duplicate"), Ok(Wanted::Kinds(vec![Kind::LostWrite, Kind::Duplicate])));
        assert!(parse_wanted("lost-writes").is_err_and(|error| error.contains("lost-writes")));
        assert!(parse_parts("1/2").is_err());
    }
}
