//! Packets on their way: from what a node says to what another one hears. See [`super::network`] for the fault model.

use ackproof_core::Input;
use ackproof_core::fact::{Fact, Observer};
use ackproof_core::protocol::Request;
use ackproof_core::types::{ConnectionId, Duration, Instant, NodeId};

use super::message::Corruption;
use super::network::{Connection, End, Lane, retransmitted_at};
use super::run::Happening;
use super::{Body, Interference, NodeIndex, Packet, World};

/// The "life" of packets that the kernel sends: no process has to be alive for them.
const KERNEL: u32 = u32::MAX;

/// What the rules in force do to a packet.
enum Fate {
    Passes,
    Waits {
        until: Option<Instant>,
        step: usize,
    },
    Vanishes {
        step: usize,
        reset: bool,
    },
    /// It passes, and a copy comes after it.
    Repeats {
        step: usize,
        by: Duration,
    },
    /// It waits, and will not be what it was.
    Lies {
        step: usize,
    },
    /// It passes, and is not what it was.
    Corrupts {
        step: usize,
        corruption: Corruption,
        number: u64,
    },
}

impl World {
    /// A node opens a connection.
    pub(super) fn open(&mut self, id: ConnectionId, client: NodeIndex, to: NodeId, packet: Packet) {
        let Some(server) = self.find(to) else { return };
        let connection = Connection {
            client: (client, packet.life),
            server: (server, None),
            client_open: true,
            server_open: true,
            unaccepted: false,
            resets: 0,
            lanes: [Lane::default(), Lane::default()],
        };
        self.network.connections.insert(id, connection);
        self.transmit(id, End::Client, packet);
    }

