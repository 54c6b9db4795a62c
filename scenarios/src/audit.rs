//! Can a configuration lose or repeat a message, under which failures, and which smallest change prevents it?
//!
//! The configuration is put into a cluster of three brokers with one topic, a producer and a consumer, and then into as many random
//! worlds of each class of failure as were asked for. What it promises is not asked: everything that went wrong is told, with
//! whether the configuration permits it.
//!
//! Not modelled: a promise that held in all worlds is not proved; more worlds, other loads or two failures at once may break it.

mod impossible;

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;

use ackproof_core::config::{Property, properties};
use ackproof_reports::{Cause, Cost, Kind};
use serde::Serialize;
use toml::{Table, Value};

use crate::chaos::campaign::{Campaign, Wanted};
use crate::chaos::draw::{Basis, Given};
use crate::chaos::keep;
use crate::chaos::survive::{Budget, Class};
use crate::chaos::tally::{Failure, Report, WorldId};
use crate::chaos::tested::Tested;
use crate::counterfactual::elsewhere::Confirmed;
use crate::diagnostics::Diagnostics;
use crate::form::{Form, table, text};
use crate::interrupt;
use crate::library::Place;
use crate::shrink::{Beyond, Limits};
use crate::signature::Signature;

/// How far a counterexample is made small: the configuration is what was asked about.
const SHRINKING: Limits = Limits { worlds: 300, keeps_configuration: true };
/// How many events the worlds of one counterexample handle at most, with those in which changes are tried,
const EVENTS_MAX: u64 = 8_000_000;
/// and those of all counterexamples of an audit. In a configuration with which nothing ever ends each world takes as long as a thousand others.
const ALL_EVENTS_MAX: u64 = 24_000_000;
/// So many worlds of each class of failures a change is tried in.
const OTHERS: usize = 4;

/// What is audited: properties files, each of which may be missing, and what no properties file says.
#[derive(Clone, Debug)]
pub struct Question {
    /// A server.properties, path as a scenario file would have it.
    pub server: Option<String>,
    /// A file of topic properties.
    pub topic: Option<String>,
    /// A producer.properties.
    pub producer: Option<String>,
    /// A consumer.properties.
    pub consumer: Option<String>,
    /// The version of everything.
    pub kafka: String,
    /// How many brokers there are.
    pub brokers: u32,
    /// How many replicas the topic has.
    pub replication_factor: u32,
    /// When the consumer's program commits, if its properties switch `enable.auto.commit` off; as in a scenario file.
    pub commit: Option<String>,
}

/// What a user counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// What the producer was told is written, is.
    NothingLost,
    /// The producer's program gives no record up.
    NothingDropped,
    /// No record is in the log twice.
    NoDuplicate,
    /// Records of a key are in the order of `send()`.
    Order,
    /// The consumer's program processes every record.
    AllProcessed,
    /// It processes none twice.
    NoEffectTwice,
    /// Everything goes on once the failure is over.
    Available,
}

impl Promise {
    /// All of them.
    pub const ALL: [Promise; 7] = [
        Promise::NothingLost,
        Promise::NothingDropped,
        Promise::NoDuplicate,
        Promise::Order,
        Promise::AllProcessed,
        Promise::NoEffectTwice,
        Promise::Available,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Promise::NothingLost => "no acknowledged record lost",
            Promise::NothingDropped => "no record given up",
            Promise::NoDuplicate => "no duplicate",
            Promise::Order => "order per key",
            Promise::AllProcessed => "all processed",
            Promise::NoEffectTwice => "no effect twice",
            Promise::Available => "available",
        }
    }

    /// The promise that an anomaly breaks.
    pub fn broken_by(kind: Kind) -> Promise {
        match kind {
            Kind::LostWrite | Kind::InconsistentOffsets | Kind::StaleEndOffset | Kind::Misrouted => {
                Promise::NothingLost
            }
            Kind::SilentDrop => Promise::NothingDropped,
            Kind::Duplicate | Kind::Phantom => Promise::NoDuplicate,
            Kind::Reorder | Kind::ReplayReorder | Kind::KeyReorder | Kind::EffectReorder | Kind::NonmonotonicPoll => {
                Promise::Order
            }
            Kind::LostDelivery | Kind::PollSkip | Kind::Unseen | Kind::ExpiredUnread | Kind::StaleKey => {
                Promise::AllProcessed
            }
            Kind::DuplicateDelivery | Kind::TwoOwners | Kind::NonmonotonicCommit => Promise::NoEffectTwice,
            Kind::Unavailable | Kind::Stuck => Promise::Available,
        }
    }
}

