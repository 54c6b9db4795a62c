//! The KRaft controller on one node: decide, write, replay, then say what was decided.
//!
//! Kafka: `QuorumController`, KIP-631.
//! Not modelled: a quorum of several controllers (KIP-595).

use std::sync::Arc;

use crate::config::BrokerConfig;
use crate::machine::{Context, Input, Machine};
use crate::metadata::MetadataImage;
use crate::types::Instant;

/// A controller.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the signatures come first; the behaviour follows within the hour")]
pub struct Controller {
    node_id: i32,
    config: Arc<BrokerConfig>,
    image: MetadataImage,
}

impl Controller {
    /// A controller that has not started. Its log lies in its storage.
    pub fn new(node_id: i32, config: Arc<BrokerConfig>) -> Self {
        Self { node_id, config, image: MetadataImage::default() }
    }

    /// What has been decided so far, as of the last record written.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }
}

impl Machine for Controller {
    fn handle(&mut self, _input: Input, _ctx: &mut Context<'_>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}