    /// A node closes its end; the other one learns it behind everything that was sent before.
    pub(super) fn close(&mut self, id: ConnectionId, node: NodeIndex, packet: Packet) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let from = if connection.client.0 == node { End::Client } else { End::Server };
        let open = match from {
            End::Client => &mut connection.client_open,
            End::Server => &mut connection.server_open,
        };
        if std::mem::replace(open, false) {
            self.transmit(id, from, packet);
        }
    }

    /// Puts a packet on its way.
    pub(super) fn transmit(&mut self, id: ConnectionId, from: End, packet: Packet) {
        let Some(connection) = self.network.connections.get(&id) else { return };
        let (sender, receiver) = (connection.node(from), connection.node(from.other()));
        let is_open = match from {
            End::Client => connection.client_open,
            End::Server => connection.server_open,
        };
        if !is_open && !matches!(packet.body, Body::End) {
            return;
        }
        let trip = self.network.travel(sender, receiver, packet.departs, packet.body.size());
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let lane = connection.lane(from);
        lane.last_arrival = lane.last_arrival.max(trip.arrives);
        let at = lane.last_arrival;
        self.queue.push(at, Happening::Arrive { connection: id, from, packet, sent: trip.sent });
    }

    /// A packet has travelled, which its machine sent for the last time then.
    pub(super) fn arrive(
        &mut self,
        id: ConnectionId,
        from: End,
        (packet, sent): (Packet, Instant),
        observer: &mut dyn Observer,
    ) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let (sender, receiver) = (connection.node(from), connection.node(from.other()));
        let never_left = {
            let sender = &self.nodes[sender.0 as usize];
            packet.life != KERNEL
                && (sender.life != packet.life || !sender.is_alive())
                && sender.died_at < packet.departs
        };
        if never_left {
            return;
        }
        let unread = from == End::Client && connection.unaccepted && !matches!(packet.body, Body::End);
        let blocked = unread || self.network.is_cut(sender, receiver) || !self.node(receiver).has_power();
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let lane = connection.lane(from);
        let is_never_sent_again = lane.orphaned.is_some_and(|power| power < sent || (blocked && !unread));
        if packet.life != KERNEL && (lane.broken || is_never_sent_again) {
            lane.broken = true;
            return;
        }
        if blocked || !lane.waiting.is_empty() {
            lane.waiting.push_back((now, packet));
            return;
        }
        self.pass_rules(id, from, packet, observer);
    }

    /// Applies the rules in force to a packet that nothing else stops, and delivers what they let through.
    fn pass_rules(&mut self, id: ConnectionId, from: End, packet: Packet, observer: &mut dyn Observer) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let (sender, receiver) = (connection.node(from), connection.node(from.other()));
        if let Some(step) = connection.lane(from).silenced_by {
            self.bite(step, "swallowed", id, from, &packet, observer);
            self.lost(id, from, &packet, observer);
            return;
        }
        if from == End::Client {
            self.fill_buffers(sender, &packet.body);
        }
        match self.fate(sender, receiver, &packet.body) {
            Fate::Passes => self.deliver(id, from, packet, observer),
            Fate::Lies { step } => {
                let now = self.now;
                let Some(connection) = self.network.connections.get_mut(&id) else { return };
                let lane = connection.lane(from);
                lane.waiting.push_front((now, packet));
                lane.held_by = Some(step);
            }
            Fate::Waits { until, step } => {
                let did = if until.is_some() { "delayed" } else { "held" };
                self.bite(step, did, id, from, &packet, observer);
                let now = self.now;
                let Some(connection) = self.network.connections.get_mut(&id) else { return };
                let lane = connection.lane(from);
                lane.waiting.push_front((now, packet));
                lane.held_by = Some(step);
                if let Some(until) = until {
                    self.queue.push(until, Happening::Release { connection: id, from, held_by: Some(step) });
                }
            }
            Fate::Vanishes { step, reset } => {
                let did = if reset { "reset the connection with" } else { "dropped" };
                self.bite(step, did, id, from, &packet, observer);
                self.lost(id, from, &packet, observer);
                if reset {
                    self.reset(id, step, packet.cause);
                } else if let Some(connection) = self.network.connections.get_mut(&id) {
                    connection.lane(from).silenced_by = Some(step);
                }
            }
            Fate::Repeats { step, by } => {
                if let Body::Request(_, request) = &packet.body {
                    self.bite(step, "repeated", id, from, &packet, observer);
                    let (request, cause) = (request.clone(), packet.cause);
                    let copy = Happening::Copy { from: sender, to: receiver, cause, request };
                    self.queue.push(self.now + by, copy);
                }
                self.deliver(id, from, packet, observer);
            }
            Fate::Corrupts { step, corruption, number } => {
                let mut rng = self.faults_rng.fork(&format!("corrupt/{}/{number}", self.faults.steps()[step].name));
                let mut packet = packet;
                if packet.body.corrupt(corruption, &mut rng) {
                    self.bite(step, "flipped a bit of", id, from, &packet, observer);
                }
                self.deliver(id, from, packet, observer);
            }
        }
    }

    /// A request is executed once more, on a connection that nobody waits on.
    pub(super) fn deliver_copy(
        &mut self,
        (from, to): (NodeIndex, NodeIndex),
        request: Request,
        cause: u64,
        observer: &mut dyn Observer,
    ) {
        let listening = self.node(to).machine.as_ref().is_some_and(super::SimMachine::is_listening);
        if self.network.is_cut(from, to) || !self.node(to).is_alive() || !listening {
            return;
        }
        let connection = self.next_connection();
        let from = self.node(from).id;
        self.input(to, Input::Request { connection, from, correlation_id: 0, request }, cause, observer);
    }

    fn fate(&mut self, from: NodeIndex, to: NodeIndex, body: &Body) -> Fate {
        if self.rules.is_empty() {
            return Fate::Passes;
        }
        let now = self.now;
        for active in &mut self.rules {
            if !active.rule.filter.matches(from, to, body) || !active.rule.interference.concerns(body) {
                continue;
            }
            active.seen += 1;
            let number = active.seen;
            if number <= active.rule.skip || active.rule.times.is_some_and(|times| number > active.rule.skip + times) {
                continue;
            }
            return match active.rule.interference {
                Interference::Delay(delay) => Fate::Waits { until: Some(now + delay), step: active.step },
                Interference::Hold => Fate::Waits { until: None, step: active.step },
                Interference::Drop => Fate::Vanishes { step: active.step, reset: false },
                Interference::Reset => Fate::Vanishes { step: active.step, reset: true },
                Interference::Duplicate(by) => Fate::Repeats { step: active.step, by },
                Interference::Corrupt(corruption) => Fate::Corrupts { step: active.step, corruption, number },
                Interference::ReuseBuffer => {
                    active.buffer_of.get_or_insert(from);
                    Fate::Lies { step: active.step }
                }
            };
        }
        Fate::Passes
    }

    /// The first message that a rule did something to is its witness.
    pub(super) fn bite(
        &mut self,
        step: usize,
        did: &str,
        id: ConnectionId,
        from: End,
        packet: &Packet,
        observer: &mut dyn Observer,
    ) {
        if !self.faults.bite(step) {
            return;
        }
        let Some((api, direction)) = packet.body.describe() else { return };
        let Some(connection) = self.network.connections.get(&id) else { return };
        let (sender, receiver) = (connection.node(from), connection.node(from.other()));
        let (from, to) = (&self.node(sender).name, &self.node(receiver).name);
        let what = format!("{did} {api} {} from {from} to {to}", direction.as_str());
        self.emit(sender, packet.cause, Fact::FaultBit { fault: step as u32 + 1, what }, observer);
    }

    /// Says, at the sender, that a message will never arrive.
    fn lost(&mut self, id: ConnectionId, from: End, packet: &Packet, observer: &mut dyn Observer) {
        let Some((api, direction)) = packet.body.describe() else { return };
        let Some(connection) = self.network.connections.get(&id) else { return };
        let (sender, receiver) = (connection.node(from), connection.node(from.other()));
        let to = self.node(receiver).id;
        let fact = Fact::MessageLost { connection: id, to, what: format!("{api} {}", direction.as_str()) };
        self.emit(sender, packet.cause, fact, observer);
    }

    /// What waited may go on: the link has healed, a hold was released, or a delay is over.
    pub(super) fn release(&mut self, id: ConnectionId, from: End, held_by: Option<usize>, observer: &mut dyn Observer) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let lane = connection.lane(from);
        if lane.held_by != held_by {
            return;
        }
        lane.held_by = None;
        // What a rule held back has met the rules already.
        let mut first_passes_rules = held_by.is_some();
        loop {
            let Some(connection) = self.network.connections.get(&id) else { return };
            let (sender, receiver) = (connection.node(from), connection.node(from.other()));
            let unread = from == End::Client && connection.unaccepted;
            if unread || self.network.is_cut(sender, receiver) || !self.node(receiver).has_power() {
                return;
            }
            let Some(connection) = self.network.connections.get_mut(&id) else { return };
            let lane = connection.lane(from);
            if lane.held_by.is_some() {
                return;
            }
            let Some((_, packet)) = lane.waiting.pop_front() else { return };
            if std::mem::take(&mut first_passes_rules) {
                self.deliver(id, from, packet, observer);
            } else {
                self.pass_rules(id, from, packet, observer);
            }
        }
    }

    /// Schedules the retransmissions of everything that may pass again.
    pub(super) fn retransmit(&mut self) {
        let now = self.now;
        let mut releases = Vec::new();
        for (id, connection) in &self.network.connections {
            for from in [End::Client, End::Server] {
                let lane = &connection.lanes[from as usize];
                let (sender, receiver) = (connection.node(from), connection.node(from.other()));
                if let Some((due, _)) = lane.waiting.front()
                    && lane.held_by.is_none()
                    && !(from == End::Client && connection.unaccepted)
                    && !self.network.is_cut(sender, receiver)
                    && self.node(receiver).has_power()
                {
                    releases.push((retransmitted_at(*due, now), *id, from));
                }
            }
        }
        for (at, connection, from) in releases {
            self.queue.push(at, Happening::Release { connection, from, held_by: None });
        }
    }

    fn deliver(&mut self, id: ConnectionId, from: End, packet: Packet, observer: &mut dyn Observer) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let (client, receiver) = (connection.client.0, connection.node(from.other()));
        let Packet { cause, body, .. } = packet;
        match body {
            Body::Connect => self.accept(id, receiver, cause),
            Body::Accepted => {
                if self.is_listening(id, End::Client) {
                    self.input(receiver, Input::Connected(id), cause, observer);
                }
            }
            Body::End => self.ended(id, from.other(), cause, observer),
            Body::Request(correlation_id, request) => {
                let sender = self.node(client).id;
                if self.is_listening(id, End::Server) {
                    let input = Input::Request { connection: id, from: sender, correlation_id, request };
                    self.input(receiver, input, cause, observer);
                } else {
                    let packet =
                        Packet { life: KERNEL, departs: self.now, cause, body: Body::Request(correlation_id, request) };
                    self.refuse(id, from, packet, observer);
                }
            }
            Body::Response(correlation_id, response) => {
                if self.is_listening(id, End::Client) {
                    self.input(receiver, Input::Response { connection: id, correlation_id, response }, cause, observer);
                } else {
                    let packet = Packet {
                        life: KERNEL,
                        departs: self.now,
                        cause,
                        body: Body::Response(correlation_id, response),
                    };
                    self.lost(id, from, &packet, observer);
                }
            }
        }
    }

    /// Whether an end of a connection is open in the present life of its process.
    fn is_listening(&self, id: ConnectionId, end: End) -> bool {
        let Some(connection) = self.network.connections.get(&id) else { return false };
        let node = self.node(connection.node(end));
        match end {
            End::Client => connection.client_open && connection.client.1 == node.life && node.is_alive(),
            End::Server => connection.server_open && connection.server.1 == Some(node.life) && node.is_alive(),
        }
    }

    /// The kernel of the server answers a request to connect; it does so even while the process is paused, once the
    /// process has opened its listeners.
    fn accept(&mut self, id: ConnectionId, server: NodeIndex, cause: u64) {
        let now = self.now;
        let node = self.node(server);
        let (life, alive) =
            (node.life, node.is_alive() && node.machine.as_ref().is_some_and(super::SimMachine::is_listening));
        let no_descriptor = node.disk.is_out_of_handles();
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let body = if alive {
            connection.server.1 = Some(life);
            connection.unaccepted = no_descriptor;
            Body::Accepted
        } else {
            Body::End
        };
        self.transmit(id, End::Server, Packet { life: KERNEL, departs: now, cause, body });
        if !alive && let Some(connection) = self.network.connections.get_mut(&id) {
            connection.server_open = false;
        }
    }

    /// Data for an end that nobody has open: it is lost, and the sender is told.
    fn refuse(&mut self, id: ConnectionId, from: End, packet: Packet, observer: &mut dyn Observer) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        connection.server_open = false;
        self.lost(id, from, &packet, observer);
        let end = Packet { life: KERNEL, departs: self.now, cause: packet.cause, body: Body::End };
        self.transmit(id, from.other(), end);
    }

    /// An end learns that the other one is gone.
    fn ended(&mut self, id: ConnectionId, end: End, cause: u64, observer: &mut dyn Observer) {
        let listening = self.is_listening(id, end);
        let Some(connection) = self.network.connections.remove(&id) else { return };
        if listening {
            self.input(connection.node(end), Input::Disconnected(id), cause, observer);
        }
    }

    /// The connection is reset by something on its way: each end learns it after the latency of the direction to it, and
    /// nothing arrives any more.
    pub(super) fn reset(&mut self, id: ConnectionId, step: usize, cause: u64) {
        let now = self.now;
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        for from in [End::Client, End::Server] {
            connection.lane(from).silenced_by.get_or_insert(step);
        }
        let (client, server) = (connection.node(End::Client), connection.node(End::Server));
        for (end, from, to) in [(End::Client, server, client), (End::Server, client, server)] {
            let at = self.network.travel(from, to, now, 0).arrives;
            self.queue.push(at, Happening::Reset { connection: id, end, cause });
        }
    }

    /// The reset of a connection reaches an end. Once it has reached both, nothing is left of it.
    pub(super) fn reset_arrives(&mut self, id: ConnectionId, end: End, cause: u64, observer: &mut dyn Observer) {
        let listening = self.is_listening(id, end);
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let node = connection.node(end);
        match end {
            End::Client => connection.client_open = false,
            End::Server => connection.server_open = false,
        }
        connection.resets += 1;
        if connection.resets == 2 {
            self.network.connections.remove(&id);
        }
        if listening {
            self.input(node, Input::Disconnected(id), cause, observer);
        }
    }

    /// A process can take connections again: what waited for it is read.
    pub(super) fn accept_waiting(&mut self, node: NodeIndex) {
        for connection in self.network.connections.values_mut().filter(|connection| connection.server.0 == node) {
            connection.unaccepted = false;
        }
        self.retransmit();
    }

    /// The process of a node has ended while its machine has power: the kernel ends its connections.
    pub(super) fn hang_up(&mut self, node: NodeIndex, cause: u64) {
        let now = self.now;
        let life = self.node(node).life;
        let mut ends = Vec::new();
        for (id, connection) in &mut self.network.connections {
            if connection.client == (node, life) && std::mem::replace(&mut connection.client_open, false) {
                ends.push((*id, End::Client));
            }
            if connection.server == (node, Some(life)) && std::mem::replace(&mut connection.server_open, false) {
                ends.push((*id, End::Server));
            }
        }
        for (id, from) in ends {
            self.transmit(id, from, Packet { life: KERNEL, departs: now, cause, body: Body::End });
        }
    }

    /// A machine has lost power: nothing that it had open will ever be heard of from its side. Who still tries to connect to it
    /// is heard once it is back.
    pub(super) fn forget_connections(&mut self, node: NodeIndex) {
        let now = self.now;
        for connection in self.network.connections.values_mut() {
            if connection.server.0 == node && connection.client.0 != node {
                connection.ask_again(now);
            }
            for from in [End::Client, End::Server] {
                let unread = from == End::Client && connection.unaccepted;
                if connection.node(from) == node && !unread {
                    connection.lane(from).lose_sender(now);
                }
            }
            if connection.client.0 == node {
                connection.client_open = false;
            }
            if connection.server.0 == node && connection.server.1.is_some() {
                connection.server_open = false;
            }
        }
    }
}

impl super::Direction {
    fn as_str(self) -> &'static str {
        match self {
            super::Direction::Request => "request",
            super::Direction::Response => "response",
        }
    }
}
