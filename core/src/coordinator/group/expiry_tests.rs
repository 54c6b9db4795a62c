//! When committed offsets, and groups with them, are old enough to go (`GroupMetadataManager.cleanupGroupMetadata`, KIP-211).

use bytes::Bytes;

use super::consumer::records::MemberMetadata;
use super::consumer::{ConsumerGroupRecord, ModernProtocol};
use super::coordinator::GroupConfig;
use super::records::{GroupMetadataRecord, MemberRecord};
use super::tests::{ORDERS, Stage, config, group_id, text};
use super::*;
use crate::coordinator::group::consumer::records::SubscribedTopic;
use crate::types::{Duration, Instant, LeaderEpoch, Offset, StrBytes, Timestamp, TopicName, TopicPartition};

/// When it is looked for what is too old, by the clock of the broker, and how old that is.
const NOW: i64 = 100 * 24 * 3600 * 1000;
const RETENTION: i64 = 7 * 24 * 3600 * 1000;
/// Exactly too old, and not yet.
const OLD: Timestamp = Timestamp(NOW - RETENTION);
const YOUNG: Timestamp = Timestamp(NOW - RETENTION + 1);

fn commit(topic: &str, commit_timestamp: Timestamp) -> GroupRecord {
    let (offset, leader_epoch) = (Offset(70), LeaderEpoch::NONE);
    let committed = CommittedOffset { offset, leader_epoch, metadata: StrBytes::default(), commit_timestamp };
    GroupRecord::OffsetCommit { group: group_id(), partition: TopicPartition::of(topic, 0), committed: Some(committed) }
}

/// A group that has been empty since then.
fn empty_since(state_timestamp: Timestamp) -> GroupRecord {
    generation(state_timestamp, Vec::new())
}

/// A stable group of one member that reads this.
fn stable(subscription: Vec<u8>) -> GroupRecord {
    let member = MemberRecord {
        member_id: text("m1"),
        instance_id: None,
        client_id: text("c"),
        client_host: text("/c"),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 3_600_000,
        subscription: subscription.into(),
        assignment: Bytes::new(),
    };
    generation(OLD, vec![member])
}

fn generation(state_timestamp: Timestamp, members: Vec<MemberRecord>) -> GroupRecord {
    let metadata = GroupMetadataRecord {
        protocol_type: text("consumer"),
        generation: 3,
        protocol: (!members.is_empty()).then(|| text("range")),
        leader: members.first().map(|member| member.member_id.clone()),
        state_timestamp,
        members,
    };
    GroupRecord::Group { group: group_id(), metadata: Some(metadata) }
}

/// `ConsumerProtocolSubscription` of version 0.
fn subscribed_to_orders() -> Vec<u8> {
    [&[0, 0, 0, 0, 0, 1, 0, 6][..], b"orders", &[0xff; 4]].concat()
}

/// A group of the consumer or the share protocol, with a member that reads orders or with none.
fn modern(protocol: ModernProtocol, has_member: bool) -> Vec<GroupRecord> {
    let orders = TopicName(text("orders"));
    let topics = [(orders.clone(), SubscribedTopic { id: ORDERS, partitions: 2 })].into();
    let mut records = vec![ConsumerGroupRecord::Epoch(Some(1))];
    if has_member {
        let metadata = MemberMetadata { topics: vec![orders], rebalance_timeout_ms: -1, ..MemberMetadata::default() };
        records.push(ConsumerGroupRecord::PartitionMetadata(Some(topics)));
        records.push(ConsumerGroupRecord::Member(text("m1"), Some(metadata)));
    }
    records.into_iter().map(|record| protocol.record(&group_id(), record)).collect()
}

