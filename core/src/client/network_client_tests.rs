//! Given a few inputs, which effects and answers a [`NetworkClient`] gives.

use kafka_protocol::messages::{MetadataRequest, MetadataResponse};

use super::*;
use crate::client::testing::Bench;
use crate::machine::Effect;

const BROKER: NodeId = NodeId::Broker(1);
const TIMEOUT: Duration = Duration::from_secs(30);

fn client(max_in_flight: usize) -> NetworkClient {
    NetworkClient::new(NetworkClientConfig {
        reconnect_backoff: ExponentialBackoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) },
        connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
        max_in_flight,
        max_idle: None,
    })
}

/// A client with an open connection to [`BROKER`].
fn connected(max_in_flight: usize, bench: &mut Bench) -> (NetworkClient, ConnectionId) {
    let mut client = client(max_in_flight);
    assert!(!client.ready(BROKER, &mut bench.context()));
    let connection = opened(bench);
    assert_eq!(client.on_connected(connection, bench.now()), Some(BROKER));
    (client, connection)
}

fn opened(bench: &mut Bench) -> ConnectionId {
    match bench.take().as_slice() {
        [Effect::Connect { connection, to: BROKER }] => *connection,
        other => panic!("expected one Connect, got {other:?}"),
    }
}

fn send(client: &mut NetworkClient, expect: Expect, bench: &mut Bench) -> RequestToken {
    client.send(BROKER, MetadataRequest::default(), expect, TIMEOUT, &mut bench.context())
}

fn correlation(bench: &mut Bench) -> CorrelationId {
    match bench.take().as_slice() {
        [Effect::Send { correlation_id, .. }] => *correlation_id,
        other => panic!("expected one Send, got {other:?}"),
    }
}

#[test]
fn the_first_question_opens_the_connection_and_only_once() {
    let mut bench = Bench::default();
    let mut client = client(5);
    assert!(!client.ready(BROKER, &mut bench.context()));
    assert!(!client.ready(BROKER, &mut bench.context()));
    let connection = opened(&mut bench);
    assert!(!client.can_send(BROKER));
    client.on_connected(connection, bench.now());
    assert!(client.ready(BROKER, &mut bench.context()));
    assert!(bench.take().is_empty());
}

#[test]
fn a_response_finds_its_request_once() {
    let mut bench = Bench::default();
    let (mut client, connection) = connected(5, &mut bench);
    let token = send(&mut client, Expect::Response, &mut bench);
    let id = correlation(&mut bench);
    let response = || Response::from(MetadataResponse::default());
    assert_eq!(
        client.on_response(connection, id, response(), bench.now()).map(|(n, t, _)| (n, t)),
        Some((BROKER, token))
    );
    assert!(client.on_response(connection, id, response(), bench.now()).is_none());
    assert_eq!(client.next_deadline(), None);
}

#[test]
fn no_more_than_the_maximum_is_in_flight_and_what_expects_nothing_does_not_count() {
    let mut bench = Bench::default();
    let (mut client, _) = connected(1, &mut bench);
    send(&mut client, Expect::Nothing, &mut bench);
    assert!(client.can_send(BROKER));
    send(&mut client, Expect::Response, &mut bench);
    assert!(!client.can_send(BROKER));
    assert!(client.is_connected(BROKER));
}

#[test]
fn a_timeout_takes_the_connection_and_all_that_is_in_flight_on_it() {
    let mut bench = Bench::default();
    let (mut client, connection) = connected(5, &mut bench);
    let first = send(&mut client, Expect::Response, &mut bench);
    bench.advance(Duration::from_secs(20));
    let second = send(&mut client, Expect::Response, &mut bench);
    bench.take();
    assert_eq!(client.next_deadline(), Some(Instant::START + TIMEOUT));
    bench.advance(Duration::from_secs(9));
    assert_eq!(client.on_deadline(&mut bench.context()), []);
    bench.advance(Duration::from_secs(1));
    let gone = client.on_deadline(&mut bench.context());
    let expected =
        Disconnection { node: BROKER, reason: DisconnectReason::RequestTimeout, failed: vec![first, second] };
    assert_eq!(gone, [expected]);
    assert!(matches!(bench.take().as_slice(), [Effect::Close(closed)] if *closed == connection));
    assert!(client.on_disconnected(connection, &mut bench.context()).is_none(), "it is known to be gone");
}

#[test]
fn after_a_refusal_it_waits_and_wakes_whoever_asked() {
    let mut bench = Bench::default();
    let mut client = client(5);
    client.ready(BROKER, &mut bench.context());
    let connection = opened(&mut bench);
    let gone = client.on_disconnected(connection, &mut bench.context()).expect("it was connecting");
    assert_eq!((gone.reason, gone.failed), (DisconnectReason::Remote, vec![]));
    assert_eq!(client.next_deadline(), None, "nobody wants it yet");
    assert!(!client.ready(BROKER, &mut bench.context()));
    assert!(bench.take().is_empty(), "backoff");
    let retry_at = client.next_deadline().expect("somebody asked");
    assert!((40..=60).contains(&retry_at.since(bench.now()).as_millis()));
    bench.now_is(retry_at);
    client.on_deadline(&mut bench.context());
    assert_eq!(client.next_deadline(), None, "woken once");
    client.ready(BROKER, &mut bench.context());
    opened(&mut bench);
}

#[test]
fn a_connection_that_hangs_is_given_up_after_ten_seconds() {
    let mut bench = Bench::default();
    let mut client = client(5);
    client.ready(BROKER, &mut bench.context());
    opened(&mut bench);
    let deadline = client.next_deadline().expect("setup timeout");
    assert!((8_000..=12_000).contains(&deadline.since(bench.now()).as_millis()));
    bench.now_is(deadline);
    let gone = client.on_deadline(&mut bench.context());
    assert_eq!(gone[0].reason, DisconnectReason::SetupTimeout);
    assert!(client.connection_failed(BROKER));
}

#[test]
fn the_least_loaded_node_is_connected_and_idle_before_anything_else() {
    let mut bench = Bench::default();
    let (mut client, _) = connected(5, &mut bench);
    let nodes = [NodeId::Broker(0), BROKER, NodeId::Broker(2)];
    let mut rng = Prng::new(1);
    for _ in 0..10 {
        assert_eq!(client.least_loaded_node(&nodes, bench.now(), &mut rng), Some(BROKER));
    }
    client.disconnect(BROKER, &mut bench.context());
    assert_eq!(client.least_loaded_node(&[BROKER], bench.now(), &mut rng), None, "in backoff");
    let others: Vec<_> = (0..20).filter_map(|_| client.least_loaded_node(&nodes, bench.now(), &mut rng)).collect();
    assert!(others.contains(&nodes[0]) && others.contains(&nodes[2]) && !others.contains(&BROKER));
}

#[test]
fn a_connection_on_which_nothing_is_said_is_closed() {
    let mut bench = Bench::default();
    let (mut client, _) = connected(5, &mut bench);
    client.config.max_idle = Some(Duration::from_secs(540));
    let due = client.next_deadline().expect("it will be idle too long some day");
    assert_eq!(due, bench.now() + Duration::from_secs(540));
    bench.advance(Duration::from_secs(540));
    let gone = client.on_deadline(&mut bench.context());
    let expected = Disconnection { node: BROKER, reason: DisconnectReason::Idle, failed: Vec::new() };
    assert_eq!(gone, [expected]);
    assert!(!client.is_connected(BROKER));
}
