//! Metadata records as bytes: the value of one record in a batch of the metadata log.
//!
//! Kafka: `MetadataRecordSerde`, and the readers and writers generated from the schemas. A frame is frame version (1),
//! record type and record version as unsigned varints, then the flexible message.
//! Every record is written in the lowest version that carries what it says, and read in every version of 3.9.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::partition::LeaderRecoveryState;
use super::records::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
    UnregisterBrokerRecord,
};
use super::wire::{
    Reader, Tagged, WireError, put_ids, put_list, put_nullable_string, put_string, put_uuids, put_varint,
};
use crate::types::{BrokerEpoch, LeaderEpoch, PartitionEpoch, TopicName};

const FRAME_VERSION: u32 = 1;
/// The leader of a change that does not change the leader.
const NO_LEADER_CHANGE: i32 = -2;

/// The bytes of one record.
pub fn encode(record: &MetadataRecord) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    let head = |out: &mut BytesMut, record_type: u32, version: u32| {
        put_varint(out, FRAME_VERSION);
        put_varint(out, record_type);
        put_varint(out, version);
    };
    match record {
        MetadataRecord::RegisterBroker(record) => {
            head(&mut out, 0, if record.log_dirs.is_empty() { 1 } else { 3 });
            put_register_broker(&mut out, record);
        }
        MetadataRecord::UnregisterBroker(record) => {
            head(&mut out, 1, 0);
            out.put_i32(record.broker_id);
            out.put_i64(record.broker_epoch.0);
            Tagged::default().finish(&mut out);
        }
        MetadataRecord::Topic(record) => {
            head(&mut out, 2, 0);
            put_string(&mut out, record.name.as_str());
            out.put_slice(record.topic_id.as_bytes());
            Tagged::default().finish(&mut out);
        }
        MetadataRecord::Partition(record) => {
            let elr = !record.eligible_leader_replicas.is_empty() || !record.last_known_elr.is_empty();
            let version = version_of(elr, !record.directories.is_empty());
            head(&mut out, 3, version);
            put_partition(&mut out, record, version);
        }
        MetadataRecord::Config(record) => {
            head(&mut out, 4, 0);
            out.put_i8(record.resource_type);
            put_string(&mut out, record.resource_name.as_str());
            put_string(&mut out, record.name.as_str());
            put_nullable_string(&mut out, record.value.as_deref());
            Tagged::default().finish(&mut out);
        }
        MetadataRecord::PartitionChange(record) => {
            let elr = record.eligible_leader_replicas.is_some() || record.last_known_elr.is_some();
            head(&mut out, 5, version_of(elr, record.directories.is_some()));
            put_partition_change(&mut out, record);
        }
        MetadataRecord::RemoveTopic(record) => {
            head(&mut out, 9, 0);
            out.put_slice(record.topic_id.as_bytes());
            Tagged::default().finish(&mut out);
        }
        MetadataRecord::ClientQuota(record) => {
            head(&mut out, 14, 0);
            put_client_quota(&mut out, record);
        }
        MetadataRecord::ProducerIds(record) => {
            head(&mut out, 15, 0);
            out.put_i32(record.broker_id);
            out.put_i64(record.broker_epoch.0);
            out.put_i64(record.next_producer_id);
            Tagged::default().finish(&mut out);
        }
        MetadataRecord::BrokerRegistrationChange(record) => {
            head(&mut out, 17, version_of(!record.log_dirs.is_empty(), record.in_controlled_shutdown));
            put_registration_change(&mut out, record);
        }
        MetadataRecord::NoOp => {
            head(&mut out, 20, 0);
            Tagged::default().finish(&mut out);
        }
    }
    out.freeze()
}

