//! Stories about one group: what a member says or is told is late, and meanwhile the group goes on without it.
//!
//! A fault at a random time rarely meets a member between two generations. Here a commit hangs *and while it does* somebody else takes the
//! partition over *and when that one has come further* the commit arrives. As in `chains.rs` there are a few plots, with who, what, behind
//! which fact and for how long left to the draw, and all that is done has an end of its own.
//!
//! Not modelled: stories of more than one group.

use toml::{Table, Value};

use super::chains::{When, next_step};
use super::dice::Dice;
use super::draw::Shape;
use crate::form::{table, text};

/// The steps of a story.
pub(super) fn draw(mut dice: Dice, shape: &Shape) -> Vec<Table> {
    let plot = dice.between(0, 5);
    let member = dice.pick(&shape.members).clone();
    let mut story = Story { dice, shape, member, steps: Vec::new() };
    match plot {
        0 => story.a_word_is_late(),
        // What members of a share group are told once is in the answer to a heartbeat after a change.
        1..=4 if story.shares() => story.something_changes(),
        1 => story.a_word_is_late(),
        2 => story.away_and_back(),
        3..=4 => story.something_changes(),
        _ => story.dies_at_work(),
    }
    story.steps
}

struct Story<'s> {
    dice: Dice,
    shape: &'s Shape,
    /// Whom it is about.
    member: String,
    steps: Vec<Table>,
}

/// How long what is done lasts, if nothing of the story ends it earlier.
const LASTS: [&str; 4] = ["8s", "15s", "20s", "30s"];

impl Story<'_> {
    /// Something that the member says, or is told, hangs, until others have gone on.
    fn a_word_is_late(&mut self) {
        let (when, who) = (self.beginning(), self.member.clone());
        let late = self.is_late(When::Fact(when), &who);
        if self.dice.chance(1, 3) {
            let when = self.soon();
            self.somebody_falls(when);
        }
        let when = self.others_went_on();
        self.ends(when, late);
        if self.dice.chance(1, 3) {
            self.dies(When::Later(1, 2_000), &who);
        }
    }

    /// The member is away for so long that others have its work, and comes back.
    fn away_and_back(&mut self) {
        let (when, who) = (self.beginning(), self.member.clone());
        let away = match self.dice.between(0, 3) {
            0..=1 => self.fault(When::Fact(when), &format!("{who} hangs"), "pause", text(&who)),
            2 => {
                let to = *self.dice.pick(&["coordinator of billing", "all brokers"]);
                let cut = table([("from", text(&who)), ("to", text(to))]);
                self.fault(When::Fact(when), &format!("{who} is cut off"), "cut", Value::Table(cut))
            }
            _ => self.dies(When::Fact(when), &who),
        };
        let when = self.others_went_on();
        if self.dice.chance(1, 3) {
            self.somebody_falls(when);
            self.ends(When::AtOnce, away);
        } else {
            self.ends(when, away);
        }
        if self.dice.chance(1, 2) {
            let when = self.soon();
            self.is_late(when, &who);
        }
    }

    /// The topic gets partitions, or somebody comes or goes, and a member is not told, or cannot answer.
    fn something_changes(&mut self) {
        let (when, who) = (self.beginning(), self.member.clone());
        let often = if self.shares() { 1 } else { 0 };
        match self.dice.between(0, 2) {
            grows if grows <= often => {
                let (topic, partitions, _) = self.shape.topics[0].clone();
                let more = i64::from(partitions) + self.dice.number(1, 2);
                let change = table([("topic", text(topic)), ("partitions", Value::Integer(more))]);
                self.step(When::Fact(when), "the topic grows", "add-partitions", Value::Table(change));
            }
            _ => self.somebody_falls(When::Fact(when)),
        }
        let when = match self.dice.between(0, 2) {
            0..=1 if self.shares() => When::AtOnce,
            0 => self.soon(),
            _ => When::Fact(self.decision()),
        };
        self.one_message_goes_wrong(when, &who);
        if self.dice.chance(1, 3) {
            let when = self.others_went_on();
            self.somebody_falls(when);
        }
    }

    /// The member dies behind what it has just done, and so may its coordinator.
    fn dies_at_work(&mut self) {
        let (when, who) = (self.beginning(), self.member.clone());
        if self.dice.chance(1, 3) {
            self.is_late(When::Fact(when), &who);
            let when = self.soon();
            self.dies(when, &who);
        } else {
            self.dies(When::Fact(when), &who);
        }
        for _ in 0..self.dice.between(0, 2) {
            let when = if self.dice.chance(1, 2) { self.soon() } else { self.others_went_on() };
            self.somebody_falls(when);
        }
    }
}

