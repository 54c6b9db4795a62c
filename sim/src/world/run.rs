//! The only loop: take the next event, hand it to its node, carry out what the node says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ackproof_core::client::{Call, Completion};
use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::protocol::Request;
use ackproof_core::types::{Instant, NodeId, Offset, Prng, TopicPartition, earliest};
use ackproof_core::{Context, Effect, Effects, Input};
use bytes::Bytes;

use super::message::Packet;
use super::network::{End, Network};
use super::node::{App, Blueprint, Deferred, Node, Process, Servers};
use super::setup::Phase;
use super::{Body, EventQueue, MessageRule, NodeClock, NodeIndex, SimDisk};
use crate::cluster::{ClientKind, ClientSpec, ClusterSpec};
use crate::faults::FaultEngine;
use ackproof_core::types::ConnectionId;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is more to come.
    Running,
    /// Everything came to rest.
    Quiescent,
    /// Time ran out first.
    TimeLimit,
}

/// Something that will happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A process starts.
    Start(NodeIndex),
    /// A packet reaches the other end, which its machine sent for the last time then.
    Arrive { connection: ConnectionId, from: End, packet: Packet, sent: Instant },
    /// A request that was repeated on its way arrives once more.
    Copy { from: NodeIndex, to: NodeIndex, cause: u64, request: Request },
    /// The reset of a connection reaches an end.
    Reset { connection: ConnectionId, end: End, cause: u64 },
    /// What waited on a connection may go on.
    Release { connection: ConnectionId, from: End, held_by: Option<usize> },
    /// A node, in the life it had then, may have something to do.
    Wake { node: NodeIndex, life: u32 },
    /// A step of the plan is due.
    Step(usize),
    /// A step of the plan ends.
    Heal(usize),
    /// The world looks whether the cluster is ready, or the run is over.
    Check,
}

/// When and in which life of its node something is sent, and what led to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packaging {
    pub life: u32,
    pub departs: Instant,
    pub cause: u64,
}

/// A message rule in force.
#[derive(Clone, Debug)]
pub(super) struct ActiveRule {
    pub step: usize,
    pub rule: MessageRule,
    pub seen: u64,
    /// Whose buffer it keeps for reuse.
    pub buffer_of: Option<NodeIndex>,
    /// What has been written into that buffer since.
    pub reused: Option<Bytes>,
}

/// A simulated cluster with its clients, network, disks and clocks.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) spec: Arc<ClusterSpec>,
    pub(super) now: Instant,
    pub(super) queue: EventQueue<Happening>,
    pub(super) nodes: Vec<Node>,
    pub(super) index: BTreeMap<NodeId, NodeIndex>,
    pub(super) servers: Arc<Servers>,
    pub(super) network: Network,
    pub(super) rules: Vec<ActiveRule>,
    pub(super) faults: FaultEngine,
    pub(super) faults_rng: Prng,
    /// Nodes that steps have named.
    pub(super) bound: BTreeMap<String, Vec<NodeId>>,
    /// The nodes that each step in force was done to.
    pub(super) targets: BTreeMap<usize, Vec<NodeIndex>>,
    /// The links that each step in force has cut.
    pub(super) cuts: BTreeMap<usize, Vec<(NodeIndex, NodeIndex)>>,
    /// The links that each step in force has changed, in the order in which they did.
    pub(super) changed_links: Vec<(usize, Vec<(NodeIndex, NodeIndex)>)>,
    /// The disks as they were when a step happened to which disks will be rolled back.
    pub(super) snapshots: BTreeMap<usize, Vec<SimDisk>>,
    pub(super) phase: Phase,
    /// When a fault was last in force while the cluster got ready.
    pub(super) last_hurt: Instant,
    /// Where the logs of the groups ended when half of the time to come to rest was over.
    pub(crate) ends_at_half_time: BTreeMap<TopicPartition, Offset>,
    pub(super) outcome: Outcome,
    pub(super) admin: NodeIndex,
    /// Whether programs outside the world may still make calls.
    pub(super) awaits_host: bool,
    effects: Effects,
    facts: u64,
    handled: u64,
    requests: u64,
    at_this_instant: u64,
}

/// So many events at one instant are a loop that does not let time pass: a wrong program, not a wrong world.
const LIVELOCK: u64 = 10_000_000;