/// 2 if the record uses what version 2 added, else 1 if it uses what version 1 added, else 0.
fn version_of(uses_second: bool, uses_first: bool) -> u32 {
    match (uses_second, uses_first) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

fn put_register_broker(out: &mut BytesMut, record: &RegisterBrokerRecord) {
    out.put_i32(record.broker_id);
    if !record.log_dirs.is_empty() {
        out.put_u8(0); // isMigratingZkBroker, since version 2
    }
    out.put_slice(record.incarnation_id.as_bytes());
    out.put_i64(record.broker_epoch.0);
    put_list(out, &record.end_points, |out, end_point| {
        put_string(out, end_point.name.as_str());
        put_string(out, end_point.host.as_str());
        out.put_u16(end_point.port);
        out.put_i16(end_point.security_protocol);
        Tagged::default().finish(out);
    });
    put_list(out, &record.features, |out, feature| {
        put_string(out, feature.name.as_str());
        out.put_i16(feature.min_supported_version);
        out.put_i16(feature.max_supported_version);
        Tagged::default().finish(out);
    });
    put_nullable_string(out, record.rack.as_deref());
    out.put_u8(u8::from(record.fenced));
    out.put_u8(u8::from(record.in_controlled_shutdown));
    let mut tagged = Tagged::default();
    if !record.log_dirs.is_empty() {
        tagged.field(0, |out| put_uuids(out, &record.log_dirs));
    }
    tagged.finish(out);
}

/// Kafka's limits are floating-point numbers; here they are whole bytes per second, which those can say exactly.
fn put_client_quota(out: &mut BytesMut, record: &ClientQuotaRecord) {
    put_list(out, &record.entity, |out, (entity_type, name)| {
        put_string(out, entity_type.as_str());
        put_nullable_string(out, name.as_deref());
        Tagged::default().finish(out);
    });
    put_string(out, record.key.as_str());
    out.put_f64(record.value.unwrap_or(0) as f64);
    out.put_u8(u8::from(record.value.is_none()));
    Tagged::default().finish(out);
}

fn put_registration_change(out: &mut BytesMut, record: &BrokerRegistrationChangeRecord) {
    out.put_i32(record.broker_id);
    out.put_i64(record.broker_epoch.0);
    let mut tagged = Tagged::default();
    if let Some(fenced) = record.fenced {
        tagged.field(0, |out| out.put_i8(if fenced { 1 } else { -1 }));
    }
    if record.in_controlled_shutdown {
        tagged.field(1, |out| out.put_i8(1));
    }
    if !record.log_dirs.is_empty() {
        tagged.field(2, |out| put_uuids(out, &record.log_dirs));
    }
    tagged.finish(out);
}

fn put_partition(out: &mut BytesMut, record: &PartitionRecord, version: u32) {
    out.put_i32(record.partition_id);
    out.put_slice(record.topic_id.as_bytes());
    put_ids(out, &record.replicas);
    put_ids(out, &record.isr);
    put_ids(out, &record.removing_replicas);
    put_ids(out, &record.adding_replicas);
    out.put_i32(record.leader);
    out.put_i32(record.leader_epoch.0);
    out.put_i32(record.partition_epoch.0);
    if version >= 1 {
        put_uuids(out, &record.directories);
    }
    let mut tagged = Tagged::default();
    if record.leader_recovery_state != LeaderRecoveryState::Recovered {
        tagged.field(0, |out| out.put_i8(record.leader_recovery_state.number()));
    }
    if !record.eligible_leader_replicas.is_empty() {
        tagged.field(1, |out| put_ids(out, &record.eligible_leader_replicas));
    }
    if !record.last_known_elr.is_empty() {
        tagged.field(2, |out| put_ids(out, &record.last_known_elr));
    }
    tagged.finish(out);
}

fn put_partition_change(out: &mut BytesMut, record: &PartitionChangeRecord) {
    out.put_i32(record.partition_id);
    out.put_slice(record.topic_id.as_bytes());
    let mut tagged = Tagged::default();
    let ids = |tagged: &mut Tagged, tag: u32, ids: &Option<Vec<i32>>| {
        if let Some(ids) = ids {
            tagged.field(tag, |out| put_ids(out, ids));
        }
    };
    ids(&mut tagged, 0, &record.isr);
    if let Some(leader) = record.leader {
        tagged.field(1, |out| out.put_i32(leader));
    }
    ids(&mut tagged, 2, &record.replicas);
    ids(&mut tagged, 3, &record.removing_replicas);
    ids(&mut tagged, 4, &record.adding_replicas);
    if let Some(state) = record.leader_recovery_state {
        tagged.field(5, |out| out.put_i8(state.number()));
    }
    ids(&mut tagged, 6, &record.eligible_leader_replicas);
    ids(&mut tagged, 7, &record.last_known_elr);
    if let Some(directories) = &record.directories {
        tagged.field(8, |out| put_uuids(out, directories));
    }
    tagged.finish(out);
}

/// The record that the bytes are.
pub fn decode(bytes: Bytes) -> Result<MetadataRecord, WireError> {
    let mut reader = Reader::new(bytes);
    if reader.varint("the frame version")? != FRAME_VERSION {
        return Err(WireError::OutOfRange("the frame version"));
    }
    let record_type = reader.varint("the record type")?;
    let version = reader.varint("the record version")?;
    let record = read_record(&mut reader, record_type, version)?;
    match reader.remaining() {
        0 => Ok(record),
        garbage => Err(WireError::Garbage(garbage)),
    }
}

fn read_record(reader: &mut Reader, record_type: u32, version: u32) -> Result<MetadataRecord, WireError> {
    let at_most = |highest: u32, record: &'static str| {
        if version > highest { Err(WireError::UnknownVersion { record, version }) } else { Ok(()) }
    };
    match record_type {
        0 => {
            at_most(3, "RegisterBrokerRecord")?;
            read_register_broker(reader, version).map(MetadataRecord::RegisterBroker)
        }
        1 => {
            at_most(0, "UnregisterBrokerRecord")?;
            read_unregister_broker(reader).map(MetadataRecord::UnregisterBroker)
        }
        2 => {
            at_most(0, "TopicRecord")?;
            read_topic(reader).map(MetadataRecord::Topic)
        }
        3 => {
            at_most(2, "PartitionRecord")?;
            read_partition(reader, version).map(MetadataRecord::Partition)
        }
        4 => {
            at_most(0, "ConfigRecord")?;
            read_config(reader).map(MetadataRecord::Config)
        }
        5 => {
            at_most(2, "PartitionChangeRecord")?;
            read_partition_change(reader).map(MetadataRecord::PartitionChange)
        }
        9 => {
            at_most(0, "RemoveTopicRecord")?;
            let record = RemoveTopicRecord { topic_id: reader.uuid("topicId")? };
            reader.no_tagged()?;
            Ok(MetadataRecord::RemoveTopic(record))
        }
        14 => {
            at_most(0, "ClientQuotaRecord")?;
            read_client_quota(reader).map(MetadataRecord::ClientQuota)
        }
        15 => {
            at_most(0, "ProducerIdsRecord")?;
            read_producer_ids(reader).map(MetadataRecord::ProducerIds)
        }
        17 => {
            at_most(2, "BrokerRegistrationChangeRecord")?;
            read_registration_change(reader).map(MetadataRecord::BrokerRegistrationChange)
        }
        20 => {
            at_most(0, "NoOpRecord")?;
            reader.no_tagged()?;
            Ok(MetadataRecord::NoOp)
        }
        unknown => Err(WireError::UnknownType(unknown)),
    }
}

