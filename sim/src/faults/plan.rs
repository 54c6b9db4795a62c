//! Faults as data: what is done, to whom, when, and how it ends.

use ackproof_core::client::{AdminCall, NewTopic};
use ackproof_core::types::{Duration, NodeId, Ratio, TopicPartition};

use super::files::FileDamage;
use crate::world::{Direction, DiskFaults, Interference, Keep};

/// One step of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, for reports.
    pub name: String,
    /// It does not listen before this step (its number in the plan, from 0) has happened.
    pub not_before: Option<usize>,
    /// When it is due.
    pub trigger: Trigger,
    /// How much later than that it happens.
    pub delay: Duration,
    /// What happens.
    pub action: Action,
    /// The nodes it happened to can be named like this by later steps.
    pub bind: Option<String>,
    /// It heals by itself after this long.
    pub lasts: Option<Duration>,
}

/// When a step is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// So long after the cluster is ready.
    At(Duration),
    /// When a fact has been seen.
    Fact(FactPattern),
    /// Before the event of this number, counted over the whole run. If the cluster is not ready by then, as soon as it is.
    Event(u64),
    /// When another step has happened (its number in the plan, from 0).
    After(usize),
    /// When all these facts have been seen, in any order.
    All(Vec<Trigger>),
}

/// Facts that a trigger waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct FactPattern {
    /// The kind, as in the trace: `appended`.
    pub kind: String,
    /// At which node.
    pub node: Option<Selector>,
    /// Conditions on its fields, by their names in the trace: `last_offset`.
    pub fields: Vec<(String, Condition)>,
    /// The how many-th such fact it is; 1 is the first.
    pub times: u64,
}

/// A condition on one field of a fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// It is this text, number or truth value.
    Is(serde_json::Value),
    /// It is not this.
    IsNot(serde_json::Value),
    /// It is a number of at least this.
    AtLeast(i64),
    /// It is a number of at most this.
    AtMost(i64),
    /// It is a list that contains this number.
    Contains(i64),
    /// It is a list without this number.
    Lacks(i64),
    /// It is a list of so many elements.
    Length(u64),
}

/// Nodes, by role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// This one.
    Node(NodeId),
    /// This client, by its name.
    Client(String),
    /// The leader, by the controller's word.
    LeaderOf(TopicPartition),
    /// Every replica that is not the leader.
    FollowersOf(TopicPartition),
    /// One of them, drawn from the seed.
    AFollowerOf(TopicPartition),
    /// The in-sync replicas, by the controller's word.
    IsrOf(TopicPartition),
    /// In-sync replicas that do not lead.
    InSyncFollowersOf(TopicPartition),
    /// All replicas.
    ReplicasOf(TopicPartition),
    /// Every broker.
    AllBrokers,
    /// Every client.
    AllClients,
    /// The brokers whose `broker.rack` is this.
    Rack(String),
    /// The broker that coordinates this consumer group.
    CoordinatorOf(String),
    /// The active controller.
    Controller,
    /// Nodes that an earlier step named.
    Bound(String),
    /// All of these.
    Any(Vec<Selector>),
    /// The first without the second.
    Except(Box<Selector>, Box<Selector>),
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// SIGKILL. Heals by starting again.
    Kill(Selector),
    /// Starts what does not run; a machine without power gets it back.
    Start(Selector),
    /// SIGTERM. Heals by starting again.
    Stop(Selector),
    /// SIGSTOP. Heals by SIGCONT.
    Pause(Selector),
    /// What the programs work with goes away: nothing can be processed.
    Outage(Selector),
    /// SIGCONT.
    Resume(Selector),
    /// The machines lose power, all at one instant. Heals by starting again.
    PowerLoss(Selector, Keep),
    /// Links carry nothing. Heals.
    Cut {
        /// From these nodes
        from: Selector,
        /// to those,
        to: Selector,
        /// and back, unless it is one-way.
        both_ways: bool,
    },
    /// Messages are interfered with. Heals.
    Messages(MessageFault),
    /// Connections between these nodes are reset.
    Disconnect {
        /// Between these
        from: Selector,
        /// and those.
        to: Selector,
    },
    /// Connections between these nodes carry nothing any more, and neither end is told; new ones do.
    Silence {
        /// Between these
        from: Selector,
        /// and those.
        to: Selector,
    },
    /// Links get slower, lossier or narrower. Heals.
    Link(LinkChange),
    /// Disks misbehave. Heals.
    Disk(Selector, DiskFaults),
    /// Disks are replaced by empty ones.
    Wipe(Selector),
    /// Disks are as they were when another step happened (its number in the plan, from 0).
    RollBack(Selector, usize),
    /// Files are damaged.
    Damage(Selector, FileDamage),
    /// Wall clocks jump by so many milliseconds.
    ClockJump(Selector, i64),
    /// Clocks run so many parts per million fast. Heals.
    ClockDrift(Selector, i32),
    /// The threads that publish the metadata log are so late. Heals.
    MetadataLag(Selector, Duration),
    /// An operator asks for an election.
    Elect {
        /// Where.
        partition: TopicPartition,
        /// Of any replica, even one that is not in sync.
        unclean: bool,
    },
    /// An operator asks for something else.
    Admin(AdminCall),
    /// An operator creates a topic.
    CreateTopic(NewTopic),
    /// What an earlier step did (its number in the plan, from 0) ends.
    Heal(usize),
    /// Nothing: a name for a moment.
    Mark,
}

/// What becomes of links. What is not given stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// From these nodes
    pub from: Selector,
    /// to those,
    pub to: Selector,
    /// and back, unless it is one-way.
    pub both_ways: bool,
    /// The least and the most time a message takes.
    pub latency: Option<(Duration, Duration)>,
    /// How many packets have to be sent again.
    pub loss: Option<Ratio>,
    /// Bytes per second.
    pub bandwidth: Option<u64>,
}

/// A [`crate::world::MessageRule`] with its nodes by role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFault {
    /// The API, by Kafka's name.
    pub api: Option<String>,
    /// Requests or responses.
    pub direction: Option<Direction>,
    /// The senders.
    pub from: Option<Selector>,
    /// The receivers.
    pub to: Option<Selector>,
    /// A partition that the message carries.
    pub partition: Option<TopicPartition>,
    /// What happens to them.
    pub interference: Interference,
    /// How many of them; none is all, until it is healed.
    pub times: Option<u64>,
    /// How many matching messages pass first.
    pub skip: u64,
}