impl World {
    /// A world at its start: nothing runs yet.
    pub fn new(spec: Arc<ClusterSpec>) -> Self {
        let root = Prng::new(spec.seed);
        let mut blueprints: Vec<(NodeId, String, Blueprint)> = Vec::new();
        let controller = NodeId::Controller(spec.controller.broker_id);
        blueprints.push((controller, "controller".to_owned(), Blueprint::Controller(spec.controller.clone())));
        for config in &spec.brokers {
            let id = NodeId::Broker(config.broker_id);
            blueprints.push((id, id.to_string(), Blueprint::Broker(config.clone())));
        }
        for (number, client) in (0..).zip(&spec.clients) {
            blueprints.push((NodeId::Client(number), client.name.clone(), Blueprint::Client(client.kind.clone())));
        }
        let admin = NodeIndex(blueprints.len() as u32);
        let admin_id = NodeId::Client(spec.clients.len() as u32);
        blueprints.push((admin_id, "admin".to_owned(), Blueprint::Client(ClientKind::Admin)));

        let servers = Servers {
            controllers: vec![controller],
            brokers: spec.brokers.iter().map(|config| NodeId::Broker(config.broker_id)).collect(),
            client_ids: Arc::new(
                (0..).map(NodeId::Client).zip(spec.clients.iter().map(ClientSpec::client_id)).collect(),
            ),
        };
        let nodes: Vec<Node> =
            blueprints.into_iter().map(|(id, name, blueprint)| node(id, name, blueprint, &spec, &root)).collect();
        let mut world = Self {
            now: Instant::START,
            queue: EventQueue::default(),
            index: nodes.iter().zip(0..).map(|(node, number)| (node.id, NodeIndex(number))).collect(),
            network: Network::new(nodes.len(), &spec.network, &root.fork("network")),
            nodes,
            servers: Arc::new(servers),
            rules: Vec::new(),
            faults: FaultEngine::new(Arc::new(spec.steps.clone())),
            faults_rng: root.fork("faults"),
            bound: BTreeMap::new(),
            targets: BTreeMap::new(),
            cuts: BTreeMap::new(),
            changed_links: Vec::new(),
            snapshots: BTreeMap::new(),
            phase: Phase::Starting,
            last_hurt: Instant::START,
            ends_at_half_time: BTreeMap::new(),
            outcome: Outcome::Running,
            admin,
            awaits_host: spec.clients.iter().any(|client| client.kind.is_external()),
            effects: Effects::default(),
            facts: 0,
            handled: 0,
            requests: 0,
            at_this_instant: 0,
            spec,
        };
        world.schedule_start();
        world
    }

    /// The world's time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many events have been handled.
    pub fn events(&self) -> u64 {
        self.handled
    }

    /// How many requests nodes have sent to one another.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How the run ended, or that it has not.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where controllers and brokers are.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Nodes that steps of the plan have named.
    pub fn bound(&self) -> &BTreeMap<String, Vec<NodeId>> {
        &self.bound
    }

    /// What it was made from.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// The plan's progress.
    pub fn faults(&self) -> &FaultEngine {
        &self.faults
    }