fn read_uuids(reader: &mut Reader, what: &'static str) -> Result<Vec<Uuid>, WireError> {
    reader.list(what, |reader| reader.uuid(what))
}

fn read_register_broker(reader: &mut Reader, version: u32) -> Result<RegisterBrokerRecord, WireError> {
    let broker_id = reader.i32("brokerId")?;
    if version >= 2 {
        reader.bool("isMigratingZkBroker")?;
    }
    let incarnation_id = reader.uuid("incarnationId")?;
    let broker_epoch = BrokerEpoch(reader.i64("brokerEpoch")?);
    let end_points = reader.list("endPoints", |reader| {
        let end_point = BrokerEndpoint {
            name: reader.string("name")?,
            host: reader.string("host")?,
            port: reader.u16("port")?,
            security_protocol: reader.i16("securityProtocol")?,
        };
        reader.no_tagged()?;
        Ok(end_point)
    })?;
    let features = reader.list("features", |reader| {
        let feature = BrokerFeature {
            name: reader.string("name")?,
            min_supported_version: reader.i16("minSupportedVersion")?,
            max_supported_version: reader.i16("maxSupportedVersion")?,
        };
        reader.no_tagged()?;
        Ok(feature)
    })?;
    let rack = reader.nullable_string("rack")?;
    let fenced = reader.bool("fenced")?;
    let in_controlled_shutdown = version >= 1 && reader.bool("inControlledShutdown")?;
    let mut log_dirs = Vec::new();
    reader.tagged(|tag, value| {
        if tag == 0 && version >= 3 {
            log_dirs = read_uuids(value, "logDirs")?;
        }
        Ok(())
    })?;
    Ok(RegisterBrokerRecord {
        broker_id,
        incarnation_id,
        broker_epoch,
        end_points,
        features,
        rack,
        fenced,
        in_controlled_shutdown,
        log_dirs,
    })
}

fn read_unregister_broker(reader: &mut Reader) -> Result<UnregisterBrokerRecord, WireError> {
    let record = UnregisterBrokerRecord {
        broker_id: reader.i32("brokerId")?,
        broker_epoch: BrokerEpoch(reader.i64("brokerEpoch")?),
    };
    reader.no_tagged()?;
    Ok(record)
}

fn read_topic(reader: &mut Reader) -> Result<TopicRecord, WireError> {
    let record = TopicRecord { name: TopicName(reader.string("name")?), topic_id: reader.uuid("topicId")? };
    reader.no_tagged()?;
    Ok(record)
}

