//! All logs of a broker.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::UnifiedLog;
use crate::config::{BrokerConfig, LogConfig};
use crate::machine::Context;
use crate::types::{Instant, TopicPartition};

/// All logs of a broker.
#[derive(Clone, Debug)]
pub struct LogManager {
    config: Arc<BrokerConfig>,
    logs: BTreeMap<TopicPartition, UnifiedLog>,
}

#[expect(unused_variables, reason = "the signatures come first; the bodies follow within the hour")]
impl LogManager {
    /// A manager without logs; [`LogManager::load_all`] comes next.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        Self { config, logs: BTreeMap::new() }
    }

    /// Loads every log in the log directory, and recovers those that an unclean stop left behind.
    pub fn load_all(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// The broker's configuration.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// A log.
    pub fn get(&self, partition: &TopicPartition) -> Option<&UnifiedLog> {
        self.logs.get(partition)
    }

    /// A log, to change it.
    pub fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut UnifiedLog> {
        self.logs.get_mut(partition)
    }

    /// A log, created if there is none.
    pub fn get_or_create(
        &mut self,
        partition: &TopicPartition,
        config: &LogConfig,
        ctx: &mut Context<'_>,
    ) -> io::Result<&mut UnifiedLog> {
        unimplemented!("lands next")
    }

    /// All logs, by partition.
    pub fn logs(&self) -> impl Iterator<Item = (&TopicPartition, &UnifiedLog)> {
        self.logs.iter()
    }

    /// When [`LogManager::on_deadline`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Flushes and writes checkpoints, as far as they are due.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// Flushes everything, writes the checkpoints and the clean marker: the next start needs no recovery.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }
}
