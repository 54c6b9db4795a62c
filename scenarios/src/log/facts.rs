//! Facts as `tracing` events.

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::NodeId;
use ackproof_reports::names::NodeNames;
use ackproof_reports::render::describe::describe;
use tracing::Level;

/// Says every fact to whoever subscribes to `tracing`, in a sentence, under the target of who said it.
///
/// Targets are `ackproof::world` (faults, and the run itself), `ackproof::controller`, `ackproof::broker` and
/// `ackproof::client`. Fields are `time_ns`, `node`, `fact` (its kind), `sequence` and `cause`.
#[derive(Clone, Debug, Default)]
pub struct FactLog {
    names: NodeNames,
}

impl FactLog {
    /// With these names of nodes.
    pub fn new(names: NodeNames) -> Self {
        Self { names }
    }

    /// The same, but nothing where nobody listens: that costs a run nothing.
    pub fn if_heard(names: impl FnOnce() -> NodeNames) -> Option<Self> {
        (tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF)
            .then(|| Self::new(names()))
    }
}

/// One call site for each target and level, since `tracing` wants both before the program runs.
macro_rules! say {
    ($target:literal, $level:expr, $log:expr, $event:expr) => {
        match $level {
            Level::ERROR | Level::WARN => say!(@ $target, WARN, $log, $event),
            Level::INFO => say!(@ $target, INFO, $log, $event),
            Level::DEBUG => say!(@ $target, DEBUG, $log, $event),
            Level::TRACE => say!(@ $target, TRACE, $log, $event),
        }
    };
    (@ $target:literal, $level:ident, $log:expr, $event:expr) => {
        tracing::event!(
            target: $target,
            Level::$level,
            time_ns = $event.time.0,
            node = &*$log.names.name($event.node),
            fact = $event.fact.kind(),
            sequence = $event.sequence,
            cause = $event.cause,
            "{}",
            sentence($event, &$log.names)
        )
    };
}

impl Observer for FactLog {
    fn observe(&mut self, event: &Event) {
        let level = level(&event.fact);
        if is_of_the_world(&event.fact) {
            return say!("ackproof::world", level, self, event);
        }
        match event.node {
            NodeId::Controller(_) => say!("ackproof::controller", level, self, event),
            NodeId::Broker(_) => say!("ackproof::broker", level, self, event),
            NodeId::Client(_) => say!("ackproof::client", level, self, event),
        }
    }
}

/// The fact in words; the node stands before it already.
fn sentence(event: &Event, names: &NodeNames) -> String {
    let whole = describe(event, names);
    match whole.strip_prefix(&*names.name(event.node)).and_then(|rest| rest.strip_prefix([' ', ':'])) {
        Some(rest) => rest.trim_start().to_owned(),
        None => whole,
    }
}

fn is_of_the_world(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::ClusterReady
            | Fact::FaultInjected { .. }
            | Fact::FaultBit { .. }
            | Fact::FaultHealed { .. }
            | Fact::ReplicaSurveyed { .. }
            | Fact::GroupSurveyed { .. }
            | Fact::GroupEpochsSurveyed { .. }
            | Fact::GroupMemberSurveyed { .. }
            | Fact::GroupPartitionSurveyed { .. }
            | Fact::SharePartitionSurveyed { .. }
            | Fact::RecordSurveyed { .. }
            | Fact::Stuck { .. }
            | Fact::RunEnded { .. }
    )
}

/// How loud a fact is. What is neither trouble, nor news, nor chatter is a step of the protocol, and so is a fact that
/// this list does not know yet.
fn level(fact: &Fact) -> Level {
    if is_trouble(fact) {
        Level::WARN
    } else if is_news(fact) {
        Level::INFO
    } else if is_chatter(fact) {
        Level::TRACE
    } else {
        Level::DEBUG
    }
}

/// Something is done to the cluster, or somebody did not get what they wanted.
fn is_trouble(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::FaultInjected { .. }
            | Fact::NodeKilled
            | Fact::NodePaused
            | Fact::PowerLost { .. }
            | Fact::StorageFailed { .. }
            | Fact::PartitionOffline { .. }
            | Fact::LeaderElected { clean: false, .. }
            | Fact::RecordFailed { .. }
            | Fact::RecordAbandoned { .. }
            | Fact::ClientWarned { .. }
            | Fact::Stuck { .. }
            | Fact::RunEnded { quiescent: false }
    )
}

/// The cluster is another one than before.
fn is_news(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::ClusterReady
            | Fact::NodeStarted
            | Fact::NodeStopped
            | Fact::NodeResumed
            | Fact::FaultBit { .. }
            | Fact::FaultHealed { .. }
            | Fact::LogLoaded { .. }
            | Fact::Truncated { .. }
            | Fact::BecameLeader { .. }
            | Fact::BecameFollower { .. }
            | Fact::BrokerRegistered { .. }
            | Fact::BrokerUnfenced { .. }
            | Fact::BrokerFenced { .. }
            | Fact::TopicCreated { .. }
            | Fact::LeaderElected { .. }
            | Fact::IsrChanged { .. }
            | Fact::PositionReset { .. }
            | Fact::RunEnded { .. }
    )
}

/// What happens all the time.
fn is_chatter(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::FollowerFetched { .. }
            | Fact::HighWatermarkAdvanced { .. }
            | Fact::RecordBatched { .. }
            | Fact::RecordSurveyed { .. }
    )
}
