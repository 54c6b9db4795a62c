//! Stories and verdicts as plain text; colour is the caller's business.
//!
//! ```text
//! LOST  orders-0 @ 17   key=k3 "order 42"   acknowledged to p1 at 2.118s                     lost-write
//!
//!   2.116s  broker 1  leader, epoch 4     appended at offset 17        ISR {1,2,3}  acks=1
//!   2.118s  broker 1 → p1                 acknowledged                 ← the promise
//! ```

use crate::anomaly::{Anomaly, Kind};
use crate::contract::{Answer, Contract, LegacyKind};
use crate::explain::{Actor, Explanation, KeepsIt, Step, Story};
use crate::names::{NodeNames, listed};
use crate::render::describe::content;
use crate::verdict::{Counts, Judgement, Verdict};

/// What a piece of text is, for those who colour it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// `LOST`; an anomaly that the configuration forbids.
    Bad,
    /// `valid`.
    Good,
    /// `unknown`, doubts.
    Doubt,
    /// The name of an anomaly or a cause.
    Name,
    /// `← the promise`.
    Mark,
    /// Times, labels: what the eye may skip.
    Quiet,
    /// Everything else.
    Plain,
}

/// Turns a piece of text into what is written. Widths are computed before, so it may add what takes no room.
pub trait Style {
    /// Writes `text` to `out`.
    fn paint(&self, tone: Tone, text: &str, out: &mut String);
}

/// No colour at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainText;

impl Style for PlainText {
    fn paint(&self, _tone: Tone, text: &str, out: &mut String) {
        out.push_str(text);
    }
}

/// Space between the columns of a story: after the time, the actor and the deed.
const GAPS: [usize; 3] = [2, 5, 4];

/// One story; ends with a line break.
pub fn story(story: &Story, names: &NodeNames, style: &dyn Style) -> String {
    let table = Table::new(&story.steps, names);
    let mut out = headline(&story.anomaly, names, table.right(), style);
    if !story.steps.is_empty() {
        out.push('\n');
    }
    table.write(style, &mut out);
    out.push('\n');
    footer(story, style, &mut out);
    out
}

/// What happened in a run, a line each, and how many lines were left out.
pub fn chronicle((steps, more): &(Vec<Step>, usize), names: &NodeNames, style: &dyn Style) -> String {
    let mut out = String::new();
    Table::new(steps, names).write(style, &mut out);
    if *more > 0 {
        style.paint(Tone::Quiet, &format!("  and {more} more lines\n"), &mut out);
    }
    out
}

/// Steps in columns: time, actor, deed, note.
struct Table {
    rows: Vec<[String; 4]>,
    widths: [usize; 3],
}

/// Before the first column.
const INDENT: usize = 2;

impl Table {
    fn new(steps: &[Step], names: &NodeNames) -> Self {
        let row = |step: &Step| {
            let mark = step.mark.map(|mark| format!("← {}", mark.name()));
            let note = match (step.note.is_empty(), mark) {
                (_, None) => step.note.clone(),
                (true, Some(mark)) => mark,
                (false, Some(mark)) => format!("{}   {mark}", step.note),
            };
            [step.time.to_string(), actor(&step.actor, names), step.what.clone(), note]
        };
        let rows: Vec<[String; 4]> = steps.iter().map(row).collect();
        let widths = [0, 1, 2].map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
        Self { rows, widths }
    }

    /// Where the longest line ends.
    fn right(&self) -> usize {
        let notes_at = INDENT + self.widths.iter().sum::<usize>() + GAPS.iter().sum::<usize>();
        self.rows.iter().map(|row| notes_at + width(&row[3])).max().unwrap_or(0)
    }

