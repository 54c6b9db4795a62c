//! Tests of `metadata_publisher.rs`.

use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use uuid::Uuid;

use super::super::testing::{CONTROLLER, opened, sent};
use super::*;
use crate::client::testing::Bench;
use crate::metadata::MetadataRecord;
use crate::metadata::records::{ConfigRecord, TopicRecord};
use crate::protocol::Request;
use crate::types::{LeaderEpoch, Timestamp};

struct Rig {
    bench: Bench,
    publisher: MetadataPublisher,
    asked: Option<(ConnectionId, CorrelationId, Request)>,
}

fn topic(name: &'static str) -> MetadataRecord {
    let topic_id = Uuid::from_u128(u128::from(name.as_bytes()[0]));
    MetadataRecord::Topic(TopicRecord { name: TopicName(StrBytes::from_static_str(name)), topic_id })
}

fn batch_at(offset: i64, records: &[MetadataRecord]) -> Bytes {
    batch::encode(records, Offset(offset), LeaderEpoch(1), Timestamp(0))
}

impl Rig {
    fn fetching() -> Self {
        let publisher = MetadataPublisher::new(1, vec![CONTROLLER]);
        let mut rig = Self { bench: Bench::default(), publisher, asked: None };
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.publisher.poll(&mut self.bench.context());
        let [(connection, _)] = opened(&mut self.bench)[..] else { panic!("it connects to its controller") };
        self.publisher.on_connected(connection, &self.bench.context());
        self.poll();
    }

    fn poll(&mut self) {
        self.publisher.poll(&mut self.bench.context());
        if let Some(request) = sent(&mut self.bench) {
            self.asked = Some(request);
        }
    }

    fn fetched(&mut self, data: PartitionData) {
        let (connection, id, _) = self.asked.take().expect("there is a request to answer");
        let entry = FetchableTopicResponse::default().with_partitions(vec![data]);
        let response = FetchResponse::default().with_responses(vec![entry]);
        self.publisher.on_response(connection, id, response.into(), &mut self.bench.context());
        self.poll();
    }

    fn reads(&mut self, high_watermark: i64, records: Bytes) {
        self.fetched(PartitionData::default().with_high_watermark(high_watermark).with_records(Some(records)));
    }

    fn asked_from(&self) -> i64 {
        match &self.asked {
            Some((_, _, Request::Fetch(request))) => request.topics[0].partitions[0].fetch_offset,
            other => panic!("no fetch: {other:?}"),
        }
    }

    fn topics(&self) -> Vec<&str> {
        self.publisher.image().topics.keys().map(|name| name.as_str()).collect()
    }
}

#[test]
fn nothing_is_published_before_the_high_watermark_is_reached() {
    let mut rig = Rig::fetching();
    assert_eq!(rig.asked_from(), 0);
    rig.reads(3, batch_at(0, &[topic("a"), topic("b")]));
    assert_eq!((rig.asked_from(), rig.publisher.is_caught_up()), (2, false));
    assert_eq!(rig.publisher.take_delta(), None);
    rig.reads(3, batch_at(2, &[topic("c")]));
    assert_eq!((rig.asked_from(), rig.publisher.is_caught_up()), (3, true));
    assert_eq!(rig.publisher.take_delta().expect("it is published").topics.len(), 3);
    assert_eq!(rig.publisher.take_delta(), None);
}

#[test]
fn a_change_of_a_broker_s_configuration_alone_is_published_too() {
    let mut rig = Rig::fetching();
    rig.reads(1, batch_at(0, &[topic("a")]));
    assert!(rig.publisher.take_delta().is_some());
    let text = StrBytes::from_static_str;
    let (resource_type, resource_name) = (ConfigRecord::BROKER, text(""));
    let name = text("follower.replication.throttled.rate");
    let limit = ConfigRecord { resource_type, resource_name, name, value: Some(text("1000")) };
    rig.reads(2, batch_at(1, &[MetadataRecord::Config(limit)]));
    let delta = rig.publisher.take_delta().expect("it is published");
    assert_eq!(delta.broker_configs.into_iter().collect::<Vec<_>>(), [""]);
}

#[test]
fn what_lies_above_the_high_watermark_is_not_believed() {
    let mut rig = Rig::fetching();
    let both = [batch_at(0, &[topic("a")]), batch_at(1, &[topic("b")])].concat();
    rig.reads(1, both.into());
    assert_eq!((rig.topics(), rig.asked_from()), (vec!["a"], 1));
}

#[test]
fn corrupt_bytes_are_asked_for_again_after_the_backoff() {
    let mut rig = Rig::fetching();
    let mut bytes = batch_at(0, &[topic("a")]).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    rig.reads(1, bytes.into());
    assert!(rig.asked.is_none() && rig.topics().is_empty());
    rig.bench.advance(RETRY_BACKOFF);
    rig.publisher.on_deadline(&mut rig.bench.context());
    rig.poll();
    assert_eq!(rig.asked_from(), 0);
}

#[test]
fn a_publisher_that_lags_publishes_in_order_and_late() {
    let mut rig = Rig::fetching();
    rig.reads(1, batch_at(0, &[topic("a")]));
    rig.publisher.set_lag(Duration::from_secs(5), &mut rig.bench.context());
    rig.reads(2, batch_at(1, &[topic("b")]));
    rig.bench.advance(Duration::from_secs(2));
    rig.reads(3, batch_at(2, &[topic("c")]));
    assert_eq!((rig.topics(), rig.asked_from()), (vec!["a"], 3), "it reads on, and goes by what it knew");
    assert_eq!(rig.publisher.image().last_applied, Offset(0));
    rig.bench.advance(Duration::from_secs(3));
    rig.publisher.on_deadline(&mut rig.bench.context());
    assert_eq!(rig.topics(), ["a", "b"]);
    rig.publisher.set_lag(Duration::ZERO, &mut rig.bench.context());
    assert_eq!(rig.topics(), ["a", "b", "c"], "what waits is published when the thread is fast again");
}

#[test]
fn a_log_that_ends_earlier_is_another_log_and_is_read_from_the_start() {
    let mut rig = Rig::fetching();
    rig.reads(1, batch_at(0, &[topic("a")]));
    rig.fetched(PartitionData::default().with_error_code(ErrorCode::OFFSET_OUT_OF_RANGE.0));
    assert_eq!((rig.asked_from(), rig.topics().len()), (0, 0));
    rig.reads(1, batch_at(0, &[topic("z")]));
    assert_eq!(rig.topics(), ["z"]);
}

#[test]
fn a_silent_controller_is_asked_again() {
    let mut rig = Rig::fetching();
    rig.bench.advance(REQUEST_TIMEOUT);
    rig.publisher.on_deadline(&mut rig.bench.context());
    rig.asked = None;
    rig.bench.take();
    rig.bench.advance(Duration::from_millis(100));
    rig.connect();
    assert_eq!(rig.asked_from(), 0);
}
