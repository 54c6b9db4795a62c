//! Groups of the consumer protocol (KIP-848) before the judge: who may have what, and that stories speak of epochs.

use ackproof_core::fact::{Fact, RemovalReason, ResetReason};
use ackproof_core::types::{NodeId, Offset};
use ackproof_reports::{Cause, Contract, Kind};

use super::run::{C1, Run, group, orders};

const C2: NodeId = NodeId::Client(3);
const COORDINATOR: NodeId = NodeId::Broker(2);

fn contract() -> Contract {
    group(|_| {})
}

/// The coordinator writes what a member may have, and the member takes it over.
fn given(run: &mut Run, node: NodeId, member: &str, epoch: i32) {
    let (group, member, state) = ("billing".to_owned(), member.to_owned(), "STABLE".to_owned());
    let (assigned, revoking) = (vec![orders()], Vec::new());
    let name = member.clone();
    run.say(COORDINATOR, Fact::MemberReconciled { group, member, epoch, state, assigned, revoking });
    follows(run, node, &name, epoch);
}

/// The process takes over what its coordinator has told its member, now or before.
fn follows(run: &mut Run, node: NodeId, member: &str, generation: i32) {
    let (group, member, partitions) = ("billing".into(), member.into(), vec![orders()]);
    run.say(node, Fact::PartitionsAssigned { group, member, generation, partitions });
}

fn removed(run: &mut Run, member: &str) {
    let (group, member) = ("billing".into(), member.into());
    run.say(COORDINATOR, Fact::MemberRemoved { group, member, reason: RemovalReason::SessionExpired });
}

fn processed(run: &mut Run, node: NodeId) {
    run.say(node, Fact::Processed { group: Some("billing".into()), partition: orders(), offset: Offset(0) });
}

fn written() -> Run {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    given(&mut run, C1, "m1", 4);
    run
}

fn causes(run: Run, kind: Kind) -> Vec<Option<Cause>> {
    let mut run = run;
    run.ends_with(1, &["a"]);
    run.explain(&contract()).0.of_kind(kind).map(|one| one.cause).collect()
}

/// The second is given the partition in a later epoch, while the first is a member and has not given it up.
#[test]
fn gr_12_two_members_have_one_partition() {
    let mut run = written();
    given(&mut run, C2, "m2", 5);
    assert_eq!(causes(run, Kind::TwoOwners), [Some(Cause::AssignedTwice)]);
}

/// The coordinator loses its log and forgets the first; the second has the partition then, and the third after it.
#[test]
fn whom_a_coordinator_has_forgotten_still_has_what_it_had() {
    let third = |second_gives_up: bool| {
        let mut run = Run::default();
        run.sent(0, "a");
        run.acked(0, 0, -1);
        let state_is = |run: &mut Run, generation: i32, members: &[&str]| {
            let members = members.iter().map(|member| (*member).to_owned()).collect();
            let (group, state) = ("billing".into(), "Stable".into());
            run.say(COORDINATOR, Fact::GroupStateChanged { group, state, generation, members });
        };
        state_is(&mut run, 1, &["m1"]);
        given(&mut run, C1, "m1", 1);
        state_is(&mut run, 1, &["m2"]);
        given(&mut run, C2, "m2", 1);
        if second_gives_up {
            let (group, partitions) = ("billing".into(), vec![orders()]);
            run.say(C2, Fact::PartitionsRevoked { group, partitions, lost: false });
        }
        state_is(&mut run, 2, &["m2", "m3"]);
        given(&mut run, NodeId::Client(4), "m3", 2);
        causes(run, Kind::TwoOwners)
    };
    assert_eq!(third(false), [Some(Cause::GroupForgotten), Some(Cause::AssignedTwice)]);
    assert_eq!(third(true), [Some(Cause::GroupForgotten); 2]);
}

/// What the coordinator writes of a member: it may use the partition, is to give it up, or has nothing to do with it.
fn says(run: &mut Run, member: &str, epoch: i32, is: &str) {
    let of = |what: &str| if is == what { vec![orders()] } else { Vec::new() };
    let state = if is == "revoking" { "UNREVOKED_PARTITIONS" } else { "STABLE" };
    let (group, member, state) = ("billing".to_owned(), member.to_owned(), state.to_owned());
    let fact =
        Fact::MemberReconciled { group, member, epoch, state, assigned: of("assigned"), revoking: of("revoking") };
    run.say(COORDINATOR, fact);
}

fn gives_up(run: &mut Run, node: NodeId) {
    let (group, partitions) = ("billing".into(), vec![orders()]);
    run.say(node, Fact::PartitionsRevoked { group, partitions, lost: false });
}