/// The failures of a table, one row each: nothing, and one of each class.
pub const FAILURES: &[&[(Class, u32)]] = &[
    &[],
    &[(Class::ClientCrash, 1)],
    &[(Class::Restart, 1)],
    &[(Class::ProcessCrash, 1)],
    &[(Class::Pause, 1)],
    &[(Class::Partition, 1)],
    &[(Class::MessageFault, 1)],
    &[(Class::SlowDisk, 1)],
    &[(Class::DiskError, 1)],
    &[(Class::MachinePowerLoss, 1)],
    &[(Class::TotalPowerLoss, 1)],
    &[(Class::ProcessCrash, 2)],
    // Two of three replicas may be away, and the third one fails: what min.insync.replicas and clean elections are for.
    &[(Class::MachinePowerLoss, 3)],
];

/// One row: a class of failures, and what became of each promise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The failures of each world.
    pub failure: String,
    /// In how many worlds they happened, all of them.
    pub worlds: u64,
    /// How many more were run in which not all of them happened, or one did nothing: no evidence, unless something broke.
    pub missed: u64,
    /// In how many of those in which they happened a promise was broken; those that held are not here.
    pub broken: BTreeMap<Promise, u64>,
    /// In how many of the others.
    pub broken_without: BTreeMap<Promise, u64>,
    /// In how many something went wrong that took too long to be explained, or the program broke.
    pub unexplained: u64,
}

impl Row {
    /// What became of a promise.
    fn cell(&self, promise: Promise) -> String {
        match (self.broken.get(&promise), self.broken_without.get(&promise)) {
            (Some(times), _) => format!("BROKEN in {times}"),
            (None, Some(times)) => format!("BROKEN in {times} without it"),
            (None, None) if self.worlds == 0 => "not tried".to_owned(),
            (None, None) => "held".to_owned(),
        }
    }
}

/// One way in which a promise was broken: one cause, and whether that is permitted. With the first world that shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The promise.
    pub promise: Promise,
    /// What went wrong.
    pub signature: Signature,
    /// Under which failures, with the number of worlds.
    pub under: Vec<(String, u64)>,
    /// The campaign that found it first.
    pub campaign: Campaign,
    /// Its worlds.
    pub failure: Failure,
    /// Other worlds that show it: some of each class of failures.
    others: Vec<(Campaign, WorldId)>,
    /// The smallest scenario that shows it.
    pub form: Form,
    /// Its seed.
    pub seed: u64,
    /// The smallest change under which it keeps the promise; none if nothing helped.
    pub keeps_it: Option<String>,
    /// In how many other worlds that broke the promise so it keeps it.
    pub confirmed: Option<Confirmed>,
    /// What that costs.
    pub cost: Option<Cost>,
    /// Whether it was left as it was found: others took all the events that an audit has for this.
    pub is_raw: bool,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Audit {
    /// How many worlds of each class of failure were wanted.
    pub wanted: u64,
    /// The table.
    pub rows: Vec<Row>,
    /// What broke, once each.
    pub findings: Vec<Finding>,
}

/// What the consumer's properties say. What is wrong with them is said when they are read as a part of the scenario.
fn consumer_properties(question: &Question, place: &Place) -> Vec<Property> {
    let bytes = question.consumer.as_ref().and_then(|file| place.sibling(file).read().ok());
    bytes.and_then(|bytes| properties::parse(&bytes).ok()).unwrap_or_default()
}

/// The scenario that a question is, as if it stood at a place: no failure yet.
pub fn form(question: &Question, place: &Place) -> Form {
    let file = |section: &mut Table, file: &Option<String>| {
        if let Some(file) = file {
            section.insert("config-file".into(), text(file.as_str()));
        }
    };
    let mut cluster =
        table([("kafka", text(question.kafka.as_str())), ("brokers", Value::Integer(question.brokers.into()))]);
    file(&mut cluster, &question.server);
    let mut topic =
        table([("name", text("audited")), ("replication-factor", Value::Integer(question.replication_factor.into()))]);
    file(&mut topic, &question.topic);
    let mut producer = table([
        ("name", text("producer")),
        ("topic", text("audited")),
        ("records", Value::Integer(100)),
        // In bursts: a record that comes while its followers still copy the last one is where promises break.
        ("every", text("300ms")),
        ("burst", Value::Integer(5)),
        // By then the group has its member: what a consumer without a position misses is another question.
        ("starts-after", text("5s")),
        ("key", text("k{n%5}")),
    ]);
    file(&mut producer, &question.producer);
    let mut consumer = table([
        ("name", text("consumer")),
        ("topic", text("audited")),
        ("subscribe", Value::Boolean(true)),
        ("processing-each", text("5ms")),
    ]);
    file(&mut consumer, &question.consumer);
    let own = consumer_properties(question, place);
    let says =
        |name: &str| own.iter().rev().find(|property| property.name == name).map(|property| property.value.trim());
    if says("group.id").is_none() {
        consumer.insert("config".into(), Value::Table(table([("group.id", text("audited"))])));
    }
    if let Some(commit) = question.commit.as_ref().filter(|_| says("enable.auto.commit") == Some("false")) {
        consumer.insert("commit".into(), text(commit.as_str()));
    }
    let mut form = Form(table([
        ("title", text("An audited configuration")),
        ("settle-limit", text("10m")),
        ("time-limit", text("40m")),
        ("cluster", Value::Table(cluster)),
        ("expect", Value::Table(table([("clean", Value::Boolean(true))]))),
    ]));
    for (kind, section) in [("topic", topic), ("producer", producer), ("consumer", consumer)] {
        form.sections_mut(kind).push(Value::Table(section));
    }
    form
}

