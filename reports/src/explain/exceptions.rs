//! Errors of clients as a Kafka user knows them: the exception, and what it means.
//!
//! Kafka: `org.apache.kafka.common.errors`, `clients/producer/BufferExhaustedException`; `kafka.common` of 0.8.

use ackproof_core::protocol::ErrorCode;

/// The name of an error, and what it says besides.
pub(super) fn exception(error: ErrorCode) -> (String, &'static str) {
    let (name, meaning) = match error {
        ErrorCode::CLIENT_DELIVERY_TIMEOUT => ("TimeoutException", "delivery.timeout.ms passed"),
        ErrorCode::CLIENT_EXPIRED_UNSENT => ("TimeoutException", "it expired before it was sent"),
        ErrorCode::CLIENT_BUFFER_EXHAUSTED => {
            ("BufferExhaustedException", "no room in buffer.memory within max.block.ms")
        }
        ErrorCode::CLIENT_METADATA_TIMEOUT => ("TimeoutException", "no metadata within max.block.ms"),
        ErrorCode::CLIENT_RECORD_TOO_LARGE => {
            ("RecordTooLargeException", "larger than max.request.size or buffer.memory")
        }
        ErrorCode::CLIENT_CLOSED => ("KafkaException", "the producer was closed"),
        ErrorCode::CLIENT_QUEUE_FULL => ("QueueFullException", "queue.buffering.max.messages were waiting"),
        ErrorCode::CLIENT_FAILED_TO_SEND => ("FailedToSendMessageException", "message.send.max.retries are used up"),
        ErrorCode::CLIENT_DISCONNECTED | ErrorCode::NETWORK_EXCEPTION => {
            ("NetworkException", "disconnected before the answer")
        }
        ErrorCode::CLIENT_REQUEST_TIMEOUT => ("TimeoutException", "no answer within request.timeout.ms"),
        other => return (other.to_string(), ""),
    };
    (name.to_owned(), meaning)
}