    fn write(&self, style: &dyn Style, out: &mut String) {
        for row in &self.rows {
            let mut line = " ".repeat(INDENT);
            for column in 0..3 {
                let tone = if column == 0 { Tone::Quiet } else { Tone::Plain };
                style.paint(tone, &row[column], &mut line);
                line.push_str(&" ".repeat(self.widths[column] - width(&row[column]) + GAPS[column]));
            }
            note(&row[3], style, &mut line);
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// The promise and the loss stand out from what is beside them.
fn note(text: &str, style: &dyn Style, line: &mut String) {
    match text.find('←') {
        Some(mark) => {
            style.paint(Tone::Plain, &text[..mark], line);
            style.paint(Tone::Mark, &text[mark..], line);
        }
        None => style.paint(Tone::Plain, text, line),
    }
}

fn headline(anomaly: &Anomaly, names: &NodeNames, right: usize, style: &dyn Style) -> String {
    let has_content = anomaly.key.is_some() || anomaly.value.is_some();
    let content = if has_content { content(anomaly.key.as_ref(), anomaly.value.as_ref()) } else { String::new() };
    let parts = [place(anomaly), content, told(anomaly, names)].into_iter().filter(|part| !part.is_empty());
    let rest = format!("  {}", parts.collect::<Vec<String>>().join("   "));
    let headline = anomaly.kind.headline();
    let left = width(headline) + width(&rest);
    let kind = anomaly.kind.name();
    let mut out = String::new();
    style.paint(Tone::Bad, headline, &mut out);
    style.paint(Tone::Plain, &rest, &mut out);
    out.push_str(&" ".repeat(right.saturating_sub(left + width(kind)).max(3)));
    style.paint(Tone::Name, kind, &mut out);
    out.push('\n');
    out
}

/// `orders-0 @ 17`.
fn place(anomaly: &Anomaly) -> String {
    let topic = match (&anomaly.topic, anomaly.partition) {
        (Some(topic), Some(partition)) => format!("{topic}-{partition}"),
        (Some(topic), None) => topic.clone(),
        (None, _) => return String::new(),
    };
    let is_pair = matches!(
        anomaly.kind,
        Kind::Duplicate
            | Kind::Reorder
            | Kind::ReplayReorder
            | Kind::PollSkip
            | Kind::NonmonotonicPoll
            | Kind::StaleEndOffset
            | Kind::NonmonotonicCommit
    );
    match (anomaly.offset, anomaly.other_offset) {
        (Some(offset), Some(other)) if is_pair => match anomaly.kind {
            Kind::Duplicate => format!("{topic} @ {other} and {offset}"),
            Kind::PollSkip | Kind::NonmonotonicPoll | Kind::StaleEndOffset | Kind::NonmonotonicCommit => {
                format!("{topic} @ {other} → {offset}")
            }
            _ => format!("{topic} @ {offset} after {other}"),
        },
        (Some(offset), _) => format!("{topic} @ {offset}"),
        (None, _) => topic,
    }
}

/// `acknowledged to p1 at 2.118s`.
fn told(anomaly: &Anomaly, names: &NodeNames) -> String {
    let client = anomaly.client.or(anomaly.record.map(|record| record.client));
    let who = client.map(|client| names.client(client).into_owned());
    let note = anomaly.note.clone().unwrap_or_default();
    match (anomaly.kind, who, anomaly.told_at) {
        (Kind::LostWrite, Some(who), Some(at)) => format!("acknowledged to {who} at {at}"),
        (Kind::SilentDrop, Some(who), Some(at)) => format!("{note} by {who} at {at}"),
        (Kind::Phantom, Some(who), Some(at)) if anomaly.note.is_none() => {
            format!("reported as failed to {who} at {at}")
        }
        (Kind::PollSkip | Kind::NonmonotonicPoll | Kind::KeyReorder, Some(who), Some(at)) => match note.is_empty() {
            true => format!("polled by {who} at {at}"),
            false => format!("polled by {who} at {at}: {note}"),
        },
        (Kind::StaleEndOffset, Some(who), Some(at)) => format!("told to {who} at {at}"),
        (Kind::Duplicate | Kind::Reorder | Kind::ReplayReorder, Some(who), _) => match note.is_empty() {
            true => format!("sent by {who}"),
            false => format!("sent by {who}, {note}"),
        },
        (Kind::TwoOwners, Some(who), Some(at)) => format!("given to {who} too at {at}, {note}"),
        (Kind::NonmonotonicCommit, _, Some(at)) => format!("committed at {at}"),
        (_, _, _) => note,
    }
}

fn footer(story: &Story, style: &dyn Style, out: &mut String) {
    let anomaly = &story.anomaly;
    if let Some(cause) = anomaly.cause {
        label("because", style, out);
        style.paint(Tone::Name, cause.name(), out);
        for other in &anomaly.contributing {
            out.push_str(", ");
            style.paint(Tone::Name, other.name(), out);
        }
        out.push('\n');
    }
    label("permitted", style, out);
    out.push_str(&format!("{}: {}\n", anomaly.permitted.answer.name(), anomaly.permitted.because));
    if let Some(KeepsIt { change, how, cost }) = &story.keeps_it {
        label("keeps it", style, out);
        out.push_str(&format!("{change}     ({how})\n"));
        if let Some(cost) = cost {
            label("costs", style, out);
            out.push_str(&format!("{cost}\n"));
        }
    }
    if let Some(command) = &story.replay {
        label("replay", style, out);
        out.push_str(command);
        out.push('\n');
    }
}

fn label(text: &str, style: &dyn Style, out: &mut String) {
    style.paint(Tone::Quiet, &format!("{text:<9} "), out);
}

/// `broker 1  leader, epoch 4`, `broker 1 → p1`.
fn actor(actor: &Actor, names: &NodeNames) -> String {
    let mut text = match actor.fault {
        Some(fault) => format!("fault {fault}"),
        None => names.name(actor.node).into_owned(),
    };
    if let Some(to) = actor.to {
        text.push_str(&format!(" → {}", names.name(to)));
    }
    if let Some(role) = &actor.role {
        text.push_str(&format!("  {role}"));
    }
    text
}

/// Columns on a terminal, for the scripts that people put into names: wide ones take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}') { 2 } else { 1 }).sum()
}

/// All stories, and how many went the same way.
pub fn explanation(explanation: &Explanation, names: &NodeNames, style: &dyn Style) -> String {
    let mut out = String::new();
    for (index, told) in explanation.stories.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&story(told, names, style));
        let next = explanation.stories.get(index + 1);
        let same = |other: &Story| other.anomaly.kind == told.anomaly.kind && other.anomaly.cause == told.anomaly.cause;
        let more = explanation
            .more
            .iter()
            .find(|more| more.kind == told.anomaly.kind && Some(more.cause) == told.anomaly.cause);
        // Said once, after the last story that went this way.
        let is_last = !next.is_some_and(same) && !explanation.stories[index + 1..].iter().any(same);
        if let Some(more) = more.filter(|_| is_last) {
            let line = format!("and {} more {} because of {}\n", more.times, more.kind, more.cause);
            out.push('\n');
            style.paint(Tone::Quiet, &line, &mut out);
        }
    }
    out
}

