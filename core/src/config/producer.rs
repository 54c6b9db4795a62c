//! The properties of the Java producer.
//!
//! Kafka: `ProducerConfig`, `KafkaProducer` (`configure...`).
//! Not modelled: transactions; a `transactional.id` makes the producer idempotent, as it does in Kafka, and no more.

use super::definition::{Definition, Kind};
use super::property::{ConfigProblem, Property, Resolved};
use super::values::{Schema, Values};
use super::{ConfigKind, KafkaVersion, known};
use crate::record::Compression;
use crate::types::Duration;

/// The configuration of a `KafkaProducer`, with conflicts resolved as the version resolves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// The profile that the defaults come from; it also chooses the partitioner.
    pub version: KafkaVersion,
    /// `client.id`.
    pub client_id: String,
    /// `acks`: 0, 1 or -1 for all.
    pub acks: i16,
    /// `retries`.
    pub retries: u32,
    /// `enable.idempotence`, as it is in effect.
    pub enable_idempotence: bool,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight_requests_per_connection: usize,
    /// `batch.size` in bytes; 0 is one record per batch.
    pub batch_size: usize,
    /// `linger.ms`.
    pub linger_ms: Duration,
    /// `buffer.memory` in bytes.
    pub buffer_memory: u64,
    /// `max.block.ms`.
    pub max_block_ms: Duration,
    /// `max.request.size` in bytes.
    pub max_request_size: usize,
    /// `request.timeout.ms`.
    pub request_timeout_ms: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout_ms: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff_ms: Duration,
    /// `retry.backoff.max.ms` (KIP-580, 3.7); equal to `retry.backoff.ms` where there is none.
    pub retry_backoff_max_ms: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff_ms: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max_ms: Duration,
    /// `connections.max.idle.ms`; none if it is negative.
    pub connections_max_idle_ms: Option<Duration>,
    /// `metadata.max.age.ms`.
    pub metadata_max_age_ms: Duration,
    /// `compression.type`.
    pub compression_type: Compression,
    /// `partitioner.class`, where it is set to `RoundRobinPartitioner`.
    pub round_robin_partitioner: bool,
    /// `partitioner.ignore.keys` (KIP-794, 3.3).
    pub partitioner_ignore_keys: bool,
    /// What the client logged when it resolved conflicts: "Idempotence will be disabled because retries is set to 0."
    pub warnings: Vec<String>,
}

/// The properties that do something.
pub(super) const SCHEMA: Schema =
    Schema { kind: ConfigKind::Producer, definitions: DEFINITIONS, no_effect: &[known::PRODUCER, known::CLIENT] };

const V2_1: KafkaVersion = KafkaVersion::new(2, 1);
const V3_0: KafkaVersion = KafkaVersion::new(3, 0);
const V4_0: KafkaVersion = KafkaVersion::new(4, 0);

/// With idempotence a broker remembers this many batches of a producer: more in flight could not be told apart.
const MAX_IN_FLIGHT_FOR_IDEMPOTENCE: i64 = 5;

const ACKS: Kind = Kind::Choice(&["all", "-1", "0", "1"]);
const COMPRESSIONS: Kind = Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]);

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    Definition::new("client.id", Kind::Text, Some(""), "A name for logs and quotas."),
    Definition::new("acks", ACKS, Some("1"), "How many replicas must have a record before it counts as written: none, the leader, all in sync.").later(&[(V3_0, "all")]),
    Definition::new("retries", Kind::int(0), Some("0"), "How often a batch is sent again after an error that may pass.").later(&[(V2_1, "2147483647")]),
    Definition::new("enable.idempotence", Kind::Boolean, Some("false"), "Whether brokers drop batches that they have already.").later(&[(V3_0, "true")]),
    Definition::new("max.in.flight.requests.per.connection", Kind::int(1), Some("5"), "How many requests may wait for their answers at once; more than 1 may reorder without idempotence."),
    Definition::new("batch.size", Kind::int(0), Some("16384"), "The size at which a batch is full; 0 means one record each."),
    Definition::new("linger.ms", Kind::long(0), Some("0"), "How long a batch waits for more records.").later(&[(V4_0, "5")]),
    Definition::new("buffer.memory", Kind::long(0), Some("33554432"), "How many bytes may wait to be sent before send() blocks."),
    Definition::new("max.block.ms", Kind::long(0), Some("60000"), "How long send() blocks for metadata and memory."),
    Definition::new("max.request.size", Kind::int(0), Some("1048576"), "The largest request, and the largest record."),
    Definition::new("request.timeout.ms", Kind::int(0), Some("30000"), "How long the producer waits for an answer."),
    Definition::new("delivery.timeout.ms", Kind::int(0), Some("120000"), "How long after send() a record has failed, retries included.").since(2, 1),
    Definition::new("retry.backoff.ms", Kind::long(0), Some("100"), "The pause before a batch is sent again."),
    Definition::new("retry.backoff.max.ms", Kind::long(0), Some("1000"), "What the pause grows to.").since(3, 7),
    Definition::new("reconnect.backoff.ms", Kind::long(0), Some("50"), "The pause before a broker is connected to again."),
    Definition::new("reconnect.backoff.max.ms", Kind::long(0), Some("1000"), "What the pause grows to."),
    Definition::new("connections.max.idle.ms", Kind::LONG, Some("540000"), "After how long without a word a connection is closed; negative is never."),
    Definition::new("metadata.max.age.ms", Kind::long(0), Some("300000"), "After how long the producer asks again who leads."),
    Definition::new("compression.type", COMPRESSIONS, Some("none"), "How batches are compressed."),
    Definition::new("partitioner.class", Kind::Text, None, "How a record without a partition gets one; RoundRobinPartitioner is known here."),
    Definition::new("partitioner.ignore.keys", Kind::Boolean, Some("false"), "Whether records with a key are spread as those without.").since(3, 3),
    Definition::new("transactional.id", Kind::Text, None, "The name under which transactions survive the producer; makes it idempotent."),
];

