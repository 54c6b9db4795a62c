//! Every record there and back, and the bytes themselves.

use super::*;
use crate::types::StrBytes;

const TOPIC: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn registration() -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: 1,
        incarnation_id: TOPIC,
        broker_epoch: BrokerEpoch(7),
        end_points: vec![BrokerEndpoint { name: text("P"), host: text("h"), port: 9092, security_protocol: 0 }],
        features: vec![BrokerFeature {
            name: text("metadata.version"),
            min_supported_version: 1,
            max_supported_version: 20,
        }],
        rack: Some(text("r1")),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    }
}

fn partition() -> PartitionRecord {
    PartitionRecord {
        partition_id: 3,
        topic_id: TOPIC,
        replicas: vec![1, 2],
        isr: vec![1],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: 1,
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        directories: Vec::new(),
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
    }
}

/// Every record, with every optional field both absent and present.
fn one_of_each() -> Vec<MetadataRecord> {
    let change = PartitionChangeRecord::new(TOPIC, 3);
    let full_change = PartitionChangeRecord {
        isr: Some(vec![2, 1]),
        leader: Some(-1),
        replicas: Some(vec![1, 2, 3]),
        removing_replicas: Some(vec![1]),
        adding_replicas: Some(Vec::new()),
        leader_recovery_state: Some(LeaderRecoveryState::Recovering),
        directories: Some(vec![TOPIC]),
        eligible_leader_replicas: Some(vec![3]),
        last_known_elr: Some(Vec::new()),
        ..change.clone()
    };
    let full_partition = PartitionRecord {
        removing_replicas: vec![4],
        adding_replicas: vec![5],
        leader_recovery_state: LeaderRecoveryState::Recovering,
        directories: vec![TOPIC, TOPIC],
        eligible_leader_replicas: vec![2],
        last_known_elr: vec![1],
        ..partition()
    };
    let config = ConfigRecord {
        resource_type: ConfigRecord::TOPIC,
        resource_name: text("orders"),
        name: text("min.insync.replicas"),
        value: Some(text("2")),
    };
    let registration_change = BrokerRegistrationChangeRecord {
        broker_id: 1,
        broker_epoch: BrokerEpoch(7),
        fenced: None,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    };
    vec![
        MetadataRecord::RegisterBroker(registration()),
        MetadataRecord::RegisterBroker(RegisterBrokerRecord {
            rack: None,
            fenced: false,
            in_controlled_shutdown: true,
            log_dirs: vec![TOPIC],
            ..registration()
        }),
        MetadataRecord::UnregisterBroker(UnregisterBrokerRecord { broker_id: 1, broker_epoch: BrokerEpoch(7) }),
        MetadataRecord::Topic(TopicRecord { name: TopicName(text("orders")), topic_id: TOPIC }),
        MetadataRecord::Partition(partition()),
        MetadataRecord::Partition(full_partition),
        MetadataRecord::Config(ConfigRecord { value: None, ..config.clone() }),
        MetadataRecord::Config(config),
        MetadataRecord::PartitionChange(change),
        MetadataRecord::PartitionChange(full_change),
        MetadataRecord::ProducerIds(ProducerIdsRecord {
            broker_id: 1,
            broker_epoch: BrokerEpoch(7),
            next_producer_id: 1000,
        }),
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            fenced: Some(false),
            ..registration_change.clone()
        }),
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            fenced: Some(true),
            in_controlled_shutdown: true,
            log_dirs: vec![TOPIC],
            ..registration_change.clone()
        }),
        MetadataRecord::BrokerRegistrationChange(registration_change),
        MetadataRecord::NoOp,
    ]
}

#[test]
fn every_record_comes_back_as_it_was() {
    for record in one_of_each() {
        assert_eq!(decode(encode(&record)), Ok(record));
    }
}

#[test]
fn a_record_cut_short_anywhere_is_an_error() {
    for record in one_of_each() {
        let bytes = encode(&record);
        for length in 0..bytes.len() {
            assert!(decode(bytes.slice(..length)).is_err(), "{length} bytes of {record:?}");
        }
    }
}

#[test]
fn the_bytes_are_those_of_kafkas_schemas() {
    let id: Vec<u8> = (1..=16).collect();
    let expect = |record: MetadataRecord, parts: &[&[u8]]| {
        assert_eq!(encode(&record).to_vec(), parts.concat(), "{record:?}");
    };
    expect(
        MetadataRecord::Topic(TopicRecord { name: TopicName(text("ab")), topic_id: TOPIC }),
        &[&[1, 2, 0], &[3, b'a', b'b'], &id, &[0]],
    );
    expect(
        MetadataRecord::PartitionChange(PartitionChangeRecord {
            isr: Some(vec![2]),
            leader: Some(-1),
            ..PartitionChangeRecord::new(TOPIC, 3)
        }),
        &[&[1, 5, 0], &[0, 0, 0, 3], &id, &[2], &[0, 5, 2, 0, 0, 0, 2], &[1, 4, 0xff, 0xff, 0xff, 0xff]],
    );
    expect(
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: BrokerEpoch(7),
            fenced: Some(false),
            in_controlled_shutdown: true,
            log_dirs: Vec::new(),
        }),
        &[&[1, 17, 1], &[0, 0, 0, 1], &[0, 0, 0, 0, 0, 0, 0, 7], &[2], &[0, 1, 0xff], &[1, 1, 1]],
    );
    expect(
        MetadataRecord::Partition(partition()),
        &[
            &[1, 3, 0],
            &[0, 0, 0, 3],
            &id,
            &[3, 0, 0, 0, 1, 0, 0, 0, 2],
            &[2, 0, 0, 0, 1],
            &[1],
            &[1],
            &[0, 0, 0, 1],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0],
        ],
    );
}

#[test]
fn what_a_newer_kafka_adds_as_a_tagged_field_is_skipped() {
    let mut bytes = encode(&MetadataRecord::NoOp).to_vec();
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend_from_slice(&[1, 9, 2, 0xaa, 0xbb]);
    assert_eq!(decode(bytes.into()), Ok(MetadataRecord::NoOp));
}

#[test]
fn what_is_not_known_is_refused() {
    let decode_of = |bytes: &'static [u8]| decode(Bytes::from_static(bytes));
    assert_eq!(decode_of(&[0, 20, 0, 0]), Err(WireError::OutOfRange("the frame version")));
    assert_eq!(decode_of(&[1, 12, 0, 0]), Err(WireError::UnknownType(12)));
    assert_eq!(decode_of(&[1, 20, 1, 0]), Err(WireError::UnknownVersion { record: "NoOpRecord", version: 1 }));
    assert_eq!(decode_of(&[1, 20, 0, 0, 7]), Err(WireError::Garbage(1)));
}
