//! What a machine is: one input in, and what it wants done is said to the [`Context`].
//!
//! A machine has no clock, socket, file or thread. The host (the simulated world, or a test) calls
//! [`Machine::handle`] with one input at a time, carries out the [`Effect`]s that were said, in order, and calls
//! again with [`Input::Deadline`] when [`Machine::next_deadline`] has come. Waiting is an input, never an effect.

use crate::client::{Call, Completion};
use crate::fact::Fact;
use crate::protocol::{Request, Response};
use crate::storage::Storage;
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId, Prng, Timestamp};

/// A deterministic state machine.
pub trait Machine {
    /// Takes one input. Everything that follows from it is said to `ctx`.
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>);

    /// When to call with [`Input::Deadline`]; the earliest of all that the machine waits for. The host asks again
    /// after every input. A deadline that has passed is due at once.
    fn next_deadline(&self) -> Option<Instant>;
}

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process begins. The machine is new; its storage is as the previous life left it.
    Start,
    /// The time that [`Machine::next_deadline`] named has come (or, after a pause, has long passed).
    Deadline,
    /// A connection that this node opened is established.
    Connected(ConnectionId),
    /// A connection is gone: refused, reset or closed by the other end, never by this one.
    Disconnected(ConnectionId),
    /// A request arrived. The first one on a connection also announces the connection.
    Request {
        /// Where to reply to.
        connection: ConnectionId,
        /// Who sent it.
        from: NodeId,
        /// To be repeated in the response.
        correlation_id: CorrelationId,
        /// The request.
        request: Request,
    },
    /// A response arrived on a connection that this node opened.
    Response {
        /// Where the request had been sent.
        connection: ConnectionId,
        /// That of the request.
        correlation_id: CorrelationId,
        /// The response.
        response: Response,
    },
    /// The application that owns this client calls it.
    Call(Call),
    /// A fault: from now on the thread that publishes the metadata log is so late. A new process has none.
    MetadataLag(Duration),
    /// SIGTERM: stop cleanly, then say [`Context::exit`].
    Stop,
}

/// What a machine wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open a connection; [`Input::Connected`] or [`Input::Disconnected`] will follow.
    Connect {
        /// The number it gets.
        connection: ConnectionId,
        /// The other end.
        to: NodeId,
    },
    /// Send a request on a connection that this node opened.
    Send {
        /// Which connection.
        connection: ConnectionId,
        /// Pairs the response with it.
        correlation_id: CorrelationId,
        /// The request.
        request: Request,
    },
    /// Answer a request.
    Reply {
        /// The connection on which the request came; if it is gone the reply is lost.
        connection: ConnectionId,
        /// That of the request.
        correlation_id: CorrelationId,
        /// The response.
        response: Response,
    },
    /// Close a connection; the other end gets [`Input::Disconnected`], this one nothing.
    Close(ConnectionId),
    /// Tell the application.
    Complete(Completion),
    /// Something worth knowing happened.
    Fact(Fact),
    /// What follows goes back to an input that had waited: to what [`Context::cause`] said when that came.
    Because(u64),
    /// The process ends itself.
    Exit,
}

/// Effects in the order in which they were said, each with the device time spent before it.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What was said.
    pub said: Vec<(Duration, Effect)>,
    /// The next number for a connection; the host keeps it unique in the run.
    pub next_connection: u64,
    /// What led to the input, in the host's own numbers.
    pub cause: u64,
}

/// Everything a machine may look at, and where it says what it wants done.
pub struct Context<'a> {
    now: Instant,
    wall_clock: Timestamp,
    rng: &'a mut Prng,
    storage: &'a mut dyn Storage,
    effects: &'a mut Effects,
}

impl<'a> Context<'a> {
    /// Made by a host for one input.
    pub fn new(
        now: Instant,
        wall_clock: Timestamp,
        rng: &'a mut Prng,
        storage: &'a mut dyn Storage,
        effects: &'a mut Effects,
    ) -> Self {
        Self { now, wall_clock, rng, storage, effects }
    }

    /// This node's monotonic clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// This node's wall clock, which can be wrong.
    pub fn wall_clock(&self) -> Timestamp {
        self.wall_clock
    }

    /// This node's own stream of random numbers.
    pub fn rng(&mut self) -> &mut Prng {
        self.rng
    }

    /// This node's disk.
    pub fn storage(&mut self) -> &mut dyn Storage {
        self.storage
    }

    /// Opens a connection.
    pub fn connect(&mut self, to: NodeId) -> ConnectionId {
        let connection = ConnectionId(self.effects.next_connection);
        self.effects.next_connection += 1;
        self.say(Effect::Connect { connection, to });
        connection
    }

    /// Sends a request on a connection that this node opened.
    pub fn send(&mut self, connection: ConnectionId, correlation_id: CorrelationId, request: Request) {
        self.say(Effect::Send { connection, correlation_id, request });
    }

    /// Answers a request.
    pub fn reply(&mut self, connection: ConnectionId, correlation_id: CorrelationId, response: Response) {
        self.say(Effect::Reply { connection, correlation_id, response });
    }

    /// Closes a connection.
    pub fn close(&mut self, connection: ConnectionId) {
        self.say(Effect::Close(connection));
    }

    /// Tells the application.
    pub fn complete(&mut self, completion: Completion) {
        self.say(Effect::Complete(completion));
    }

    /// What led to this input: of no use but to be given to [`Context::because`] later.
    pub fn cause(&self) -> u64 {
        self.effects.cause
    }

    /// What is said from now on goes back to an input that had waited until now, not to this one.
    pub fn because(&mut self, cause: u64) {
        self.say(Effect::Because(cause));
    }

    /// Reports what happened.
    pub fn fact(&mut self, fact: Fact) {
        self.say(Effect::Fact(fact));
    }

    /// Ends the process.
    pub fn exit(&mut self) {
        self.say(Effect::Exit);
    }

    fn say(&mut self, effect: Effect) {
        self.effects.said.push((self.storage.elapsed(), effect));
    }
}
