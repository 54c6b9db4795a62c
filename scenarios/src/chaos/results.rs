//! What a campaign came to as lines of JSON, one for each world, and several such files as one.
//!
//! A file begins with the campaign, then come its worlds, the failures that were kept, and their sum:
//!
//! ```text
//! {"campaign":{"format":1,"ackproof":"0.1.0",...},"seeds":["0..10000"]}
//! {"world":"17","parts":"17/17/903","events":3120,"sim_ns":61000000000,"new":[88,1093],"failures":[...]}
//! {"failure":{"kind":"lost-write",...},"world":"17","parts":"17/17/903","seed":"0","small":true,"scenario":"title = ..."}
//! {"total":{"worlds":10000,...}}
//! ```
//!
//! Of a sweep through every moment it says besides which moments were swept: `{"swept":"0","events":["311..900"],"of":["311..2400"]}`.
//!
//! Merging is a union of worlds, so neither order nor grouping nor repetition matters. What a world was the first to show
//! (`new`) is the one thing that depends on the others: it is given to the first of all that show it. The sum is never
//! read, it is made anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;

use ackproof_core::types::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::campaign::Campaign;
use super::coverage::{Coverage, SLOTS};
use super::draw::Basis;
use super::exhaustive::{Bounds, Exhaustive};
use super::seeds::Seeds;
use super::tally::{Plan, Report, Swept, WorldId, WorldResult};
use crate::form::Form;
use crate::library::Place;
use crate::signature::Signature;

/// The format of these lines. It grows when a key changes its meaning.
const FORMAT: u32 = 1;
/// Worlds are the same under the same seeds in one version of this program only.
const ACKPROOF: &str = env!("CARGO_PKG_VERSION");

/// What was asked of a campaign: what all its shards have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    format: u32,
    ackproof: String,
    /// The scenario whose steps are drawn, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Named>,
    /// What the worlds must survive; without, anything is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survive: Option<Vec<String>>,
    /// Historical fixes that are switched off or on in all worlds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub toggles: Vec<String>,
    /// What is looked for.
    pub looking_for: String,
    /// Whether worlds are bred from those that showed something new.
    pub guided: bool,
    /// It ends after so many worlds that showed nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_after: Option<u64>,
    /// How many worlds may be run to make a failure small.
    pub shrink: u64,
    /// How far a sweep goes, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhaustive: Option<Bounds>,
}

/// A scenario with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// As it was called.
    pub name: String,
    /// What it says: two files of one name are not one campaign.
    pub text: String,
}

impl Asked {
    /// What is asked of a campaign.
    pub fn of(campaign: &Campaign, shrink: u64) -> Self {
        Self {
            format: FORMAT,
            ackproof: ACKPROOF.to_owned(),
            scenario: match &campaign.basis {
                Basis::Nothing => None,
                Basis::Given(given) => Some(Named { name: given.name(), text: given.text() }),
            },
            survive: campaign.budget.as_ref().map(|budget| budget.entries()),
            toggles: campaign.toggles.iter().map(ToString::to_string).collect(),
            looking_for: campaign.wanted.to_string(),
            guided: campaign.guided,
            quiet_after: campaign.quiet_after,
            shrink,
            exhaustive: None,
        }
    }

    /// What is asked of a sweep through a scenario.
    pub fn of_sweep(sweep: &Exhaustive, (name, survive): (String, Vec<String>), shrink: u64) -> Self {
        Self {
            format: FORMAT,
            ackproof: ACKPROOF.to_owned(),
            scenario: Some(Named { name, text: sweep.text() }),
            survive: Some(survive),
            toggles: Vec::new(),
            looking_for: sweep.wanted.to_string(),
            guided: false,
            quiet_after: None,
            shrink,
            exhaustive: Some(sweep.bounds.clone()),
        }
    }

    /// The faults that were allowed, in words.
    pub fn faults(&self) -> String {
        match self.survive.as_deref() {
            None => "any faults".to_owned(),
            Some([]) => "no fault".to_owned(),
            Some(faults) => faults.join(", "),
        }
    }

    /// The line that shows one world again.
    pub fn replay(&self, world: WorldId) -> String {
        let mut line = "ackproof chaos".to_owned();
        if let Some(Named { name, .. }) = &self.scenario {
            let _ = write!(line, " {}", crate::runner::quoted(name));
        }
        for fault in self.survive.iter().flatten() {
            let _ = write!(line, " --survive '{fault}'");
        }
        for toggle in &self.toggles {
            let _ = write!(line, " --toggle {toggle}");
        }
        if self.looking_for != "forbidden" {
            let _ = write!(line, " --looking-for {}", self.looking_for);
        }
        if let Some(Bounds { lasts_ms, stride, records, .. }) = self.exhaustive {
            let _ = write!(line, " --exhaustive --lasts {lasts_ms}ms --stride {stride} --records {records}");
        }
        let _ = write!(line, " --seed {} --parts {}", world.seed, world.plan);
        line
    }

