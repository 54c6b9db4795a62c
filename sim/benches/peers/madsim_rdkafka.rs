//! madsim-rdkafka's clients against its simulated broker.

use std::net::SocketAddr;
use std::time::Duration;

use madsim::runtime::{Handle, Runtime};
use madsim_rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use madsim_rdkafka::consumer::BaseConsumer;
use madsim_rdkafka::producer::{BaseProducer, BaseRecord};
use madsim_rdkafka::{ClientConfig, Message as _, SimBroker, TopicPartitionList};

use crate::{VALUE_BYTES, Work};

const BROKER: &str = "10.0.0.1:9092";

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", BROKER).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config
}

async fn create_topic() {
    let admin: AdminClient<_> = config().create().await.expect("an admin client");
    let topic = NewTopic::new("orders", 1, TopicReplication::Fixed(1));
    admin.create_topics(&[topic], &AdminOptions::new()).await.expect("the topic is new");
}

async fn produce(work: Work) {
    let producer: BaseProducer = config().create().await.expect("a producer");
    let value = [b'v'; VALUE_BYTES];
    for _ in 0..work.records / work.to_a_request {
        for n in 0..work.to_a_request {
            let key = format!("k{}", n % 5);
            let record = BaseRecord::to("orders").key(&key).payload(&value);
            assert!(producer.send(record).is_ok(), "the queue is emptied after every request");
        }
        producer.flush(None).await.expect("nothing is lost");
    }
}

async fn consume(records: usize) -> usize {
    let consumer: BaseConsumer = config().create().await.expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition("orders", 0);
    consumer.assign(&assignment).expect("it is there");
    let (mut read, mut bytes) = (0, 0);
    while read < records {
        if let Some(record) = consumer.poll(None).await {
            bytes += record.expect("nothing is lost").payload().map_or(0, <[u8]>::len);
            read += 1;
        }
    }
    assert_eq!(bytes, records * VALUE_BYTES);
    read
}

/// Returns how many records were consumed.
pub fn run(work: Work) -> usize {
    Runtime::with_seed_and_config(7, madsim::Config::default()).block_on(async move {
        let broker: SocketAddr = BROKER.parse().expect("an address");
        let node = |name: &str, ip: &str| {
            Handle::current().create_node().name(name).ip(ip.parse().expect("an address")).build()
        };
        node("broker", "10.0.0.1").spawn(async move { SimBroker::default().serve(broker).await });
        madsim::time::sleep(Duration::from_secs(1)).await;
        node("admin", "10.0.0.2").spawn(create_topic()).await.expect("it is not killed");
        let producing = node("producer", "10.0.0.3").spawn(produce(work));
        let consuming = node("consumer", "10.0.0.4").spawn(consume(work.records));
        producing.await.expect("it is not killed");
        consuming.await.expect("it is not killed")
    })
}
