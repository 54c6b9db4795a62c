//! Stories about one partition: each step comes behind the one before and behind a fact that follows from it.
//!
//! Faults that do not know of each other rarely make a sequence of leader changes. Here a follower falls behind, *and when it has left the
//! ISR* the leader dies, *and when another one is elected* the follower comes back. There are a few plots, each with who, how, behind which
//! fact and how soon left to the draw, and walks without a plot. All that is done has an end of its own, whether the story gets so far or not.
//!
//! Not modelled: stories of groups, and of more than one partition.

use toml::{Table, Value};

use super::dice::Dice;
use super::draw::Shape;
use crate::form::{table, text};

/// The steps of a story.
pub(super) fn draw(mut dice: Dice, shape: &Shape) -> Vec<Table> {
    let plot = dice.between(0, 5);
    let mut story = Story::new(dice, shape);
    match plot {
        0 => story.behind_and_back(),
        1..=2 => story.leaders_change(),
        3 => story.around_a_proposal(),
        4 => story.who_asks_for_the_end(),
        _ => story.walk(),
    }
    story.steps
}

/// When a step happens.
pub(super) enum When {
    /// Behind the step before and this fact.
    Fact(Table),
    /// With the step before.
    AtOnce,
    /// Behind the step before.
    Later(u64, u64),
}

/// A story as far as it is told.
pub(super) struct Story<'s> {
    /// What decides it.
    pub dice: Dice,
    shape: &'s Shape,
    /// Who leads, as far as the story goes by plan.
    pub leader: i32,
    /// What happens, in order.
    pub steps: Vec<Table>,
}

impl<'s> Story<'s> {
    /// Nothing has happened yet, and the preferred leader leads.
    pub fn new(dice: Dice, shape: &'s Shape) -> Self {
        Self { dice, shape, leader: shape.replicas[0], steps: Vec::new() }
    }
}

/// How long what is done lasts, if nothing of the story ends it earlier.
const LASTS: [&str; 4] = ["15s", "30s", "60s", "60s"];

