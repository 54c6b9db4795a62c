//! BrokerRegistration: a broker comes, or comes back as another incarnation.
//!
//! Kafka: `ClusterControlManager`, KIP-631, KIP-966 (unclean stops), KIP-380 (bounces in ZooKeeper mode).
//! Invariant: a new incarnation starts fenced; while the session of the old one lasts it is turned away.
//! Not modelled: cluster ids, features and their levels, racks beyond being remembered.

use kafka_protocol::messages::BrokerRegistrationRequest;

use super::Decision;
use super::broker_heartbeats::BrokerHeartbeats;
use super::replication_control::ReplicationControl;
use crate::metadata::records::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::protocol::ErrorCode;
use crate::types::{BrokerEpoch, Instant, Offset};

/// Whether the broker is registered at this epoch: what an earlier incarnation says no longer counts.
pub fn check_broker_epoch(image: &MetadataImage, broker: i32, epoch: BrokerEpoch) -> Result<(), ErrorCode> {
    match image.brokers.get(&broker) {
        Some(registration) if registration.epoch == epoch => Ok(()),
        Some(_) | None => Err(ErrorCode::STALE_BROKER_EPOCH),
    }
}

/// Decides on a registration whose record would be written at `next_offset`, which becomes the broker's epoch.
pub fn register_broker(
    replication: &ReplicationControl<'_>,
    heartbeats: &BrokerHeartbeats,
    request: &BrokerRegistrationRequest,
    next_offset: Offset,
    now: Instant,
) -> Decision<Result<BrokerEpoch, ErrorCode>> {
    let broker_id = request.broker_id.0;
    let existing = replication.image.brokers.get(&broker_id);
    let same_incarnation = existing.filter(|existing| existing.incarnation_id == request.incarnation_id);
    let notices_bounces = replication.config.toggles.bounce_requires_fencing;
    if notices_bounces
        && existing.is_some()
        && same_incarnation.is_none()
        && heartbeats.has_valid_session(broker_id, now)
    {
        return Decision { records: Vec::new(), response: Err(ErrorCode::DUPLICATE_BROKER_REGISTRATION) };
    }
    let mut record = RegisterBrokerRecord {
        broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch: BrokerEpoch(next_offset.0),
        end_points: end_points(request),
        features: features(request),
        rack: request.rack.clone(),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: request.log_dirs.clone(),
    };
    if let Some(existing) = same_incarnation {
        // The answer to the first registration was lost: it keeps what it has.
        record.broker_epoch = existing.epoch;
        record.fenced = existing.fenced;
        record.in_controlled_shutdown = existing.in_controlled_shutdown;
    }
    let bounced = existing.filter(|_| same_incarnation.is_none());
    if let Some(existing) = bounced.filter(|_| !notices_bounces) {
        // Without the fix a broker is its number: the one that is back takes the place of the one that was.
        record.fenced = existing.fenced;
    }
    let epoch = record.broker_epoch;
    let mut records = vec![MetadataRecord::RegisterBroker(record)];
    if let Some(existing) = bounced.filter(|_| notices_bounces) {
        if replication.config.toggles.elr && existing.epoch.0 != request.previous_broker_epoch {
            records.extend(replication.remove_after_unclean_shutdown(broker_id));
        } else {
            // An incarnation whose session has run out, but which was not fenced yet, must not lead on as a fenced one
            // (3.9 leaves it so; 4.0 does this).
            records.extend(replication.remove_from_isrs(broker_id));
        }
    }
    Decision { records, response: Ok(epoch) }
}

fn end_points(request: &BrokerRegistrationRequest) -> Vec<BrokerEndpoint> {
    let listeners = request.listeners.iter().map(|listener| BrokerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    });
    listeners.collect()
}

fn features(request: &BrokerRegistrationRequest) -> Vec<BrokerFeature> {
    let features = request.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
    });
    features.collect()
}
