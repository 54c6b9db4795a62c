//! A store outside Kafka, in which a program keeps how far it has come, and perhaps its results with it: Redis, HBase, a
//! relational database.
//!
//! All of them are one machine: transactions in the order in which they arrive, answered when the store calls them written. What
//! sets them apart is what "written" means when the process is killed or the machine loses its power ([`Persistence`]).
//!
//! Sources: `KafkaConsumer`, "Storing Offsets Outside Kafka"; redis.io, "Redis persistence"; HBase's `Durability.SYNC_WAL` and
//! `checkAndPut`.
//! Not modelled: replicas of a store (a fail-over to one that lags is a restart with an older disk), region servers, locks,
//! isolation (one transaction at a time), keys that expire.

mod client;
mod messages;
mod server;

pub use client::StoreClient;
pub use messages::{Entry, StoreRequest, StoreResponse};
pub use server::{Persistence, Store, StoreConfig};