impl ProducerConfig {
    /// The configuration of a producer of `version` whose properties are `overrides`.
    pub fn resolve(
        version: KafkaVersion,
        overrides: &[Property],
    ) -> Result<Resolved<ProducerConfig>, Vec<ConfigProblem>> {
        let mut values = Values::read(SCHEMA, version, overrides);
        let mut warnings = Vec::new();
        let idempotence = Idempotence::resolve(&mut values, &mut warnings);
        let delivery_timeout = delivery_timeout(&mut values, &mut warnings);
        let compression = compression(&mut values);
        let round_robin_partitioner = round_robin_partitioner(&mut values);
        values.without_effect("transactional.id", "transactions are not modelled yet: the producer is idempotent only");

        let (reconnect_backoff_ms, reconnect_backoff_max_ms) = super::reconnect_backoff(&values);
        let (retry_backoff_ms, retry_backoff_max_ms) = retry_backoff(&values, &mut warnings);
        let config = ProducerConfig {
            version,
            client_id: values.text("client.id"),
            acks: idempotence.acks,
            retries: u32::try_from(idempotence.retries).unwrap_or(u32::MAX),
            enable_idempotence: idempotence.enabled,
            max_in_flight_requests_per_connection: values.size("max.in.flight.requests.per.connection"),
            batch_size: values.size("batch.size"),
            linger_ms: super::values::millis(linger(&values)),
            buffer_memory: values.count("buffer.memory"),
            max_block_ms: values.millis("max.block.ms"),
            max_request_size: values.size("max.request.size"),
            request_timeout_ms: values.millis("request.timeout.ms"),
            delivery_timeout_ms: super::values::millis(delivery_timeout),
            retry_backoff_ms,
            retry_backoff_max_ms,
            reconnect_backoff_ms,
            reconnect_backoff_max_ms,
            connections_max_idle_ms: super::max_idle(&values),
            metadata_max_age_ms: values.millis("metadata.max.age.ms"),
            compression_type: compression,
            round_robin_partitioner,
            partitioner_ignore_keys: values.boolean("partitioner.ignore.keys"),
            warnings,
        };
        values.resolved(config)
    }
}

/// `acks`, `retries` and `enable.idempotence` as they are in effect.
struct Idempotence {
    enabled: bool,
    acks: i16,
    retries: i64,
}

impl Idempotence {
    /// Resolves conflicts as the version does. Idempotence that was asked for makes a conflict an error; idempotence by
    /// default (from 3.0 on) gives way, and the client says so in its log.
    fn resolve(values: &mut Values, warnings: &mut Vec<String>) -> Idempotence {
        let acks = match values.text("acks").as_str() {
            "0" => 0,
            "1" => 1,
            _ => -1,
        };
        let asked =
            Idempotence { enabled: values.boolean("enable.idempotence"), acks, retries: values.number("retries") };
        if values.version < V3_0 { asked.before_3_0(values) } else { asked.since_3_0(values, warnings) }
    }

    fn before_3_0(mut self, values: &mut Values) -> Idempotence {
        if values.is_set("transactional.id") {
            if !self.enabled && values.is_set("enable.idempotence") {
                values.refuse("transactional.id", "Cannot set a transactional.id without also enabling idempotence.");
            }
            self.enabled = true;
        }
        if !self.enabled {
            return self;
        }
        if self.retries == 0 {
            values.refuse("retries", MUST_RETRY);
        }
        if values.number(MAX_IN_FLIGHT) > MAX_IN_FLIGHT_FOR_IDEMPOTENCE {
            values.refuse(MAX_IN_FLIGHT, MUST_LIMIT);
        }
        if self.acks != -1 && values.is_set("acks") {
            values.refuse("acks", MUST_ACK);
        }
        self.acks = -1;
        self
    }