/// When.
impl Story<'_> {
    /// The group is at work.
    fn beginning(&mut self) -> Table {
        let node = text(&self.member);
        let times = Value::Integer(self.dice.number(1, 30));
        match self.dice.between(0, 4) {
            0..=1 => table([("fact", text("processed")), ("node", node), ("times", times)]),
            2 => table([("fact", text("processed")), ("times", times)]),
            3 => {
                let times = Value::Integer(self.dice.number(1, 8));
                let fact = *self.dice.pick(&["offset-committed", "share-state-changed"]);
                let fact = if self.shares() { fact } else { "offset-committed" };
                table([("fact", text(fact)), ("times", times)])
            }
            _ => self.decision(),
        }
    }

    /// The group has decided something, or a member has heard of it.
    fn decision(&mut self) -> Table {
        let times = Value::Integer(*self.dice.pick(&[1, 1, 1, 2, 3]));
        let by_member = ["member-reconciled", "share-partitions-assigned"];
        let of_classic = ["group-state-changed", "partitions-assigned"];
        let facts = if self.shares() { by_member } else { of_classic };
        table([("fact", text(*self.dice.pick(&facts))), ("times", times)])
    }

    /// Others have done something, or had the time for it.
    fn others_went_on(&mut self) -> When {
        let others: Vec<&String> = self.shape.members.iter().filter(|name| **name != self.member).collect();
        if others.is_empty() || self.dice.chance(1, 3) {
            return When::Later(2_000, 20_000);
        }
        let other = (*self.dice.pick(&others)).clone();
        let told = if self.shares() { "share-partitions-assigned" } else { "partitions-assigned" };
        let times = Value::Integer(self.dice.number(1, 20));
        When::Fact(match self.dice.between(0, 3) {
            0..=1 => table([("fact", text("processed")), ("node", text(other)), ("times", times)]),
            2 => table([("fact", text(told)), ("node", text(other))]),
            _ => {
                let removed = table([("fact", text("member-removed"))]);
                self.step(When::Fact(removed), "so it is", "mark", text("so it is"));
                table([("fact", text("processed")), ("node", text(other)), ("times", times)])
            }
        })
    }

    fn soon(&mut self) -> When {
        if self.dice.chance(1, 3) { When::AtOnce } else { When::Later(1, 8_000) }
    }

    /// Whether it is a share group.
    fn shares(&self) -> bool {
        self.shape.apis.contains(&"ShareFetch")
    }

    /// What members and coordinators say to each other, what races are about more often.
    fn said(&self) -> &'static [&'static str] {
        if self.shares() {
            &["ShareGroupHeartbeat", "ShareGroupHeartbeat", "ShareGroupHeartbeat", "ShareAcknowledge", "ShareFetch"]
        } else if self.shape.apis.contains(&"ConsumerGroupHeartbeat") {
            &["OffsetCommit", "OffsetCommit", "ConsumerGroupHeartbeat", "ConsumerGroupHeartbeat", "OffsetFetch"]
        } else {
            &["OffsetCommit", "OffsetCommit", "Heartbeat", "JoinGroup", "SyncGroup", "OffsetFetch"]
        }
    }
}

/// What. Each returns the name of its step.
impl Story<'_> {
    fn step(&mut self, when: When, what: &str, action: &str, how: Value) -> String {
        next_step(&mut self.steps, &mut self.dice, when, (what, action, how))
    }

    /// A step that ends by itself.
    fn fault(&mut self, when: When, what: &str, action: &str, how: Value) -> String {
        let lasts = *self.dice.pick(&LASTS);
        self.lasting(when, what, action, how, lasts)
    }

    fn lasting(&mut self, when: When, what: &str, action: &str, how: Value, lasts: &str) -> String {
        let name = self.step(when, what, action, how);
        if let Some(step) = self.steps.last_mut() {
            step.insert("for".into(), text(lasts));
        }
        name
    }

    fn ends(&mut self, when: When, what: String) {
        self.step(when, "that ends", "heal", text(what));
    }

    /// Messages of one kind, from or to a member.
    fn messages(&mut self, who: &str, message: &str) -> Table {
        let api = *self.dice.pick(self.said());
        let side = if message == "request" { "from" } else { "to" };
        table([("api", text(api)), ("message", text(message)), (side, text(who))])
    }

    fn is_late(&mut self, when: When, who: &str) -> String {
        let message = *self.dice.pick(&["request", "request", "response"]);
        let messages = self.messages(who, message);
        let what = format!("a {message} of {who} is late");
        self.fault(when, &what, "hold", Value::Table(messages))
    }

    fn one_message_goes_wrong(&mut self, when: When, who: &str) {
        let message = *self.dice.pick(if self.shares() {
            &["request", "response", "response", "response"][..]
        } else {
            &["request", "response", "response"][..]
        });
        let mut messages = self.messages(who, message);
        messages.insert("times".into(), Value::Integer(*self.dice.pick(&[1, 1, 2])));
        let action = *self.dice.pick(&["drop", "reset", "hold"]);
        self.fault(when, &format!("a {message} of {who} goes wrong"), action, Value::Table(messages));
    }

    fn dies(&mut self, when: When, who: &str) -> String {
        let (action, away) = *self.dice.pick(&[("kill", "200ms"), ("kill", "3s"), ("kill", "12s"), ("stop", "1s")]);
        self.lasting(when, &format!("{who} dies"), action, text(who), away)
    }

    /// A member, the coordinator, or a leader.
    fn somebody_falls(&mut self, when: When) {
        let one = self.dice.pick(&self.shape.members).clone();
        match self.dice.between(0, 3) {
            0..=1 => drop(self.dies(when, &one)),
            2 => {
                let action = *self.dice.pick(&["kill", "stop", "pause"]);
                let coordinator = text("coordinator of billing");
                self.fault(when, "the coordinator falls", action, coordinator);
            }
            _ => {
                let (topic, ..) = &self.shape.topics[0];
                let leader = text(format!("leader of {topic}-0"));
                let action = *self.dice.pick(&["kill", "stop", "pause"]);
                self.fault(when, "a leader falls", action, leader);
            }
        }
    }
}
