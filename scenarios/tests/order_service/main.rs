//! The tutorial's order producer and order consumer as ordinary async Rust, tested against broker crashes.
//!
//! The services below know nothing of the simulation but its client handles: they could be anybody's. They run on madsim
//! nodes; the cluster runs in a world in the same virtual time; the same checkers as everywhere judge what became of the
//! orders. A failing seed fails again, always.

mod cluster;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ackproof::log::{FactLog, LogFormat, VirtualTime, tell};

use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::RecordId;
use ackproof_reports::{Cause, Kind, Verdict};
use ackproof_sim::app::{Cluster, Consumer, Polled, Producer};
use ackproof_sim::world::World;
use cluster::{Shared, Shop};
use madsim::runtime::{Handle, Runtime};

const ORDERS: u64 = 60;

/// Sends one order every 100 ms, waits for each callback, and sends again what failed.
async fn order_producer(producer: Producer, from: u64) {
    for order in from..ORDERS {
        let value = format!("订单信息！{order}");
        let mut repeats: Option<RecordId> = None;
        loop {
            let Ok(delivery) = producer.send_again("orders", None, value.as_bytes(), repeats).await else { continue };
            let record = delivery.record;
            tracing::info!(order, "sent");
            if delivery.await.is_ok() {
                break;
            }
            repeats = Some(record);
        }
        madsim::time::sleep(Duration::from_millis(100)).await;
    }
    producer.close(ackproof_core::types::Duration::from_secs(30)).await;
}

/// Reads until it has seen the last order.
async fn order_consumer(consumer: Consumer) -> Vec<String> {
    consumer.assign(&[("orders", 0)]);
    let mut orders = Vec::new();
    let last = format!("订单信息！{}", ORDERS - 1);
    while orders.last() != Some(&last) {
        let records =
            consumer.poll(ackproof_core::types::Duration::from_millis(100)).await.expect("the topic is there");
        orders.extend(
            records.iter().filter_map(|record| record.value.as_deref()).map(String::from_utf8_lossy).map(String::from),
        );
    }
    orders
}

/// Runs the shop under a seed, kills the leader's broker after two seconds, and starts it again ten seconds later.
fn run_with_a_leader_crash(shop: Shop, seed: u64) -> (Shared, Vec<String>) {
    let shared = Shared::new(&shop);
    let watched = shared.clone();
    let orders = Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async move {
        let cluster = Cluster::start(shop.spec(seed), watched.observer()).await;
        let node = Handle::current().create_node().name("order service").build();
        let producing = node.spawn(order_producer(cluster.producer("orders-out"), 0));
        let consuming = node.spawn(order_consumer(cluster.consumer("orders-in")));
        madsim::time::sleep(Duration::from_secs(2)).await;
        let leader = cluster.leader_of("orders", 0).expect("nothing has happened yet");
        cluster.kill_broker(leader);
        madsim::time::sleep(Duration::from_secs(10)).await;
        cluster.start_broker(leader);
        producing.await.expect("the producer is not killed here");
        let orders = consuming.await.expect("the consumer is not killed here");
        cluster.finish().await;
        orders
    });
    (shared, orders)
}

#[test]
fn no_order_is_lost_when_the_leader_crashes() {
    for seed in 0..8 {
        let (shared, orders) = run_with_a_leader_crash(Shop::safe(), seed);
        let judgement = shared.judgement();
        assert_eq!(judgement.verdict, Verdict::Valid, "seed {seed}: {:?} {:?}", judgement.anomalies, judgement.doubts);
        let expected: Vec<String> = (0..ORDERS).map(|order| format!("订单信息！{order}")).collect();
        assert_eq!(orders, expected, "seed {seed}");
        assert!(shared.count("leader-elected") >= 2, "seed {seed}: the crash was never felt");
    }
}

#[test]
fn an_acknowledged_order_is_lost_when_only_the_leader_had_it() {
    for seed in 0..8 {
        let (shared, _) = run_with_a_leader_crash(Shop::with_acks_1_and_late_followers(), seed);
        let judgement = shared.explained();
        let lost = judgement.of_kind(Kind::LostWrite).count();
        assert!(lost > 0, "seed {seed}: {:?}", judgement.anomalies);
        for anomaly in judgement.of_kind(Kind::LostWrite) {
            assert_eq!(anomaly.cause, Some(Cause::AcknowledgedBeforeReplicated), "seed {seed}");
        }
    }
}

