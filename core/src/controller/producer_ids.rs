//! AllocateProducerIds: brokers get producer ids in blocks, so that InitProducerId rarely comes here.
//!
//! Kafka: `ProducerIdControlManager`, `ProducerIdsBlock`, KIP-730.

use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerId};

use super::Decision;
use super::cluster_control::check_broker_epoch;
use crate::metadata::records::ProducerIdsRecord;
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::protocol::ErrorCode;
use crate::types::BrokerEpoch;

/// How many ids a broker gets at once.
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1000;

/// Hands out the next block. Ids are never handed out twice, whatever becomes of the broker.
pub fn allocate(image: &MetadataImage, request: &AllocateProducerIdsRequest) -> Decision<AllocateProducerIdsResponse> {
    let refuse = |error: ErrorCode| Decision {
        records: Vec::new(),
        response: AllocateProducerIdsResponse::default().with_error_code(error.0),
    };
    let broker_epoch = BrokerEpoch(request.broker_epoch);
    if let Err(error) = check_broker_epoch(image, request.broker_id.0, broker_epoch) {
        return refuse(error);
    }
    let first = image.next_producer_id;
    let Some(next_producer_id) = first.checked_add(i64::from(PRODUCER_ID_BLOCK_SIZE)) else {
        return refuse(ErrorCode::UNKNOWN_SERVER_ERROR);
    };
    let record = ProducerIdsRecord { broker_id: request.broker_id.0, broker_epoch, next_producer_id };
    let response = AllocateProducerIdsResponse::default()
        .with_producer_id_start(ProducerId(first))
        .with_producer_id_len(PRODUCER_ID_BLOCK_SIZE);
    Decision { records: vec![MetadataRecord::ProducerIds(record)], response }
}
