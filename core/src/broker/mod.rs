//! A broker: requests in, records on disk, answers out.
//!
//! Reading order: [`broker`] is the machine and dispatches by API; `apis` has one file per API key; `socket_server` is
//! the order in which requests are served, `fetch_session` what fetchers need not repeat; `lifecycle`,
//! `groups` is the group coordinator's surroundings, `shares` what leaders know of share groups; `alter_partition`, `producer_ids` and `metadata_publisher` are what a broker and its controller say to each other,
//! over `controller_channel`s. The replicas themselves are [`crate::replication`].

mod alter_partition;
mod apis;
mod assignments;
#[expect(clippy::module_inception, reason = "the machine is what the folder is named after")]
pub mod broker;
mod client_quotas;
mod controller_channel;
mod fetch_session;
mod fetch_session_cache;
mod groups;
pub mod lifecycle;
mod loads;
mod metadata_publisher;
mod persister;
mod producer_ids;
mod request_handlers;
mod share_states;
mod shares;
mod socket_server;
#[cfg(test)]
mod test_cluster;
#[cfg(test)]
mod testing;

pub use broker::Broker;
pub use lifecycle::BrokerState;

use crate::types::StrBytes;

/// The port that every broker advertises; each has an address of its own.
const PORT: i32 = 9092;

/// The host that a broker advertises.
fn host_of(broker_id: i32) -> StrBytes {
    StrBytes::from_string(format!("broker-{broker_id}"))
}
