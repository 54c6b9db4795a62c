//! Consumer groups as `kafka-consumer-groups --describe` would show them.

use ackproof_core::fact::Fact;
use ackproof_core::types::{NodeId, Offset, TopicPartition};
use ackproof_reports::render::groups::groups;

use crate::run::{Run, acks};

fn surveyed(group: &str, state: &str, members: &[&str]) -> Fact {
    Fact::GroupSurveyed {
        group: group.into(),
        state: state.into(),
        assignor: if members.is_empty() { String::new() } else { "range".into() },
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    }
}

fn partition_of(group: &str, number: i32, committed: i64, member: &str) -> Fact {
    let if_owned = |text: &str| if member.is_empty() { String::new() } else { text.to_owned() };
    Fact::GroupPartitionSurveyed {
        group: group.into(),
        partition: TopicPartition::of("orders", number),
        committed: Offset(committed),
        member: member.into(),
        host: if_owned("/client-1"),
        client_id: if_owned("consumer-1"),
    }
}

#[test]
fn a_group_shows_how_far_it_is_and_who_has_what() {
    let mut run = Run::default();
    run.at(9_000);
    let broker = NodeId::Broker(2);
    run.say(broker, surveyed("billing", "Stable", &["m-1", "m-2"]));
    run.say(broker, partition_of("billing", 0, 7, "m-1"));
    run.say(broker, partition_of("billing", 1, -1, "m-1"));
    run.say(broker, surveyed("audit", "Empty", &[]));
    run.say(broker, partition_of("audit", 0, 5, ""));
    run.say(NodeId::Controller(4), surveyed("lost", "Unknown", &[]));
    run.ends_with(2, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let expected = "\
Group: billing\tCoordinator: 2\tAssignmentStrategy: range\tState: Stable\t#Members: 2
\tGROUP    TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST       CLIENT-ID
\tbilling  orders  0          7               10              3    m-1          /client-1  consumer-1
\tbilling  orders  1          -               -               -    m-1          /client-1  consumer-1
\tbilling  -       -          -               -               -    m-2          -          -
Group: audit\tCoordinator: 2\tState: Empty\t#Members: 0
Consumer group 'audit' has no active members.
\tGROUP  TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
\taudit  orders  0          5               10              5    -            -     -
Consumer group 'lost': no broker that runs coordinates it.
";
    assert_eq!(groups(&run.judge(&acks(1))), expected);
}

/// KIP-1099: of a group of the consumer protocol the epochs are shown too, and where each member is on its way.
#[test]
fn a_group_of_the_consumer_protocol_shows_its_epochs() {
    let of = |numbers: &[i32]| numbers.iter().map(|number| TopicPartition::of("orders", *number)).collect();
    let member = |member: &str, epoch, assigned: &[i32], target: &[i32]| Fact::GroupMemberSurveyed {
        group: "billing".into(),
        member: member.into(),
        host: "/client-1".into(),
        client_id: "c1".into(),
        epoch,
        assigned: of(assigned),
        target: of(target),
    };
    let mut run = Run::default();
    let broker = NodeId::Broker(2);
    run.say(broker, surveyed("billing", "Reconciling", &["m-1", "m-2"]));
    run.say(broker, Fact::GroupEpochsSurveyed { group: "billing".into(), epoch: 4, target_epoch: 4 });
    run.say(broker, member("m-1", 3, &[0, 1], &[0]));
    run.say(broker, member("m-2", 4, &[], &[1]));
    run.ends_with(2, &[]);
    let expected = "\
Group: billing\tCoordinator: 2\tAssignmentStrategy: range\tState: Reconciling\tGroupEpoch: 4\tTargetAssignmentEpoch: 4\t#Members: 2
\tGROUP    TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
\tbilling  -      -          -               -               -    m-1          -     -
\tbilling  -      -          -               -               -    m-2          -     -
\tGROUP    CONSUMER-ID  HOST       CLIENT-ID  #PARTITIONS  CURRENT-EPOCH  CURRENT-ASSIGNMENT  TARGET-EPOCH  TARGET-ASSIGNMENT
\tbilling  m-1          /client-1  c1         2            3              orders:0,1          4             orders:0
\tbilling  m-2          /client-1  c1         0            4              -                   4             orders:1
";
    assert_eq!(groups(&run.judge(&acks(1))), expected);
}

#[test]
fn without_groups_there_is_nothing_to_show() {
    let mut run = Run::default();
    run.ends_with(2, &[]);
    assert_eq!(groups(&run.judge(&acks(1))), "");
}
