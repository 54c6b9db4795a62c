//! A tiny deterministic loop for tests: machines, their disks in memory, and messages that take a millisecond.

use std::collections::BTreeMap;

use super::testing::{CONTROLLER, config, config_with};
use super::{Broker, BrokerState};
use crate::config::KafkaVersion;
use crate::controller::Controller;
use crate::fact::Fact;
use crate::machine::{Context, Effect, Effects, Input, Machine};
use crate::protocol::{Request, Response};
use crate::storage::MemoryStorage;
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId, Prng, Timestamp};

const LATENCY: Duration = Duration::from_millis(1);
const CLIENT: NodeId = NodeId::Client(0);

enum Process {
    Controller(Box<Controller>),
    Broker(Box<Broker>),
    Gone,
}

struct Node {
    process: Process,
    storage: MemoryStorage,
    rng: Prng,
}

/// The world of a test.
pub(super) struct Cluster {
    version: KafkaVersion,
    properties: &'static [(&'static str, &'static str)],
    /// What was said, by whom.
    pub facts: Vec<(NodeId, Fact)>,
    now: Instant,
    sequence: u64,
    mail: BTreeMap<(Instant, u64), (NodeId, Input)>,
    nodes: BTreeMap<NodeId, Node>,
    /// Both ends of each open connection; the first one opened it.
    connections: BTreeMap<ConnectionId, (NodeId, NodeId)>,
    next_connection: u64,
    next_correlation_id: CorrelationId,
    answers: Vec<(ConnectionId, CorrelationId, Response)>,
}

impl Cluster {
    /// A controller and brokers 1 to 3, all running.
    pub fn of_three() -> Self {
        Self::of_three_with(&[])
    }

    /// The same, the brokers with properties of their own.
    pub fn of_three_with(properties: &'static [(&'static str, &'static str)]) -> Self {
        Self::of_three_of(KafkaVersion::new(3, 9), properties)
    }

    /// The same, the brokers of some version.
    pub fn of_three_of(version: KafkaVersion, properties: &'static [(&'static str, &'static str)]) -> Self {
        let mut cluster = Self {
            version,
            properties,
            facts: Vec::new(),
            now: Instant::START,
            sequence: 0,
            mail: BTreeMap::new(),
            nodes: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            next_correlation_id: 1,
            answers: Vec::new(),
        };
        let controller = Process::Controller(Box::new(Controller::new(100, config(100))));
        cluster.begin(CONTROLLER, controller);
        for id in 1..=3 {
            cluster.start(id);
        }
        cluster.run_until("all brokers run", |cluster| {
            cluster.brokers().filter(|broker| broker.state() == BrokerState::Running).count() == 3
        });
        cluster
    }

    pub fn controller(&self) -> &Controller {
        match &self.nodes[&CONTROLLER].process {
            Process::Controller(controller) => controller,
            Process::Broker(_) | Process::Gone => panic!("the controller is gone"),
        }
    }