#[test]
fn a_killed_service_comes_back_and_the_orders_that_it_held_were_never_promised() {
    let shop = Shop::safe();
    let shared = Shared::new(&shop);
    let watched = shared.clone();
    Runtime::with_seed_and_config(3, madsim::Config::default()).block_on(async move {
        let cluster = Cluster::start(shop.spec(3), watched.observer()).await;
        let node = Handle::current().create_node().name("order service").build();
        node.spawn(order_producer(cluster.producer("orders-out"), 0));
        madsim::time::sleep(Duration::from_secs(2)).await;
        Handle::current().kill(node.id());
        madsim::time::sleep(Duration::from_secs(1)).await;
        assert!(watched.count("node-killed") == 1, "the client process dies with the service");
        let node = Handle::current().create_node().name("order service again").build();
        node.spawn(order_producer(cluster.producer("orders-out"), 30)).await.expect("it is not killed again");
        cluster.finish().await;
    });
    let judgement = shared.judgement();
    assert!(judgement.of_kind(Kind::LostWrite).next().is_none(), "{:?}", judgement.anomalies);
    assert!(judgement.counts.acknowledged >= 30);
}

/// When the order consumer of the tutorial commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// `enable.auto.commit=true`.
    ByItself,
    /// `commitSync()` after each batch.
    ByHand,
}

/// Works 50 ms on every order, until it has done the last one. What it does is written down outside of the process.
async fn billing(consumer: Consumer, commits: Commits, bills: Arc<Mutex<Vec<String>>>) {
    consumer.subscribe(&["orders"]);
    let last = format!("订单信息！{}", ORDERS - 1);
    loop {
        let polled = consumer.poll(ackproof_core::types::Duration::from_millis(100)).await;
        for record in polled.expect("the group has the topic") {
            madsim::time::sleep(Duration::from_millis(50)).await;
            let order = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
            bills.lock().expect("nothing panics with it").push(order.clone());
            consumer.processed(&record);
            if order == last {
                return consumer.close(ackproof_core::types::Duration::from_secs(5)).await;
            }
        }
        if commits == Commits::ByHand {
            consumer.commit_sync().await.expect("nobody takes its partition away");
        }
    }
}

/// Bills, and the next order to be billed, written together: where a service that has both begins is no question.
#[derive(Default)]
struct Ledger {
    bills: Vec<String>,
    next: Option<i64>,
}

/// The same service with its offset in its own ledger: it seeks when its group gives it the partition.
async fn billing_with_its_own_offsets(consumer: Consumer, ledger: Arc<Mutex<Ledger>>) {
    consumer.subscribe(&["orders"]);
    let last = format!("订单信息！{}", ORDERS - 1);
    loop {
        let polled = consumer.poll_listening(ackproof_core::types::Duration::from_millis(100)).await;
        match polled.expect("the group has the topic") {
            Polled::Assigned(partitions) => {
                let next = ledger.lock().expect("nothing panics with it").next;
                if let (false, Some(next)) = (partitions.is_empty(), next) {
                    consumer.seek("orders", 0, next);
                }
            }
            Polled::Revoked(_) | Polled::Lost(_) => {}
            Polled::Records(records) => {
                for record in records {
                    madsim::time::sleep(Duration::from_millis(50)).await;
                    let order = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                    let is_last = order == last;
                    let mut ledger = ledger.lock().expect("nothing panics with it");
                    ledger.bills.push(order);
                    ledger.next = Some(record.offset.0 + 1);
                    drop(ledger);
                    consumer.processed(&record);
                    if is_last {
                        return;
                    }
                }
            }
        }
    }
}

#[test]
fn a_service_that_keeps_its_offset_with_its_bills_writes_each_bill_once() {
    let by_hand: &[(&str, &str)] = &[("session.timeout.ms", "6000"), ("enable.auto.commit", "false")];
    for seed in 0..4 {
        let shop = Shop::in_a_group(by_hand);
        let shared = Shared::new(&shop);
        let (watched, ledger) = (shared.clone(), Arc::new(Mutex::new(Ledger::default())));
        let book = ledger.clone();
        Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async move {
            let cluster = Cluster::start(shop.spec(seed), watched.observer()).await;
            let node = Handle::current().create_node().name("order service").build();
            let producing = node.spawn(order_producer(cluster.producer("orders-out"), 0));
            let node = Handle::current().create_node().name("billing").build();
            node.spawn(billing_with_its_own_offsets(cluster.consumer("orders-in"), book.clone()));
            while book.lock().expect("nothing panics with it").bills.len() < 20 {
                madsim::time::sleep(Duration::from_millis(10)).await;
            }
            Handle::current().kill(node.id());
            producing.await.expect("the producer is not killed");
            let node = Handle::current().create_node().name("billing again").build();
            let again = billing_with_its_own_offsets(cluster.consumer("orders-in"), book);
            node.spawn(again).await.expect("it is not killed again");
            cluster.finish().await;
        });
        let bills = ledger.lock().expect("nothing panics with it").bills.clone();
        let orders: Vec<String> = (0..ORDERS).map(|order| format!("订单信息！{order}")).collect();
        assert_eq!(bills, orders, "seed {seed}");
        let judgement = shared.judgement();
        assert_eq!(judgement.kinds(), [], "seed {seed}: {:?}", judgement.anomalies);
    }
}

