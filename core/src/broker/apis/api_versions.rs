//! Key 18, ApiVersions: what this broker can do.
//!
//! Kafka: `KafkaApis.handleApiVersionsRequest`, the `validVersions` of the schemas; KIP-35, KIP-896 (what 4.0 dropped).
//! What is not modelled is not offered: Produce and Fetch without topic ids, so up to 12.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use crate::config::KafkaVersion;
use crate::machine::Context;

/// API key, lowest version spoken here, and the highest version since which release.
type Row = (i16, i16, &'static [(u16, u16, i16)]);

const APIS: &[Row] = &[
    (0, 3, &[(0, 0, 7), (2, 4, 8), (2, 8, 9), (3, 7, 10), (3, 8, 11), (4, 0, 12)]),
    (1, 4, &[(0, 0, 10), (2, 3, 11), (2, 7, 12)]),
    (2, 1, &[(0, 0, 5), (2, 8, 6), (3, 0, 7), (3, 6, 8), (3, 9, 9), (4, 0, 10)]),
    (3, 0, &[(0, 0, 7), (2, 3, 8), (2, 4, 9), (2, 8, 11), (3, 1, 12), (4, 0, 13)]),
    (18, 0, &[(0, 0, 2), (2, 4, 3), (3, 9, 4)]),
    (19, 2, &[(0, 0, 3), (2, 4, 5), (2, 7, 6), (2, 8, 7)]),
    (21, 0, &[(0, 0, 0), (2, 0, 1), (2, 4, 2)]),
    (22, 0, &[(0, 0, 1), (2, 4, 2), (2, 5, 3), (2, 7, 4), (3, 8, 5)]),
    (23, 2, &[(0, 0, 2), (2, 3, 3), (2, 8, 4)]),
    (43, 0, &[(0, 0, 0), (2, 4, 2)]),
];

impl Broker {
    pub(in super::super) fn handle_api_versions(&mut self, reply_to: ReplyTo, ctx: &mut Context<'_>) {
        let response = ApiVersionsResponse::default().with_api_keys(versions_of(self.config.version));
        self.reply(reply_to, response, ctx);
    }
}

fn versions_of(version: KafkaVersion) -> Vec<ApiVersion> {
    let entry = |(key, min, history): &Row| {
        let known = history.iter().rev().find(|(major, minor, _)| version >= KafkaVersion::new(*major, *minor));
        let max = known.map_or(*min, |(_, _, max)| *max);
        ApiVersion::default().with_api_key(*key).with_min_version(*min).with_max_version(max)
    };
    APIS.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_offers_its_own_versions() {
        for (version, key, max) in [((2, 2), 1, 10), ((2, 2), 3, 7), ((3, 9), 0, 11), ((3, 9), 1, 12), ((4, 0), 0, 12)]
        {
            let offered = versions_of(KafkaVersion::new(version.0, version.1));
            let row = offered.iter().find(|row| row.api_key == key).expect("the API is offered");
            assert_eq!(row.max_version, max, "key {key} in {version:?}");
        }
    }

    #[test]
    fn no_range_is_empty() {
        for row in versions_of(KafkaVersion::new(2, 0)) {
            assert!(row.min_version <= row.max_version, "key {}", row.api_key);
        }
    }
}
