//! The network: connections that are ordered and reliable like TCP, over links that are neither.
//!
//! Fault model:
//! * A message takes the latency of its link and its size over the link's bandwidth. A lost packet is a
//!   retransmission: the message comes later, and everything behind it on the connection too.
//! * A cut link carries nothing, not even the end of a connection. What was under way waits, as TCP's sender does,
//!   and comes with the first retransmission after the link has healed. A machine without power is a link cut.
//! * The bandwidth of a link is shared by everything that travels on it in this direction, in order.
//! * A killed process resets its connections: the other end learns it one latency later. A machine that lost power
//!   says nothing; what waited for a link with it is gone, and what it would have sent again; when it is up again it resets connections that it no longer knows.
//!   Who had asked it to connect, and has no answer, asks again.
//! * A reset reaches each end after the latency of the direction to it; what is under way by then is lost.
//! * A connection can go silent: neither end is told, nothing arrives any more (a firewall forgot the flow).
//! * A message rule can delay, hold, swallow, repeat or corrupt a class of messages (see [`MessageRule`]).
//!
//! Not modelled: congestion, window sizes, back-pressure of a slow reader, the kernel giving up after its last
//! retransmission (Kafka's own timeouts come first).

use std::collections::{BTreeMap, VecDeque};

use ackproof_core::types::{ConnectionId, Duration, Instant, Prng, Ratio};

use super::NodeIndex;
use super::message::{Body, Packet};

/// The first retransmission timeout; it doubles each time, up to [`RETRANSMISSION_MAX`].
const RETRANSMISSION_FIRST: Duration = Duration::from_millis(200);
const RETRANSMISSION_MAX: Duration = Duration::from_secs(120);

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// The least time a message takes.
    pub latency_min: Duration,
    /// The most it takes; drawn evenly between the two.
    pub latency_max: Duration,
    /// How many packets are lost and have to be sent again.
    pub loss: Ratio,
    /// Bytes per second; none is unlimited.
    pub bandwidth: Option<u64>,
}

impl Default for LinkSpec {
    /// A local network: 100 to 500 µs, no loss.
    fn default() -> Self {
        Self {
            latency_min: Duration::from_micros(100),
            latency_max: Duration::from_micros(500),
            loss: Ratio::ZERO,
            bandwidth: None,
        }
    }
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that opened it.
    Client,
    /// The one that accepted it.
    Server,
}

impl End {
    /// The other one.
    pub fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Nothing arrives before this: the order is kept.
    pub last_arrival: Instant,
    /// What waits behind a cut link or a held message, with the time at which it should have arrived.
    pub waiting: VecDeque<(Instant, Packet)>,
    /// A hold rule keeps the first waiting packet until it is released.
    pub held_by: Option<usize>,
    /// A step swallowed a message, or the whole direction: what follows vanishes too, since TCP has no holes.
    pub silenced_by: Option<usize>,
    /// When the machine that sent lost its power: what does not get through now is not sent again, and neither is what follows.
    pub orphaned: Option<Instant>,
    /// Something of it did not get through: what follows vanishes too.
    pub broken: bool,
}

impl Lane {
    /// The machine that sent has lost its power. What a rule holds back has left it.
    pub fn lose_sender(&mut self, now: Instant) {
        self.orphaned.get_or_insert(now);
        if self.held_by.is_none() && !self.waiting.is_empty() {
            self.waiting.clear();
            self.broken = true;
        }
    }
}

/// A connection as the world knows it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who opened it, and in which life.
    pub client: (NodeIndex, u32),
    /// Who accepts it, and in which life; the life is known once the request to connect has arrived.
    pub server: (NodeIndex, Option<u32>),
    /// Whether each end still has it open.
    pub client_open: bool,
    /// Whether the server's end is open.
    pub server_open: bool,
    /// The server's kernel has accepted, and its process has no descriptor to take the connection with.
    pub unaccepted: bool,
    /// How many ends have learned of a reset.
    pub resets: u8,
    /// From client to server, and back.
    pub lanes: [Lane; 2],
}

impl Connection {
    /// The direction that starts at `from`.
    pub fn lane(&mut self, from: End) -> &mut Lane {
        &mut self.lanes[from as usize]
    }

    /// The machine of the server is about to forget the connection. If its answer to who wants to connect has not got through, the
    /// client's kernel asks again, until it is heard.
    pub fn ask_again(&mut self, now: Instant) {
        let is_refused = self.server.1.is_none();
        let answers = &mut self.lanes[End::Server as usize];
        let cause = match answers.waiting.front() {
            Some((_, Packet { body: Body::Accepted, cause, .. })) => *cause,
            Some((_, Packet { body: Body::End, cause, .. })) if is_refused => *cause,
            Some(_) | None => return,
        };
        if !self.client_open || self.resets > 0 || answers.held_by.is_some() {
            return;
        }
        answers.waiting.clear();
        (self.server.1, self.server_open, self.unaccepted) = (None, true, false);
        let packet = Packet { life: self.client.1, departs: now, cause, body: Body::Connect };
        self.lane(End::Client).waiting.push_front((now, packet));
    }

    /// The node at an end.
    pub fn node(&self, end: End) -> NodeIndex {
        match end {
            End::Client => self.client.0,
            End::Server => self.server.0,
        }
    }
}

