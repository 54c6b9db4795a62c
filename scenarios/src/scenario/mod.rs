//! A scenario as it is meant: every name found, every number possible, every property resolved.
//!
//! [`Scenario::read`] turns a file into it and says everything that is wrong at once; [`Scenario::plan`] makes the
//! choices that are left to the seed and gives what a world is built from.

mod amounts;
mod clients;
mod cluster;
mod config;
mod consumers;
mod expect;
mod faults;
pub(crate) mod fix;
mod mutation;
mod operations;
mod reading;
mod selector;
mod settings;
mod steps;
mod stores;
mod when;

use std::sync::Arc;

use ackproof_core::client::NewTopic;
use ackproof_core::config::LogConfig;
use ackproof_core::types::{Duration, Prng};
use ackproof_sim::{ClientSpec, ClusterSpec};

pub use amounts::{Between, Count, seeds as parse_seeds, time as parse_time, time_or_range as parse_time_range};
pub use cluster::Cluster;
pub use expect::{AnomalyExpectation, Expect, InvariantExpectation};
pub use mutation::Mutation;
pub use steps::{Choice, OpenStep};

use crate::diagnostics::{Diagnostic, Diagnostics, Severity, Source};
use crate::document::{Document, Fix, Written};
use crate::library::Place;
use mutation::{Way, switched};
use reading::{Names, Reading};

/// The seeds that are tests of a scenario that does not say.
const SEEDS: std::ops::Range<u64> = 0..4;
/// The time limit of a scenario that does not say.
const TIME_LIMIT: Duration = Duration::from_secs(600);
/// The settle limit of a scenario that does not say.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// The seeds that are tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// A range.
    pub test: std::ops::Range<u64>,
    /// Seeds that once showed a bug.
    pub regression: Vec<u64>,
}

impl Seeds {
    /// All of them, each once.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        let regression = self.regression.iter().copied().filter(|seed| !self.test.contains(seed));
        self.test.clone().chain(regression)
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where it was read from.
    pub place: Place,
    /// What happens, in one line.
    pub title: String,
    /// The rows of the failure catalog that it shows.
    pub catalog: Vec<String>,
    /// The story, in prose.
    pub story: String,
    /// The seeds that are tests.
    pub seeds: Seeds,
    /// When the run ends in any case.
    pub time_limit: Duration,
    /// How long the cluster may take to come to rest.
    pub settle_limit: Duration,
    /// The cluster.
    pub cluster: Cluster,
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// The configuration of each topic, with the defaults of the brokers.
    pub topic_configs: Vec<LogConfig>,
    /// What is set for groups.
    pub groups: Vec<(String, Vec<(String, String)>)>,
    /// The clients, in the order of their numbers.
    pub clients: Vec<ClientSpec>,
    /// What is done to the cluster.
    pub steps: Vec<OpenStep>,
    /// What must come out.
    pub expect: Expect,
    /// The historical fix without which it goes wrong.
    pub mutation: Option<Mutation>,
    /// The same scenario with its fix, in words and ready to run.
    pub fix: Option<Box<(String, Scenario)>>,
    /// What is worth knowing about the file although nothing is wrong.
    pub notes: Diagnostics,
    /// The file, to be understood again with changes.
    written: (Arc<Source>, Arc<Document>),
}

impl Scenario {
    /// Reads the file at a place. The error has everything that is wrong with it.
    pub fn load(place: &Place) -> Result<Scenario, Diagnostics> {
        let bytes = place.read().map_err(|error| {
            let source = Source::new(place.display(), "");
            Diagnostics::from(crate::diagnostics::Diagnostic::about_file(&source, format!("cannot be read: {error}")))
        })?;
        Self::read(place, &Source::from_bytes(place.display(), bytes)?)
    }

    /// Reads a text as if it stood at a place.
    pub fn read(place: &Place, source: &Arc<Source>) -> Result<Scenario, Diagnostics> {
        let document = Arc::new(Document::read(source)?);
        let mut scenario = Self::understand(place, source, &document, &Fix::default(), Way::Off)?;
        if let Some(fix) = &document.fix {
            scenario.fix = Some(Box::new((fix::in_words(fix), scenario.with(fix)?)));
        }
        if let Some(mutation) = &scenario.mutation {
            let fixed = Self::understand(place, source, &document, &Fix::default(), Way::On)?;
            scenario.fix = Some(Box::new((mutation.fix(), fixed)));
        }
        Ok(scenario)
    }

    /// The same scenario with something changed; it expects nothing any more. The error says what is impossible about it.
    pub fn with(&self, change: &Fix) -> Result<Scenario, Diagnostics> {
        let (source, document) = &self.written;
        Ok(Scenario { expect: Expect::default(), ..Self::understand(&self.place, source, document, change, Way::Off)? })
    }

    fn understand(
        place: &Place,
        source: &Arc<Source>,
        document: &Arc<Document>,
        fix: &Fix,
        way: Way,
    ) -> Result<Scenario, Diagnostics> {
        let switched = switched(document, way);
        let mut reading = Reading { source, names: Names::default(), found: Diagnostics::default(), switched };
        let mut scenario = reading.scenario(place, document, fix);
        if let (Some(written), Some(scenario), Way::On) = (&document.mutation, &mut scenario, way) {
            scenario.expect = reading.acquittal(written);
        }
        let mut found = reading.found;
        found.sort();
        let (errors, notes) = found.0.into_iter().partition(|found| found.severity == Severity::Error);
        let (errors, notes) = (Diagnostics(errors), Diagnostics(notes));
        match scenario {
            Some(scenario) if errors.is_empty() => Ok(Scenario { notes, ..scenario }),
            Some(_) | None => Err(errors),
        }
    }

