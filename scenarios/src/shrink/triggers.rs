//! Facts instead of times: a step that happens at 2 s happens in truth when the leader has appended a certain record, and a
//! scenario that says so holds under other seeds too.
//!
//! Proposed are facts that were seen shortly before the step in the run that goes wrong. What shows the same under the
//! most of a few other seeds is taken, if those are no fewer than before.

use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::types::Duration;
use toml::{Table, Value};

use super::actions::with_step;
use super::search::{Search, Wanted};
use super::{steps, times};
use crate::form::Form;

/// How long before the step a fact may have been.
const WINDOW: Duration = Duration::from_secs(3);
/// So many facts are proposed for a step.
const FACTS_MAX: usize = 6;

pub(super) fn run(search: &mut Search<'_>) {
    for place in 0..search.best.sections("step").count() {
        let Some(step) = search.best.sections("step").nth(place).cloned() else { return };
        if !step.contains_key("at") || search.is_over() {
            continue;
        }
        let mut most = search.shown();
        let mut chosen = None;
        for candidate in proposals(search, place, &step) {
            let Some(trial) = search.attempt(&candidate) else { continue };
            let shown = search.shown_by_others(&candidate);
            // The first that does as well as the time is better than the time.
            if shown > most || (shown == most && chosen.is_none()) {
                most = shown;
                chosen = Some((candidate, trial));
            }
        }
        if let Some((candidate, trial)) = chosen {
            search.take(candidate, trial);
        }
    }
}

/// Forms in which this step waits for a fact.
pub(super) fn proposals(search: &Search<'_>, place: usize, step: &Table) -> Vec<Form> {
    let happenings = search.trial.happenings();
    let at = step.get("at").and_then(Value::as_str).and_then(times::fixed);
    let Some(at) = at else { return Vec::new() };
    let due = happenings.ready + Duration(at);
    let mut facts: Vec<(Table, u64)> = Vec::new();
    let earlier = search.trial.events.iter().filter(|event| event.time > happenings.ready && event.time <= due);
    let earlier: Vec<&Event> = earlier.collect();
    for event in earlier.iter().rev().take_while(|event| due.since(event.time) <= WINDOW) {
        let Some(mut pattern) = pattern(event) else { continue };
        let kind = |pattern: &Table| (pattern.get("fact").cloned(), pattern.get("partition").cloned());
        if facts.iter().any(|(known, _)| kind(known) == kind(&pattern)) {
            continue;
        }
        let before = earlier.iter().filter(|other| other.sequence < event.sequence && meets(other, event)).count();
        if let Some(times) = i64::try_from(before).ok().filter(|before| *before > 0) {
            pattern.insert("times".into(), Value::Integer(times + 1));
        }
        facts.push((pattern, due.since(event.time).0));
    }
    facts.sort_by_key(|(pattern, _)| rank(pattern));
    facts.truncate(FACTS_MAX);
    let mut candidates = Vec::new();
    for (pattern, later) in facts {
        candidates.extend([0, later].map(|wait| with_step(&search.best, place, triggered(step, &pattern, wait))));
    }
    candidates.dedup();
    candidates
}

/// The step when the fact has been seen, so much later.
fn triggered(step: &Table, pattern: &Table, later: u64) -> Table {
    let mut step = step.clone();
    let wait = step.get("wait").and_then(Value::as_str).map(ToOwned::to_owned);
    step.remove("at");
    step.insert("when".into(), Value::Table(pattern.clone()));
    if later > 0 {
        let later = times::text(later);
        let wait = times::sum(wait.as_deref().into_iter().chain([later.as_str()]));
        step.insert("wait".into(), Value::String(wait));
    }
    step
}

/// The facts that tell the most, in the order in which they are tried.
const RANKS: &[&str] = &[
    "appended",
    "high-watermark-advanced",
    "record-acknowledged",
    "isr-changed",
    "leader-elected",
    "offset-committed",
    "processed",
    "partitions-assigned",
    "group-state-changed",
    "truncated",
    "broker-fenced",
    "broker-unfenced",
    "polled",
    "batch-retried",
];

fn rank(pattern: &Table) -> usize {
    let fact = pattern.get("fact").and_then(Value::as_str).unwrap_or_default();
    RANKS.iter().position(|known| *known == fact).unwrap_or(RANKS.len())
}

/// What a step would wait for, if it is to wait for this fact. None for facts that tell a reader little.
fn pattern(event: &Event) -> Option<Table> {
    let text = |text: &str| Value::String(text.to_owned());
    let at_least = |number: i64| Value::String(format!(">= {number}"));
    let of = |partition: &dyn std::fmt::Display| ("partition", Value::String(partition.to_string()));
    let fields: Vec<(&str, Value)> = match &event.fact {
        Fact::Appended { partition, role: Role::Leader, last_offset, .. } => {
            vec![of(partition), ("role", text("leader")), ("last-offset", at_least(last_offset.0))]
        }
        Fact::HighWatermarkAdvanced { partition, role: Role::Leader, to, .. } => {
            vec![of(partition), ("role", text("leader")), ("to", at_least(to.0))]
        }
        Fact::RecordAcknowledged { partition, offset, .. } => vec![of(partition), ("offset", at_least(offset.0))],
        Fact::IsrChanged { partition, to, .. } => vec![of(partition), ("to", text(&format!("length {}", to.len())))],
        Fact::LeaderElected { partition, .. }
        | Fact::Truncated { partition, .. }
        | Fact::BatchRetried { partition, .. } => {
            vec![of(partition)]
        }
        Fact::OffsetCommitted { group, partition, offset, .. } => {
            vec![of(partition), ("group", text(group)), ("offset", at_least(offset.0))]
        }
        Fact::Processed { partition, offset, .. }
        | Fact::Polled { partition, offset, .. }
        | Fact::SharePolled { partition, offset, .. } => {
            vec![of(partition), ("offset", at_least(offset.0))]
        }
        Fact::PartitionsAssigned { group, .. } => vec![("group", text(group))],
        Fact::GroupStateChanged { group, state, .. } => vec![("group", text(group)), ("state", text(state))],
        Fact::BrokerFenced { broker } | Fact::BrokerUnfenced { broker } => {
            vec![("broker", Value::Integer(i64::from(*broker)))]
        }
        _ => return None,
    };
    let fact = ("fact", text(event.fact.kind()));
    Some(fields.into_iter().chain([fact]).map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Whether an event meets what [`pattern`] makes of another one.
fn meets(event: &Event, wanted: &Event) -> bool {
    let (Some(found), Some(pattern)) = (pattern(event), pattern(wanted)) else { return false };
    let number = |value: &Value| value.as_str()?.strip_prefix(">= ")?.parse::<i64>().ok();
    found.len() == pattern.len()
        && pattern.iter().all(|(key, wanted)| match (found.get(key), number(wanted)) {
            (Some(value), Some(least)) => number(value).is_some_and(|found| found >= least),
            (Some(value), None) => value == wanted,
            (None, _) => false,
        })
}

/// Steps that come after another one instead of at a time of their own.
pub(super) fn follow(search: &mut Search<'_>) {
    search.try_all(Wanted::NoRarer, |search| steps::following(&search.best, &search.trial.happenings()));
}