fn reads_from(run: &mut Run, node: NodeId) {
    let (from, to, reason) = (Offset(-1), Offset(0), ResetReason::NoPosition);
    run.say(node, Fact::PositionReset { partition: orders(), from, to, reason, told_by: None });
}

/// The first is told that it has the partition and is on its way to it; the answer that takes it back is lost, and a heartbeat that says
/// everything does not name it yet. The second is given it, before or after the first gets there.
#[test]
fn gr_12_a_member_that_follows_an_older_assignment() {
    let history = |does: &[&str]| {
        let mut run = Run::default();
        run.sent(0, "a");
        run.acked(0, 0, -1);
        for step in does {
            match *step {
                "given" => says(&mut run, "m1", 4, "assigned"),
                "wanted" => says(&mut run, "m1", 4, "revoking"),
                "back" => says(&mut run, "m1", 5, "nothing"),
                "takes" => follows(&mut run, C1, "m1", 4),
                "reads" => reads_from(&mut run, C1),
                "leaves" => gives_up(&mut run, C1),
                "out" => removed(&mut run, "m1"),
                "heir" => given(&mut run, C2, "m2", 5),
                _ => unreachable!("{step}"),
            }
        }
        causes(run, Kind::TwoOwners)
    };
    let guilty: [&[&str]; 5] = [
        &["given", "wanted", "back", "takes", "heir"],
        &["given", "wanted", "back", "heir", "takes"],
        // The coordinator asks for it and has it back at once.
        &["given", "back", "takes", "heir"],
        // The callback is still under way when it is taken back.
        &["given", "takes", "wanted", "back", "heir"],
        // It had it before, and had given it up.
        &["given", "takes", "reads", "leaves", "back", "given", "wanted", "back", "heir", "takes"],
    ];
    for does in guilty {
        assert_eq!(history(does), [Some(Cause::OldAssignmentFollowed)], "{does:?}");
    }
    let innocent: [&[&str]; 6] = [
        // It reads the partition, and says all the same that it has it no more.
        &["given", "takes", "reads", "wanted", "back", "heir"],
        // It had given the partition up, and takes it once more.
        &["given", "takes", "wanted", "leaves", "back", "takes", "heir"],
        // Nobody had ever told it to.
        &["back", "takes", "heir"],
        // Its coordinator gives the partition to both.
        &["given", "wanted", "takes", "heir"],
        &["given", "takes", "heir"],
        &["given", "wanted", "back", "given", "takes", "heir"],
    ];
    for does in innocent {
        assert_eq!(history(does), [Some(Cause::AssignedTwice)], "{does:?}");
    }
    assert_eq!(history(&["given", "out", "back", "takes", "heir"]), [Some(Cause::AssignedTwice)], "of another life");
}

#[test]
fn gr_12_one_after_the_other() {
    let revoked = |lost| Fact::PartitionsRevoked { group: "billing".into(), partitions: vec![orders()], lost };
    for ending in [revoked(false), revoked(true), Fact::NodeKilled] {
        let mut run = written();
        run.say(C1, ending);
        given(&mut run, C2, "m2", 5);
        assert_eq!(causes(run, Kind::TwoOwners), []);
    }
    // Who was put out while it stood still follows what it had been told before: that is nobody's decision any more.
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    given(&mut run, C1, "m1", 4);
    removed(&mut run, "m1");
    given(&mut run, C2, "m2", 5);
    follows(&mut run, C1, "m1", 4);
    assert_eq!(causes(run, Kind::TwoOwners), []);
    // A zombie believes that it has it; its coordinator does not.
    let mut run = written();
    run.say(C1, Fact::NodePaused);
    removed(&mut run, "m1");
    given(&mut run, C2, "m2", 5);
    assert_eq!(causes(run, Kind::TwoOwners), []);
}

/// What a zombie does twice is told with the end of its membership.
#[test]
fn gr_12_a_zombie_works_on() {
    let mut run = written();
    run.polled(0, "a");
    run.say(C1, Fact::NodePaused);
    removed(&mut run, "m1");
    given(&mut run, C2, "m2", 5);
    processed(&mut run, C2);
    run.say(C1, Fact::NodeResumed);
    processed(&mut run, C1);
    run.ends_with(1, &["a"]);
    let (judgement, explanation) = run.explain(&contract());
    let found: Vec<_> = judgement.of_kind(Kind::DuplicateDelivery).map(|one| one.cause).collect();
    assert_eq!(found, [Some(Cause::ProcessedAfterLosingPartition)]);
    let steps: Vec<String> = explanation
        .stories
        .iter()
        .flat_map(|story| &story.steps)
        .map(|step| format!("{} {}", step.what, step.note))
        .collect();
    let says = |text: &str| steps.iter().any(|step| step.contains(text));
    assert!(says("epoch 5") && says("silent for group.consumer.session.timeout.ms"), "{steps:#?}");
}
