//! The steps of a scenario: what is done, to whom, when, and which of it the seed decides.

use std::ops::Range;

use ackproof_core::types::{Duration, Prng};
use ackproof_sim::faults::{Action, MessageFault, Selector, Step, Trigger};
use ackproof_sim::world::{Direction, DiskFaults, Interference, Keep};

use super::amounts::{self, Between};
use super::reading::Reading;
use super::selector::is_free_name;
use crate::document::operations::{AddPartitions, AlterConfig, Reassign};
use crate::document::steps as written;
use crate::document::{Topic, Value, Written};

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
    /// `by` of a delay.
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
                    with_messages(&mut step.action, |fault| fault.interference = Interference::Delay(by));
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
        Trigger::At(_) | Trigger::After(_) => {}
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
    Messages(&'a written::Messages, Interference),
    Disconnect(&'a written::Disconnect),
    Disk(&'a written::DiskFault),
    ClockJump(&'a written::ClockJump),
    ClockDrift(&'a written::ClockDrift),
    Elect(&'a written::Elect),
    AlterConfig(&'a AlterConfig),
    Reassign(&'a Reassign),
    AddPartitions(&'a AddPartitions),
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
        resume "resume" => |nodes| What::Nodes(Action::Resume, nodes);
        power_loss "power-loss" => |it| What::PowerLoss(it);
        cut "cut" => |it| What::Cut(it);
        drop "drop" => |it| What::Messages(it, Interference::Drop);
        delay "delay" => |it| What::Messages(it, Interference::Delay(Duration::ZERO));
        hold "hold" => |it| What::Messages(it, Interference::Hold);
        reset "reset" => |it| What::Messages(it, Interference::Reset);
        disconnect "disconnect" => |it| What::Disconnect(it);
        disk "disk" => |it| What::Disk(it);
        wipe "wipe" => |nodes| What::Nodes(Action::Wipe, nodes);
        clock_jump "clock-jump" => |it| What::ClockJump(it);
        clock_drift "clock-drift" => |it| What::ClockDrift(it);
        elect "elect" => |it| What::Elect(it);
        alter_config "alter-config" => |it| What::AlterConfig(it);
        reassign "reassign" => |it| What::Reassign(it);
        add_partitions "add-partitions" => |it| What::AddPartitions(it);
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
        if let Some(at) = &step.at {
            let other = step.when.as_ref().map(Written::span).or(after.map(|(_, span)| span));
            if let Some(other) = other {
                let found = self.error(other, "a step with `at` has its trigger already");
                self.report(
                    found.related(at.span(), "here").remedy("keep one of them; `wait` adds a pause to any trigger"),
                );
                return None;
            }
            let range = self.time_or_range(at)?;
            choices.push(Choice::At(range));
            return Some((Trigger::At(range.low), None));
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
            What::Disk(it) => self.disk(it, first.span.clone()),
            What::ClockJump(it) => {
                let nodes = self.nodes(&it.nodes);
                let remedy = "write a time with its sign: \"+5s\", \"-1h\"";
                let by = self.accept(it.by.span(), amounts::signed_millis(&it.by), remedy);
                Some(Action::ClockJump(nodes?, by?))
            }
            What::ClockDrift(it) => {
                if !(-500_000..=500_000).contains(&*it.ppm) {
                    let found = self.error(it.ppm.span(), format!("a clock that is {} ppm fast is no clock", *it.ppm));
                    self.report(found.remedy("from -500000 to 500000"));
                }
                self.nodes(&it.nodes).map(|nodes| Action::ClockDrift(nodes, *it.ppm))
            }
            What::Elect(it) => {
                let partition = self.partition(&it.partition, it.partition.span())?;
                Some(Action::Elect { partition, unclean: it.kind == written::ElectionType::Unclean })
            }
            What::AlterConfig(it) => self.alter_config(it, first.span.clone()),
            What::Reassign(it) => self.reassign(it, first.span.clone()),
            What::AddPartitions(it) => self.add_partitions(it),
            What::CreateTopic(it) => self.create_topic(it).map(Action::CreateTopic),
            What::DeleteTopic(name) => self.delete_topic(name),
            What::Heal(name) => self.step(name).map(Action::Heal),
            What::Mark => Some(Action::Mark),
        }
    }

    fn messages(
        &mut self,
        it: &written::Messages,
        interference: Interference,
        span: Range<usize>,
        choices: &mut Vec<Choice>,
    ) -> Option<MessageFault> {
        let from = it.from.as_ref().map(|nodes| self.nodes(nodes));
        let to = it.to.as_ref().map(|nodes| self.nodes(nodes));
        let partition = it.partition.as_ref().map(|name| self.partition(name, name.span()));
        let by = it.by.as_ref().map(|by| (self.time_or_range(by), by.span()));
        if let Some(api) = &it.api
            && !ackproof_core::protocol::APIS.contains(&api.as_str())
        {
            let found = self.error(api.span(), format!("there is no API `{}`", api.as_str()));
            self.report(found.nearest(api, ackproof_core::protocol::APIS.iter().copied()));
        }
        let interference = match (interference, by) {
            (Interference::Delay(_), Some((by, _))) => {
                let by = by?;
                choices.push(Choice::DelayBy(by));
                Interference::Delay(by.low)
            }
            (Interference::Delay(_), None) => {
                self.report(self.error(span, "`by` is missing here").remedy("say how much later: by = \"200ms\""));
                return None;
            }
            (other, None) => other,
            (_, Some((_, by))) => {
                self.report(self.error(by, "only `delay` has `by`").remedy("leave it out, or use `delay`"));
                return None;
            }
        };
        let mut number = |written: &Option<Written<Value>>, choice: fn(Between<u64>) -> Choice| {
            let range = self.number_or_range(written.as_ref()?)?;
            choices.push(choice(range));
            Some(range.low)
        };
        let times = number(&it.times, Choice::MessageTimes);
        let skip = number(&it.skip, Choice::MessageSkip).unwrap_or(0);
        let direction = it.message.map(|kind| match kind {
            written::MessageKind::Request => Direction::Request,
            written::MessageKind::Response => Direction::Response,
        });
        // `None` inside `Some` is a selector that could not be read.
        let (from, to) = (from.map_or(Some(None), |it| it.map(Some))?, to.map_or(Some(None), |it| it.map(Some))?);
        let partition = partition.map_or(Some(None), |it| it.map(Some))?;
        let api = it.api.as_ref().map(ToString::to_string);
        Some(MessageFault { api, direction, from, to, partition, interference, times, skip })
    }

    fn disk(&mut self, it: &written::DiskFault, span: Range<usize>) -> Option<Action> {
        let nodes = self.nodes(&it.nodes);
        let slow = self.time(it.slow.as_ref(), Duration::ZERO);
        if it.faults.is_empty() && it.slow.is_none() {
            let found = self.error(span, "nothing is wrong with this disk");
            self.report(found.remedy("add `faults = [\"full\"]` or `slow = \"10ms\"`"));
            return None;
        }
        let has = |kind| it.faults.contains(&kind);
        let faults = DiskFaults {
            io_error: has(written::DiskFaultKind::IoError),
            full: has(written::DiskFaultKind::Full),
            sync_error: has(written::DiskFaultKind::SyncError),
            sync_lies: has(written::DiskFaultKind::SyncLies),
            slow,
        };
        nodes.map(|nodes| Action::Disk(nodes, faults))
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