    fn since_3_0(mut self, values: &mut Values, warnings: &mut Vec<String>) -> Idempotence {
        if self.enabled {
            self.enabled = self.check(values, warnings);
        }
        if !self.enabled && values.is_set("transactional.id") {
            values.refuse("transactional.id", "Cannot set a transactional.id without also enabling idempotence.");
        }
        self
    }

    /// Whether nothing stands against idempotence.
    fn check(&self, values: &mut Values, warnings: &mut Vec<String>) -> bool {
        let asked_for = values.is_set("enable.idempotence");
        let before_4_0 = values.version < V4_0;
        let in_flight = values.number(MAX_IN_FLIGHT);
        let mut holds = true;
        let mut conflict = |name: &str, error: &str, warning: Option<String>| {
            holds = false;
            match warning {
                Some(warning) if !asked_for => warnings.push(warning),
                Some(_) | None => values.refuse(name, error),
            }
        };
        if self.retries == 0 {
            let warning = "Idempotence will be disabled because retries is set to 0.".to_owned();
            conflict("retries", MUST_RETRY, Some(warning));
        }
        if self.acks != -1 {
            let acks = self.acks;
            let warning = format!("Idempotence will be disabled because acks is set to {acks}, not set to 'all'.");
            conflict("acks", MUST_ACK, Some(warning));
        }
        if in_flight > MAX_IN_FLIGHT_FOR_IDEMPOTENCE {
            let warning = || {
                format!(
                    "Idempotence will be disabled because {MAX_IN_FLIGHT} is set to {in_flight}, which is greater than 5. \
                     Please note that in v4.0.0 and onward, this will become an error."
                )
            };
            conflict(MAX_IN_FLIGHT, MUST_LIMIT, before_4_0.then(warning));
        }
        holds
    }
}

const MAX_IN_FLIGHT: &str = "max.in.flight.requests.per.connection";
const MUST_RETRY: &str = "Must set retries to non-zero when using the idempotent producer.";
const MUST_ACK: &str =
    "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.";
const MUST_LIMIT: &str = "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.";

/// `linger.ms` is a LONG of which the client uses an INT.
fn linger(values: &Values) -> i64 {
    values.number("linger.ms").min(i64::from(i32::MAX))
}

/// A record must not fail before its batch had one chance: `delivery.timeout.ms` is at least `linger.ms` plus
/// `request.timeout.ms`. A default gives way, a value that was set is an error.
fn delivery_timeout(values: &mut Values, warnings: &mut Vec<String>) -> i64 {
    let timeout = values.number("delivery.timeout.ms");
    let least = (linger(values) + values.number("request.timeout.ms")).min(i64::from(i32::MAX));
    if timeout >= least {
        return timeout;
    }
    let rule = "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms";
    if values.is_set("delivery.timeout.ms") {
        values.refuse("delivery.timeout.ms", rule);
    } else {
        warnings.push(format!("{rule}. Setting it to {least}."));
    }
    least
}

/// The pause before a retry, and what it grows to: nothing before KIP-580.
fn retry_backoff(values: &Values, warnings: &mut Vec<String>) -> (Duration, Duration) {
    let (initial, max) = (values.millis("retry.backoff.ms"), values.millis("retry.backoff.max.ms"));
    if values.version < KafkaVersion::new(3, 7) {
        return (initial, initial);
    }
    if initial > max {
        warnings.push(format!(
            "Configuration 'retry.backoff.ms' with value '{}' is greater than configuration 'retry.backoff.max.ms' with \
             value '{}'. A static backoff with value '{}' will be applied.",
            initial.as_millis(),
            max.as_millis(),
            max.as_millis(),
        ));
    }
    (initial.min(max), max)
}

fn compression(values: &mut Values) -> Compression {
    let compression = Compression::from_name(&values.text("compression.type")).unwrap_or_default();
    if !compression.is_supported() {
        let message =
            format!("this build cannot compress with {compression}: it lacks the cargo feature `{compression}`");
        values.refuse("compression.type", message);
    }
    compression
}

fn round_robin_partitioner(values: &mut Values) -> bool {
    let class = values.opt_text("partitioner.class").unwrap_or_default();
    match class.rsplit('.').next().unwrap_or_default() {
        "" | "DefaultPartitioner" => false,
        "RoundRobinPartitioner" => true,
        "UniformStickyPartitioner" => {
            values
                .without_effect("partitioner.class", "not modelled; partitioner.ignore.keys does the same from 3.3 on");
            false
        }
        _ => {
            values
                .without_effect("partitioner.class", "own classes cannot run here; the default partitioner stands in");
            false
        }
    }
}