/// Lets the shop bill its orders, kills the billing service once it has written some bills, and starts it again.
fn run_with_a_crash_of_billing(shop: Shop, commits: Commits, seed: u64) -> (Shared, Vec<String>) {
    let shared = Shared::new(&shop);
    let (watched, bills) = (shared.clone(), Arc::new(Mutex::new(Vec::new())));
    let written = bills.clone();
    let count = move || written.lock().expect("nothing panics with it").len();
    let book = bills.clone();
    Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async move {
        let cluster = Cluster::start(shop.spec(seed), watched.observer()).await;
        let node = Handle::current().create_node().name("order service").build();
        let producing = node.spawn(order_producer(cluster.producer("orders-out"), 0));
        let node = Handle::current().create_node().name("billing").build();
        node.spawn(billing(cluster.consumer("orders-in"), commits, book.clone()));
        while count() < 20 {
            madsim::time::sleep(Duration::from_millis(10)).await;
        }
        // Its twentieth bill is written, and not committed yet.
        Handle::current().kill(node.id());
        producing.await.expect("the producer is not killed");
        let node = Handle::current().create_node().name("billing again").build();
        node.spawn(billing(cluster.consumer("orders-in"), commits, book)).await.expect("it is not killed again");
        cluster.finish().await;
    });
    let bills = bills.lock().expect("nothing panics with it").clone();
    (shared, bills)
}

#[test]
fn the_two_consumers_of_the_tutorial_process_again_what_they_had_not_committed() {
    let by_itself: &[(&str, &str)] = &[("session.timeout.ms", "6000"), ("auto.commit.interval.ms", "1000")];
    let by_hand: &[(&str, &str)] = &[("session.timeout.ms", "6000"), ("enable.auto.commit", "false")];
    for seed in 0..4 {
        for (commits, properties) in [(Commits::ByItself, by_itself), (Commits::ByHand, by_hand)] {
            let (shared, bills) = run_with_a_crash_of_billing(Shop::in_a_group(properties), commits, seed);
            let judgement = shared.explained();
            for order in 0..ORDERS {
                let order = format!("订单信息！{order}");
                assert!(bills.contains(&order), "seed {seed}: {order} was never billed: at least once");
            }
            let twice = bills.len() as u64 - ORDERS;
            assert!(twice > 0, "seed {seed}: the crash hit nothing");
            assert_eq!(judgement.counts.duplicate_deliveries, twice, "seed {seed}: the judge counts as the shop does");
            assert_eq!(judgement.kinds(), [Kind::DuplicateDelivery], "seed {seed}: {:?}", judgement.anomalies);
            for anomaly in &judgement.anomalies {
                assert_eq!(anomaly.cause, Some(Cause::ProcessedBeforeCommitted), "seed {seed}");
            }
        }
    }
}

/// Bills slowly: its partition is paused meanwhile, and it polls on to stay in its group. It ends behind the last order, or when
/// somebody wakes it up; then it has committed what it has billed, whether or not the commit came back.
async fn patient_billing(consumer: Arc<Consumer>, bills: Arc<Mutex<Vec<String>>>) {
    consumer.subscribe_pattern("ord.*");
    let (last, mut is_over) = (format!("订单信息！{}", ORDERS - 1), false);
    while !is_over {
        let records = match consumer.poll(Duration::from_millis(100)).await {
            Err(ErrorCode::CLIENT_WAKEUP) => return,
            records => records.expect("the topic is there"),
        };
        consumer.pause(&[("orders", 0)]);
        for record in &records {
            match consumer.poll(Duration::from_millis(50)).await {
                Err(ErrorCode::CLIENT_WAKEUP) => is_over = true,
                meanwhile => assert_eq!(meanwhile, Ok(Vec::new()), "it is paused"),
            }
            let order = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
            is_over |= order == last;
            bills.lock().expect("nothing panics with it").push(order);
            consumer.processed(record);
        }
        if !records.is_empty() {
            is_over |= consumer.commit_sync().await == Err(ErrorCode::CLIENT_WAKEUP);
        }
        consumer.resume(&[("orders", 0)]);
    }
}

