//! How long brokers take to serve requests: not a property of Kafka's, but of the machine.

use crate::types::Duration;

/// By API; by default no time at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTimes {
    each: Duration,
    by_api: Vec<(String, Duration)>,
}

impl RequestTimes {
    /// So long for each request, and other times for some APIs, by Kafka's names.
    pub fn new(each: Duration, by_api: Vec<(String, Duration)>) -> Self {
        Self { each, by_api }
    }

    /// Whether every request is served at once.
    pub fn are_nothing(&self) -> bool {
        self.each == Duration::ZERO && self.by_api.is_empty()
    }

    /// How long a request of this API takes.
    pub fn of(&self, api: &str) -> Duration {
        self.by_api.iter().find(|(name, _)| name == api).map_or(self.each, |(_, time)| *time)
    }
}