/// A configuration to be run, with what is worth knowing about it; or what is wrong with it.
pub fn check(question: &Question, place: &Place) -> Result<(Given, Diagnostics), Diagnostics> {
    let form = form(question, place);
    let scenario = form.understand(place)?;
    let impossible = impossible::check(question, &scenario, place);
    if impossible.has_errors() {
        return Err(impossible);
    }
    Ok((Given::of(&form, place)?, scenario.notes))
}

/// How many worlds of a row are wanted. Without a failure they differ in little.
fn wanted(failures: &[(Class, u32)], worlds: u64) -> u64 {
    if failures.is_empty() { worlds.div_ceil(10) } else { worlds }
}

/// How many worlds of all rows are wanted.
pub fn all_wanted(worlds: u64) -> u64 {
    FAILURES.iter().map(|failures| wanted(failures, worlds)).sum()
}

/// Hears what is being done: the failures of each world, and whether they happened.
pub type Look<'a> = dyn FnMut(&str, bool) + 'a;

/// Runs the worlds and makes what they show small. `look` hears of each world and counterexample.
pub fn run(given: &Given, worlds: u64, jobs: NonZeroUsize, look: &mut Look<'_>) -> io::Result<Audit> {
    let mut audit = survey(given, worlds, jobs, look)?;
    let mut left = ALL_EVENTS_MAX;
    for finding in &mut audit.findings {
        look("making counterexamples small", false);
        left = left.saturating_sub(finding.look_closer(left));
    }
    Ok(audit)
}

/// Runs the worlds. What they show is as it was found.
pub fn survey(given: &Given, worlds: u64, jobs: NonZeroUsize, look: &mut Look<'_>) -> io::Result<Audit> {
    let mut audit = Audit { wanted: worlds, rows: Vec::new(), findings: Vec::new() };
    for failures in FAILURES.iter().take_while(|_| !interrupt::is_asked()) {
        let budget = Budget(failures.iter().copied().collect());
        let name = budget.to_string();
        let campaign = Campaign {
            basis: Basis::Given(Box::new(given.clone())),
            budget: Some(budget),
            toggles: Vec::new(),
            wanted: Wanted::Any,
            guided: false,
            quiet_after: None,
        };
        let worlds = wanted(failures, worlds);
        let Tested { happened, missed } = campaign.tested(worlds, jobs, &mut |happened| look(&name, happened))?;
        let mut row = Row { failure: name.clone(), worlds: happened.worlds, missed: missed.worlds, ..Row::default() };
        let unexplained = |report: &Report| {
            report.unexplained.times + report.panics.values().map(|failure| failure.times).sum::<u64>()
        };
        row.unexplained = unexplained(&happened) + unexplained(&missed);
        let without = match campaign.budget.as_ref().map_or(0, Budget::faults) {
            1 => format!("without {name}"),
            _ => format!("fewer than {name}"),
        };
        let (with, rest) = (&mut row.broken, &mut row.broken_without);
        for (report, broken, under) in [(happened, with, name), (missed, rest, without)] {
            for (signature, failure) in report.failures {
                let Signature::Anomaly { kind, .. } = signature else { continue };
                let promise = Promise::broken_by(kind);
                // A world that broke it in two ways is counted for the more frequent one.
                let times = broken.entry(promise).or_default();
                *times = failure.times.max(*times);
                audit.found((promise, signature), (under.clone(), failure.times), &campaign, failure);
            }
        }
        audit.rows.push(row);
    }
    Ok(audit)
}

