//! The steps of a scenario: what is done, to whom, when, and which of it the seed decides.

use std::ops::Range;

use ackproof_core::types::{Duration, Prng};
use ackproof_sim::faults::{Action, MessageFault, Selector, Step, Trigger};
use ackproof_sim::world::{Corruption, Damage, Interference, Keep};

use super::amounts::{self, Between};
use super::reading::Reading;
use super::selector::is_free_name;
use crate::document::operations::{AddPartitions, AlterConfig, DeleteRecords, Reassign};
use crate::document::{Topic, Value, Written};
use crate::document::{faults, steps as written};

/// A step with its choices still open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenStep {
    /// The step, with the first of the possible values wherever the seed decides.
    pub step: Step,
    /// What the seed decides.
    pub choices: Vec<Choice>,
}

/// Something that the seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `at`.
    At(Between<Duration>),
    /// `wait`.
    Wait(Between<Duration>),
    /// `for`.
    Lasts(Between<Duration>),
    /// `by` of a delay or a copy.
    DelayBy(Between<Duration>),
    /// `times` of the n-th fact that is waited for.
    FactTimes(usize, Between<u64>),
    /// `times` of messages.
    MessageTimes(Between<u64>),
    /// `skip` of messages.
    MessageSkip(Between<u64>),
}

impl OpenStep {
    /// The step with every choice made. Each has its own stream, so that one more choice re-rolls no other.
    pub fn decide(&self, rng: &Prng) -> Step {
        let mut step = self.step.clone();
        for choice in &self.choices {
            let stream = |name: &str| rng.fork(&format!("step/{}/{name}", step.name));
            match *choice {
                Choice::At(range) => step.trigger = Trigger::At(range.draw(&mut stream("at"))),
                Choice::Wait(range) => step.delay = range.draw(&mut stream("wait")),
                Choice::Lasts(range) => step.lasts = Some(range.draw(&mut stream("for"))),
                Choice::FactTimes(place, range) => {
                    let times = range.draw(&mut stream(&format!("fact/{place}")));
                    set_times(&mut step.trigger, place, times);
                }
                Choice::DelayBy(range) => {
                    let by = range.draw(&mut stream("by"));
                    with_messages(&mut step.action, |fault| match &mut fault.interference {
                        Interference::Delay(later) | Interference::Duplicate(later) => *later = by,
                        Interference::Hold
                        | Interference::Drop
                        | Interference::Reset
                        | Interference::Corrupt(_)
                        | Interference::ReuseBuffer => {}
                    });
                }
                Choice::MessageTimes(range) => {
                    let times = range.draw(&mut stream("times"));
                    with_messages(&mut step.action, |fault| fault.times = Some(times));
                }
                Choice::MessageSkip(range) => {
                    let skip = range.draw(&mut stream("skip"));
                    with_messages(&mut step.action, |fault| fault.skip = skip);
                }
            }
        }
        step
    }
}

fn set_times(trigger: &mut Trigger, place: usize, times: u64) {
    match trigger {
        Trigger::Fact(pattern) => pattern.times = times,
        Trigger::All(parts) => {
            if let Some(part) = parts.get_mut(place) {
                set_times(part, 0, times);
            }
        }
        Trigger::At(_) | Trigger::Event(_) | Trigger::After(_) => {}
    }
}

fn with_messages(action: &mut Action, change: impl FnOnce(&mut MessageFault)) {
    if let Action::Messages(fault) = action {
        change(fault);
    }
}

/// A step's one action as it was written.
struct Given<'a> {
    key: &'static str,
    span: Range<usize>,
    what: What<'a>,
}