#[derive(Clone, Debug)]
struct Link {
    spec: LinkSpec,
    rng: Prng,
    cuts: u32,
    /// When the last byte that was sent so far has left, where bandwidth is limited.
    free_at: Instant,
}

/// All links and connections.
#[derive(Clone, Debug)]
pub struct Network {
    links: Vec<Link>,
    nodes: usize,
    /// Open, opening and half-closed connections.
    pub connections: BTreeMap<ConnectionId, Connection>,
}

impl Network {
    /// Links between `nodes` nodes, each direction with its own stream of random numbers.
    pub fn new(nodes: usize, spec: &LinkSpec, rng: &Prng) -> Self {
        let links = (0..nodes * nodes)
            .map(|pair| Link {
                spec: spec.clone(),
                rng: rng.fork(&format!("{}>{}", pair / nodes, pair % nodes)),
                cuts: 0,
                free_at: Instant::START,
            })
            .collect();
        Self { links, nodes, connections: BTreeMap::new() }
    }

    fn link(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        &mut self.links[from.0 as usize * self.nodes + to.0 as usize]
    }

    /// Gives one direction of one link another behaviour.
    pub fn set_link(&mut self, from: NodeIndex, to: NodeIndex, spec: LinkSpec) {
        self.link(from, to).spec = spec;
    }

    /// Cuts one direction of a link, once more if it was cut already.
    pub fn cut(&mut self, from: NodeIndex, to: NodeIndex) {
        self.link(from, to).cuts += 1;
    }

    /// Takes back one cut.
    pub fn uncut(&mut self, from: NodeIndex, to: NodeIndex) {
        let link = self.link(from, to);
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// Whether nothing passes from one node to another.
    pub fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.links[from.0 as usize * self.nodes + to.0 as usize].cuts > 0
    }

    /// Draws how a message of `bytes` travels that leaves at `departs`.
    pub fn travel(&mut self, from: NodeIndex, to: NodeIndex, departs: Instant, bytes: usize) -> Trip {
        let link = self.link(from, to);
        let latency = Duration(link.rng.between(link.spec.latency_min.0, link.spec.latency_max.0));
        let (mut waits, mut timeout) = (Duration::ZERO, RETRANSMISSION_FIRST);
        while timeout < RETRANSMISSION_MAX && link.spec.loss.happens(&mut link.rng) {
            waits += timeout;
            timeout = timeout.times(2);
        }
        let mut sent = departs;
        if let Some(bandwidth) = link.spec.bandwidth {
            let takes = Duration(((bytes as u128) * 1_000_000_000 / u128::from(bandwidth.max(1))) as u64);
            link.free_at = link.free_at.max(departs) + takes;
            sent = link.free_at;
        }
        Trip { sent: sent + waits, arrives: sent + waits + latency }
    }
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// When its machine sends it for the last time.
    pub sent: Instant,
    /// When it arrives.
    pub arrives: Instant,
}

/// When TCP's sender tries again for a packet that should have arrived at `due`: the first retransmission after `now`.
pub fn retransmitted_at(due: Instant, now: Instant) -> Instant {
    let mut at = due;
    let mut timeout = RETRANSMISSION_FIRST;
    while at < now {
        at += timeout;
        timeout = timeout.times(2).min(RETRANSMISSION_MAX);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_double_their_distance() {
        let due = Instant(0);
        let at = |millis: u64| retransmitted_at(due, Instant(millis * 1_000_000)).0 / 1_000_000;
        assert_eq!([at(0), at(1), at(200), at(201), at(601), at(1_401)], [0, 200, 200, 600, 1_400, 3_000]);
    }

    #[test]
    fn a_link_draws_from_its_own_stream() {
        let rng = Prng::new(3).fork("network");
        let (a, b, c) = (NodeIndex(0), NodeIndex(1), NodeIndex(2));
        let mut quiet = Network::new(3, &LinkSpec::default(), &rng);
        let mut busy = Network::new(3, &LinkSpec::default(), &rng);
        for _ in 0..10 {
            busy.travel(a, c, Instant::START, 0);
        }
        assert_eq!(quiet.travel(a, b, Instant::START, 0), busy.travel(a, b, Instant::START, 0));
    }

    #[test]
    fn messages_share_the_bandwidth_of_their_link() {
        let latency = Duration::from_millis(1);
        let spec =
            LinkSpec { latency_min: latency, latency_max: latency, bandwidth: Some(1_000), ..LinkSpec::default() };
        let mut network = Network::new(2, &spec, &Prng::new(1));
        let (a, b) = (NodeIndex(0), NodeIndex(1));
        let arrives: Vec<u64> =
            (0..3).map(|_| network.travel(a, b, Instant::START, 100).arrives.0 / 1_000_000).collect();
        assert_eq!(arrives, [101, 201, 301]);
        assert_eq!(network.travel(b, a, Instant::START, 100).arrives.0 / 1_000_000, 101, "the way back is another one");
    }

    #[test]
    fn cuts_count() {
        let mut network = Network::new(2, &LinkSpec::default(), &Prng::new(1));
        let (a, b) = (NodeIndex(0), NodeIndex(1));
        network.cut(a, b);
        network.cut(a, b);
        network.uncut(a, b);
        assert!(network.is_cut(a, b), "it was cut twice and healed once");
        assert!(!network.is_cut(b, a), "the other direction was never cut");
    }
}