    /// A broker, if its process runs.
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        match &self.nodes[&NodeId::Broker(id)].process {
            Process::Broker(broker) => Some(broker),
            Process::Controller(_) | Process::Gone => None,
        }
    }

    /// The brokers whose processes run.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        (1..=3).filter_map(|id| self.broker(id))
    }

    /// Starts the process of a broker, on the disk that is there.
    pub fn start(&mut self, id: i32) {
        let config = config_with(self.version, id, self.properties);
        self.begin(NodeId::Broker(id), Process::Broker(Box::new(Broker::new(config, vec![CONTROLLER]))));
    }

    pub fn stop(&mut self, id: i32) {
        self.post(NodeId::Broker(id), Input::Stop, Duration::ZERO);
    }

    /// The process of a broker ends in the midst of everything.
    pub fn kill(&mut self, id: i32) {
        self.end(NodeId::Broker(id));
    }

    /// A connection of the test's client.
    pub fn connect(&mut self, broker: i32) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(connection, (CLIENT, NodeId::Broker(broker)));
        connection
    }

    pub fn send(&mut self, connection: ConnectionId, request: impl Into<Request>) -> CorrelationId {
        let (from, to) = self.connections[&connection];
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let request = request.into();
        self.post(to, Input::Request { connection, from, correlation_id, request }, LATENCY);
        correlation_id
    }

    /// The client closes its connection.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.close(connection, CLIENT);
    }

    /// What was answered on a connection of the client, in order.
    pub fn answers_to(&self, connection: ConnectionId) -> Vec<(CorrelationId, &Response)> {
        self.answers.iter().filter(|(on, ..)| *on == connection).map(|(_, id, response)| (*id, response)).collect()
    }

    pub fn is_closed(&self, connection: ConnectionId) -> bool {
        !self.connections.contains_key(&connection)
    }

    /// One request on a connection of its own, and its answer.
    pub fn ask(&mut self, broker: i32, request: impl Into<Request>) -> Response {
        let connection = self.connect(broker);
        self.send(connection, request);
        self.run_until("an answer", |cluster| !cluster.answers_to(connection).is_empty());
        let index = self.answers.iter().position(|(on, ..)| *on == connection);
        self.answers.swap_remove(index.expect("there is an answer")).2
    }

    /// How much time has passed.
    pub fn elapsed(&self) -> Duration {
        self.now.since(Instant::START)
    }

    pub fn run_for(&mut self, length: Duration) {
        let end = self.now + length;
        while self.step(end) {}
        self.now = end;
    }

    pub fn run_until(&mut self, what: &str, is_so: impl Fn(&Cluster) -> bool) {
        let end = self.now + Duration::from_secs(120);
        while !is_so(self) {
            assert!(self.step(end), "two minutes went by, and not yet: {what}");
        }
    }

    /// The next thing that happens, if it happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let mail = self.mail.first_key_value().map(|(key, _)| key.0);
        let deadline = self.nodes.iter().filter_map(|(id, node)| Some((node.next_deadline()?, *id))).min();
        let due = [mail, deadline.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(due) = due.filter(|due| *due <= end) else { return false };
        self.now = self.now.max(due);
        if mail == Some(due) {
            if let Some((_, (to, input))) = self.mail.pop_first() {
                self.deliver(to, input);
            }
        } else if let Some((_, node)) = deadline {
            self.deliver(node, Input::Deadline);
        }
        true
    }

    fn begin(&mut self, id: NodeId, process: Process) {
        let storage = self.nodes.remove(&id).map_or_else(MemoryStorage::default, |node| node.storage);
        let rng = Prng::new(self.sequence).fork(&id.to_string());
        self.nodes.insert(id, Node { process, storage, rng });
        self.post(id, Input::Start, Duration::ZERO);
    }

    fn end(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.process = Process::Gone;
        }
        self.mail.retain(|_, (to, _)| *to != id);
        let ended: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, (a, b))| *a == id || *b == id).map(|(c, _)| *c).collect();
        for connection in ended {
            self.close(connection, id);
        }
    }

    fn close(&mut self, connection: ConnectionId, by: NodeId) {
        if let Some((opener, other)) = self.connections.remove(&connection) {
            let peer = if opener == by { other } else { opener };
            self.post(peer, Input::Disconnected(connection), LATENCY);
        }
    }

    fn post(&mut self, to: NodeId, input: Input, after: Duration) {
        self.sequence += 1;
        self.mail.insert((self.now + after, self.sequence), (to, input));
    }

    fn deliver(&mut self, to: NodeId, input: Input) {
        if to == CLIENT {
            if let Input::Response { connection, correlation_id, response } = input {
                self.answers.push((connection, correlation_id, response));
            }
            return;
        }
        let Some(node) = self.nodes.get_mut(&to) else { return };
        let mut effects = Effects { next_connection: self.next_connection, ..Effects::default() };
        let wall_clock = Timestamp(1_700_000_000_000 + self.now.0 as i64 / 1_000_000);
        let mut ctx = Context::new(self.now, wall_clock, &mut node.rng, &mut node.storage, &mut effects);
        match &mut node.process {
            Process::Controller(controller) => controller.handle(input, &mut ctx),
            Process::Broker(broker) => broker.handle(input, &mut ctx),
            Process::Gone => return,
        }
        self.next_connection = effects.next_connection;
        for (_, effect) in effects.said {
            self.carry_out(to, effect);
        }
    }

    fn carry_out(&mut self, by: NodeId, effect: Effect) {
        match effect {
            Effect::Connect { connection, to } => {
                let refused = self.nodes.get(&to).is_none_or(|node| matches!(node.process, Process::Gone));
                if refused {
                    self.post(by, Input::Disconnected(connection), LATENCY);
                } else {
                    self.connections.insert(connection, (by, to));
                    self.post(by, Input::Connected(connection), LATENCY);
                }
            }
            Effect::Send { connection, correlation_id, request } => {
                if let Some((_, to)) = self.connections.get(&connection).copied() {
                    self.post(to, Input::Request { connection, from: by, correlation_id, request }, LATENCY);
                }
            }
            Effect::Reply { connection, correlation_id, response } => {
                if let Some((opener, _)) = self.connections.get(&connection).copied() {
                    self.post(opener, Input::Response { connection, correlation_id, response }, LATENCY);
                }
            }
            Effect::Close(connection) => self.close(connection, by),
            Effect::Exit => self.end(by),
            Effect::Fact(fact) => self.facts.push((by, fact)),
            Effect::Complete(_) | Effect::Because(_) => {}
        }
    }
}

impl Node {
    fn next_deadline(&self) -> Option<Instant> {
        match &self.process {
            Process::Controller(controller) => controller.next_deadline(),
            Process::Broker(broker) => broker.next_deadline(),
            Process::Gone => None,
        }
    }
}
