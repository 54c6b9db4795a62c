//! A log behind madsim's RPC: what is left of the work when the simulator does nothing but carry messages.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::net::Endpoint;
use madsim::net::rpc::{Deserialize, Request, Serialize};
use madsim::runtime::{Handle, Runtime};

use crate::{VALUE_BYTES, Work};

#[derive(Serialize, Deserialize)]
struct Produce(Vec<Vec<u8>>);

impl Request for Produce {
    const ID: u64 = 1;
    type Response = u64;
}

#[derive(Serialize, Deserialize)]
struct Fetch(usize);

impl Request for Fetch {
    const ID: u64 = 2;
    type Response = Vec<Vec<u8>>;
}

async fn serve(addr: SocketAddr) {
    let endpoint = Endpoint::bind(addr).await.expect("the address is free");
    let log: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let written = log.clone();
    endpoint.add_rpc_handler(move |Produce(records)| {
        let log = written.clone();
        async move {
            let mut log = log.lock().expect("nothing panics");
            log.extend(records);
            log.len() as u64
        }
    });
    endpoint.add_rpc_handler(move |Fetch(from)| {
        let log = log.clone();
        async move { log.lock().expect("nothing panics")[from..].to_vec() }
    });
    std::future::pending().await
}

async fn produce(broker: SocketAddr, work: Work) {
    let endpoint = Endpoint::bind("0.0.0.0:0").await.expect("a port is free");
    for _ in 0..work.records / work.to_a_request {
        let records = vec![vec![b'v'; VALUE_BYTES]; work.to_a_request];
        endpoint.call(broker, Produce(records)).await.expect("nothing is lost");
    }
}

async fn consume(broker: SocketAddr, records: usize) -> usize {
    let endpoint = Endpoint::bind("0.0.0.0:0").await.expect("a port is free");
    let mut read = 0;
    while read < records {
        read += endpoint.call(broker, Fetch(read)).await.expect("nothing is lost").len();
    }
    read
}

/// Returns how many records were consumed.
pub fn run(work: Work) -> usize {
    Runtime::with_seed_and_config(7, madsim::Config::default()).block_on(async move {
        let broker: SocketAddr = "10.0.0.1:9092".parse().expect("an address");
        let node = |name: &str, ip: &str| {
            Handle::current().create_node().name(name).ip(ip.parse().expect("an address")).build()
        };
        node("broker", "10.0.0.1").spawn(serve(broker));
        madsim::time::sleep(Duration::from_secs(1)).await;
        let producing = node("producer", "10.0.0.2").spawn(produce(broker, work));
        let consuming = node("consumer", "10.0.0.3").spawn(consume(broker, work.records));
        producing.await.expect("it is not killed");
        consuming.await.expect("it is not killed")
    })
}
