//! What the tests of this folder share: a configuration, and the controller's end of a connection.

use std::sync::Arc;

use crate::client::testing::Bench;
use crate::config::{BrokerConfig, KafkaVersion, Property};
use crate::machine::Effect;
use crate::protocol::Request;
use crate::types::{ConnectionId, CorrelationId, NodeId};

pub(super) const CONTROLLER: NodeId = NodeId::Controller(100);

/// A broker of 3.9 with Kafka's defaults, but for three replicas per topic of which two must be in sync.
pub(super) fn config(broker_id: i32) -> Arc<BrokerConfig> {
    config_with(KafkaVersion::new(3, 9), broker_id, &[])
}

/// The same of some version, with properties of its own.
pub(super) fn config_with(version: KafkaVersion, broker_id: i32, properties: &[(&str, &str)]) -> Arc<BrokerConfig> {
    let id = broker_id.to_string();
    let own = [("node.id", id.as_str()), ("default.replication.factor", "3"), ("min.insync.replicas", "2")];
    let properties: Vec<Property> =
        own.iter().chain(properties).map(|(name, value)| Property::new(*name, *value)).collect();
    let resolved = BrokerConfig::resolve(version, &properties);
    Arc::new(resolved.expect("the properties are Kafka's").config)
}

/// Kafka's defaults in some version.
pub(super) fn config_of(version: KafkaVersion, broker_id: i32) -> Arc<BrokerConfig> {
    let resolved = BrokerConfig::resolve(version, &[Property::new("node.id", broker_id.to_string())]);
    Arc::new(resolved.expect("the properties are Kafka's").config)
}

/// The request sent last, and how to answer it.
pub(super) fn sent(bench: &mut Bench) -> Option<(ConnectionId, CorrelationId, Request)> {
    let mut sends = bench.take().into_iter().filter_map(|effect| match effect {
        Effect::Send { connection, correlation_id, request } => Some((connection, correlation_id, request)),
        _ => None,
    });
    let first = sends.next();
    assert!(sends.next().is_none(), "one request at a time");
    first
}

/// The connections opened since the last time.
pub(super) fn opened(bench: &mut Bench) -> Vec<(ConnectionId, NodeId)> {
    let effects = bench.take().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Connect { connection, to } => Some((connection, to)),
            _ => None,
        })
        .collect()
}
