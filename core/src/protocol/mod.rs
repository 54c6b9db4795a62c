//! What nodes say to each other. Requests and responses are those of Kafka's own schemas (crate `kafka-protocol`);
//! between simulated nodes they travel typed.

pub mod assignors;
pub mod consumer_protocol;
pub mod error_code;
pub mod message;

pub use error_code::ErrorCode;
pub use message::{APIS, Request, Response};
