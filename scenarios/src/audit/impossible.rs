//! What cannot be audited: an internal topic that wants more replicas than there are brokers is never made, and then no group
//! ever gets a record, whatever fails or not.

use ackproof_core::config::{BrokerConfig, GroupProtocol, properties};
use ackproof_sim::ClientKind;

use super::Question;
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::library::Place;
use crate::scenario::Scenario;

const OFFSETS: &str = "offsets.topic.replication.factor";
const SHARES: &str = "share.coordinator.state.topic.replication.factor";

/// The internal topics that the audited group needs and cannot have.
pub(super) fn check(question: &Question, scenario: &Scenario, place: &Place) -> Diagnostics {
    let mut found = Diagnostics::default();
    let brokers = scenario.cluster.brokers.len();
    let uses_shares = scenario.clients.iter().any(
        |client| matches!(&client.kind, ClientKind::Consumer(config, _) if config.group_protocol == GroupProtocol::Share),
    );
    let wanted = scenario.cluster.brokers.first().map(|broker| needed(broker, uses_shares));
    for (name, topic, factor) in wanted.unwrap_or_default() {
        if usize::try_from(factor).is_ok_and(|factor| factor > brokers) {
            found.push(too_many(question, place, (name, topic), factor, brokers));
        }
    }
    found
}

/// The property, the topic, and how many replicas it wants.
fn needed(broker: &BrokerConfig, uses_shares: bool) -> Vec<(&'static str, &'static str, i16)> {
    let groups = &broker.groups;
    let mut needed = vec![(OFFSETS, "__consumer_offsets", groups.offsets_topic_replication_factor)];
    if uses_shares {
        needed.push((SHARES, "__share_group_state", groups.share.state_topic_replication_factor));
    }
    needed
}

fn too_many(
    question: &Question,
    place: &Place,
    (name, topic): (&str, &str),
    factor: i16,
    brokers: usize,
) -> Diagnostic {
    let why = format!(
        "{topic} is never made, so no group gets a record: {factor} replicas need {factor} brokers, and there are {brokers}"
    );
    let bytes = question.server.as_ref().and_then(|file| place.sibling(file).read().ok()).unwrap_or_default();
    let written = properties::parse(&bytes).unwrap_or_default();
    let line = written.iter().rev().find(|property| property.name == name);
    let file = question.server.as_deref();
    let source = Source::new(file.unwrap_or("the brokers' defaults"), String::from_utf8_lossy(&bytes));
    let remedy = match file {
        Some(_) => format!("set {name}={brokers} there, or audit more brokers (--brokers {factor})"),
        None => {
            format!("set {name}={brokers} in a file for --server, or audit more brokers (--brokers {factor})")
        }
    };
    let diagnostic = match line {
        Some(property) => Diagnostic::error(
            &source,
            property.place.value.start..property.place.value.end,
            format!("{name}={factor}: {why}"),
        ),
        None => Diagnostic::about_file(&source, format!("{name} is {factor} by default: {why}")),
    };
    diagnostic.remedy(remedy)
}
