//! `--log`: what happens, while it happens, on standard error.

use std::io;

use anstream::ColorChoice;
use clap::Args;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::screen::Screen;
use crate::log::{LogFilter, LogFormat, VirtualTime};
use crate::scenario::Scenario;

/// Whether facts are told while they happen, and how.
#[derive(Debug, Args)]
pub(super) struct LogChoice {
    /// Say what happens on standard error, with virtual time and node: a level (off, error, warn, info, debug, trace), levels
    /// for ackproof::world, ackproof::controller, ackproof::broker or ackproof::client, or both: info,ackproof::client=debug
    #[arg(long, value_name = "FILTER", env = "ACKPROOF_LOG")]
    log: Option<LogFilter>,
    /// How that is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

impl LogChoice {
    /// Whether anything is said.
    pub fn is_on(&self) -> bool {
        self.log.as_ref().is_some_and(|filter| !filter.is_off())
    }

    /// From now on.
    pub fn start(&self, screen: &mut Screen) {
        let Some(filter) = self.log.clone().filter(|_| self.is_on()) else { return };
        let colours = anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        let layer = VirtualTime::new(self.log_format, io::stderr()).colours(colours);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter.targets()));
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            screen.complain("note: this process has a log already; --log changes nothing");
        }
    }
}

/// Which of several runs an event belongs to.
pub(super) fn run_span(scenario: &Scenario, seed: u64) -> tracing::Span {
    tracing::error_span!(target: "ackproof::run", "run", scenario = scenario.name(), seed = seed.to_string())
}
