//! Rebalance storms: members that come, go, stand still and die, and coordinators that move, at random.
//!
//! Whatever happens, a generation gives no partition to two processes, and a group whose programs process and then commit
//! leaves no record out. Without the fence against commits of former generations, the judge must find them out.
//!
//! `ACKPROOF_STORMS=1000 cargo test --test storms` runs a thousand of them.

use std::fmt::Write as _;
use std::path::PathBuf;

use ackproof::diagnostics::Source;
use ackproof::library::Place;
use ackproof::runner::{Options, Run, run};
use ackproof::scenario::Scenario;
use ackproof_core::types::Prng;
use ackproof_reports::{Cause, Kind};

/// How many are run unless `ACKPROOF_STORMS` says otherwise.
const STORMS: u64 = 40;

/// Who divides the partitions of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Its members.
    Classic,
    /// Its coordinator (KIP-848).
    Consumer,
}

impl Protocol {
    const BOTH: [Protocol; 2] = [Protocol::Classic, Protocol::Consumer];

    fn versions(self) -> &'static [&'static str] {
        match self {
            Protocol::Classic => &["2.8", "3.5", "3.9"],
            Protocol::Consumer => &["3.9", "4.0", "4.1"],
        }
    }

    /// What brokers need for it, and sessions as short as those of the classic protocol.
    fn of_brokers(self) -> &'static str {
        match self {
            Protocol::Classic => "",
            Protocol::Consumer => {
                r#", "group.coordinator.rebalance.protocols" = "classic,consumer", "group.consumer.session.timeout.ms" = 6000, "group.consumer.min.session.timeout.ms" = 6000, "group.consumer.heartbeat.interval.ms" = 2000, "group.consumer.min.heartbeat.interval.ms" = 2000"#
            }
        }
    }
}

/// Whether a coordinator compares generations, or epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    Up,
    Down,
}

fn storms() -> u64 {
    std::env::var("ACKPROOF_STORMS").ok().and_then(|number| number.parse().ok()).unwrap_or(STORMS)
}

fn one_of<'a>(rng: &mut Prng, words: &[&'a str]) -> &'a str {
    words[rng.below(words.len() as u64) as usize]
}

/// A storm as a scenario file: the same number, the same storm.
fn storm(number: u64, protocol: Protocol, fence: Fence) -> String {
    let mut rng = Prng::new(number).fork("storm");
    let fence = if fence == Fence::Down { "\ntoggles = { commit_generation_check = false }" } else { "" };
    let (partitions, delay) = (rng.between(1, 4), one_of(&mut rng, &["0", "3000"]));
    let mut text = format!(
        r#"title = "storm {number}"

[cluster]
kafka = "{}"
brokers = 3
config = {{ "offsets.topic.num.partitions" = 1, "group.initial.rebalance.delay.ms" = {delay}{} }}{fence}

[[topic]]
name = "orders"
partitions = {partitions}
replication-factor = 3

[[producer]]
name = "p1"
topic = "orders"
records = 100
every = "200ms"
key = "k{{n%7}}"
value = "order {{n}}"
"#,
        one_of(&mut rng, protocol.versions()),
        protocol.of_brokers(),
    );
    let members = rng.between(2, 5);
    let assignor = match protocol {
        Protocol::Classic => one_of(&mut rng, &["Range", "RoundRobin", "Sticky", "CooperativeSticky"]),
        Protocol::Consumer => one_of(&mut rng, &["uniform", "range"]),
    };
    for member in 1..=members {
        consumer(&mut text, &mut rng, member, (protocol, assignor));
    }
    for step in 0..rng.between(3, 8) {
        blow(&mut text, &mut rng, step, members);
    }
    text.push_str("\n[[expect.anomaly]]\nkind = \"duplicate-delivery\"\ncount = \">= 0\"\n");
    text
}

