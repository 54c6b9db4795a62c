//! What operators do, as the judge and the reader see it.

use ackproof_core::fact::Fact;
use ackproof_core::types::{NodeId, Offset};
use ackproof_reports::render::topics::topics;

use crate::run::{CONTROLLER, Run, acks, orders};

fn deleted(run: &mut Run) {
    run.say(CONTROLLER, Fact::TopicDeleted { topic: "orders".into() });
    for broker in 1..=3 {
        let log_end = Offset(1);
        run.say(NodeId::Broker(broker), Fact::LogDeleted { partition: orders(), log_end });
    }
}

fn kinds(run: &Run) -> Vec<String> {
    run.judge(&acks(-1)).anomalies.iter().map(|anomaly| anomaly.kind.to_string()).collect()
}

#[test]
fn what_went_with_its_topic_is_not_lost_what_came_later_is() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    deleted(&mut run);
    run.sent(1, "b");
    run.acked(1, 0, -1);
    assert_eq!(kinds(run.clone().ends_with(1, &["b"])), [""; 0], "the offset is another one: the topic is");
    assert_eq!(kinds(run.ends_with(1, &[])), ["lost-write"]);
}

#[test]
fn a_log_that_goes_while_its_topic_stays_excuses_nobody() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.say(NodeId::Broker(1), Fact::LogDeleted { partition: orders(), log_end: Offset(1) });
    assert_eq!(kinds(run.ends_with(2, &[])), ["lost-write"]);
}

#[test]
fn moves_and_eligible_leaders_stand_in_the_description() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.say(CONTROLLER, Fact::TopicCreated { topic: "orders".into(), replicas: vec![vec![1, 2, 3]] });
    run.say(
        CONTROLLER,
        Fact::ReplicasReassigned {
            partition: orders(),
            replicas: vec![4, 1, 2, 3],
            adding: vec![4],
            removing: vec![1, 2],
        },
    );
    run.say(
        CONTROLLER,
        Fact::PartitionSurveyed {
            partition: orders(),
            replicas: vec![4, 1, 2, 3],
            adding: vec![4],
            removing: vec![1, 2],
            elr: vec![2, 3],
            last_known_elr: vec![1],
        },
    );
    let table = topics(&run.ends_with(1, &["a"]).judge(&acks(-1)));
    assert!(table.contains("Replicas: 4,1,2,3\tIsr: 1,2,3"), "{table}");
    let words = "\tElr: 2,3\tLastKnownElr: 1\tAdding Replicas: 4\tRemoving Replicas: 1,2\n";
    assert!(table.contains(words), "{table}");
}