    /// Runs to the end.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Outcome {
        while self.outcome == Outcome::Running && self.step(observer) {}
        self.outcome
    }

    /// Handles the next event. Returns whether there was one.
    pub fn step(&mut self, observer: &mut dyn Observer) -> bool {
        if self.handled >= self.faults.next_event() && self.is_ready() {
            self.perform_numbered(observer);
        }
        let Some((at, happening)) = self.queue.pop() else { return false };
        debug_assert!(at >= self.now, "time does not run backwards");
        self.at_this_instant = if at == self.now { self.at_this_instant + 1 } else { 0 };
        assert!(self.at_this_instant < LIVELOCK, "time stands still at {at}: {happening:?}");
        self.now = at;
        self.handled += 1;
        match happening {
            Happening::Start(node) => self.start(node, 0, observer),
            Happening::Arrive { connection, from, packet, sent } => {
                self.arrive(connection, from, (packet, sent), observer);
            }
            Happening::Copy { from, to, cause, request } => self.deliver_copy((from, to), request, cause, observer),
            Happening::Reset { connection, end, cause } => self.reset_arrives(connection, end, cause, observer),
            Happening::Release { connection, from, held_by } => self.release(connection, from, held_by, observer),
            Happening::Wake { node, life } => self.wake(node, life, observer),
            Happening::Step(step) => self.perform(step, observer),
            Happening::Heal(step) => self.heal(step, observer),
            Happening::Check => self.check(observer),
        }
        true
    }

    /// Lets time pass to `at` without an event, for a host whose clock has gone on. Nothing may be due before.
    pub fn advance_to(&mut self, at: Instant) {
        assert!(self.next_at().is_none_or(|next| next >= at), "events before {at} must be handled first");
        self.now = self.now.max(at);
    }

    /// Whether clients can be started.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Settling { .. })
    }

    /// Starts a process that does not run.
    pub fn start_process(&mut self, node: NodeIndex, observer: &mut dyn Observer) {
        self.start(node, 0, observer);
    }

    /// Kills a process.
    pub fn kill_process(&mut self, node: NodeIndex, observer: &mut dyn Observer) {
        self.end_process(node, Fact::NodeKilled, 0, observer);
    }

    /// How often a process has been started.
    pub fn life(&self, node: NodeIndex) -> u32 {
        self.node(node).life
    }

    /// The clients whose programs live outside the world.
    pub fn external_clients(&self) -> impl Iterator<Item = NodeIndex> {
        let external = |node: &&Node| matches!(node.id, NodeId::Client(_)) && node.blueprint.is_external();
        (0..)
            .zip(&self.nodes)
            .filter(move |(_, node)| external(node))
            .map(|(number, _)| NodeIndex(number))
            .filter(|index| *index != self.admin)
    }

    /// The client of this name whose program lives outside the world.
    pub fn external_client(&self, name: &str) -> Option<NodeIndex> {
        self.external_clients().find(|index| self.node(*index).name == name)
    }

    /// A client's number, and how many records its programs have sent so far.
    pub fn client_number(&self, client: NodeIndex) -> (u32, u64) {
        let node = self.node(client);
        match node.id {
            NodeId::Client(number) => (number, node.app_progress.1),
            NodeId::Controller(_) | NodeId::Broker(_) => (0, 0),
        }
    }

    /// Remembers how many records the programs of a client have sent, for their next life.
    pub fn count_call(&mut self, client: NodeIndex, calls: u64) {
        self.node_mut(client).app_progress.1 = calls;
    }

    /// Makes a call for a client whose program lives outside the world.
    pub fn call(&mut self, client: NodeIndex, call: Call, observer: &mut dyn Observer) {
        self.input(client, Input::Call(call), 0, observer);
    }

    /// Takes what a client has said to its program outside the world.
    pub fn take_completions(&mut self, client: NodeIndex) -> VecDeque<Completion> {
        match &mut self.nodes[client.0 as usize].app {
            App::External(kept) => std::mem::take(kept),
            App::None | App::Producer(_) | App::Consumer(_) => VecDeque::new(),
        }
    }

    /// The programs outside the world make no more calls: the run may come to its end.
    pub fn host_is_done(&mut self) {
        self.awaits_host = false;
    }

    /// The node of this name or number.
    pub fn find(&self, id: NodeId) -> Option<NodeIndex> {
        self.index.get(&id).copied()
    }

    pub(super) fn node(&self, node: NodeIndex) -> &Node {
        &self.nodes[node.0 as usize]
    }

    pub(super) fn node_mut(&mut self, node: NodeIndex) -> &mut Node {
        &mut self.nodes[node.0 as usize]
    }

    /// Says a fact. Returns its number, to be the cause of what follows.
    pub(super) fn emit(&mut self, node: NodeIndex, cause: u64, fact: Fact, observer: &mut dyn Observer) -> u64 {
        self.facts += 1;
        let event = Event { sequence: self.facts, time: self.now, node: self.node(node).id, cause, fact };
        if self.faults.wants(event.fact.kind()) {
            self.look_at_triggers(&event);
        }
        observer.observe(&event);
        self.facts
    }

    /// Hands an input to a node, or keeps it until the end of a pause.
    pub(super) fn input(&mut self, node: NodeIndex, input: Input, cause: u64, observer: &mut dyn Observer) {
        match self.node(node).process {
            Process::Running => self.handle(node, input, cause, observer),
            Process::Paused => self.node_mut(node).deferred.push_back(Deferred { cause, input }),
            Process::Down | Process::PowerOff => {}
        }
    }

    fn wake(&mut self, index: NodeIndex, life: u32, observer: &mut dyn Observer) {
        let now = self.now;
        let node = self.node_mut(index);
        if node.life != life || node.wakes_at != Some(now) {
            return;
        }
        node.wakes_at = None;
        if node.process != Process::Running {
            return;
        }
        let local = node.clock.local(now);
        let machine_due =
            node.machine.as_ref().and_then(super::SimMachine::next_deadline).is_some_and(|at| at <= local);
        if machine_due {
            self.handle(index, Input::Deadline, 0, observer);
        } else {
            self.use_client(index, 0, observer);
            self.arm(index);
        }
    }

    /// Hands an input to a running node, carries out what it says, and lets its program go on.
    fn handle(&mut self, index: NodeIndex, input: Input, cause: u64, observer: &mut dyn Observer) {
        let life = self.node(index).life;
        let cause = self.handle_one(index, input, cause, observer);
        self.use_client(index, cause, observer);
        if self.node(index).life == life {
            self.arm(index);
        }
    }

    /// Lets the program make all the calls that it wants to make now.
    fn use_client(&mut self, index: NodeIndex, mut cause: u64, observer: &mut dyn Observer) {
        if matches!(self.node(index).app, App::None) {
            return;
        }
        while self.node(index).process == Process::Running {
            let now = self.now;
            let node = self.node_mut(index);
            let local = node.clock.local(now);
            match node.app.next_call(local) {
                Some(call) => {
                    self.notice_outage(index, &call, cause, observer);
                    cause = self.handle_one(index, Input::Call(call), cause, observer);
                }
                None => break,
            }
        }
        if self.node(index).app.wants_exit() && self.node(index).is_alive() {
            self.end_process(index, Fact::NodeStopped, cause, observer);
            self.maybe_restart(index);
        }
    }

    fn handle_one(&mut self, index: NodeIndex, input: Input, mut cause: u64, observer: &mut dyn Observer) -> u64 {
        let now = self.now;
        let mut effects = std::mem::take(&mut self.effects);
        let node = &mut self.nodes[index.0 as usize];
        let Some(machine) = node.machine.as_mut() else {
            self.effects = effects;
            return cause;
        };
        node.disk.begin(now);
        effects.cause = cause;
        let local = node.clock.local(now);
        let mut ctx = Context::new(local, node.clock.wall(now), &mut node.rng, &mut node.disk, &mut effects);
        machine.handle(input, &mut ctx);
        let life = node.life;
        let bitten = node.disk.take_bitten();
        let mut said = std::mem::take(&mut effects.said);
        self.effects = effects;
        for (after, effect) in said.drain(..) {
            if self.must_wait_for_the_disk(index, after, &effect) {
                self.node_mut(index).stalled.push((after, cause, effect));
                continue;
            }
            let departs = now + after;
            cause = self.carry_out(index, effect, Packaging { life, departs, cause }, observer);
        }
        self.effects.said = said;
        for step in bitten {
            self.disk_bit(step, index, cause, observer);
        }
        cause
    }

    /// Does what a node said. Returns the cause of what follows.
    pub(super) fn carry_out(
        &mut self,
        index: NodeIndex,
        effect: Effect,
        how: Packaging,
        observer: &mut dyn Observer,
    ) -> u64 {
        let Packaging { life, departs, cause } = how;
        match effect {
            Effect::Because(cause) => return cause,
            Effect::Fact(fact) => {
                let held_back = matches!(fact, Fact::MetadataHeldBack { .. });
                let cause = self.emit(index, cause, fact, observer);
                if held_back {
                    self.metadata_held_back(index, cause, observer);
                }
                return cause;
            }
            Effect::Connect { connection, to } => {
                self.open(connection, index, to, Packet { life, departs, cause, body: Body::Connect });
            }
            Effect::Send { connection, correlation_id, request } => {
                self.requests += 1;
                let body = Body::Request(correlation_id, request);
                self.transmit(connection, End::Client, Packet { life, departs, cause, body });
            }
            Effect::Reply { connection, correlation_id, response } => {
                let body = Body::Response(correlation_id, response);
                self.transmit(connection, End::Server, Packet { life, departs, cause, body });
            }
            Effect::Close(connection) => {
                self.close(connection, index, Packet { life, departs, cause, body: Body::End });
            }
            Effect::Complete(completion) => {
                let now = self.now;
                let node = self.node_mut(index);
                node.app.completed(completion, node.clock.local(now));
            }
            Effect::Exit => self.end_process(index, Fact::NodeStopped, cause, observer),
        }
        cause
    }

    /// A number for a connection that no node opens.
    pub(super) fn next_connection(&mut self) -> ConnectionId {
        let connection = ConnectionId(self.effects.next_connection);
        self.effects.next_connection += 1;
        connection
    }

    /// Makes sure that the node is woken for its next deadline.
    pub(super) fn arm(&mut self, index: NodeIndex) {
        let now = self.now;
        let node = self.node_mut(index);
        if node.process != Process::Running {
            return;
        }
        let machine = node.machine.as_ref().and_then(super::SimMachine::next_deadline);
        let Some(deadline) = earliest([machine, node.app.next_deadline()]) else { return };
        if deadline == Instant::NEVER {
            return;
        }
        let at = node.clock.world(deadline).max(now);
        if node.wakes_at.is_none_or(|earlier| at < earlier) {
            node.wakes_at = Some(at);
            let life = node.life;
            self.queue.push(at, Happening::Wake { node: index, life });
        }
    }
}

fn node(id: NodeId, name: String, blueprint: Blueprint, spec: &ClusterSpec, root: &Prng) -> Node {
    Node {
        rng: root.fork(&format!("node/{id}")),
        id,
        name,
        process: Process::Down,
        life: 0,
        died_at: Instant::START,
        machine: None,
        app: App::None,
        app_progress: (0, 0),
        disk: SimDisk::new(spec.disk.clone(), root.fork(&format!("disk/{id}"))).with_devices(blueprint.devices()),
        stalled: Vec::new(),
        clock: NodeClock::default(),
        wakes_at: None,
        starts_again: false,
        is_coming_back: false,
        outages: Vec::new(),
        deferred: VecDeque::new(),
        blueprint,
    }
}
