//! What the shop promises, while brokers and the shop itself crash.

use std::sync::Arc;
use std::time::Duration;

use ackproof::app::{Cluster, Consumer, ConsumerRecord, Kind, Producer, Promise, Stage};
use madsim::runtime::Handle;
use madsim::time::sleep;
use shop::{Inbox, Orders, bill_all, take};

struct Kafka(Producer);

impl Orders for Kafka {
    async fn put(&self, order: &str) -> Result<(), String> {
        let sent = self.0.send("orders", None, order.as_bytes()).await.map_err(|error| error.to_string())?;
        sent.await.map(drop).map_err(|error| error.to_string())
    }
}

pub struct Billing(Consumer);

impl Billing {
    fn of(cluster: &Cluster) -> Self {
        let consumer = cluster.consumer("billing");
        consumer.subscribe(&["orders"]);
        Self(consumer)
    }
}

impl Inbox for Billing {
    type Order = ConsumerRecord;

    async fn poll(&self) -> Vec<ConsumerRecord> {
        self.0.poll(Duration::from_millis(500)).await.unwrap_or_default()
    }

    fn text(order: &ConsumerRecord) -> String {
        String::from_utf8_lossy(order.value.as_deref().unwrap_or_default()).into_owned()
    }

    fn billed(&self, order: &ConsumerRecord) {
        self.0.processed(order);
    }

    async fn commit(&self) {
        // What cannot be committed now is committed with the next orders.
        let _ = self.0.commit_sync().await;
    }
}

pub fn cluster() -> Stage {
    Stage::kafka("3.9").brokers(3).broker_config("min.insync.replicas", 2).latency("1ms..3ms").topic("orders", 1, 3)
}

/// Twenty customers order for about two seconds.
pub async fn open_the_shop(cluster: Cluster) {
    let kafka = Arc::new(Kafka(cluster.producer("shop")));
    let customer = |number: u64| {
        let kafka = kafka.clone();
        madsim::task::spawn(async move {
            for order in 0..30 {
                take(&*kafka, &format!("order {order} of customer {number}")).await;
                sleep(Duration::from_millis(50 + number)).await;
            }
        })
    };
    for customer in (0..20).map(customer).collect::<Vec<_>>() {
        customer.await.unwrap();
    }
}

#[test]
fn an_order_that_was_taken_is_never_lost() {
    ackproof::simulate(cluster())
        .producer("shop", "config/producer.properties")
        .step(
            r#"name = "the leader dies"
               at = "500ms..1500ms"
               kill = "leader of orders-0"
               for = "20s""#,
        )
        .promising(&[Promise::NothingLost])
        .seeds(0..50)
        .run(open_the_shop);
}

/// Billing starts, dies in the middle of its work, and is started again.
pub async fn billing_crashes<F: Future<Output = ()> + Send + 'static>(cluster: Cluster, bill_all: fn(Billing) -> F) {
    let kafka = Kafka(cluster.producer("shop"));
    for order in 0..40 {
        take(&kafka, &format!("order {order}")).await;
    }
    let first = Handle::current().create_node().name("billing").build();
    first.spawn(bill_all(Billing::of(&cluster)));
    // Its group has formed by then, and it bills one order after the other.
    sleep(Duration::from_millis(3_500 + 20 * cluster.seed())).await;
    Handle::current().kill(first.id());
    let second = Handle::current().create_node().name("billing again").build();
    second.spawn(bill_all(Billing::of(&cluster)));
    sleep(Duration::from_secs(60)).await;
}

#[test]
fn every_order_is_billed_although_billing_crashes() {
    ackproof::simulate(cluster())
        .producer("shop", "config/producer.properties")
        .consumer("billing", "config/consumer.properties")
        .allowing(Kind::DuplicateDelivery)
        .seeds(0..20)
        .run(|cluster| billing_crashes(cluster, |billing| bill_all(billing, drop)));
}
