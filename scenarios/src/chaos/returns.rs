//! Stories about who is back: what was under way when somebody fell meets the one who returns.
//!
//! Whoever has been away asks anew, and most of what goes wrong then is a matter of milliseconds: he has everything before anybody decides about
//! him. Here messages are slow just then: the answers to him, or what the leader has asked of the controller for the one that he was before.
//!
//! From a stream of their own: a world without one of them tells the story that it told before.
//!
//! Not modelled: more than one who returns.

use toml::{Table, Value};

use super::chains::{Story, When, broker, messages};
use super::dice::Dice;
use super::draw::Shape;
use crate::form::{table, text};

/// The steps of a story. None, if it is to be another one's.
pub(super) fn draw(seed: u64, shape: &Shape) -> Option<Vec<Table>> {
    let mut dice = Dice::new(seed, "returns");
    if !dice.chance(1, 4) {
        return None;
    }
    let mut story = Story::new(dice, shape);
    match story.dice.between(0, 1) {
        0 => story.answers_come_late(),
        _ => story.another_life(),
    }
    Some(story.steps)
}

impl Story<'_> {
    /// A follower is out of the ISR and misses something, the leader falls, and perhaps its last word with it. The follower is back with the next
    /// leader, whose answers are late, and that one falls too.
    fn answers_come_late(&mut self) {
        let (when, follower, leader) = (self.beginning(), self.follower(), self.leader);
        let behind = self.falls_behind(when, follower);
        let gone = self.isr_changed(format!("without {follower}"));
        self.mark(When::Fact(gone));
        let next = self.other(&[follower, leader]).unwrap_or(follower);
        let copied = if self.dice.chance(1, 2) { self.appended(next, "follower") } else { self.work() };
        let mut when = When::Fact(copied);
        if self.dice.chance(1, 2) {
            // What the next leader has, and what it knows to be committed, are two things.
            self.answers_are_lost(when, leader, next);
            let told = table([("fact", text("record-acknowledged"))]);
            when = if self.dice.chance(1, 2) { When::Fact(told) } else { When::Later(1, 500) };
        }
        self.falls(when, leader);
        self.leader = next;
        let elected = self.election();
        let late = self.answers_are_late(When::Fact(elected), next, follower);
        self.ends(When::AtOnce, behind);
        let when = match self.dice.between(0, 3) {
            0 => When::Fact(self.isr_changed(format!("contains {follower}"))),
            1 => When::Fact(self.about("follower-fetched", [("follower", Value::Integer(follower.into()))])),
            2 => When::Fact(self.about("isr-proposed", [("to", text(format!("contains {follower}")))])),
            _ => When::Later(1, 4_000),
        };
        let when = if self.dice.chance(1, 4) { self.a_little_later(when) } else { when };
        self.falls(when, next);
        let when = if self.dice.chance(1, 2) { When::Fact(self.election()) } else { When::Later(100, 20_000) };
        self.ends(when, late);
    }

    /// What the leader asks of the controller for a follower is slow. Meanwhile that one falls and is back, and hears little of the others. The answer
    /// comes, and the others fall.
    fn another_life(&mut self) {
        let (when, follower, leader) = (self.beginning(), self.follower(), self.leader);
        let behind = self.falls_behind(when, follower);
        let gone = self.isr_changed(format!("without {follower}"));
        let slow = self.proposal_is_slow(When::Fact(gone), leader);
        self.ends(When::Later(1, 2_000), behind);
        let proposed = self.about("isr-proposed", [("to", text(format!("contains {follower}")))]);
        self.falls_for_a_moment(When::Fact(proposed), follower);
        let deaf = self.dice.chance(3, 4).then(|| self.hears_little(follower));
        let who = ("broker", Value::Integer(follower.into()));
        let when = match self.dice.between(0, 3) {
            0 => When::Fact(table([("fact", text("broker-registered")), who])),
            1..=2 => When::Fact(table([("fact", text("broker-unfenced")), who])),
            _ => When::Later(1_000, 16_000),
        };
        self.ends(when, slow);
        let joined = self.isr_changed(format!("contains {follower}"));
        let when = if self.dice.chance(2, 3) { When::Fact(joined) } else { When::Later(1, 4_000) };
        self.falls(when, leader);
        if let Some(other) = self.other(&[follower, leader])
            && self.dice.chance(1, 2)
        {
            self.falls(When::AtOnce, other);
        }
        if let Some(deaf) = deaf {
            self.ends(When::Later(100, 20_000), deaf);
        }
    }

    /// The fact, and a moment more.
    fn a_little_later(&mut self, when: When) -> When {
        self.mark(when);
        When::Later(1, 500)
    }

    /// Its process or its machine is gone, and back before anybody has missed it.
    fn falls_for_a_moment(&mut self, when: When, who: i32) {
        match self.dice.between(0, 3) {
            0 => drop(self.fault(when, &format!("broker {who} dies"), "kill", broker(who))),
            _ => drop(self.power_fails(when, who)),
        }
        let away = text(*self.dice.pick(&["500ms", "1s", "2s", "5s"]));
        if let Some(step) = self.steps.last_mut() {
            step.insert("for".into(), away);
        }
    }

    /// Its fetches, or the answers, do not come through.
    fn hears_little(&mut self, who: i32) -> String {
        let what = format!("broker {who} hears little");
        match self.dice.between(0, 3) {
            0..=1 => {
                let requests = messages("Fetch", "request", broker(who), self.peers(who));
                let action = *self.dice.pick(&["drop", "hold"]);
                self.fault(When::AtOnce, &what, action, requests)
            }
            2 => {
                let answers = messages("Fetch", "response", self.peers(who), broker(who));
                self.fault(When::AtOnce, &what, "hold", answers)
            }
            _ => {
                let cut = table([("from", broker(who)), ("to", self.peers(who))]);
                self.fault(When::AtOnce, &what, "cut", Value::Table(cut))
            }
        }
    }

    /// A follower asks, and waits for the answer.
    fn answers_are_late(&mut self, when: When, from: i32, to: i32) -> String {
        let mut answers = messages("Fetch", "response", broker(from), broker(to));
        let action = *self.dice.pick(&["hold", "drop", "delay"]);
        if action == "delay"
            && let Some(answers) = answers.as_table_mut()
        {
            answers.insert("by".into(), text(self.dice.millis(20, 2_000)));
        }
        self.fault(when, &format!("answers to broker {to} are late"), action, answers)
    }
}