fn consumer(text: &mut String, rng: &mut Prng, member: u64, (protocol, assignor): (Protocol, &str)) {
    let commit = one_of(rng, &["after-processing", "after-each"]);
    // A static member that restarts between the two steps of a cooperative rebalance forgets what it was to give up: nobody
    // asks for the second step, and a partition stays without an owner (storm 314 with both, where it is the leader; the file
    // `static-member-forgets-the-second-step` of the library). Kafka does the same: only who gives something up asks to
    // join again (`ConsumerCoordinator.onJoinComplete`), a static member that comes back into a stable group makes no rebalance
    // (`updateStaticMemberAndRebalance`), and a leader among them assigns nothing (KIP-814). One of the consumer protocol that is killed cannot come back
    // (`static-member-without-good-bye`).
    let is_static = rng.below(4) == 0 && assignor != "CooperativeSticky" && protocol == Protocol::Classic;
    let instance = if is_static { format!("\"group.instance.id\" = \"i{member}\", ") } else { String::new() };
    let group = match protocol {
        Protocol::Classic => format!(
            r#""session.timeout.ms" = 6000, "heartbeat.interval.ms" = 2000, "partition.assignment.strategy" = "org.apache.kafka.clients.consumer.{assignor}Assignor""#
        ),
        Protocol::Consumer => format!(r#""group.protocol" = "consumer", "group.remote.assignor" = "{assignor}""#),
    };
    let (records, work, start) = (rng.between(1, 20), rng.between(1, 150), rng.between(0, 12_000));
    let _ = write!(
        text,
        r#"
[[consumer]]
name = "c{member}"
topic = "orders"
subscribe = true
starts-after = "{start}ms"
config = {{ "group.id" = "billing", {instance}"auto.offset.reset" = "earliest", "enable.auto.commit" = false, "max.poll.records" = {records}, "max.poll.interval.ms" = 10000, {group} }}
processing-each = "{work}ms"
commit = "{commit}"
"#
    );
}

fn blow(text: &mut String, rng: &mut Prng, step: u64, members: u64) {
    let member = rng.between(1, members);
    let (at, length) = (rng.between(1, 25_000), rng.between(500, 20_000));
    let action = match rng.below(7) {
        0 => format!("kill = \"c{member}\""),
        1 => format!("stop = \"c{member}\""),
        2 | 3 => format!("pause = \"c{member}\""),
        4 => "kill = \"coordinator of billing\"".to_owned(),
        5 => format!("hold = {{ api = \"OffsetCommit\", message = \"request\", from = \"c{member}\" }}"),
        _ => format!("cut = {{ from = \"c{member}\", to = \"all brokers\" }}"),
    };
    let _ = write!(text, "\n[[step]]\nname = \"blow {step}\"\nat = \"{at}ms\"\n{action}\nfor = \"{length}ms\"\n");
}

fn ride(number: u64, protocol: Protocol, fence: Fence) -> Run {
    let text = storm(number, protocol, fence);
    let name = format!("storm-{number}.toml");
    let place = Place::Disk(PathBuf::from(&name));
    let scenario =
        Scenario::read(&place, &Source::new(name, text.as_str())).unwrap_or_else(|found| panic!("{found}\n{text}"));
    run(&scenario, number, Options::default()).unwrap_or_else(|difference| panic!("{difference:?}"))
}

/// How many commits of former generations went through.
fn former(run: &Run) -> usize {
    let commits = run.judgement.of_kind(Kind::NonmonotonicCommit);
    commits.filter(|anomaly| anomaly.cause == Some(Cause::CommitOfFormerGeneration)).count()
}

#[test]
fn no_storm_loses_a_record_or_gives_a_partition_to_two() {
    // All of them are ridden, so that one that goes wrong hides no other.
    let mut went_wrong = Vec::new();
    for (number, protocol) in (0..storms()).flat_map(|number| Protocol::BOTH.map(|protocol| (number, protocol))) {
        let run = ride(number, protocol, Fence::Up);
        let wrong: Vec<Kind> = run.judgement.kinds().into_iter().filter(|kind| !may_happen(*kind)).collect();
        let says = || {
            format!(
                "{:#?}\n{:?}\n{}",
                run.judgement.anomalies,
                run.judgement.doubts,
                storm(number, protocol, Fence::Up)
            )
        };
        let is_fenced = former(&run) == 0;
        if !wrong.is_empty() || !is_fenced || run.judgement.counts.processed != 100 {
            went_wrong.push(format!("storm {number} ({protocol:?}): {wrong:?}, fenced: {is_fenced}\n{}", says()));
        }
    }
    assert!(went_wrong.is_empty(), "{} of {} storms went wrong\n{}", went_wrong.len(), storms(), went_wrong.join("\n"));
}

/// A record may be processed again, and a commit that hung in the network may arrive behind a later one of the same member.
fn may_happen(kind: Kind) -> bool {
    matches!(kind, Kind::DuplicateDelivery | Kind::NonmonotonicCommit)
}

#[test]
fn without_the_fence_commits_of_former_generations_are_found_out() {
    for protocol in Protocol::BOTH {
        let convicted = (0..storms()).filter(|number| former(&ride(*number, protocol, Fence::Down)) > 0).count();
        assert!(convicted > 0, "none of {} storms brought a commit of a former generation ({protocol:?})", storms());
    }
}