impl Story<'_> {
    /// A follower leaves the ISR, what it lacks is committed, the leader falls, and the follower is back.
    fn behind_and_back(&mut self) {
        let (when, follower) = (self.beginning(), self.follower());
        let behind = self.falls_behind(when, follower);
        let gone = self.isr_changed(format!("without {follower}"));
        self.mark(When::Fact(gone));
        let when = if self.dice.chance(3, 4) { When::Fact(self.work()) } else { When::Later(1, 10_000) };
        let leader = self.leader;
        self.falls(when, leader);
        self.leader = self.other(&[follower, leader]).unwrap_or(follower);
        let when = self.election();
        self.ends(When::Fact(when), behind);
        if self.dice.chance(1, 2) {
            let joined = self.isr_changed(format!("contains {follower}"));
            let next = self.leader;
            self.falls(When::Fact(joined), next);
        }
    }

    /// One follower lags, the leader falls and is back and leads once more, and another follower has heard little of it.
    fn leaders_change(&mut self) {
        let (when, lagging, leader) = (self.beginning(), self.follower(), self.leader);
        let behind = self.falls_behind(when, lagging);
        let other = self.other(&[lagging, leader]).unwrap_or(lagging);
        let copied = self.appended(other, "follower");
        let fall = self.falls(When::Fact(copied), leader);
        let unaware = match self.dice.between(0, 2) {
            0 => self.hears_late(When::AtOnce, other),
            1 => self.pauses(When::AtOnce, other),
            _ => self.falls_behind(When::AtOnce, other),
        };
        if self.dice.chance(1, 2) {
            self.ends(When::AtOnce, behind);
        }
        self.leader = lagging;
        let when = self.election();
        self.ends(When::Fact(when), fall);
        let when = match self.dice.between(0, 2) {
            0 => self.became_leader(lagging),
            1 => self.appended(lagging, "leader"),
            _ => self.isr_changed(format!("contains {leader}")),
        };
        match self.dice.between(0, 2) {
            0 => drop(self.falls(When::Fact(when), lagging)),
            _ => self.elect(When::Fact(when)),
        }
        self.leader = leader;
        let when = match self.dice.between(0, 2) {
            0 => When::Fact(self.became_leader(leader)),
            1 => When::Fact(self.appended(leader, "leader")),
            _ => When::Later(100, 20_000),
        };
        self.ends(when, unaware);
    }

    /// A follower is back and is proposed for the ISR. While the proposal is under way the leader hears nothing of the controller, or the
    /// follower falls behind again, or loses its power.
    fn around_a_proposal(&mut self) {
        let (when, follower, leader) = (self.beginning(), self.follower(), self.leader);
        let behind = self.falls_behind(when, follower);
        let gone = self.isr_changed(format!("without {follower}"));
        let slow = self.dice.chance(1, 2).then(|| self.proposal_is_slow(When::Fact(gone.clone()), leader));
        let back = if slow.is_some() { When::Later(1, 4_000) } else { When::Fact(gone) };
        self.ends(back, behind);
        let mut when = When::Fact(self.about("isr-proposed", [("to", text(format!("contains {follower}")))]));
        for happens in 0..4 {
            if self.dice.chance(1, 2) {
                let when = std::mem::replace(&mut when, When::AtOnce);
                match happens {
                    0 if slow.is_none() => drop(self.hears_late(when, leader)),
                    0 => drop(self.power_fails(when, follower)),
                    1 => drop(self.falls_behind(when, follower)),
                    2 => drop(self.hears_late(when, follower)),
                    _ => self.mark(when),
                }
            }
        }
        if let Some(slow) = slow {
            let fact = *self.dice.pick(&["broker-unfenced", "broker-registered"]);
            let is_back = table([("fact", text(fact)), ("broker", Value::Integer(follower.into()))]);
            let when = if self.dice.chance(1, 2) { When::Fact(is_back) } else { When::Later(1_000, 16_000) };
            self.ends(when, slow);
        }
        let joined = self.isr_changed(format!("contains {follower}"));
        let when = if self.dice.chance(1, 2) { When::Fact(joined) } else { When::Later(1_000, 16_000) };
        self.falls(when, leader);
    }

    /// Followers hear late how far the leader has come, consumers ask where the log ends, and the leader falls.
    fn who_asks_for_the_end(&mut self) {
        let (when, follower, leader) = (self.beginning(), self.follower(), self.leader);
        let when = if self.dice.chance(1, 2) {
            self.falls_behind(when, follower);
            let gone = self.isr_changed(format!("without {follower}"));
            self.mark(When::Fact(gone));
            When::Fact(self.work())
        } else {
            when
        };
        let next = self.other(&[follower, leader]).unwrap_or(follower);
        let answers = self.answers_are_lost(when, leader, next);
        if let Some(reader) = self.reader() {
            let when = if self.dice.chance(1, 2) { When::Later(1, 2_000) } else { When::Fact(self.work()) };
            self.restarts(when, &reader);
            let asked = table([("fact", text("position-reset"))]);
            self.falls(When::Fact(asked), leader);
        } else {
            let when = When::Fact(self.work());
            self.falls(when, leader);
        }
        self.ends(When::AtOnce, answers);
        self.leader = next;
        if let Some(reader) = self.reader() {
            let when = self.election();
            self.restarts(When::Fact(when), &reader);
        }
    }

    /// What comes to somebody's mind, each behind a fact of the partition.
    fn walk(&mut self) {
        let mut when = self.beginning();
        let mut open: Vec<String> = Vec::new();
        for _ in 0..self.dice.between(2, 5) {
            let (leader, follower) = (self.leader, self.follower());
            let one = if self.dice.chance(1, 2) { leader } else { follower };
            match self.dice.between(0, 11) {
                0..=2 => {
                    open.push(self.falls(when, leader));
                    self.leader = follower;
                }
                3 => open.push(self.falls(when, follower)),
                4..=5 => open.push(self.falls_behind(when, follower)),
                6 => open.push(self.hears_late(when, one)),
                7 => open.push(self.proposal_is_slow(when, leader)),
                8 => self.elect(when),
                _ if open.is_empty() => self.mark(when),
                _ => {
                    let place = usize::try_from(self.dice.between(0, open.len() as u64 - 1)).unwrap_or(0);
                    let ended = open.remove(place);
                    self.ends(when, ended);
                }
            }
            when = match self.dice.between(0, 9) {
                0..=1 => When::AtOnce,
                2..=3 => When::Later(1, 20_000),
                4..=5 => When::Fact(self.election()),
                6 => When::Fact(self.isr_changed(format!("without {follower}"))),
                7 => When::Fact(self.isr_changed(format!("contains {one}"))),
                8 => When::Fact(self.appended(one, "follower")),
                _ => When::Fact(self.work()),
            };
        }
    }
}