#[test]
fn a_service_that_is_woken_up_and_closes_bills_each_order_once() {
    let shop = Shop::in_a_group(&[("session.timeout.ms", "6000"), ("enable.auto.commit", "false")]);
    for seed in 0..4 {
        let (shared, shop) = (Shared::new(&shop), shop.clone());
        let (watched, bills) = (shared.clone(), Arc::new(Mutex::new(Vec::new())));
        let book = bills.clone();
        Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async move {
            let cluster = Cluster::start(shop.spec(seed), watched.observer()).await;
            let node = Handle::current().create_node().name("order service").build();
            let producing = node.spawn(order_producer(cluster.producer("orders-out"), 0));
            for life in ["billing", "billing again"] {
                let consumer = Arc::new(cluster.consumer("orders-in"));
                let node = Handle::current().create_node().name(life).build();
                let working = node.spawn(patient_billing(consumer.clone(), book.clone()));
                while life == "billing" && book.lock().expect("nothing panics with it").len() < 20 {
                    madsim::time::sleep(Duration::from_millis(10)).await;
                }
                if life == "billing" {
                    consumer.wakeup();
                }
                working.await.expect("nobody kills it");
                let consumer = Arc::into_inner(consumer).expect("nobody else has it");
                consumer.close(Duration::from_secs(30)).await;
            }
            producing.await.expect("the producer is not killed");
            cluster.finish().await;
        });
        let bills = bills.lock().expect("nothing panics with it").clone();
        let all: Vec<String> = (0..ORDERS).map(|order| format!("订单信息！{order}")).collect();
        assert_eq!(bills, all, "seed {seed}");
        let judgement = shared.judgement();
        assert_eq!(judgement.kinds(), [], "seed {seed}: {:?}", judgement.anomalies);
        assert!(shared.count("woken-up") > 0, "seed {seed}: it was woken up");
        assert!(shared.count("partitions-paused") > 0, "seed {seed}: it paused");
    }
}

#[test]
fn a_world_driven_by_madsim_and_a_bare_one_give_the_same_facts() {
    for seed in 0..4 {
        let shop = Shop::with_programs_inside();
        let bare = Shared::new(&shop);
        World::new(shop.spec(seed)).run(&mut *bare.observer());
        let hosted = Shared::new(&shop);
        let watched = hosted.clone();
        Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async move {
            let cluster = Cluster::start(shop.spec(seed), watched.observer()).await;
            cluster.finish().await;
        });
        assert_eq!(bare.events(), hosted.events(), "seed {seed}");
        assert!(bare.count("record-acknowledged") > 0);
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nothing panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_tells_the_cluster_and_the_service_in_one_virtual_time() {
    let (silent, _) = run_with_a_leader_crash(Shop::safe(), 1);
    let paper = Paper::default();
    let layer = VirtualTime::new(LogFormat::Json, paper.clone()).clock(ackproof_sim::app::elapsed);
    let (told, _) = tell(layer, || run_with_a_leader_crash(Shop::safe().told_by(FactLog::default()), 1));
    assert_eq!(silent.events(), told.events(), "a log changes nothing");

    let text = String::from_utf8(paper.0.lock().expect("nothing panics with it").clone()).expect("a log is text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    let time = |line: &serde_json::Value| line["time_ns"].as_u64().expect("everything happens in virtual time");
    let sent: Vec<&serde_json::Value> = lines.iter().filter(|line| line["message"] == "sent").collect();
    assert!(sent.len() >= ORDERS as usize);
    assert!(sent.iter().all(|line| line["node"] == "order service"), "{:?}", sent[0]);
    // madsim lets every poll of a task take some nanoseconds; the world's clock is exact.
    // The service hears that its order is with the client, and says so before it has another one.
    let mut facts = lines.iter().filter(|line| line["fact"] == "record-sent").map(time);
    let (first, second) = (facts.next().expect("the client says so too"), facts.next().expect("there are more orders"));
    assert!((first..second).contains(&time(sent[0])), "{first} {second} {}", sent[0]);
    assert!(lines.iter().any(|line| line["fact"] == "node-killed" && line["target"] == "ackproof::broker"));
}