impl Audit {
    /// The cells of the table: the header, then a row for each class of failures.
    pub fn cells(&self) -> Vec<Vec<String>> {
        let header = ["failure", "worlds"].into_iter().chain(Promise::ALL.map(Promise::name));
        let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).collect()];
        for row in &self.rows {
            let promises = Promise::ALL.map(|promise| row.cell(promise));
            rows.push([row.failure.clone(), row.worlds.to_string()].into_iter().chain(promises).collect());
        }
        rows
    }

    /// The cells as a table for people.
    pub fn table(&self) -> String {
        let rows = self.cells();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        rows.iter().map(line).collect()
    }

    /// What must be said beside the table: rows with fewer worlds than were wanted, and worlds of which nothing is known.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for row in self.rows.iter().filter(|row| row.failure != Budget::default().to_string()) {
            if row.worlds < self.wanted {
                let (failure, run) = (&row.failure, row.worlds + row.missed);
                remarks.push(format!("{failure}: happened, and did something, in {} of {run} worlds", row.worlds));
            }
        }
        for row in self.rows.iter().filter(|row| row.unexplained > 0) {
            let (failure, worlds) = (&row.failure, row.unexplained);
            remarks
                .push(format!("{failure}: something went wrong in {worlds} more that took too long to be explained"));
        }
        remarks
    }

    fn found(
        &mut self,
        (promise, signature): (Promise, Signature),
        under: (String, u64),
        campaign: &Campaign,
        failure: Failure,
    ) {
        match self.findings.iter_mut().find(|finding| finding.is_another(promise, signature)) {
            Some(known) => {
                if known.signature == signature {
                    known.others.extend(others(campaign, &failure, 0));
                }
                known.add(under);
            }
            None => self.findings.push(Finding {
                promise,
                signature,
                under: vec![under],
                campaign: campaign.clone(),
                others: others(campaign, &failure, 1).collect(),
                form: keep::form(campaign, signature, &failure),
                seed: failure.first().seed,
                failure,
                keeps_it: None,
                confirmed: None,
                cost: None,
                is_raw: true,
            }),
        }
    }
}

/// Some of the worlds of a failure, but not the first ones.
fn others(campaign: &Campaign, failure: &Failure, first: usize) -> impl Iterator<Item = (Campaign, WorldId)> {
    failure.worlds.iter().skip(first).take(OTHERS).map(|world| (campaign.clone(), *world))
}

impl Finding {
    fn is_another(&self, promise: Promise, signature: Signature) -> bool {
        let same_cause = match (self.signature, signature) {
            (Signature::Anomaly { cause: Some(one), .. }, Signature::Anomaly { cause: Some(other), .. }) => {
                one == other && one != Cause::Unknown && self.signature.is_forbidden() == signature.is_forbidden()
            }
            (one, other) => one == other,
        };
        self.promise == promise && same_cause
    }

    fn add(&mut self, under: (String, u64)) {
        match self.under.iter_mut().find(|(failure, _)| *failure == under.0) {
            // Mostly the same worlds: a lost record, and another one at its offset.
            Some((_, times)) => *times = under.1.max(*times),
            None => self.under.push(under),
        }
    }

    /// Makes the first world small, and looks for the smallest change that keeps the promise in it and in others, as long as
    /// there are events left. Says how many it took.
    pub fn look_closer(&mut self, left: u64) -> u64 {
        let events = left.min(EVENTS_MAX);
        if events == 0 {
            return 0;
        }
        let others = self.others.iter().filter_map(|(campaign, world)| keep::understood(campaign, *world)).collect();
        let beyond = Beyond { events, others, confirm: keep::CONFIRMED };
        let Some(small) = keep::small_beyond(&self.campaign, self.signature, self.failure.first(), SHRINKING, beyond)
        else {
            return 0;
        };
        (self.form, self.seed, self.is_raw) = (small.form, small.seed, false);
        let change = small.change.filter(|change| change.change.is_some());
        self.confirmed = small.elsewhere.filter(|_| change.is_some());
        (self.keeps_it, self.cost) = change.map_or((None, None), |found| (found.change, found.cost));
        small.events
    }

    /// What keeps the promise and how that is known, in words.
    pub fn remedy(&self) -> String {
        match (&self.keeps_it, self.confirmed) {
            (None, _) if self.is_raw => "not looked for: other counterexamples took too long".to_owned(),
            (None, _) if interrupt::is_asked() => "not looked for: it was interrupted".to_owned(),
            (None, _) => "nothing of what was tried".to_owned(),
            (Some(change), None) => change.clone(),
            (Some(change), Some(confirmed)) => format!("{change} ({confirmed})"),
        }
    }
}