enum What<'a> {
    Nodes(fn(Selector) -> Action, &'a Written<Value>),
    PowerLoss(&'a written::PowerLoss),
    Cut(&'a written::Cut),
    Messages(&'a faults::Messages, Interference),
    Disconnect(&'a written::Disconnect),
    Silence(&'a written::Disconnect),
    Link(&'a faults::Link),
    Disk(&'a faults::DiskFault),
    RollBack(&'a faults::Rollback),
    File(&'a faults::FilePart, Damage),
    ClockJump(&'a written::ClockJump),
    ClockDrift(&'a written::ClockDrift),
    MetadataLag(&'a written::MetadataLag),
    Elect(&'a written::Elect),
    AlterConfig(&'a AlterConfig),
    Reassign(&'a Reassign),
    AddPartitions(&'a AddPartitions),
    DeleteRecords(&'a DeleteRecords),
    CreateTopic(&'a Topic),
    DeleteTopic(&'a Written<String>),
    Heal(&'a Written<String>),
    Mark,
}

fn given(step: &written::Step) -> Vec<Given<'_>> {
    let mut list = Vec::new();
    macro_rules! actions {
        ($($field:ident $key:literal => |$value:ident| $what:expr;)*) => {
            $(if let Some($value) = &step.$field {
                list.push(Given { key: $key, span: $value.span(), what: $what });
            })*
        };
    }
    actions! {
        kill "kill" => |nodes| What::Nodes(Action::Kill, nodes);
        start "start" => |nodes| What::Nodes(Action::Start, nodes);
        stop "stop" => |nodes| What::Nodes(Action::Stop, nodes);
        pause "pause" => |nodes| What::Nodes(Action::Pause, nodes);
        outage "outage" => |nodes| What::Nodes(Action::Outage, nodes);
        resume "resume" => |nodes| What::Nodes(Action::Resume, nodes);
        power_loss "power-loss" => |it| What::PowerLoss(it);
        cut "cut" => |it| What::Cut(it);
        drop "drop" => |it| What::Messages(it, Interference::Drop);
        delay "delay" => |it| What::Messages(it, Interference::Delay(Duration::ZERO));
        hold "hold" => |it| What::Messages(it, Interference::Hold);
        reset "reset" => |it| What::Messages(it, Interference::Reset);
        duplicate "duplicate" => |it| What::Messages(it, Interference::Duplicate(Duration::ZERO));
        corrupt "corrupt" => |it| What::Messages(it, Interference::Corrupt(Corruption::Records));
        reuse_buffer "reuse-buffer" => |it| What::Messages(it, Interference::ReuseBuffer);
        silence "silence" => |it| What::Silence(it);
        link "link" => |it| What::Link(it);
        rollback "rollback" => |it| What::RollBack(it);
        flip_bit "flip-bit" => |it| What::File(it, Damage::FlipBit);
        truncate "truncate" => |it| What::File(it, Damage::Truncate);
        zero_tail "zero-tail" => |it| What::File(it, Damage::ZeroTail);
        delete "delete" => |it| What::File(it, Damage::Delete);
        disconnect "disconnect" => |it| What::Disconnect(it);
        disk "disk" => |it| What::Disk(it);
        wipe "wipe" => |nodes| What::Nodes(Action::Wipe, nodes);
        clock_jump "clock-jump" => |it| What::ClockJump(it);
        clock_drift "clock-drift" => |it| What::ClockDrift(it);
        metadata_lag "metadata-lag" => |it| What::MetadataLag(it);
        elect "elect" => |it| What::Elect(it);
        alter_config "alter-config" => |it| What::AlterConfig(it);
        reassign "reassign" => |it| What::Reassign(it);
        add_partitions "add-partitions" => |it| What::AddPartitions(it);
        delete_records "delete-records" => |it| What::DeleteRecords(it);
        create_topic "create-topic" => |it| What::CreateTopic(it);
        delete_topic "delete-topic" => |name| What::DeleteTopic(name);
        heal "heal" => |name| What::Heal(name);
        mark "mark" => |_text| What::Mark;
    }
    list
}

/// What each step is called: its name, or what it does in the words of the file.
pub(super) fn name(step: &written::Step, number: usize, text: &str) -> String {
    if let Some(name) = &step.name {
        return name.to_string();
    }
    if let Some(mark) = &step.mark {
        return mark.to_string();
    }
    let words = given(step).first().map(|given| {
        let value = text.get(given.span.clone()).unwrap_or_default().trim_matches('"');
        format!("{} {value}", given.key)
    });
    words.unwrap_or_else(|| format!("step {}", number + 1))
}

impl Reading<'_> {
    /// Reads the step `number` (from 0), which is found at `span`.
    pub fn open_step(&mut self, number: usize, step: &written::Step, span: Range<usize>) -> Option<OpenStep> {
        let mut choices = Vec::new();
        let action = self.action(step, span.clone(), &mut choices);
        let (trigger, not_before) = self.trigger(number, step, span, &mut choices).unzip();
        let mut length = |written: &Option<Written<String>>, choice: fn(Between<Duration>) -> Choice| {
            let range = self.time_or_range(written.as_ref()?)?;
            choices.push(choice(range));
            Some(range.low)
        };
        let delay = length(&step.wait, Choice::Wait).unwrap_or(Duration::ZERO);
        let lasts = length(&step.lasts, Choice::Lasts);
        let bind = self.bind(step);
        let (action, trigger, not_before) = (action?, trigger?, not_before?);
        self.check_end(step, &action);
        choices.retain(|choice| !choice.is_settled());
        let name = self.names.steps[number].clone();
        Some(OpenStep { step: Step { name, not_before, trigger, delay, action, bind, lasts }, choices })
    }

    fn bind(&mut self, step: &written::Step) -> Option<String> {
        let name = step.bind.as_ref()?;
        if !is_free_name(name) || self.names.clients.contains(name) {
            let found = self.error(name.span(), format!("`{}` already names something else", name.as_str()));
            self.report(found.remedy("choose a name that is no role and no client, like \"old leader\""));
            return None;
        }
        self.names.bound.push(name.to_string());
        Some(name.to_string())
    }

    fn check_end(&mut self, step: &written::Step, action: &Action) {
        let Some(lasts) = &step.lasts else { return };
        if !action.heals() {
            let found = self.error(lasts.span(), "this action has no end that `for` could set");
            self.report(found.remedy("leave `for` out"));
        }
    }

    fn trigger(
        &mut self,
        number: usize,
        step: &written::Step,
        span: Range<usize>,
        choices: &mut Vec<Choice>,
    ) -> Option<(Trigger, Option<usize>)> {
        let after = step.after.as_ref().map(|name| (self.step(name), name.span()));
        if let Some((Some(place), span)) = &after
            && *place == number
        {
            self.report(self.error(span.clone(), "a step cannot come after itself"));
            return None;
        }
        let alone = [
            ("at", step.at.as_ref().map(Written::span)),
            ("before-event", step.before_event.as_ref().map(Written::span)),
        ];
        let other = step.when.as_ref().map(Written::span).or(after.as_ref().map(|(_, span)| span.clone()));
        let mut others = other.into_iter().chain(alone.iter().skip(1).filter_map(|(_, span)| span.clone()));
        if let Some((name, span)) = alone.iter().find_map(|(name, span)| Some((name, span.clone()?)))
            && let Some(other) = others.find(|other| *other != span)
        {
            let found = self.error(other, format!("a step with `{name}` has its trigger already"));
            self.report(found.related(span, "here").remedy("keep one of them; `wait` adds a pause to any trigger"));
            return None;
        }
        if let Some(at) = &step.at {
            let range = self.time_or_range(at)?;
            choices.push(Choice::At(range));
            return Some((Trigger::At(range.low), None));
        }
        if let Some(event) = &step.before_event {
            return Some((Trigger::Event(**event), None));
        }
        match (&step.when, after) {
            (Some(when), after) => {
                let trigger = self.facts(when, choices);
                let not_before = match after {
                    Some((place, _)) => Some(place?),
                    None => None,
                };
                Some((trigger?, not_before))
            }
            (None, Some((place, _))) => Some((Trigger::After(place?), None)),
            (None, None) => {
                let found = self.error(span, "this step never happens: it has no trigger");
                self.report(
                    found.remedy(
                        "add `at = \"2s\"`, `after = \"another step\"` or `when = { fact = \"appended\", .. }`",
                    ),
                );
                None
            }
        }
    }

    fn facts(&mut self, when: &Written<written::When>, choices: &mut Vec<Choice>) -> Option<Trigger> {
        let waited: Vec<_> = when.0.iter().map(|pattern| self.waited(pattern, when.span())).collect();
        let mut parts = Vec::new();
        for (place, waited) in waited.into_iter().enumerate() {
            let waited = waited?;
            choices.push(Choice::FactTimes(place, waited.times));
            parts.push(Trigger::Fact(waited.pattern));
        }
        if parts.len() == 1 { parts.pop() } else { Some(Trigger::All(parts)) }
    }

    fn action(&mut self, step: &written::Step, span: Range<usize>, choices: &mut Vec<Choice>) -> Option<Action> {
        let given = given(step);
        let Some(first) = given.first() else {
            let found = self.error(span, "this step does nothing: it has no action");
            self.report(
                found.remedy("add one, like `kill = \"leader of orders-0\"`; docs/scenario-format.md lists them"),
            );
            return None;
        };
        if let Some(second) = given.get(1) {
            let message = format!("a step has one action, and this one has `{}` and `{}`", first.key, second.key);
            let found = self.error(second.span.clone(), message).related(first.span.clone(), "the first action");
            self.report(found.remedy("make it two steps; `after = \"..\"` lets the second follow the first"));
            return None;
        }
        match &first.what {
            What::Nodes(make, nodes) => self.nodes(nodes).map(make),
            What::PowerLoss(it) => self.nodes(&it.nodes).map(|nodes| Action::PowerLoss(nodes, keep(it.keep))),
            What::Cut(it) => {
                let (from, to) = (self.nodes(&it.from), self.nodes(&it.to));
                let both_ways = it.direction == written::CutDirection::Both;
                Some(Action::Cut { from: from?, to: to?, both_ways })
            }
            What::Messages(it, interference) => {
                self.messages(it, *interference, first.span.clone(), choices).map(Action::Messages)
            }
            What::Disconnect(it) => {
                let (from, to) = (self.nodes(&it.from), self.nodes(&it.to));
                Some(Action::Disconnect { from: from?, to: to? })
            }
            What::Silence(it) => {
                let (from, to) = (self.nodes(&it.from), self.nodes(&it.to));
                Some(Action::Silence { from: from?, to: to? })
            }
            What::Link(it) => self.link(it, first.span.clone()),
            What::Disk(it) => self.disk(it, first.span.clone()),
            What::RollBack(it) => {
                let (nodes, to) = (self.nodes(&it.nodes), self.step(&it.to));
                Some(Action::RollBack(nodes?, to?))
            }
            What::File(it, damage) => self.file_damage(it, *damage, first.span.clone()),
            What::ClockJump(it) => {
                let nodes = self.nodes(&it.nodes);
                let remedy = "write a time with its sign: \"+5s\", \"-1h\"";
                let by = self.accept(it.by.span(), amounts::signed_millis(&it.by), remedy);
                Some(Action::ClockJump(nodes?, by?))
            }
            What::ClockDrift(it) => self.clock_drift(it),
            What::MetadataLag(it) => self.metadata_lag(it),
            What::Elect(it) => {
                let partition = self.partition(&it.partition, it.partition.span())?;
                Some(Action::Elect { partition, unclean: it.kind == written::ElectionType::Unclean })
            }
            What::AlterConfig(it) => self.alter_config(it, first.span.clone()),
            What::Reassign(it) => self.reassign(it, first.span.clone()),
            What::AddPartitions(it) => self.add_partitions(it),
            What::DeleteRecords(it) => self.delete_records(it, first.span.clone()),
            What::CreateTopic(it) => self.create_topic(it).map(Action::CreateTopic),
            What::DeleteTopic(name) => self.delete_topic(name),
            What::Heal(name) => self.step(name).map(Action::Heal),
            What::Mark => Some(Action::Mark),
        }
    }
}

impl Choice {
    /// Whether there is nothing to decide.
    fn is_settled(self) -> bool {
        match self {
            Choice::At(range) | Choice::Wait(range) | Choice::Lasts(range) | Choice::DelayBy(range) => {
                range.low == range.high
            }
            Choice::FactTimes(_, range) | Choice::MessageTimes(range) | Choice::MessageSkip(range) => {
                range.low == range.high
            }
        }
    }
}

fn keep(keep: written::Keep) -> Keep {
    match keep {
        written::Keep::Nothing => Keep::Nothing,
        written::Keep::Prefix => Keep::Prefix,
        written::Keep::Torn => Keep::Torn,
        written::Keep::Subset => Keep::Subset,
        written::Keep::Everything => Keep::Everything,
    }
}
