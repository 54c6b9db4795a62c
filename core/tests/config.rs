//! Configurations against Kafka's own: precedence, conflicts, and what is said to whoever errs.

use std::collections::BTreeSet;

use ackproof_core::config::properties::parse;
use ackproof_core::config::{
    BrokerConfig, ConfigKind, ConfigProblem, ConsumerConfig, GroupProtocol, KafkaVersion, Kind, LegacyProducerConfig,
    LegacyProducerType, LogConfig, ProducerConfig, Property, Resolved, ServerAssignor, TimestampType, ToggleError,
    Toggles, Truncation,
};
use ackproof_core::record::Compression;
use ackproof_core::types::Duration;
use proptest::prelude::*;

const V2_2: KafkaVersion = KafkaVersion::new(2, 2);
const V2_8: KafkaVersion = KafkaVersion::new(2, 8);
const V3_5: KafkaVersion = KafkaVersion::new(3, 5);
const V3_9: KafkaVersion = KafkaVersion::new(3, 9);
const V4_0: KafkaVersion = KafkaVersion::new(4, 0);
const V4_1: KafkaVersion = KafkaVersion::new(4, 1);

/// `a=1 b=2` as properties.
fn properties(text: &str) -> Vec<Property> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').expect("name=value");
        Property::new(name, value)
    };
    text.split_ascii_whitespace().map(pair).collect()
}

fn broker(version: KafkaVersion, text: &str) -> Resolved<BrokerConfig> {
    BrokerConfig::resolve(version, &properties(text)).expect("a good configuration")
}

fn producer(version: KafkaVersion, text: &str) -> Resolved<ProducerConfig> {
    ProducerConfig::resolve(version, &properties(text)).expect("a good configuration")
}

fn consumer(version: KafkaVersion, text: &str) -> Resolved<ConsumerConfig> {
    ConsumerConfig::resolve(version, &properties(text)).expect("a good configuration")
}

fn legacy(text: &str) -> Resolved<LegacyProducerConfig> {
    LegacyProducerConfig::resolve(&properties(text)).expect("a good configuration")
}

