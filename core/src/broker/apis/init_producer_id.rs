//! Key 22, InitProducerId: a producer id and epoch.
//!
//! Kafka: `KafkaApis.handleInitProducerIdRequest`, `TransactionCoordinator.handleInitProducerId`. Versions 0 to 5; KIP-98,
//! KIP-360 (a producer that lost its way asks again, and gets a new id if it is not transactional).
//! Not modelled: transactions. A request with a `transactional.id` is answered with INVALID_REQUEST.

use kafka_protocol::messages::{AllocateProducerIdsRequest, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::Forwarded;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::BrokerId;

impl Broker {
    pub(in super::super) fn handle_init_producer_id(
        &mut self,
        reply_to: ReplyTo,
        request: &InitProducerIdRequest,
        ctx: &mut Context<'_>,
    ) {
        if request.transactional_id.is_some() {
            let refusal = InitProducerIdResponse::default()
                .with_error_code(ErrorCode::INVALID_REQUEST.0)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            return self.reply(reply_to, refusal, ctx);
        }
        self.producer_ids.enqueue(reply_to);
        self.grant_producer_ids(ctx);
    }

    /// Answers who waits, as far as the block reaches, and asks for the next one.
    pub(in super::super) fn grant_producer_ids(&mut self, ctx: &mut Context<'_>) {
        while let Some((reply_to, id)) = self.producer_ids.next_grant() {
            let response = InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0);
            self.reply(reply_to, response, ctx);
        }
        if self.producer_ids.must_request_block(ctx.now()) {
            let request = AllocateProducerIdsRequest::default()
                .with_broker_id(BrokerId(self.config.broker_id))
                .with_broker_epoch(self.broker_epoch().0);
            self.forwarding.send(Forwarded::ProducerIds, request, ctx);
        }
    }
}
