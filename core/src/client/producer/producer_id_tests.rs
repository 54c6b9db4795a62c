//! How a producer comes by its id: of whom it asks it, when it asks again, and what happens without.

use kafka_protocol::messages::{InitProducerIdResponse, ProducerId};

use super::edge_tests::{cluster, idempotent, sequences};
use super::*;
use crate::client::testing_cluster::Cluster;

/// An idempotent producer that is refused an id as often as this.
fn refused(errors: Vec<ErrorCode>) -> Cluster<Producer> {
    let producer = Producer::new(Arc::new(idempotent(3, 9)), vec![NodeId::Broker(1)], 0);
    Cluster::refusing_producer_ids(producer, errors)
}

/// What was asked for besides Produce and is not answered yet, and of which broker.
fn asked_of(cluster: &Cluster<Producer>) -> Vec<(i32, &'static str)> {
    cluster.asked.iter().map(|asked| (asked.node, asked.request.name())).collect()
}

#[test]
fn an_answer_to_another_question_brings_no_producer_id() {
    let mut cluster = cluster(ProducerConfig { metadata_max_age_ms: Duration::from_secs(1), ..idempotent(3, 9) });
    cluster.send("orders", Some(0), 0..1);
    cluster.holds_metadata = true;
    cluster.run_for(Duration::from_secs(2));
    let asked = cluster.take_asked();
    cluster.answer(&asked, InitProducerIdResponse::default().with_producer_id(ProducerId(99)));
    cluster.send("orders", Some(0), 1..2);
    assert_eq!(sequences(&cluster), [(7, 0, 0), (7, 0, 1)]);
}

#[test]
fn a_producer_id_is_asked_for_again_after_the_backoff_and_no_earlier() {
    let errors = vec![ErrorCode::COORDINATOR_LOAD_IN_PROGRESS; 2];
    let mut cluster = refused(errors);
    cluster.send("orders", Some(0), 0..1);
    cluster.send("orders", Some(0), 1..2);
    for (millis, requests) in [(0, 1), (99, 1), (1, 2), (99, 2), (1, 3)] {
        cluster.run_for(Duration::from_millis(millis));
        cluster.send("orders", Some(0), 2..3);
        assert_eq!(cluster.producer_id_requests, requests);
    }
    assert!(!cluster.produce.is_empty());
}

#[test]
fn a_producer_id_that_was_asked_for_on_a_connection_that_broke_is_asked_for_again() {
    // The first time it is refused.
    let mut cluster = refused(vec![ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]);
    cluster.holds_producer_ids = true;
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(asked_of(&cluster), [(1, "InitProducerId")]);
    cluster.disconnect(1);
    cluster.run_for(Duration::from_millis(99));
    assert_eq!(asked_of(&cluster), [], "not before the backoff is over");
    cluster.run_for(Duration::from_millis(1));
    let asked = cluster.take_asked();
    cluster.answer(&asked, InitProducerIdResponse::default().with_producer_id(ProducerId(9)));
    assert_eq!(sequences(&cluster), [(9, 0, 0)]);
}

#[test]
fn a_producer_id_is_asked_for_where_there_is_room_once_the_connection_is_open() {
    let mut cluster = cluster(ProducerConfig { max_in_flight_requests_per_connection: 1, ..idempotent(3, 9) });
    cluster.holds_producer_ids = true;
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(asked_of(&cluster), [(1, "InitProducerId")]);
    let asked = cluster.take_asked();
    cluster.holds_metadata = true;
    let error = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    cluster.answer(&asked, InitProducerIdResponse::default().with_error_code(error.0));
    cluster.run_for(Duration::from_millis(100));
    // A refusal has the metadata asked for, which go first and keep broker 1 busy; to broker 2 there is no connection yet.
    assert_eq!(asked_of(&cluster), [(1, "Metadata"), (2, "InitProducerId")]);
}

#[test]
fn a_producer_that_gets_no_id_sends_nothing_and_fails_everything() {
    let error = ErrorCode::UNSUPPORTED_VERSION;
    let mut cluster = refused(vec![error]);
    cluster.send("orders", Some(0), 0..2);
    cluster.run_for(Duration::from_secs(1));
    cluster.send("orders", Some(1), 2..3);
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.delivered(), [0, 1, 2].map(|record| (record, Err(error))));
    assert!(cluster.produce.is_empty());
}