fn messages(problems: Vec<ConfigProblem>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn broker_problems(version: KafkaVersion, text: &str) -> Vec<String> {
    messages(BrokerConfig::resolve(version, &properties(text)).expect_err("a problem"))
}

fn producer_problems(version: KafkaVersion, text: &str) -> Vec<String> {
    messages(ProducerConfig::resolve(version, &properties(text)).expect_err("a problem"))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// ---- precedence and special values ----

#[test]
fn milliseconds_go_before_hours() {
    let roll = |text| broker(V3_9, text).config.log.segment_ms;
    assert_eq!(roll("log.roll.hours=2"), Duration::from_secs(7_200));
    assert_eq!(roll("log.roll.ms=5000 log.roll.hours=2"), ms(5_000));
    assert_eq!(roll("log.roll.hours=2147483647"), Duration::from_secs(2_147_483_647 * 3_600));
}

#[test]
fn flush_times_fall_back_to_the_scheduler_s() {
    let flush = |text| broker(V2_2, text).config.log.flush_ms;
    assert_eq!(flush("log.flush.scheduler.interval.ms=3000"), ms(3_000));
    assert_eq!(flush("log.flush.interval.ms=1000 log.flush.scheduler.interval.ms=3000"), ms(1_000));
    assert_eq!(flush("log.flush.interval.ms=9223372036854775807"), Duration::FOREVER);
}

#[test]
fn a_broker_has_one_number() {
    assert_eq!(broker(V2_2, "broker.id=3").config.broker_id, 3);
    assert_eq!(broker(V3_9, "node.id=4").config.broker_id, 4);
    assert_eq!(broker(V3_9, "node.id=4 broker.id=4").config.broker_id, 4);
    assert_eq!(
        broker_problems(V3_9, "broker.id=3 node.id=4"),
        ["node.id and broker.id must be the same if both are set"]
    );
}

#[test]
fn topics_override_their_broker() {
    let broker = broker(V3_9, "min.insync.replicas=2 log.flush.interval.messages=10").config;
    let resolve = |text: &str| LogConfig::resolve(&broker, &properties(text));
    assert_eq!(resolve("").expect("good").config, broker.log);

    let text = "segment.bytes=4096 segment.ms=100 segment.index.bytes=64 index.interval.bytes=1 flush.messages=1 \
                flush.ms=7 max.message.bytes=5 min.insync.replicas=3 unclean.leader.election.enable=TRUE \
                message.timestamp.type=LogAppendTime";
    let expected = LogConfig {
        segment_bytes: 4_096,
        segment_ms: ms(100),
        segment_index_bytes: 64,
        index_interval_bytes: 1,
        flush_messages: 1,
        flush_ms: ms(7),
        max_message_bytes: 5,
        min_insync_replicas: 3,
        unclean_leader_election_enable: true,
        message_timestamp_type: TimestampType::LogAppendTime,
        ..broker.log.clone()
    };
    assert_eq!(resolve(text).expect("good").config, expected);
    let map = properties(text).into_iter().map(|property| (property.name, property.value)).collect();
    assert_eq!(broker.log.with_overrides(&map, V3_9), expected, "and so at run time");
    let broken = [("flush.ms", "x"), ("local.retention.ms", "5"), ("colour", "red")];
    let broken = broken.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(broker.log.with_overrides(&broken, V3_9), broker.log);

    assert_eq!(
        messages(resolve("log.flush.interval.ms=5").expect_err("a broker's")),
        ["`log.flush.interval.ms` is a property of a broker, not of a topic"]
    );
}

#[test]
fn zookeeper_mode_takes_the_session_timeout_of_zookeeper() {
    let session = |version, text| {
        let config = broker(version, text).config;
        (config.broker_session_timeout_ms, config.broker_heartbeat_interval_ms)
    };
    assert_eq!(session(V2_2, "zookeeper.session.timeout.ms=3000"), (ms(3_000), ms(1_000)));
    assert_eq!(session(V2_8, "process.roles=broker,controller"), (ms(9_000), ms(2_000)), "KRaft, if asked for");
    assert_eq!(session(V3_9, "zookeeper.connect=zk:2181"), (ms(18_000), ms(2_000)));
    assert_eq!(session(V3_9, "broker.session.timeout.ms=4000 broker.heartbeat.interval.ms=500"), (ms(4_000), ms(500)));

    let stands_in = broker(V2_2, "zookeeper.connect=zk:2181");
    assert!(
        stands_in.notices[0].starts_with("ZooKeeper mode is not modelled yet: a KRaft controller stands in for it")
    );
    let ignored = |version, text| broker(version, text).no_effect.into_iter().map(|(_, why)| why).collect::<Vec<_>>();
    assert_eq!(
        ignored(V2_8, "broker.session.timeout.ms=4000"),
        ["in ZooKeeper mode zookeeper.session.timeout.ms counts"]
    );
    assert_eq!(ignored(V3_9, "zookeeper.session.timeout.ms=4000"), ["in KRaft mode broker.session.timeout.ms counts"]);
    assert_eq!(ignored(V4_0, "zookeeper.connect=zk:2181"), ["Kafka 4.0 does not know it any more: it went with 4.0"]);
    assert_eq!(ignored(V2_2, "broker.session.timeout.ms=4000"), ["Kafka 2.2 does not know it yet: it came with 2.8"]);
}

#[test]
fn consumers_without_a_group_commit_nothing() {
    assert!(!consumer(V3_9, "").config.enable_auto_commit);
    assert!(!consumer(V3_9, "group.id=g enable.auto.commit=false").config.enable_auto_commit);
    let problems = ConsumerConfig::resolve(V3_9, &properties("enable.auto.commit=true")).expect_err("a problem");
    assert_eq!(messages(problems), ["enable.auto.commit cannot be set to true when default group id (null) is used."]);
}

#[test]
fn backoffs_grow_only_if_they_may() {
    let reconnect = |text| {
        let config = producer(V3_9, text).config;
        (config.reconnect_backoff_ms, config.reconnect_backoff_max_ms)
    };
    assert_eq!(reconnect("reconnect.backoff.ms=200"), (ms(200), ms(200)), "who sets only the pause wants it constant");
    assert_eq!(reconnect("reconnect.backoff.ms=200 reconnect.backoff.max.ms=900"), (ms(200), ms(900)));

    let config = producer(V3_9, "retry.backoff.ms=2000").config;
    assert_eq!((config.retry_backoff_ms, config.retry_backoff_max_ms), (ms(1_000), ms(1_000)));
    assert!(config.warnings[0].ends_with("A static backoff with value '1000' will be applied."), "{config:?}");
    let config = producer(V2_8, "retry.backoff.ms=2000 retry.backoff.max.ms=1").config;
    assert_eq!((config.retry_backoff_ms, config.retry_backoff_max_ms), (ms(2_000), ms(2_000)));
}

#[test]
fn partitioners_and_compression_are_known_by_name() {
    let config = producer(
        V3_9,
        "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner compression.type=lz4 acks=all",
    );
    assert!(config.config.round_robin_partitioner && config.no_effect.is_empty());
    assert_eq!((config.config.compression_type, config.config.acks), (Compression::Lz4, -1));
    let own = producer(V3_9, "partitioner.class=com.example.Mine");
    assert_eq!(own.no_effect[0].1, "own classes cannot run here; the default partitioner stands in");
    assert!(!own.config.round_robin_partitioner);
    let zstd = ProducerConfig::resolve(V3_9, &properties("compression.type=zstd"));
    assert_eq!(zstd.is_ok(), Compression::Zstd.is_supported());
}

#[test]
fn the_scala_producer_s_queue() {
    let timeout = |text| legacy(text).config.queue_enqueue_timeout_ms;
    assert_eq!(timeout("queue.enqueue.timeout.ms=-1"), None);
    assert_eq!(timeout("queue.enqueue.timeout.ms=0"), Some(Duration::ZERO));
    let config = legacy("producer.type=async topic.metadata.refresh.interval.ms=-1 request.required.acks=-1").config;
    assert_eq!((config.producer_type, config.request_required_acks), (LegacyProducerType::Async, -1));
    assert_eq!(config.topic_metadata_refresh_interval_ms, Duration::FOREVER);
    let problems = LegacyProducerConfig::resolve(&properties("batch.num.messages=20000")).expect_err("a problem");
    assert_eq!(messages(problems), ["Batch size = 20000 can't be larger than queue size = 10000"]);
}

// ---- conflicts ----

#[test]
fn idempotence_that_was_asked_for_makes_a_conflict_an_error() {
    let acks =
        "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.";
    let retries = "Must set retries to non-zero when using the idempotent producer.";
    let in_flight = "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.";
    for version in KafkaVersion::SUPPORTED {
        let problems = |text: &str| producer_problems(version, &format!("enable.idempotence=true {text}"));
        assert_eq!(problems("acks=1"), [acks], "{version}");
        assert_eq!(problems("acks=0"), [acks], "{version}");
        assert_eq!(problems("retries=0"), [retries], "{version}");
        assert_eq!(problems("max.in.flight.requests.per.connection=6"), [in_flight], "{version}");

        let config = producer(version, "enable.idempotence=true").config;
        assert_eq!((config.acks, config.enable_idempotence, config.retries), (-1, true, i32::MAX as u32), "{version}");
        let config = producer(version, "enable.idempotence=true acks=-1 retries=3").config;
        assert_eq!((config.acks, config.enable_idempotence, config.retries), (-1, true, 3), "{version}");
    }
}

#[test]
fn idempotence_by_default_gives_way() {
    let acks = "Idempotence will be disabled because acks is set to 1, not set to 'all'.";
    let retries = "Idempotence will be disabled because retries is set to 0.";
    let in_flight = "Idempotence will be disabled because max.in.flight.requests.per.connection is set to 6, which is \
                     greater than 5. Please note that in v4.0.0 and onward, this will become an error.";
    for version in [V3_5, V3_9, V4_0, V4_1] {
        let resolve = |text| {
            let config = producer(version, text).config;
            assert!(!config.enable_idempotence, "{version} {text}");
            config.warnings
        };
        assert_eq!(resolve("acks=1"), [acks]);
        assert_eq!(resolve("retries=0"), [retries]);
        assert_eq!(resolve("acks=1 retries=0"), [retries, acks]);
        assert_eq!(resolve("enable.idempotence=false acks=1"), [""; 0]);
        if version < V4_0 {
            assert_eq!(resolve("max.in.flight.requests.per.connection=6"), [in_flight]);
        }
    }
    for version in [V4_0, V4_1] {
        assert_eq!(
            producer_problems(version, "max.in.flight.requests.per.connection=6"),
            ["Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer."]
        );
    }
    for version in [V2_2, V2_8] {
        let config = producer(version, "acks=1 retries=0 max.in.flight.requests.per.connection=6").config;
        assert_eq!((config.enable_idempotence, config.warnings.len()), (false, 0), "nobody asked for it");
    }
}

#[test]
fn the_consumer_protocol_leaves_sessions_to_the_brokers() {
    let problems = |version, text: &str| match ConsumerConfig::resolve(version, &properties(text)) {
        Ok(resolved) => resolved.no_effect.into_iter().map(|(_, why)| why).collect(),
        Err(problems) => messages(problems),
    };
    let classic = "group.id=g group.protocol=consumer session.timeout.ms=9000";
    assert_eq!(problems(V4_0, classic), ["session.timeout.ms cannot be set when group.protocol=CONSUMER"]);
    assert_eq!(problems(V3_9, classic), ["with group.protocol=consumer the broker decides"]);
    assert_eq!(
        problems(V4_0, "group.remote.assignor=range"),
        ["group.remote.assignor cannot be set when group.protocol=CLASSIC"]
    );
    assert_eq!(problems(V3_9, "group.protocol=modern"), ["group.protocol is classic or consumer"]);
    let config = consumer(V4_0, "group.id=g group.protocol=CONSUMER group.remote.assignor=range").config;
    assert_eq!((config.group_protocol, config.group_remote_assignor), (GroupProtocol::Consumer, Some("range".into())));
    assert_eq!(consumer(V2_8, "group.protocol=consumer").config.group_protocol, GroupProtocol::Classic);
}

#[test]
fn brokers_have_the_consumer_protocol_since_4_0() {
    let has = |version, text: &str| broker(version, text).config.groups.consumer_protocol;
    let asked_for = "group.coordinator.rebalance.protocols=classic,consumer";
    assert_eq!([has(V3_5, asked_for), has(V3_9, ""), has(V3_9, asked_for), has(V4_0, "")], [false, false, true, true]);
    let problems = |text: &str| messages(BrokerConfig::resolve(V4_0, &properties(text)).expect_err("a bad one"));
    assert_eq!(
        problems("group.consumer.session.timeout.ms=6000"),
        ["group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"]
    );
    assert_eq!(
        problems("group.consumer.assignors=uniform,mine"),
        ["an assignor is one of uniform, range, or their classes; others are not modelled"]
    );
    let assignors = broker(V4_0, "group.consumer.assignors=range").config.groups.group_consumer_assignors;
    assert_eq!(assignors, [ServerAssignor::Range]);
}

#[test]
fn a_transactional_id_implies_idempotence() {
    for version in KafkaVersion::SUPPORTED {
        let resolved = producer(version, "transactional.id=t");
        assert_eq!((resolved.config.enable_idempotence, resolved.config.acks), (true, -1), "{version}");
        assert!(resolved.no_effect[0].1.starts_with("transactions are not modelled yet"));
        assert_eq!(
            producer_problems(version, "transactional.id=t enable.idempotence=false"),
            ["Cannot set a transactional.id without also enabling idempotence."]
        );
    }
    assert_eq!(producer_problems(V2_2, "transactional.id=t acks=1").len(), 1);
    assert_eq!(producer_problems(V3_9, "transactional.id=t acks=1").len(), 1, "disabled by acks, needed by the id");
}

#[test]
fn a_record_is_given_time_for_one_attempt() {
    let rule = "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms";
    for version in KafkaVersion::SUPPORTED {
        let config = producer(version, "linger.ms=100000 request.timeout.ms=40000").config;
        assert_eq!(config.delivery_timeout_ms, ms(140_000), "{version}");
        assert_eq!(config.warnings, [format!("{rule}. Setting it to 140000.")]);
        assert_eq!(producer_problems(version, "delivery.timeout.ms=1000 linger.ms=0"), [rule]);
        let exact = producer(version, "delivery.timeout.ms=30000 linger.ms=0").config;
        assert_eq!((exact.delivery_timeout_ms, exact.warnings.len()), (ms(30_000), 0));
    }
    let huge = producer(V3_9, "linger.ms=9223372036854775807").config;
    assert_eq!(huge.delivery_timeout_ms, ms(i32::MAX as u64), "Kafka's linger is an int in the end");
}

#[test]
fn followers_must_be_able_to_wait() {
    assert_eq!(
        broker_problems(V3_9, "replica.lag.time.max.ms=400"),
        ["replica.fetch.wait.max.ms must be at most replica.lag.time.max.ms"]
    );
    assert_eq!(broker_problems(V3_9, "replica.fetch.wait.max.ms=40000").len(), 2, "the socket timeout as well");
}

// ---- what is said to whoever errs ----

#[test]
fn unknown_names_are_problems_with_a_suggestion() {
    let table = [
        ("min.insync.replica=2", "unknown broker property `min.insync.replica`; did you mean `min.insync.replicas`?"),
        ("min_insync_replicas=2", "unknown broker property `min_insync_replicas`; did you mean `min.insync.replicas`?"),
        ("unclean.leader.election=true", "unknown broker property `unclean.leader.election`"),
        ("colour=red", "unknown broker property `colour`"),
        (
            "segment.bytes=1",
            "`segment.bytes` is a property of a topic, not of a broker; did you mean `log.segment.bytes`?",
        ),
        ("acks=1", "`acks` is a property of a producer, not of a broker"),
    ];
    for (text, message) in table {
        assert_eq!(broker_problems(V3_9, text), [message]);
    }
}

#[test]
fn values_are_refused_in_kafka_s_words() {
    let table = [
        ("acks=2", "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"),
        (
            "acks=ALL",
            "Invalid value ALL for configuration acks: String must be one of: all, -1, 0, 1; did you mean `all`?",
        ),
        ("retries=-1", "Invalid value -1 for configuration retries: Value must be at least 0"),
        (
            "retries=2147483648",
            "Invalid value 2147483648 for configuration retries: Not a number of type INT, valid are [0,...,2147483647]",
        ),
        (
            "linger.ms=5s",
            "Invalid value 5s for configuration linger.ms: Not a number of type LONG, valid are \
             [0,...,9223372036854775807]; did you mean `5000`?",
        ),
        (
            "buffer.memory=33_554_432",
            "Invalid value 33_554_432 for configuration buffer.memory: Not a number of type LONG, valid are \
             [0,...,9223372036854775807]; did you mean `33554432`?",
        ),
        (
            "enable.idempotence=ture",
            "Invalid value ture for configuration enable.idempotence: Expected value to be either true or false; \
             did you mean `true`?",
        ),
        (
            "buffer.memory=99999999999999999999",
            "Invalid value 99999999999999999999 for configuration buffer.memory: Not a number of type LONG, valid are \
             [0,...,9223372036854775807]",
        ),
    ];
    for (text, message) in table {
        assert_eq!(producer_problems(V3_9, text), [message]);
    }
    assert_eq!(
        broker_problems(V3_9, "replica.lag.time.max.ms=-1")[0],
        "Invalid value -1 for configuration replica.lag.time.max.ms: Kafka takes it, but less than 0 cannot be simulated"
    );
    assert!(BrokerConfig::resolve(V3_9, &properties("log.segment.bytes=4096")).is_ok());
    assert_eq!(
        broker_problems(V4_0, "log.segment.bytes=4096"),
        ["Invalid value 4096 for configuration log.segment.bytes: Value must be at least 1048576"]
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let file = "acks = 7\nretriez=3\nlinger.ms=0\nbatch.size = -1\n";
    let overrides = parse(file.as_bytes()).expect("a good file");
    let problems = ProducerConfig::resolve(V3_9, &overrides).expect_err("problems");
    let places: Vec<_> = problems
        .iter()
        .map(|problem| {
            let span = problem.span(&overrides).expect("a place");
            (span.line, span.column, &file[span.start..span.end])
        })
        .collect();
    assert_eq!(places, [(1, 8, "7"), (2, 1, "retriez"), (4, 14, "-1")]);
}

#[test]
fn a_name_that_comes_twice_counts_as_it_stands_last() {
    let resolved = producer(V3_9, "linger.ms=1 linger.ms=2");
    assert_eq!(resolved.config.linger_ms, ms(2));
    assert_eq!(resolved.notices, ["linger.ms is set more than once; the last value counts"]);
}

#[test]
fn log_directories_are_a_list_without_repetition() {
    let dirs = |text: &str| broker(V3_9, text).config.log_dirs;
    assert_eq!(dirs(""), ["/tmp/kafka-logs"]);
    assert_eq!(dirs("log.dir=/a"), ["/a"]);
    assert_eq!(dirs("log.dir=/a log.dirs=/data/d1,/data/d2"), ["/data/d1", "/data/d2"]);
    let config = broker(V3_9, "log.dirs=/data/d1,/data/d2").config;
    assert_eq!(config.log_directory_roots(), ["data/d1", "data/d2"]);
    assert_eq!(broker(V3_9, "log.dirs=/data").config.log_directory_roots(), [""]);
}

#[test]
fn what_kafka_knows_and_nothing_here_uses_is_said_aloud() {
    let table = [
        ("queued.max.requests=5", "threads, sockets and buffers: the simulated ones have no limit"),
        ("listeners=PLAINTEXT://:9092", "addresses: the simulated network connects everyone with everyone"),
        ("ssl.keystore.location=/etc/x", "security: nobody is refused for who they are"),
        ("listener.name.internal.ssl.keystore.location=/etc/x", "it belongs to a plug-in"),
    ];
    for (text, why) in table {
        let name = text.split('=').next().expect("a name");
        assert_eq!(broker(V2_2, text).no_effect, [(name.to_owned(), why.to_owned())]);
    }
    let clients = "bootstrap.servers=x:9092 security.protocol=SSL client.dns.lookup=use_all_dns_ips";
    assert_eq!(producer(V3_9, &format!("{clients} key.serializer=a value.serializer=b")).no_effect.len(), 5);
    assert_eq!(consumer(V3_9, &format!("{clients} key.deserializer=a isolation.level=b")).no_effect.len(), 5);
    assert_eq!(legacy("metadata.broker.list=x:9092").no_effect.len(), 1);
}

// ---- versions, toggles, tables ----

#[test]
fn versions_are_read_and_written() {
    for version in KafkaVersion::SUPPORTED {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    assert_eq!("2.2.1".parse(), Ok(V2_2));
    let list = "there are those of 2.2, 2.8, 3.5, 3.9, 4.0, 4.1";
    for text in ["", "2", "2.1", "5.0", "2.2.1.1", "2.2.x", "two", "2..2", "-1.2", "99999.1"] {
        let error = text.parse::<KafkaVersion>().expect_err("no such version").to_string();
        assert_eq!(error, format!("there is no profile of Kafka {text}; {list}"));
    }
}

#[test]
fn toggles_are_set_by_name() {
    let mut toggles = Toggles::of(V3_9);
    assert_eq!(toggles.set("truncation", "kip279"), Ok(()));
    assert_eq!(toggles.truncation, Truncation::Kip279);
    for method in ["hw", "kip101", "truncate_on_fetch"] {
        assert_eq!(toggles.set("truncation", method), Ok(()));
    }
    assert_eq!(toggles.set("dedupe_window", "1"), Ok(()));
    assert_eq!(toggles.dedupe_window, 1);
    assert!(toggles.set("dedupe_window", "6").is_err() && toggles.set("dedupe_window", "0").is_err());
    let valued = ["truncation", "dedupe_window"];
    for name in Toggles::NAMES.iter().copied().filter(|name| !valued.contains(name)) {
        assert_eq!(toggles.set(name, "true"), Ok(()));
        let on = toggles;
        assert_eq!(toggles.set(name, "false"), Ok(()));
        assert_ne!(toggles, on, "{name} switches something");
    }
    let Err(ToggleError::Unknown { suggestion, .. }) = toggles.set("strict_min_isrs", "true") else {
        panic!("there is no such toggle");
    };
    assert_eq!(suggestion.as_deref(), Some("strict_min_isr"));
    assert_eq!(
        toggles.set("idempotence", "off").expect_err("a boolean").to_string(),
        "the toggle `idempotence` is true or false, not `off`"
    );
}

#[test]
fn tables_are_sound() {
    for kind in ConfigKind::ALL {
        for version in KafkaVersion::SUPPORTED {
            let infos = kind.properties(version);
            let names: BTreeSet<_> = infos.iter().map(|info| info.name).collect();
            assert_eq!(names.len(), infos.len(), "a name of a {kind} comes twice");
            for info in infos {
                assert_eq!(info.kind.is_some(), !info.doc.is_empty(), "{}", info.name);
                assert!(info.doc.is_empty() || info.doc.ends_with('.'), "{}", info.name);
                assert!(info.kind.is_some() || info.no_effect.is_some(), "{}", info.name);
                if let (Some(kind), Some(default)) = (info.kind, info.default) {
                    let number = default.parse::<i64>();
                    match kind {
                        Kind::Number { min, max, .. } => {
                            assert!(number.is_ok_and(|n| min <= n && n <= max), "{}", info.name)
                        }
                        Kind::Choice(words) => assert!(words.contains(&default), "{}", info.name),
                        Kind::Boolean => assert!(default.parse::<bool>().is_ok(), "{}", info.name),
                        Kind::List(words) => {
                            assert!(default.split(',').all(|word| words.contains(&word)), "{}", info.name)
                        }
                        Kind::Ratio => assert!(default.starts_with("0."), "{}", info.name),
                        Kind::Text => {}
                    }
                }
            }
        }
    }
    let valid = |name: &str| {
        let infos = ConfigKind::Producer.properties(V3_9);
        infos.into_iter().find(|info| info.name == name).and_then(|info| info.kind).map(Kind::valid)
    };
    assert_eq!(valid("retries").as_deref(), Some("[0,...,2147483647]"));
    assert_eq!(valid("linger.ms").as_deref(), Some("[0,...]"));
    assert_eq!(valid("acks").as_deref(), Some("[all, -1, 0, 1]"));
}

fn any_name(kind: ConfigKind) -> impl Strategy<Value = String> {
    let names: Vec<&str> = kind.properties(V3_9).into_iter().map(|info| info.name).collect();
    prop_oneof![8 => proptest::sample::select(names).prop_map(str::to_owned), 1 => ".{0,20}"]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-2..2_000i64).prop_map(|number| number.to_string()),
        proptest::sample::select(vec!["true", "false", "all", "none", "0", "1", "2147483647", ""])
            .prop_map(str::to_owned),
        ".{0,12}",
    ]
}

fn any_overrides(kind: ConfigKind) -> impl Strategy<Value = Vec<Property>> {
    let property = (any_name(kind), any_value()).prop_map(|(name, value)| Property::new(name, value));
    proptest::collection::vec(property, 0..6)
}

/// Each problem points at an override that is there.
fn check<C>(resolved: Result<Resolved<C>, Vec<ConfigProblem>>, overrides: &[Property]) -> Result<(), TestCaseError> {
    for problem in resolved.err().unwrap_or_default() {
        prop_assert_eq!(&problem.name, &overrides[problem.index].name);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_properties_make_it_panic(
        version in proptest::sample::select(KafkaVersion::SUPPORTED.to_vec()),
        broker in any_overrides(ConfigKind::Broker),
        topic in any_overrides(ConfigKind::Topic),
        producer in any_overrides(ConfigKind::Producer),
        consumer in any_overrides(ConfigKind::Consumer),
        legacy in any_overrides(ConfigKind::LegacyProducer),
    ) {
        check(BrokerConfig::resolve(version, &broker), &broker)?;
        check(LogConfig::resolve(&self::broker(version, "").config, &topic), &topic)?;
        check(ProducerConfig::resolve(version, &producer), &producer)?;
        check(ConsumerConfig::resolve(version, &consumer), &consumer)?;
        check(LegacyProducerConfig::resolve(&legacy), &legacy)?;
    }
}
