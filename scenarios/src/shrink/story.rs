//! Title and story of the result, in the words of the explanation.

use ackproof_core::fact::Observer;
use ackproof_reports::chronicle::Chronicle;
use ackproof_reports::explain::{Cause, Step, Story};
use ackproof_reports::names::{NodeNames, listed};
use ackproof_reports::{Answer, Kind};

use super::trial::Trial;
use crate::contract::node_names;
use crate::signature::Signature;

/// Lines of a story are no longer than this, words permitting.
const WIDTH: usize = 120;

/// What happens, in one line.
pub(super) fn title(target: Signature) -> String {
    match target {
        Signature::Anomaly { kind, cause, .. } => match cause.filter(|cause| *cause != Cause::Unknown) {
            Some(cause) => format!("{}: {}", happening(kind), cause.sentence()),
            None => happening(kind).to_owned(),
        },
        Signature::Broken(invariant) => format!("{invariant} does not hold"),
    }
}

/// What it is that happens, for someone who does not know the name.
fn happening(kind: Kind) -> &'static str {
    match kind {
        Kind::LostWrite => "An acknowledged record is lost",
        Kind::SilentDrop => "A record gets nowhere and nobody is told",
        Kind::Unavailable => "An acknowledged record cannot be read any more",
        Kind::Duplicate => "A record is written twice",
        Kind::Reorder => "Records are written in another order than they were sent",
        Kind::ReplayReorder => "A record is written again after later ones",
        Kind::KeyReorder => "Two records of a key are read in the wrong order",
        Kind::InconsistentOffsets => "One offset has two values",
        Kind::Phantom => "A record that was reported as failed is in the log",
        Kind::Misrouted => "A record is in a partition that it was not sent to",
        Kind::Stuck => "Something waits for ever",
        Kind::PollSkip => "A consumer jumps over a record",
        Kind::NonmonotonicPoll => "A consumer reads the same offsets again",
        Kind::Unseen => "A record in the log is never read",
        Kind::ExpiredUnread => "A record is deleted before anybody has read it",
        Kind::StaleKey => "A reader believes in a value that was deleted",
        Kind::StaleEndOffset => "The end of a log goes back",
        Kind::LostDelivery => "A group goes past a record that it has not processed",
        Kind::DuplicateDelivery => "A group processes a record twice",
        Kind::TwoOwners => "Two members of a group own one partition",
        Kind::NonmonotonicCommit => "A committed offset goes back",
        Kind::EffectReorder => "An older record of a key takes effect after a newer one",
    }
}

/// What happened to which record, and why.
pub(super) fn story(target: Signature, trial: &Trial) -> String {
    let names = node_names(&trial.scenario);
    let mut paragraphs = Vec::new();
    match target {
        Signature::Broken(invariant) => {
            if let Some(broken) = trial.judgement.breaches().find(|broken| broken.invariant == invariant) {
                let mut chronicle = Chronicle::new();
                trial.events.iter().for_each(|event| chronicle.observe(event));
                let before = chronicle.steps().0.into_iter().filter(|step| step.time <= broken.at);
                paragraphs.extend(before.map(|step| sentence(&step, &names)));
                paragraphs.push(format!("{} {invariant} is broken: {}.", broken.at, broken.what));
            }
        }
        Signature::Anomaly { kind, cause, permitted } => {
            let is_it = |story: &&Story| {
                story.anomaly.kind == kind
                    && story.anomaly.cause == cause
                    && story.anomaly.permitted.answer == permitted
            };
            if let Some(told) = trial.explanation.stories.iter().find(is_it) {
                paragraphs
                    .push(told.steps.iter().map(|step| sentence(step, &names)).collect::<Vec<String>>().join("\n"));
                paragraphs.push(verdict(told));
            }
        }
    }
    let lines: Vec<String> = paragraphs.iter().flat_map(|text| text.lines()).map(wrapped).collect();
    lines.join("\n")
}

/// The story with what prevents it.
pub(super) fn with_prevention(story: &str, change: &str) -> String {
    format!("{story}\n{}", wrapped(&format!("With the same faults, this prevents it: {change}.")))
}

/// One step: `2.118s broker 1 to p1: acknowledged (the promise).`
fn sentence(step: &Step, names: &NodeNames) -> String {
    let mut who = match step.actor.fault {
        Some(fault) => format!("fault {fault}"),
        None => names.name(step.actor.node).into_owned(),
    };
    if let Some(to) = step.actor.to {
        who.push_str(&format!(" to {}", names.name(to)));
    }
    if let Some(role) = &step.actor.role {
        who.push_str(&format!(" ({role})"));
    }
    let note = step.note.split_whitespace().collect::<Vec<&str>>().join(" ");
    let note = if note.is_empty() { String::new() } else { format!(", {note}") };
    let mark = step.mark.map(|mark| format!(" ({})", mark.name())).unwrap_or_default();
    format!("{} {who}: {}{note}{mark}.", step.time, step.what)
}

fn verdict(story: &Story) -> String {
    let anomaly = &story.anomaly;
    let because = &anomaly.permitted.because;
    let permitted = match anomaly.permitted.answer {
        Answer::Yes => format!("The configuration permits it: {because}."),
        Answer::No => format!("The configuration promises better: {because}."),
        Answer::Unknown => format!("Whether the configuration permits it is not known: {because}."),
    };
    match anomaly.cause.filter(|cause| *cause != Cause::Unknown) {
        None => permitted,
        Some(cause) => {
            let others: Vec<String> = anomaly.contributing.iter().map(|cause| cause.sentence().to_owned()).collect();
            let others = if others.is_empty() { String::new() } else { format!("; besides, {}", listed(others)) };
            format!("It happens because {}{others}. {permitted}", cause.sentence())
        }
    }
}

fn wrapped(line: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}