fn read_partition(reader: &mut Reader, version: u32) -> Result<PartitionRecord, WireError> {
    let mut record = PartitionRecord {
        partition_id: reader.i32("partitionId")?,
        topic_id: reader.uuid("topicId")?,
        replicas: reader.ids("replicas")?,
        isr: reader.ids("isr")?,
        removing_replicas: reader.ids("removingReplicas")?,
        adding_replicas: reader.ids("addingReplicas")?,
        leader: reader.i32("leader")?,
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(reader.i32("leaderEpoch")?),
        partition_epoch: PartitionEpoch(reader.i32("partitionEpoch")?),
        directories: if version >= 1 { read_uuids(reader, "directories")? } else { Vec::new() },
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
    };
    let nullable_ids =
        |value: &mut Reader| Ok(value.nullable_list("replicas", |value| value.i32("replicas"))?.unwrap_or_default());
    reader.tagged(|tag, value| {
        match tag {
            0 => record.leader_recovery_state = read_recovery_state(value.i8("leaderRecoveryState")?)?,
            1 => record.eligible_leader_replicas = nullable_ids(value)?,
            2 => record.last_known_elr = nullable_ids(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

fn read_recovery_state(number: i8) -> Result<LeaderRecoveryState, WireError> {
    LeaderRecoveryState::from_number(number).ok_or(WireError::OutOfRange("leaderRecoveryState"))
}

fn read_config(reader: &mut Reader) -> Result<ConfigRecord, WireError> {
    let record = ConfigRecord {
        resource_type: reader.i8("resourceType")?,
        resource_name: reader.string("resourceName")?,
        name: reader.string("name")?,
        value: reader.nullable_string("value")?,
    };
    reader.no_tagged()?;
    Ok(record)
}

fn read_partition_change(reader: &mut Reader) -> Result<PartitionChangeRecord, WireError> {
    let partition_id = reader.i32("partitionId")?;
    let mut record = PartitionChangeRecord::new(reader.uuid("topicId")?, partition_id);
    let ids = |value: &mut Reader| value.nullable_list("replicas", |value| value.i32("replicas"));
    reader.tagged(|tag, value| {
        match tag {
            0 => record.isr = ids(value)?,
            1 => record.leader = Some(value.i32("leader")?).filter(|leader| *leader != NO_LEADER_CHANGE),
            2 => record.replicas = ids(value)?,
            3 => record.removing_replicas = ids(value)?,
            4 => record.adding_replicas = ids(value)?,
            5 => {
                record.leader_recovery_state = match value.i8("leaderRecoveryState")? {
                    -1 => None,
                    number => Some(read_recovery_state(number)?),
                }
            }
            6 => record.eligible_leader_replicas = ids(value)?,
            7 => record.last_known_elr = ids(value)?,
            8 => record.directories = value.nullable_list("directories", |value| value.uuid("directories"))?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

fn read_producer_ids(reader: &mut Reader) -> Result<ProducerIdsRecord, WireError> {
    let record = ProducerIdsRecord {
        broker_id: reader.i32("brokerId")?,
        broker_epoch: BrokerEpoch(reader.i64("brokerEpoch")?),
        next_producer_id: reader.i64("nextProducerId")?,
    };
    reader.no_tagged()?;
    Ok(record)
}

fn read_client_quota(reader: &mut Reader) -> Result<ClientQuotaRecord, WireError> {
    let entity = reader.list("entity", |reader| {
        let one = (reader.string("entityType")?, reader.nullable_string("entityName")?);
        reader.no_tagged()?;
        Ok(one)
    })?;
    let key = reader.string("key")?;
    let value = f64::from_bits(reader.i64("value")?.cast_unsigned()) as i64;
    let removed = reader.bool("remove")?;
    reader.no_tagged()?;
    Ok(ClientQuotaRecord { entity, key, value: (!removed).then_some(value) })
}

fn read_registration_change(reader: &mut Reader) -> Result<BrokerRegistrationChangeRecord, WireError> {
    let mut record = BrokerRegistrationChangeRecord {
        broker_id: reader.i32("brokerId")?,
        broker_epoch: BrokerEpoch(reader.i64("brokerEpoch")?),
        fenced: None,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    };
    reader.tagged(|tag, value| {
        match tag {
            0 => {
                record.fenced = match value.i8("fenced")? {
                    -1 => Some(false),
                    0 => None,
                    1 => Some(true),
                    _ => return Err(WireError::OutOfRange("fenced")),
                }
            }
            1 => {
                record.in_controlled_shutdown = match value.i8("inControlledShutdown")? {
                    0 => false,
                    1 => true,
                    _ => return Err(WireError::OutOfRange("inControlledShutdown")),
                }
            }
            2 => record.log_dirs = read_uuids(value, "logDirs")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

#[cfg(test)]
mod tests;