/// What is taken back of what the log says.
fn check(config: &GroupConfig, log: Vec<GroupRecord>, expected: &[&str]) {
    let mut stage = Stage::configured(GroupConfig {
        consumer_session_timeout: Duration::from_secs(3600),
        share_session_timeout: Duration::from_secs(3600),
        ..config.clone()
    });
    stage.now = Instant((NOW - 600_000) as u64 * 1_000_000);
    stage.log.clone_from(&log);
    stage.take_over();
    let said = |record: &GroupRecord| match record {
        GroupRecord::OffsetCommit { partition, committed: None, .. } => format!("offset {partition}"),
        GroupRecord::Group { metadata: None, .. } => "group".to_owned(),
        GroupRecord::Consumer { record: ConsumerGroupRecord::TargetEpoch(None), .. } => "target".to_owned(),
        GroupRecord::Consumer { record: ConsumerGroupRecord::PartitionMetadata(None), .. } => "topics".to_owned(),
        GroupRecord::Consumer { record: ConsumerGroupRecord::Epoch(None), .. } => "epoch".to_owned(),
        other => format!("{other:?}"),
    };
    stage.wait(Duration::from_secs(599));
    assert_eq!(stage.log.len(), log.len(), "it is not time to look");
    stage.wait(Duration::from_secs(1));
    let found: Vec<String> = stage.log[log.len()..].iter().map(said).collect();
    assert_eq!(found, expected, "{log:?}");
}

#[test]
fn offsets_of_whoever_has_no_group_go_when_they_are_old() {
    check(&config(), vec![commit("orders", OLD), commit("payments", YOUNG)], &["offset orders-0"]);
    // There is no generation in the log that would have to be taken back.
    check(&config(), vec![commit("orders", OLD)], &["offset orders-0"]);
}

#[test]
fn an_empty_group_keeps_its_offsets_from_when_it_is_empty() {
    check(&config(), vec![empty_since(YOUNG), commit("orders", OLD)], &[]);
    check(&config(), vec![empty_since(OLD), commit("orders", YOUNG)], &["offset orders-0", "group"]);
    // Written by a broker that did not say since when: each commit counts by itself.
    let unknown = || empty_since(Timestamp::NONE);
    check(&config(), vec![unknown(), commit("orders", OLD), commit("payments", YOUNG)], &["offset orders-0"]);
    check(&config(), vec![unknown(), commit("orders", OLD)], &["offset orders-0", "group"]);
}

#[test]
fn an_empty_group_without_offsets_goes() {
    check(&config(), vec![empty_since(YOUNG)], &["group"]);
    check(&config(), vec![stable(subscribed_to_orders())], &[]);
}

#[test]
fn a_group_with_members_keeps_what_it_reads() {
    let log = |subscription| vec![stable(subscription), commit("orders", OLD), commit("payments", OLD)];
    check(&config(), log(subscribed_to_orders()), &["offset payments-0"]);
    let young = vec![stable(subscribed_to_orders()), commit("payments", YOUNG)];
    check(&config(), young, &[]);
    // Whether anybody reads them is not known.
    check(&config(), log(b"?".to_vec()), &[]);
}

#[test]
fn before_2_1_offsets_went_by_their_age_alone() {
    let config = GroupConfig { expire_when_empty: false, ..config() };
    let log = vec![stable(subscribed_to_orders()), commit("orders", OLD), commit("payments", YOUNG)];
    check(&config, log, &["offset orders-0"]);
    check(&config, vec![empty_since(OLD), commit("orders", YOUNG)], &[]);
    check(&config, vec![empty_since(YOUNG), commit("orders", OLD)], &["offset orders-0", "group"]);
}

#[test]
fn a_group_of_the_consumer_protocol_keeps_what_it_reads_and_itself_while_it_has_members() {
    let with = |has_member: bool, commits: &[GroupRecord]| {
        [modern(ModernProtocol::Consumer, has_member), commits.to_vec()].concat()
    };
    let all = ["offset orders-0", "target", "topics", "epoch"];
    check(&config(), with(true, &[]), &[]);
    check(&config(), with(true, &[commit("orders", OLD), commit("payments", OLD)]), &["offset payments-0"]);
    check(&config(), with(true, &[commit("payments", YOUNG)]), &[]);
    check(&config(), with(false, &[commit("orders", YOUNG)]), &[]);
    check(&config(), with(false, &[commit("orders", OLD)]), &all);
    check(&config(), with(false, &[]), &all[1..]);
}

#[test]
fn a_share_group_stays_until_somebody_deletes_it() {
    check(&config(), modern(ModernProtocol::Share, false), &[]);
}