/// The verdict on a scenario in one line: `invalid  acks-1-leader-crash  seed 7   sent 50  acknowledged 50  lost 3`.
pub fn verdict_line(scenario: &str, seed: u64, judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = String::new();
    let tone = match judgement.verdict {
        Verdict::Valid => Tone::Good,
        Verdict::Invalid => Tone::Bad,
        Verdict::Unknown => Tone::Doubt,
    };
    style.paint(tone, &format!("{:<7}", judgement.verdict), &mut out);
    out.push_str(&format!("  {scenario}  seed {seed} "));
    style.paint(Tone::Quiet, &numbers(&judgement.counts), &mut out);
    out.push('\n');
    out
}

/// The counts in words: what became of every `send()`, then what went wrong.
fn numbers(counts: &Counts) -> String {
    let always = ["sent", "acknowledged"];
    let mut numbers = String::new();
    for (name, count) in counts.named() {
        let words = match name {
            "indeterminate" => "perhaps written",
            "pending" => "never answered",
            // Said beside what it is a part of.
            "surfaced" => continue,
            other => other,
        };
        if count > 0 || always.contains(&name) {
            numbers.push_str(&format!("  {} {count}", words.replace('_', " ")));
        }
        if name == "pending" && counts.surfaced > 0 {
            match counts.surfaced == counts.pending + counts.indeterminate {
                true => numbers.push_str(" (in the log all the same)"),
                false => numbers.push_str(&format!(" ({} of them in the log)", counts.surfaced)),
            }
        }
    }
    numbers
}

/// What a reader must know of the clients to understand the numbers.
pub fn remarks(contract: &Contract, judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = String::new();
    let silent = contract.producers.iter().filter(|producer| producer.legacy == Some(LegacyKind::Async));
    let silent: Vec<String> = silent.map(|producer| producer.name.clone()).collect();
    if !silent.is_empty() && judgement.counts.pending > 0 {
        label("note", style, &mut out);
        out.push_str(&format!(
            "{}: producer.type=async has no callback and never answers the program\n",
            listed(silent)
        ));
    }
    out
}

/// The invariants that were broken, each at its first event.
pub fn invariants(judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = String::new();
    for broken in &judgement.broken {
        let tone = if broken.permitted.answer == Answer::Yes { Tone::Quiet } else { Tone::Bad };
        label("broken", style, &mut out);
        style.paint(tone, broken.invariant.name(), &mut out);
        let place = broken.partition.as_ref().map(|partition| format!("  {partition}")).unwrap_or_default();
        out.push_str(&format!("{place}  event {} at {}: {}\n", broken.event, broken.at, broken.what));
        label("", style, &mut out);
        out.push_str(&format!("permitted {}: {}\n", broken.permitted.answer.name(), broken.permitted.because));
    }
    out
}

/// Why no verdict is possible, what the faults did, and which did nothing.
pub fn witnesses(judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = doubts(judgement, style);
    for witness in &judgement.witnesses {
        label("witness", style, &mut out);
        let times = if witness.times == 1 { String::new() } else { format!(" ({} times)", witness.times) };
        out.push_str(&format!("fault {}: {}{times}\n", witness.fault, witness.what));
    }
    out.push_str(&idle(judgement, style));
    out
}

/// Why no verdict is possible.
pub fn doubts(judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = String::new();
    for doubt in judgement.doubts.iter().filter(|_| judgement.verdict == Verdict::Unknown) {
        label("doubt", style, &mut out);
        style.paint(Tone::Doubt, doubt, &mut out);
        out.push('\n');
    }
    out
}

/// Which faults did nothing.
pub fn idle(judgement: &Judgement, style: &dyn Style) -> String {
    let mut out = String::new();
    for idle in &judgement.idle_faults {
        label("idle", style, &mut out);
        style.paint(Tone::Doubt, &format!("fault {}: {} did nothing", idle.fault, idle.what), &mut out);
        out.push('\n');
    }
    out
}