    /// The first line of a file.
    pub fn line(&self, seeds: &Seeds) -> String {
        json!({ "campaign": self, "seeds": seeds }).to_string()
    }
}

/// A failure as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The world in which it was found.
    pub world: WorldId,
    /// Whether it was made small.
    pub is_small: bool,
    /// What is left of it.
    pub form: Form,
    /// The seed that shows it.
    pub seed: u64,
}

impl Kept {
    /// As a line.
    pub fn line(&self, signature: Signature) -> String {
        let Kept { world, is_small, form, seed } = self;
        let line = FailureLine {
            failure: signature,
            world: world.seed.to_string(),
            parts: world.plan.to_string(),
            seed: seed.to_string(),
            small: *is_small,
            scenario: form.text(),
        };
        json!(line).to_string()
    }

    /// Of two that were kept of one failure the one that a single campaign would have kept.
    fn rank(&self) -> (WorldId, bool, u64, String) {
        (self.world, !self.is_small, self.seed, self.form.text())
    }
}

/// What a campaign, or several shards of one, came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// What was asked.
    pub asked: Asked,
    /// The seeds of all worlds that were to be run, in this shard and the others.
    pub seeds: Seeds,
    /// The worlds that were run.
    pub worlds: BTreeMap<WorldId, WorldResult>,
    /// The failures that were kept.
    pub kept: BTreeMap<Signature, Kept>,
    /// How far runs were swept, by their seeds.
    pub swept: BTreeMap<u64, Swept>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweptLine {
    swept: String,
    events: Seeds,
    of: Seeds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CampaignLine {
    campaign: Asked,
    seeds: Seeds,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldLine {
    world: String,
    parts: String,
    events: u64,
    sim_ns: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    new: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Signature>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    permitted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unexplained: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    panic: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureLine {
    failure: Signature,
    world: String,
    parts: String,
    seed: String,
    small: bool,
    scenario: String,
}

/// What is wrong with a file of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1; none if it is the file as a whole.
    pub line: Option<u64>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Takes files of results, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Merger {
    results: Option<Results>,
}

impl Merger {
    /// Takes a file.
    pub fn take(&mut self, file: impl BufRead) -> Result<(), Wrong> {
        let mut begun = false;
        for (number, line) in (1..).zip(file.split(b'\n')) {
            let at = |message: String| Wrong { line: Some(number), message };
            let line = line.map_err(|error| at(format!("cannot be read: {error}")))?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Value = serde_json::from_slice(&line).map_err(|error| at(not_json(&error)))?;
            begun |= line.get("campaign").is_some();
            if !begun {
                return Err(at(
                    "this is no result of `ackproof chaos --format json`: it does not begin with a campaign".into(),
                ));
            }
            self.take_line(line).map_err(at)?;
        }
        if begun {
            return Ok(());
        }
        let message = "there is nothing in it: its job ended before it began; run that shard again";
        Err(Wrong { line: None, message: message.into() })
    }

    fn take_line(&mut self, line: Value) -> Result<(), String> {
        let has = |key: &str| line.get(key).is_some();
        if has("campaign") {
            return self.take_campaign(line);
        }
        let results = self.results.as_mut().ok_or("a campaign must come first")?;
        if has("total") {
            // It is the sum of what stands above.
            Ok(())
        } else if has("failure") {
            results.take_kept(line)
        } else if has("world") {
            results.take_world(line)
        } else if has("swept") {
            results.take_swept(line)
        } else {
            Err("this line is neither a campaign nor a world, a failure or a total".into())
        }
    }

    fn take_campaign(&mut self, line: Value) -> Result<(), String> {
        let format = line["campaign"].get("format").and_then(Value::as_u64);
        if format != Some(FORMAT.into()) {
            let format = format.map_or("none".to_owned(), |format| format.to_string());
            return Err(format!(
                "its format is {format}, and this ackproof reads {FORMAT}: run all shards with the same ackproof"
            ));
        }
        let CampaignLine { campaign, seeds } = read(line)?;
        if campaign.ackproof != ACKPROOF {
            let other = &campaign.ackproof;
            return Err(format!(
                "it was written by ackproof {other}, and this is {ACKPROOF}: worlds are the same under the same seeds in one version only; run all shards with the same ackproof"
            ));
        }
        match &mut self.results {
            Some(known) => {
                if let Some(what) = difference(&known.asked, &campaign) {
                    return Err(format!("this is another campaign: {what}; only shards of one campaign can be merged"));
                }
                known.seeds.add_all(&seeds);
            }
            None => {
                let (worlds, kept, swept) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
                self.results = Some(Results { asked: campaign, seeds, worlds, kept, swept });
            }
        }
        Ok(())
    }

    /// All of them as one. None if there was no file.
    pub fn finish(self) -> Option<Results> {
        let mut results = self.results?;
        let mut seen = Coverage::default();
        for world in results.worlds.values_mut() {
            world.new.sort_unstable();
            world.new.retain(|slot| seen.take(*slot));
        }
        Some(results)
    }
}

fn not_json(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "the line is cut off: its job was interrupted while it wrote; run that shard again, or take this line away"
            .into()
    } else {
        format!("this is no result of `ackproof chaos --format json`: {error}")
    }
}

fn read<T: for<'de> Deserialize<'de>>(line: Value) -> Result<T, String> {
    serde_json::from_value(line).map_err(|error| format!("the line is not as `ackproof chaos` writes it: {error}"))
}

/// What two campaigns do not have in common.
fn difference(one: &Asked, other: &Asked) -> Option<String> {
    let name = |asked: &Asked| asked.scenario.as_ref().map_or("no scenario".to_owned(), |named| named.name.clone());
    if name(one) != name(other) {
        Some(format!("one is about {}, the other about {}", name(one), name(other)))
    } else if one.scenario != other.scenario {
        Some(format!("{} has been changed in between", name(one)))
    } else if one.survive != other.survive {
        Some(format!("one allows {}, the other {}", one.faults(), other.faults()))
    } else if one.looking_for != other.looking_for {
        Some(format!("one looks for {}, the other for {}", one.looking_for, other.looking_for))
    } else {
        (one != other)
            .then(|| "its --toggle, --unguided, --quiet-after, --shrink or --exhaustive is another".to_owned())
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed"))
}

impl Results {
    fn id(&self, world: &str, parts: &str) -> Result<WorldId, String> {
        let id = WorldId { seed: number(world)?, plan: parts.parse::<Plan>()? };
        if matches!(id.plan, Plan::Swept(..)) != self.asked.exhaustive.is_some() {
            return Err(format!("`{parts}` is no world of such a campaign"));
        }
        if self.seeds.has(id.seed) {
            Ok(id)
        } else {
            Err(format!("world {} is none of this campaign, whose seeds are {}", id.seed, self.seeds))
        }
    }

    fn take_world(&mut self, line: Value) -> Result<(), String> {
        let WorldLine { world, parts, events, sim_ns, new, failures, permitted, unexplained, panic } = read(line)?;
        let id = self.id(&world, &parts)?;
        if let Some(slot) = new.iter().find(|slot| **slot as usize >= SLOTS) {
            return Err(format!("{slot} in `new` is no pair of states; there are {SLOTS}"));
        }
        let sim_time = Duration(sim_ns);
        let world = WorldResult { id, events, sim_time, new, failures, permitted, unexplained, panic };
        match self.worlds.get_mut(&id) {
            Some(known) => {
                // What was new depends on the worlds before it.
                let by_itself = |world: &WorldResult| WorldResult { new: Vec::new(), ..world.clone() };
                if by_itself(known) != by_itself(&world) {
                    return Err(format!(
                        "world {} came out otherwise before: the shards were not run by the same ackproof, or it is not deterministic",
                        id.seed
                    ));
                }
                known.new.extend(world.new);
            }
            None => drop(self.worlds.insert(id, world)),
        }
        Ok(())
    }

    fn take_kept(&mut self, line: Value) -> Result<(), String> {
        let FailureLine { failure, world, parts, seed, small, scenario } = read(line)?;
        let (world, seed) = (self.id(&world, &parts)?, number(&seed)?);
        let form = Form::parse(&scenario).filter(|form| form.understand(&Place::Disk("kept.toml".into())).is_ok());
        let form = form.ok_or("its `scenario` is none")?;
        let kept = Kept { world, is_small: small, form, seed };
        if self.kept.get(&failure).is_none_or(|known| kept.rank() < known.rank()) {
            self.kept.insert(failure, kept);
        }
        Ok(())
    }

    fn take_swept(&mut self, line: Value) -> Result<(), String> {
        let SweptLine { swept, events, of } = read(line)?;
        let seed = number(&swept)?;
        if !self.seeds.has(seed) {
            return Err(format!("seed {seed} is none of this campaign, whose seeds are {}", self.seeds));
        }
        self.swept.entry(seed).or_default().add(&Swept { events, of });
        Ok(())
    }

    /// The sum of its worlds.
    pub fn report(&self) -> Report {
        let mut report = Report { swept: self.swept.clone(), ..Report::default() };
        self.worlds.values().for_each(|world| report.take(world));
        report
    }

    /// As a file.
    pub fn text(&self) -> String {
        let mut lines = vec![self.asked.line(&self.seeds)];
        lines.extend(self.worlds.values().map(WorldResult::line));
        lines.extend(self.kept.iter().map(|(signature, kept)| kept.line(*signature)));
        let report = self.report();
        lines.extend(report.swept_lines());
        lines.push(report.line(&self.seeds, &self.asked));
        lines.join("\n") + "\n"
    }
}

impl WorldResult {
    /// As a line.
    pub fn line(&self) -> String {
        let line = WorldLine {
            world: self.id.seed.to_string(),
            parts: self.id.plan.to_string(),
            events: self.events,
            sim_ns: self.sim_time.0,
            new: self.new.clone(),
            failures: self.failures.clone(),
            permitted: self.permitted,
            unexplained: self.unexplained,
            panic: self.panic.clone(),
        };
        json!(line).to_string()
    }
}

impl Report {
    /// How far runs were swept, a line each.
    pub fn swept_lines(&self) -> Vec<String> {
        let line = |(seed, swept): (&u64, &Swept)| {
            let Swept { events, of } = swept.clone();
            json!(SweptLine { swept: seed.to_string(), events, of }).to_string()
        };
        self.swept.iter().map(line).collect()
    }

    /// What was to be run and was not, in words.
    pub fn missing(&self, wanted: &Seeds, asked: &Asked) -> Vec<String> {
        if asked.exhaustive.is_none() {
            return Vec::from(wanted.without(&self.seeds)).into_iter().map(|seeds| format!("seeds {seeds}")).collect();
        }
        let mut swept = Seeds::default();
        self.swept.keys().for_each(|seed| swept.add_one(*seed));
        let unknown = Vec::from(wanted.without(&swept)).into_iter().map(|seeds| format!("seeds {seeds}"));
        let gaps = self.swept.iter().flat_map(|(seed, swept)| {
            let left = Vec::from(swept.of.without(&swept.events));
            left.into_iter().map(move |events| format!("events {events} of seed {seed}"))
        });
        unknown.chain(gaps).collect()
    }

    /// At how many moments something was done.
    pub fn moments(&self, stride: u64) -> u64 {
        let of = |swept: &Swept| {
            let first = swept.of.ranges().first().map_or(0, |range| range.start);
            let before = |event: u64| event.saturating_sub(first).div_ceil(stride.max(1));
            swept.events.ranges().iter().map(|range| before(range.end) - before(range.start)).sum::<u64>()
        };
        self.swept.values().map(of).sum()
    }

    /// At how many of how many events something was done, and what is in none of its worlds.
    pub fn swept_in_words(&self, bounds: &Bounds) -> String {
        let left_out = self.left_out(bounds);
        if self.swept.is_empty() && self.worlds == 1 {
            return format!("one moment of the run; left out: {left_out}");
        }
        if self.swept.is_empty() && self.worlds > 0 {
            return format!(
                "of which moments of the run is not known, the sweep was interrupted; left out: {left_out}"
            );
        }
        let events: u64 = self.swept.values().filter_map(|swept| swept.of.ranges().last()).map(|range| range.end).sum();
        let runs = if self.swept.len() == 1 { "the run" } else { "the runs" };
        let moments = self.moments(bounds.stride);
        let s = if moments == 1 { "" } else { "s" };
        format!("{moments} moment{s} of the {events} events of {runs}; left out: {left_out}")
    }

    /// What no world of a sweep has in it.
    fn left_out(&self, bounds: &Bounds) -> String {
        let start: u64 =
            self.swept.values().filter_map(|swept| swept.of.ranges().first()).map(|range| range.start).sum();
        let start = match start {
            0 => String::new(),
            start => format!("the cluster's start ({start} events), "),
        };
        start + &bounds.left_out()
    }

    /// The last line of a file whose campaign was to run these seeds.
    pub fn line(&self, wanted: &Seeds, asked: &Asked) -> String {
        let total = json!({
            "worlds": self.worlds,
            "missing": self.missing(wanted, asked),
            "events": self.events,
            "sim_seconds": self.sim_time.0 / 1_000_000_000,
            "coverage": self.coverage,
            "worlds_since_new_coverage": self.quiet,
            "moments": asked.exhaustive.as_ref().map(|bounds| self.moments(bounds.stride)),
            "left_out": asked.exhaustive.as_ref().map(|bounds| self.left_out(bounds)),
            "permitted": self.permitted,
            "unexplained": self.unexplained.times,
            "failures": self.failures.iter().map(|(signature, failure)| json!({
                "what": signature.to_string(),
                "forbidden": signature.is_forbidden(),
                "worlds": failure.times,
                "first": failure.first().seed.to_string(),
            })).collect::<Vec<_>>(),
            "panics": self.panics.iter().map(|(said, failure)| json!({
                "what": said,
                "worlds": failure.times,
                "first": failure.first().seed.to_string(),
            })).collect::<Vec<_>>(),
        });
        json!({ "total": total }).to_string()
    }
}
