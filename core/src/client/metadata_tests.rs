//! Given a few answers, what a [`ClientMetadata`] believes and when it asks again.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::client::NetworkClientConfig;
use crate::client::testing::Bench;
use crate::machine::Effect;
use crate::protocol::Request;

const BACKOFF: Duration = Duration::from_millis(100);

struct Client {
    bench: Bench,
    network: NetworkClient,
    metadata: ClientMetadata,
}

fn orders() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

/// A client connected to broker 1, its only bootstrap server.
fn client() -> Client {
    let mut bench = Bench::default();
    let mut network = NetworkClient::new(NetworkClientConfig {
        reconnect_backoff: ExponentialBackoff::constant(Duration::from_millis(50)),
        connection_setup_timeout: None,
        max_in_flight: 5,
        max_idle: None,
    });
    let mut metadata = ClientMetadata::new(ClientMetadataConfig {
        bootstrap: vec![NodeId::Broker(1)],
        retry_backoff: ExponentialBackoff::constant(BACKOFF),
        max_age: Duration::from_secs(300),
        allow_auto_topic_creation: true,
        topic_idle: Some(Duration::from_secs(300)),
        request_timeout: Duration::from_secs(30),
        tells_recreated: true,
    });
    bench.advance(Duration::from_secs(1));
    metadata.add_topic(&orders(), bench.now());
    metadata.maybe_update(&mut network, &mut bench.context());
    for effect in bench.take() {
        if let Effect::Connect { connection, .. } = effect {
            network.on_connected(connection, bench.now());
        }
    }
    Client { bench, network, metadata }
}

/// Broker 1 and 2, and the leader and epoch of each partition of `orders`.
fn answer(partitions: &[(i32, i32)]) -> MetadataResponse {
    let partitions = partitions.iter().enumerate().map(|(index, (leader, epoch))| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(*leader))
            .with_leader_epoch(*epoch)
    });
    MetadataResponse::default()
        .with_brokers([1, 2].map(|id| MetadataResponseBroker::default().with_node_id(BrokerId(id))).to_vec())
        .with_topics(vec![
            MetadataResponseTopic::default().with_name(Some(orders())).with_partitions(partitions.collect()),
        ])
}

impl Client {
    /// The token of the Metadata request that goes out now, if one does.
    fn asks(&mut self) -> Option<RequestToken> {
        self.metadata.maybe_update(&mut self.network, &mut self.bench.context());
        let requests = self
            .bench
            .take()
            .into_iter()
            .filter(|effect| matches!(effect, Effect::Send { request: Request::Metadata(_), .. }));
        (requests.count() == 1).then(|| self.metadata.in_progress.expect("it was sent").token)
    }

    fn is_told(&mut self, token: RequestToken, response: &MetadataResponse) {
        assert!(self.metadata.on_response(token, response, &mut self.bench.context()));
    }

    fn leader(&self) -> Option<(NodeId, LeaderEpoch)> {
        self.metadata.leader(&orders(), 0)
    }
}

#[test]
fn it_asks_once_and_believes_the_answer() {
    let mut client = client();
    let token = client.asks().expect("a topic is wanted");
    assert_eq!(client.asks(), None, "one request at a time");
    client.is_told(token, &answer(&[(2, 7), (1, 3)]));
    assert_eq!(client.leader(), Some((NodeId::Broker(2), LeaderEpoch(7))));
    assert_eq!(client.metadata.partitions(&orders()).map(<[_]>::len), Some(2));
    assert_eq!(client.asks(), None, "nothing is wanted");
    assert_eq!(client.metadata.next_deadline(), Some(client.bench.now() + Duration::from_secs(300)));
}

#[test]
fn an_older_epoch_changes_nothing() {
    let mut client = client();
    let token = client.asks().expect("a topic is wanted");
    client.is_told(token, &answer(&[(2, 7)]));
    for (leader, epoch, expected) in [(1, 6, (2, 7)), (1, 7, (1, 7)), (2, 9, (2, 9))] {
        client.metadata.request_update();
        client.bench.advance(BACKOFF);
        let token = client.asks().expect("an update was requested");
        client.is_told(token, &answer(&[(leader, epoch)]));
        assert_eq!(client.leader(), Some((NodeId::Broker(expected.0), LeaderEpoch(expected.1))));
    }
}

#[test]
fn between_two_requests_lies_the_backoff_but_for_a_new_topic() {
    let mut client = client();
    let token = client.asks().expect("a topic is wanted");
    client.is_told(token, &answer(&[(1, 0)]));
    client.metadata.request_update();
    assert_eq!(client.asks(), None);
    assert_eq!(client.metadata.next_deadline(), Some(client.bench.now() + BACKOFF));
    client.metadata.add_topic(&TopicName(StrBytes::from_static_str("payments")), client.bench.now());
    assert!(client.asks().is_some());
}

#[test]
fn a_partition_without_leader_is_known_and_asked_about_again() {
    let mut client = client();
    let token = client.asks().expect("a topic is wanted");
    let mut response = answer(&[(-1, 4)]);
    response.topics[0].partitions[0].error_code = ErrorCode::LEADER_NOT_AVAILABLE.0;
    client.is_told(token, &response);
    assert_eq!(client.leader(), None);
    assert_eq!(client.metadata.partitions(&orders()).map(<[_]>::len), Some(1));
    assert_eq!(client.asks(), None, "not without backoff");
    client.bench.advance(BACKOFF);
    assert!(client.asks().is_some());
}

#[test]
fn a_hint_is_believed_if_it_is_news() {
    let mut client = client();
    let token = client.asks().expect("a topic is wanted");
    client.is_told(token, &answer(&[(1, 4)]));
    assert!(!client.metadata.hint_leader(&orders(), 0, 2, LeaderEpoch(4)), "not newer");
    assert!(!client.metadata.hint_leader(&orders(), 0, 3, LeaderEpoch(5)), "unknown broker");
    assert!(client.metadata.hint_leader(&orders(), 0, 2, LeaderEpoch(5)));
    assert_eq!(client.leader(), Some((NodeId::Broker(2), LeaderEpoch(5))));
}

#[test]
fn when_nobody_can_be_reached_it_wakes_at_the_end_of_a_backoff() {
    let mut client = client();
    let gone = client.network.disconnect(NodeId::Broker(1), &mut client.bench.context()).expect("it was connected");
    client.metadata.on_disconnection(&gone, &mut client.bench.context());
    assert_eq!(client.asks(), None);
    assert_eq!(client.metadata.next_deadline(), Some(client.bench.now() + BACKOFF), "a failed update");
    client.bench.advance(Duration::from_millis(10));
    let until = client.bench.now() + Duration::from_millis(90);
    client.bench.now_is(until);
    assert_eq!(client.asks(), None, "it connects first");
    assert!(!client.network.connection_failed(NodeId::Broker(1)));
}