/// Who.
impl Story<'_> {
    pub(super) fn follower(&mut self) -> i32 {
        self.other(&[self.leader]).unwrap_or(self.leader)
    }

    pub(super) fn other(&mut self, than: &[i32]) -> Option<i32> {
        let others: Vec<i32> = self.shape.replicas.iter().copied().filter(|id| !than.contains(id)).collect();
        (!others.is_empty()).then(|| *self.dice.pick(&others))
    }

    fn reader(&mut self) -> Option<String> {
        let readers = &self.shape.readers;
        (!readers.is_empty()).then(|| self.dice.pick(readers).clone())
    }

    /// The replicas that a broker may fetch from.
    pub(super) fn peers(&self, of: i32) -> Value {
        let others = self.shape.replicas.iter().filter(|id| **id != of);
        Value::Array(others.map(|id| broker(*id)).collect())
    }
}

/// When.
impl Story<'_> {
    pub(super) fn about<const N: usize>(&self, fact: &str, fields: [(&str, Value); N]) -> Table {
        let (topic, ..) = &self.shape.topics[0];
        let mut about = table([("fact", text(fact)), ("partition", text(format!("{topic}-0")))]);
        about.extend(table(fields));
        about
    }

    /// Some work has been done.
    pub(super) fn beginning(&mut self) -> When {
        When::Fact(self.work())
    }

    pub(super) fn work(&mut self) -> Table {
        let times = Value::Integer(*self.dice.pick(&[1, 1, 1, 2, 3]));
        let leader = ("role", text("leader"));
        match self.dice.between(0, 3) {
            0 => self.about("appended", [leader, ("times", times)]),
            1 => {
                let times = Value::Integer(self.dice.number(1, 20));
                table([("fact", text("record-acknowledged")), ("times", times)])
            }
            2 => self.about("follower-fetched", [("times", times)]),
            _ => self.about("high-watermark-advanced", [leader, ("times", times)]),
        }
    }

    pub(super) fn appended(&mut self, who: i32, role: &str) -> Table {
        let times = Value::Integer(self.dice.number(1, 2));
        self.about("appended", [("node", broker(who)), ("role", text(role)), ("times", times)])
    }

    pub(super) fn isr_changed(&self, to: String) -> Table {
        self.about("isr-changed", [("to", text(to))])
    }

    pub(super) fn election(&mut self) -> Table {
        let fact = *self.dice.pick(&["leader-elected", "leader-elected", "became-leader"]);
        self.about(fact, [])
    }

    fn became_leader(&self, who: i32) -> Table {
        self.about("became-leader", [("node", broker(who))])
    }
}

/// Tells of one more step, behind all those before it. Returns its name.
pub(super) fn next_step(
    steps: &mut Vec<Table>,
    dice: &mut Dice,
    when: When,
    (what, action, how): (&str, &str, Value),
) -> String {
    let name = format!("{}: {what}", steps.len() + 1);
    let mut step = table([("name", text(&name))]);
    if let Some(before) = steps.last() {
        step.insert("after".into(), before["name"].clone());
    }
    match when {
        When::Fact(fact) => {
            step.insert("when".into(), Value::Table(fact));
            if dice.chance(1, 4) {
                step.insert("wait".into(), text(dice.millis(1, 500)));
            }
        }
        When::Later(from, to) => drop(step.insert("wait".into(), text(dice.millis(from, to)))),
        When::AtOnce => {}
    }
    step.insert(action.into(), how);
    steps.push(step);
    name
}

