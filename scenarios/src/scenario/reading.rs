//! What every part of the reading shares: the file, the names in it, and the mistakes found so far.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use ackproof_core::coordinator::share::SHARE_GROUP_STATE_TOPIC;
use ackproof_core::types::{Duration, TopicPartition};

use super::amounts::{self, Between, Count};
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::document::{Value, Written};

const A_TIME: &str = "write a number with its unit: \"200us\", \"5s\", \"1m 30s\"";
const A_TIME_OR_RANGE: &str = "write a time or a range of times: \"5s\", \"1s..3s\"";

/// The names that other parts of the file may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The ids of the brokers.
    pub brokers: Vec<i32>,
    /// Their log directories.
    pub log_dirs: BTreeSet<String>,
    /// Whether they have share groups.
    pub has_share_groups: bool,
    /// Their racks.
    pub racks: BTreeSet<String>,
    /// The topics and how many partitions each has, with all that steps make.
    pub topics: BTreeMap<String, i32>,
    /// The same before any step.
    pub topics_at_start: BTreeMap<String, i32>,
    /// Producers, consumers and stores.
    pub clients: Vec<String>,
    /// The stores, each with its number among the clients.
    pub stores: BTreeMap<String, u32>,
    /// Names that steps gave with `as`, up to the step that is being read.
    pub bound: Vec<String>,
    /// The names of the steps, in order.
    pub steps: Vec<String>,
}

/// One reading of one file.
pub(super) struct Reading<'a> {
    pub source: &'a Arc<Source>,
    pub names: Names,
    pub found: Diagnostics,
    /// The toggle that this reading switches against what the file and its version say.
    pub switched: Option<(Written<String>, Written<Value>)>,
}

impl Reading<'_> {
    /// Begins an error at a place.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.source, span, message)
    }

    /// Records a mistake.
    pub fn report(&mut self, found: Diagnostic) {
        self.found.push(found);
    }

    /// The value, or nothing after recording the mistake.
    pub fn accept<T>(&mut self, span: Range<usize>, result: Result<T, String>, remedy: &str) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.report(self.error(span, message).remedy(remedy));
                None
            }
        }
    }

    /// A time, or `otherwise` if there is none.
    pub fn time(&mut self, written: Option<&Written<String>>, otherwise: Duration) -> Duration {
        written.and_then(|text| self.accept(text.span(), amounts::time(text), A_TIME)).unwrap_or(otherwise)
    }

    /// A time or a range of times.
    pub fn time_or_range(&mut self, written: &Written<String>) -> Option<Between<Duration>> {
        self.accept(written.span(), amounts::time_or_range(written), A_TIME_OR_RANGE)
    }

    /// A number or a range of numbers.
    pub fn number_or_range(&mut self, written: &Written<Value>) -> Option<Between<u64>> {
        self.accept(written.span(), amounts::number_or_range(written), "write a number or a range: 3, \"1..100\"")
    }

    /// A condition on a number.
    pub fn count(&mut self, written: &Written<Value>) -> Option<Count> {
        let remedy = "write 3, \">= 1\", \"<= 5\" or \"1..10\"";
        self.accept(written.span(), amounts::count(written), remedy)
    }

    /// A partition that the scenario has.
    pub fn partition(&mut self, text: &str, span: Range<usize>) -> Option<TopicPartition> {
        let Some((topic, number)) =
            text.rsplit_once('-').and_then(|(topic, number)| Some((topic, number.parse().ok()?)))
        else {
            let found = self.error(span, format!("`{text}` is not a partition"));
            self.report(found.remedy("write topic-number, like \"orders-0\""));
            return None;
        };
        // The topics of the groups have as many partitions as their brokers say; a step about another one never happens.
        let of_groups = [GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC].contains(&topic).then_some(i32::MAX);
        let Some(partitions) = self.names.topics.get(topic).copied().or(of_groups) else {
            let found = self.error(span, format!("there is no topic `{topic}`"));
            self.report(found.nearest(topic, self.names.topics.keys().map(String::as_str)));
            return None;
        };
        if !(0..partitions).contains(&number) {
            let found = self.error(span, format!("topic `{topic}` has no partition {number}"));
            self.report(found.remedy(format!("its partitions are 0 to {}", partitions - 1)));
            return None;
        }
        Some(TopicPartition::of(topic, number))
    }

    /// The number of the step of this name, from 0.
    pub fn step(&mut self, name: &Written<String>) -> Option<usize> {
        let place = self.names.steps.iter().position(|step| step == name.as_str());
        if place.is_none() {
            let found = self.error(name.span(), format!("there is no step `{}`", name.as_str()));
            self.report(found.nearest(name, self.names.steps.iter().map(String::as_str)));
        }
        place
    }
}
