//! Limits on what clients send and read: how long one that exceeds its limit is to be silent.
//!
//! Kafka: `ClientQuotaManager`, KIP-13, KIP-124, KIP-219, KIP-546.
//! What is over the limit is taken all the same; the answer goes out at once and says for how long nothing more is read.
//! Not modelled: limits for users and addresses, request quotas, controller mutation quotas, `client.quota.callback.class`.

use std::collections::BTreeMap;

use crate::metadata::MetadataImage;
use crate::types::{Duration, Instant, Rate};

/// The entity type of the limits that are modelled.
const CLIENT_ID: &str = "client-id";

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum QuotaType {
    /// `producer_byte_rate`
    Produce,
    /// `consumer_byte_rate`
    Fetch,
}

impl QuotaType {
    /// The API that it limits.
    pub fn api(self) -> &'static str {
        match self {
            QuotaType::Produce => "Produce",
            QuotaType::Fetch => "Fetch",
        }
    }

    fn key(self) -> &'static str {
        match self {
            QuotaType::Produce => "producer_byte_rate",
            QuotaType::Fetch => "consumer_byte_rate",
        }
    }
}

/// The rates of the clients that have limits.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientQuotas {
    rates: BTreeMap<(QuotaType, String), Rate>,
}

impl ClientQuotas {
    /// Notes what a client sent; for how long it is to be silent.
    pub fn record(
        &mut self,
        image: &MetadataImage,
        quota: QuotaType,
        client_id: &str,
        bytes: u64,
        now: Instant,
    ) -> Duration {
        let Some(limit) = limit(image, quota, client_id) else {
            self.rates.remove(&(quota, client_id.to_owned()));
            return Duration::ZERO;
        };
        let rate = self.rates.entry((quota, client_id.to_owned())).or_default();
        rate.record(bytes, now);
        rate.throttle_time(limit, now)
    }

    /// What was noted last did not happen after all: its answer was left empty.
    pub fn unrecord(&mut self, quota: QuotaType, client_id: &str, bytes: u64) {
        if let Some(rate) = self.rates.get_mut(&(quota, client_id.to_owned())) {
            rate.unrecord(bytes);
        }
    }
}

/// The limit of a client: its own, else that of all.
fn limit(image: &MetadataImage, quota: QuotaType, client_id: &str) -> Option<u64> {
    if image.client_quotas.is_empty() {
        return None;
    }
    let of = |name: Option<&str>| {
        let mut limits = image.client_quotas.iter().filter(|(entity, _)| match &entity[..] {
            [(kind, found)] => kind.as_str() == CLIENT_ID && found.as_ref().map(|found| found.as_str()) == name,
            _ => false,
        });
        limits.find_map(|(_, limits)| limits.get(quota.key())).and_then(|limit| u64::try_from(*limit).ok())
    };
    of(Some(client_id)).or_else(|| of(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::records::ClientQuotaRecord;
    use crate::metadata::{MetadataDelta, MetadataRecord};
    use crate::types::{Offset, StrBytes};

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn image(limits: &[(Option<&str>, i64)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (name, value) in limits {
            let name = name.map(|name| StrBytes::from_string(name.to_owned()));
            let record = MetadataRecord::ClientQuota(ClientQuotaRecord {
                entity: vec![(StrBytes::from_static_str(CLIENT_ID), name)],
                key: StrBytes::from_static_str("producer_byte_rate"),
                value: Some(*value),
            });
            image.replay(&record, Offset(0), &mut MetadataDelta::default()).expect("a limit fits everywhere");
        }
        image
    }

    #[test]
    fn a_limit_of_ones_own_goes_before_that_of_all() {
        for (limits, client, throttled) in [
            (&[][..], "p1", false),
            (&[(Some("p2"), 1)], "p1", false),
            (&[(Some("p1"), 1)], "p1", true),
            (&[(None, 1)], "p1", true),
            (&[(None, 1), (Some("p1"), 1_000_000)], "p1", false),
        ] {
            let mut quotas = ClientQuotas::default();
            let silence = quotas.record(&image(limits), QuotaType::Produce, client, 10_000, at(0));
            assert_eq!(silence > Duration::ZERO, throttled, "{limits:?}");
            assert_eq!(quotas.record(&image(limits), QuotaType::Fetch, client, 10_000, at(0)), Duration::ZERO);
        }
    }
}
