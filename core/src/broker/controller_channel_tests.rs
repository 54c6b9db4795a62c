//! Tests of `controller_channel.rs`.

use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::super::testing::{CONTROLLER, opened, sent};
use super::*;
use crate::client::testing::Bench;

const STANDBY: NodeId = NodeId::Controller(101);

struct Rig {
    bench: Bench,
    channel: ControllerChannel<&'static str>,
}

fn heartbeat() -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest::default()
}

fn answer(error: ErrorCode) -> Response {
    BrokerHeartbeatResponse::default().with_error_code(error.0).into()
}

impl Rig {
    fn with(controllers: &[NodeId]) -> Self {
        let channel = ControllerChannel::new(controllers.to_vec(), Duration::from_secs(30), Duration::from_secs(60));
        Self { bench: Bench::default(), channel }
    }

    fn send(&mut self, tag: &'static str) {
        self.channel.send(tag, heartbeat(), &mut self.bench.context());
    }

    /// The connection that is being opened is established; the other end.
    fn connect(&mut self) -> NodeId {
        let [(connection, to)] = opened(&mut self.bench)[..] else { panic!("one connection is opened") };
        self.channel.on_connected(connection, &mut self.bench.context());
        to
    }

    fn wait(&mut self, length: Duration) {
        self.bench.advance(length);
        self.channel.on_deadline(&mut self.bench.context());
    }

    fn outcomes(&mut self) -> Vec<(&'static str, bool)> {
        std::iter::from_fn(|| self.channel.take_outcome())
            .map(|(tag, outcome)| (tag, matches!(outcome, Outcome::Answered(_))))
            .collect()
    }
}

#[test]
fn requests_go_out_one_after_the_other() {
    let mut rig = Rig::with(&[CONTROLLER]);
    rig.send("first");
    rig.send("second");
    assert_eq!(rig.connect(), CONTROLLER);
    let (connection, id, _) = sent(&mut rig.bench).expect("the first is sent");
    rig.channel.on_response(connection, id, answer(ErrorCode::NONE), &mut rig.bench.context());
    assert_eq!(rig.outcomes(), [("first", true)]);
    let (connection, id, _) = sent(&mut rig.bench).expect("then the second");
    rig.channel.on_response(connection, id, answer(ErrorCode::STALE_BROKER_EPOCH), &mut rig.bench.context());
    assert_eq!(rig.outcomes(), [("second", true)], "what the error means is the owner's business");
    assert_eq!(rig.channel.pending(), 0);
}

#[test]
fn a_lost_connection_or_not_controller_moves_on_to_the_next_controller_with_the_same_request() {
    let mut rig = Rig::with(&[CONTROLLER, STANDBY]);
    rig.send("first");
    rig.send("second");
    assert_eq!(rig.connect(), CONTROLLER);
    let (connection, id, _) = sent(&mut rig.bench).expect("it is sent");
    rig.channel.on_response(connection, id, answer(ErrorCode::NOT_CONTROLLER), &mut rig.bench.context());
    assert_eq!(rig.connect(), STANDBY);
    let (connection, ..) = sent(&mut rig.bench).expect("and sent again");
    rig.channel.on_disconnected(connection, &mut rig.bench.context());
    rig.wait(Duration::from_millis(50));
    assert_eq!(rig.connect(), CONTROLLER);
    let (connection, id, _) = sent(&mut rig.bench).expect("and again");
    rig.channel.on_response(connection, id, answer(ErrorCode::NONE), &mut rig.bench.context());
    assert_eq!(rig.outcomes(), [("first", true)], "the first stayed in front of the second");
}

#[test]
fn patience_ends_while_a_request_is_not_in_flight() {
    let mut rig = Rig::with(&[CONTROLLER]);
    rig.send("first");
    for _ in 0..59 {
        rig.wait(Duration::from_secs(1));
    }
    assert!(rig.outcomes().is_empty());
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.outcomes(), [("first", false)]);
}

#[test]
fn a_request_without_answer_takes_the_connection_with_it_and_is_sent_again() {
    let mut rig = Rig::with(&[CONTROLLER]);
    rig.send("first");
    rig.connect();
    assert!(sent(&mut rig.bench).is_some());
    rig.wait(Duration::from_secs(30));
    assert!(rig.outcomes().is_empty());
    rig.wait(Duration::from_millis(50));
    rig.connect();
    assert!(sent(&mut rig.bench).is_some());
}