/// What. Each returns the name of its step.
impl Story<'_> {
    fn step(&mut self, when: When, what: &str, action: &str, how: Value) -> String {
        next_step(&mut self.steps, &mut self.dice, when, (what, action, how))
    }

    /// A step that ends by itself.
    pub(super) fn fault(&mut self, when: When, what: &str, action: &str, how: Value) -> String {
        let name = self.step(when, what, action, how);
        let lasts = text(*self.dice.pick(&LASTS));
        if let Some(step) = self.steps.last_mut() {
            step.insert("for".into(), lasts);
        }
        name
    }

    pub(super) fn mark(&mut self, when: When) {
        self.step(when, "so it is", "mark", text("so it is"));
    }

    pub(super) fn ends(&mut self, when: When, what: String) {
        self.step(when, "that ends", "heal", text(what));
    }

    fn elect(&mut self, when: When) {
        let (topic, ..) = &self.shape.topics[0];
        let election = table([("partition", text(format!("{topic}-0")))]);
        self.step(when, "an operator asks for the preferred leader", "elect", Value::Table(election));
    }

    pub(super) fn falls(&mut self, when: When, who: i32) -> String {
        match self.dice.between(0, 9) {
            0..=4 => self.fault(when, &format!("broker {who} dies"), "kill", broker(who)),
            5..=6 => self.power_fails(when, who),
            7 => self.pauses(when, who),
            8 => self.fault(when, &format!("broker {who} is stopped"), "stop", broker(who)),
            _ => {
                let cut = table([("from", broker(who)), ("to", text("controller"))]);
                let what = format!("broker {who} does not reach the controller");
                self.fault(when, &what, "cut", Value::Table(cut))
            }
        }
    }

    pub(super) fn power_fails(&mut self, when: When, who: i32) -> String {
        let keep = text(*self.dice.pick(&["nothing", "nothing", "prefix"]));
        let loss = table([("nodes", broker(who)), ("keep", keep)]);
        let name = self.fault(when, &format!("broker {who} loses its power"), "power-loss", Value::Table(loss));
        // Often it is back before anybody has missed it.
        if self.dice.chance(1, 2)
            && let Some(step) = self.steps.last_mut()
        {
            step.insert("for".into(), text("1s"));
        }
        name
    }

    fn pauses(&mut self, when: When, who: i32) -> String {
        self.fault(when, &format!("broker {who} hangs"), "pause", broker(who))
    }

    pub(super) fn falls_behind(&mut self, when: When, who: i32) -> String {
        let what = format!("broker {who} falls behind");
        match self.dice.between(0, 7) {
            0..=3 => {
                let requests = messages("Fetch", "request", broker(who), self.peers(who));
                self.fault(when, &what, "drop", requests)
            }
            4..=5 => self.pauses(when, who),
            6 => {
                let answers = messages("Fetch", "response", self.peers(who), broker(who));
                self.fault(when, &what, "hold", answers)
            }
            _ => {
                let cut = table([("from", broker(who)), ("to", self.peers(who))]);
                self.fault(when, &what, "cut", Value::Table(cut))
            }
        }
    }

    fn hears_late(&mut self, when: When, who: i32) -> String {
        let what = format!("broker {who} hears late of the controller");
        match self.dice.between(0, 2) {
            0 => {
                let by = text(*self.dice.pick(&["5s", "20s", "40s"]));
                let lag = table([("nodes", broker(who)), ("by", by)]);
                self.fault(when, &what, "metadata-lag", Value::Table(lag))
            }
            1 => {
                let held = messages("Fetch", "response", text("controller"), broker(who));
                self.fault(when, &what, "hold", held)
            }
            _ => {
                let cut = table([("from", text("controller")), ("to", broker(who)), ("direction", text("one-way"))]);
                self.fault(when, &what, "cut", Value::Table(cut))
            }
        }
    }

    pub(super) fn proposal_is_slow(&mut self, when: When, who: i32) -> String {
        let kind = *self.dice.pick(&["request", "request", "response"]);
        let (from, to) = match kind {
            "request" => (broker(who), text("controller")),
            _ => (text("controller"), broker(who)),
        };
        let proposals = messages("AlterPartition", kind, from, to);
        let action = *self.dice.pick(&["hold", "hold", "drop"]);
        self.fault(when, "proposals are slow", action, proposals)
    }

    pub(super) fn answers_are_lost(&mut self, when: When, from: i32, to: i32) -> String {
        let answers = messages("Fetch", "response", broker(from), broker(to));
        let what = format!("broker {to} gets no answers");
        match self.dice.chance(1, 2) {
            true => self.fault(when, &what, "drop", answers),
            false => {
                let cut = table([("from", broker(from)), ("to", broker(to)), ("direction", text("one-way"))]);
                self.fault(when, &what, "cut", Value::Table(cut))
            }
        }
    }

    fn restarts(&mut self, when: When, client: &str) {
        self.fault(when, &format!("{client} is restarted"), "kill", text(client));
        let away = text(*self.dice.pick(&["50ms", "200ms", "2s"]));
        if let Some(step) = self.steps.last_mut() {
            step.insert("for".into(), away);
        }
    }
}

pub(super) fn broker(id: i32) -> Value {
    text(format!("broker {id}"))
}

/// A class of messages, as faults name them.
pub(super) fn messages(api: &str, message: &str, from: Value, to: Value) -> Value {
    Value::Table(table([("api", text(api)), ("message", text(message)), ("from", from), ("to", to)]))
}
