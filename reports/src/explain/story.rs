//! The story of one anomaly: steps in the order of time, each with its event.

use ackproof_core::types::{Instant, NodeId};
use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::service::Cost;

/// One anomaly, told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The anomaly, with its cause filled in.
    pub anomaly: Anomaly,
    /// The steps, in the order of time.
    pub steps: Vec<Step>,
    /// The smallest change of configuration under which the same seed keeps the promise; found by re-running, so it is
    /// the caller who fills it.
    pub keeps_it: Option<KeepsIt>,
    /// The command that shows it again; filled by the caller.
    pub replay: Option<String>,
}

/// The counterfactual of a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepsIt {
    /// The change: `acks=all with min.insync.replicas=2`; or that there is none.
    pub change: String,
    /// How that is known: `same seed, re-run`.
    pub how: String,
    /// What it costs, as measured in the same runs.
    pub cost: Option<Cost>,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The number of its event; 0 for what is true at the end of the run.
    pub event: u64,
    /// When.
    pub time: Instant,
    /// Who.
    pub actor: Actor,
    /// What: `appended at offset 17`.
    pub what: String,
    /// What else: `ISR {1,2,3}  acks=1`.
    pub note: String,
    /// Why this step matters.
    pub mark: Option<Mark>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The node.
    pub node: NodeId,
    /// In which role: `leader, epoch 4`.
    pub role: Option<String>,
    /// To whom.
    pub to: Option<NodeId>,
    /// The fault of the plan that acts, if it is not the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<u32>,
}

/// Why a step matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The client was told that it is written.
    Promise,
    /// The last copy that could have kept it went.
    Loss,
    /// The record left the application's hands and got nowhere.
    Drop,
    /// The first copy.
    First,
    /// The second copy.
    Second,
    /// The record was processed once more.
    Again,
    /// The commit that went back.
    WentBack,
    /// A later record went ahead.
    WentAhead,
    /// The record that came too late.
    OutOfOrder,
    /// Another record came to stand at the same offset.
    TookOffset,
}

impl Mark {
    /// In words: `the promise`.
    pub fn name(self) -> &'static str {
        match self {
            Mark::Promise => "the promise",
            Mark::Loss => "the loss",
            Mark::Drop => "the drop",
            Mark::First => "the first copy",
            Mark::Second => "the second copy",
            Mark::Again => "the second time",
            Mark::WentBack => "the step back",
            Mark::WentAhead => "went ahead",
            Mark::OutOfOrder => "out of order",
            Mark::TookOffset => "took its offset",
        }
    }
}

impl Actor {
    /// A node.
    pub fn node(node: NodeId) -> Self {
        Self { node, role: None, to: None, fault: None }
    }

    /// A node in a role.
    pub fn with_role(node: NodeId, role: impl Into<String>) -> Self {
        Self { node, role: Some(role.into()), to: None, fault: None }
    }

    /// A node speaking to another.
    pub fn speaking(node: NodeId, to: NodeId) -> Self {
        Self { node, role: None, to: Some(to), fault: None }
    }

    /// A fault of the plan, said at a node.
    pub fn fault(node: NodeId, fault: u32) -> Self {
        Self { node, role: None, to: None, fault: Some(fault) }
    }
}

impl Step {
    /// A step without a note.
    pub fn new(event: u64, time: Instant, actor: Actor, what: impl Into<String>) -> Self {
        Self { event, time, actor, what: what.into(), note: String::new(), mark: None }
    }

    /// The step without what tells one record from another: time, offset, batch, sequence, content, how many attempts.
    pub(crate) fn course(&self) -> String {
        let mut course = format!("{:?}", self.actor);
        let mut after_number_of = false;
        let what = without_quotes(&self.what);
        for word in what.split(' ').chain(self.note.split(' ')) {
            let is_number = word.starts_with(|first: char| first.is_ascii_digit());
            course.push(' ');
            course.push_str(match word {
                _ if after_number_of && is_number => "#",
                // One record or several in a batch: the same course.
                "offsets" => "offset",
                word => word,
            });
            after_number_of = matches!(
                word,
                "offset" | "offsets" | "batch" | "sequence" | "record" | "attempt" | "attempts" | "to" | "again"
            );
        }
        course
    }

    /// With a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// With a mark.
    #[must_use]
    pub fn mark(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }
}

/// A text without what stands in quotes: the contents of records.
fn without_quotes(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<&str>>().join("#")
}