    /// What a world is built from: every choice made by the seed.
    pub fn plan(&self, seed: u64) -> ClusterSpec {
        let rng = Prng::new(seed).fork("plan");
        ClusterSpec {
            seed,
            controller: Arc::clone(&self.cluster.controller),
            brokers: self.cluster.brokers.clone(),
            network: self.cluster.network.clone(),
            disk: self.cluster.disk.clone(),
            topics: self.topics.clone(),
            groups: self.groups.clone(),
            clients: self.clients.clone(),
            steps: self.steps.iter().map(|step| step.decide(&rng)).collect(),
            time_limit: self.time_limit,
            settle_limit: self.settle_limit,
        }
    }

    /// Whether all of its programs are in the file. The error names the first client whose program is not.
    pub fn runs_alone(&self) -> Result<(), Diagnostics> {
        let (source, document) = &self.written;
        let Some(client) = document.client.first() else { return Ok(()) };
        let message = format!("`{}` is used by a program outside this file", client.name.as_str());
        let remedy = "a test of your own runs it, with ackproof::simulate (docs/testing-your-service.md)";
        Err(Diagnostic::error(source, client.name.span(), message).remedy(remedy).into())
    }

    /// What is typed to run it.
    pub fn name(&self) -> String {
        self.place.name()
    }
}

impl Reading<'_> {
    fn scenario(&mut self, place: &Place, document: &Arc<Document>, fix: &Fix) -> Option<Scenario> {
        let title = self.required(document.title.as_ref(), "title", "say in one line what happens: title = \"..\"");
        let expect = self.required(
            document.expect.as_ref(),
            "expect",
            "say what must come out: [expect] with clean = true, or [[expect.anomaly]]",
        );
        let cluster = self.required(document.cluster.as_ref(), "cluster", "add [cluster] with `brokers = 3`");
        let cluster = cluster.and_then(|written| self.cluster(place, written, written.span(), fix));
        let seeds = self.seeds(document);
        let time_limit = self.time(document.time_limit.as_ref(), TIME_LIMIT);
        let settle_limit = self.time(document.settle_limit.as_ref(), SETTLE_LIMIT);
        let expect = expect.map(|written| self.expect(written));
        // Names below depend on those of the cluster: without it, every one of them would be an error.
        let cluster = cluster?;
        let (topics, topic_configs) = self.topics(place, &document.topic, &cluster, fix);
        let at_start = self.names.topics.clone();
        self.names_of_operations(document);
        self.names.topics_at_start = at_start;
        let clients = self.clients(place, document, cluster.version, fix);
        let groups = self.groups(&document.group);
        let steps = self.steps(document);
        let mut expect = expect?;
        expect.mutated = document.mutation.is_some();
        let mutation = self.mutation(document, &expect);
        Some(Scenario {
            place: place.clone(),
            title: title?.to_string(),
            catalog: document.catalog.iter().map(ToString::to_string).collect(),
            story: document.story.as_ref().map(|story| story.trim().to_owned()).unwrap_or_default(),
            seeds,
            time_limit,
            settle_limit,
            cluster,
            topics,
            topic_configs,
            groups,
            clients,
            steps: steps?,
            expect,
            mutation,
            fix: None,
            notes: Diagnostics::default(),
            written: (Arc::clone(self.source), Arc::clone(document)),
        })
    }

    fn required<'d, T>(&mut self, part: Option<&'d Written<T>>, name: &str, remedy: &str) -> Option<&'d Written<T>> {
        if part.is_none() {
            let found = crate::diagnostics::Diagnostic::about_file(self.source, format!("`{name}` is missing"));
            self.report(found.remedy(remedy));
        }
        part
    }

    fn seeds(&mut self, document: &Document) -> Seeds {
        let written = document.seeds.as_ref();
        let test = written.and_then(|seeds| seeds.test.as_ref());
        let test = test.and_then(|text| self.accept(text.span(), amounts::seeds(text), "write \"0..4\""));
        let regression = written.map(|seeds| seeds.regression.iter().map(|seed| **seed).collect()).unwrap_or_default();
        Seeds { test: test.unwrap_or(SEEDS), regression }
    }

    fn steps(&mut self, document: &Document) -> Option<Vec<OpenStep>> {
        let names = document.step.iter().enumerate();
        self.names.steps = names.map(|(number, step)| steps::name(step, number, &self.source.text)).collect();
        for (number, step) in document.step.iter().enumerate() {
            if let Some(name) = &step.name
                && self.names.steps[..number].contains(name)
            {
                self.report(self.error(name.span(), format!("there are two steps `{}`", name.as_str())));
            }
        }
        let steps: Vec<Option<OpenStep>> =
            document.step.iter().enumerate().map(|(number, step)| self.open_step(number, step, step.span())).collect();
        steps.into_iter().collect()
    }
}
