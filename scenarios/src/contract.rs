//! What a scenario's configuration promises, in the judge's words.

use std::collections::BTreeSet;

use ackproof_core::client::{AdminCall, ConfigResource, NewTopic};
use ackproof_core::config::{
    AcknowledgementMode, AutoOffsetReset, ConsumerConfig, GroupProtocol, KafkaVersion, LegacyProducerType, LogConfig,
    ProducerConfig, Toggles,
};
use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use ackproof_core::coordinator::share::SHARE_GROUP_STATE_TOPIC;
use ackproof_core::types::{NodeId, StrBytes, TopicName};
use ackproof_reports::NodeNames;
use ackproof_reports::contract::{
    ConsumerContract, Contract, Ending, LegacyKind, OnError, ProducerContract, TopicContract,
};
use ackproof_sim::ClientKind;
use ackproof_sim::faults::Action;
use ackproof_sim::workload::{self, AtEnd, CommitPolicy, ConsumerWorkload, OnStop, ProducerWorkload, Sink, Source};

use crate::scenario::Scenario;

/// The contract of a scenario.
pub fn contract(scenario: &Scenario) -> Contract {
    // By its version: a toggle that a scenario sets is a mistake on purpose, which the judge has to find.
    let lacks = Contract::FIXES.into_iter().filter(|fix| !Toggles::has(scenario.cluster.version, fix));
    let lacks = lacks.map(str::to_owned).collect();
    let mut contract = Contract { notes: notes(scenario), lacks, ..Contract::default() };
    for (client, spec) in (0..).zip(&scenario.clients) {
        let name = spec.name.clone();
        match &spec.kind {
            ClientKind::Producer(config, workload) => contract.producers.push(ProducerContract {
                on_error: on_error(workload.as_deref()),
                ending: ending(workload.as_deref()),
                ..java_producer(client, &name, config)
            }),
            ClientKind::LegacyProducer(config, workload) => contract.producers.push(ProducerContract {
                client,
                name,
                client_id: config.client_id.clone(),
                acks: config.request_required_acks,
                idempotence: false,
                retries: config.message_send_max_retries,
                max_in_flight: 1,
                bumps_epoch: false,
                legacy: Some(match config.producer_type {
                    LegacyProducerType::Sync => LegacyKind::Sync,
                    LegacyProducerType::Async => LegacyKind::Async,
                }),
                on_error: on_error(workload.as_deref()),
                ending: ending(workload.as_deref()),
            }),
            ClientKind::Consumer(config, workload) => {
                contract.producers.extend(workload.as_deref().and_then(|workload| hands_on(client, &name, workload)));
                let sink = workload.as_ref().map(|workload| workload.sink);
                contract.consumers.push(ConsumerContract {
                    client,
                    name,
                    resets_to_latest: resets_to_latest(scenario, config),
                    validates_position: config.validates_positions(),
                    topics: workload.as_deref().map(topics_read).unwrap_or_default(),
                    group: config.group_id.clone(),
                    instance: config.group_instance_id.clone(),
                    returns_without_leading: !config.leads_when_back(),
                    // A program outside says what it has done, as `Consumer::processed` asks of it.
                    says_processed: workload.is_some() || config.group_id.is_some(),
                    upserts: sink.is_some_and(|sink| sink != Sink::Append),
                    last_wins: sink == Some(Sink::LastWrite),
                    versioned: sink == Some(Sink::Versioned),
                    commits_before_processing: workload.as_ref().is_some_and(|workload| {
                        // close() commits what poll() has returned, of a batch that was broken off too.
                        let breaks_off = matches!(workload.on_stop, OnStop::Break(_)) && config.enable_auto_commit;
                        // Of a share group it accepts all of the batch, if nothing is said of single records.
                        let accepts_all = config.group_protocol == GroupProtocol::Share
                            && config.share_acknowledgement_mode == AcknowledgementMode::Implicit
                            && workload.commit == CommitPolicy::AfterEach;
                        let before = workload.commit == CommitPolicy::BeforeProcessing;
                        workload.hand_over || breaks_off || accepts_all || before
                    }),
                });
            }
            ClientKind::Admin | ClientKind::Store(_) => {}
        }
    }
    let topics = scenario.topics.iter().zip(&scenario.topic_configs);
    contract.topics = topics.map(|(topic, config)| topic_contract(scenario, topic, config)).collect();
    contract.topics.extend(created_topics(scenario));
    contract.topics.extend(groups_topic(scenario));
    contract.topics.extend(share_state_topic(scenario));
    contract
}

/// Whether a group may begin at the end of a partition. Of a share group that is a property, which an operator may change.
fn resets_to_latest(scenario: &Scenario, config: &ConsumerConfig) -> bool {
    if config.group_protocol != GroupProtocol::Share {
        return config.auto_offset_reset == AutoOffsetReset::Latest;
    }
    let is_it = |group: &str| config.group_id.as_deref() == Some(group);
    let is_earliest =
        |name: &str, value: Option<&str>| (name == "share.auto.offset.reset").then_some(value == Some("earliest"));
    let mut at_start = scenario.groups.iter().filter(|(group, _)| is_it(group)).flat_map(|(_, configs)| configs);
    let mut later = scenario.steps.iter().filter_map(|open| match &open.step.action {
        Action::Admin(AdminCall::AlterConfigs { resource: ConfigResource::Group(group), configs }) if is_it(group) => {
            Some(configs)
        }
        _ => None,
    });
    let begins_at_start = at_start.any(|(name, value)| is_earliest(name, Some(value)) == Some(true));
    let changes = |(name, value): &(String, Option<String>)| is_earliest(name, value.as_deref()) == Some(false);
    !begins_at_start || later.any(|configs| configs.iter().any(changes))
}

fn java_producer(client: u32, name: &str, config: &ProducerConfig) -> ProducerContract {
    ProducerContract {
        client,
        name: name.to_owned(),
        client_id: config.client_id.clone(),
        acks: config.acks,
        idempotence: config.enable_idempotence,
        retries: config.retries,
        max_in_flight: u32::try_from(config.max_in_flight_requests_per_connection).unwrap_or(u32::MAX),
        bumps_epoch: config.version >= KafkaVersion::new(2, 5),
        legacy: None,
        on_error: OnError::Ignore,
        ending: Ending::Closes,
    }
}

/// The producer of a consuming program that hands on what it cannot process. If it waits for the answer, it tries again.
fn hands_on(client: u32, name: &str, workload: &ConsumerWorkload) -> Option<ProducerContract> {
    let workload::Then::HandOn(to) = &workload.on_failure.then else { return None };
    let on_error = if to.waits { OnError::Resend } else { OnError::Ignore };
    Some(ProducerContract { on_error, ending: Ending::Exits, ..java_producer(client, name, &to.producer) })
}

/// The topics that a consumer reads; none where a pattern decides.
fn topics_read(workload: &ConsumerWorkload) -> Vec<String> {
    match &workload.source {
        Source::Subscribe(topics) => topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
        Source::Assign(partitions) => {
            let topics: BTreeSet<&str> = partitions.iter().map(|partition| partition.topic.as_str()).collect();
            topics.into_iter().map(str::to_owned).collect()
        }
        Source::Pattern(_) => Vec::new(),
    }
}

/// What nodes are called in reports.
pub fn node_names(scenario: &Scenario) -> NodeNames {
    let mut names = NodeNames::new();
    names.insert(NodeId::Controller(scenario.cluster.controller.broker_id), "controller");
    for (client, spec) in (0..).zip(&scenario.clients) {
        names.insert(NodeId::Client(client), spec.name.clone());
    }
    names
}

fn topic_contract(scenario: &Scenario, topic: &NewTopic, config: &LogConfig) -> TopicContract {
    let factor = |replicas: &[i32]| i16::try_from(replicas.len()).unwrap_or(i16::MAX);
    let replicas = topic.assignments.first().map(|replicas| factor(replicas));
    let mut contract = TopicContract {
        name: topic.name.to_string(),
        replication_factor: replicas.unwrap_or(topic.replication_factor),
        min_insync_replicas: config.min_insync_replicas,
        unclean_leader_election: config.unclean_leader_election_enable,
        // What a version promises it promises with the fix off as well, as with `lacks`.
        eligible_leader_replicas: scenario.cluster.controller.toggles.elr
            || Toggles::has(scenario.cluster.version, "elr"),
        unclean_by_operator: false,
        flush_messages: config.flush_messages,
        compacted: config.cleanup_policy.compact,
        delete_retention_ms: config.delete_retention_ms.as_millis(),
    };
    // What an operator does while everything runs weakens the promise from the start: it is one promise for the whole run.
    for open in &scenario.steps {
        match &open.step.action {
            Action::Elect { partition, unclean } if partition.topic == topic.name => {
                contract.unclean_by_operator |= unclean;
            }
            Action::Admin(AdminCall::Reassign { partition, replicas: Some(replicas) })
                if partition.topic == topic.name =>
            {
                contract.replication_factor = contract.replication_factor.min(factor(replicas));
            }
            Action::Admin(AdminCall::AlterConfigs { resource, configs }) => {
                let concerns = match resource {
                    ConfigResource::Topic(name) => *name == topic.name,
                    ConfigResource::Broker(_) => true,
                    ConfigResource::Group(_) => false,
                };
                if concerns {
                    weaken(&mut contract, configs);
                }
            }
            _ => {}
        }
    }
    contract
}

fn weaken(contract: &mut TopicContract, configs: &[(String, Option<String>)]) {
    for (name, value) in configs {
        let value = value.as_deref().map(str::trim);
        match (name.as_str(), value) {
            ("unclean.leader.election.enable", Some(value)) => contract.unclean_leader_election |= value == "true",
            ("min.insync.replicas", value) => {
                let least = value.and_then(|value| value.parse().ok()).unwrap_or(1);
                contract.min_insync_replicas = contract.min_insync_replicas.min(least);
            }
            _ => {}
        }
    }
}

/// Topics that only steps create, with the defaults of the brokers.
fn created_topics(scenario: &Scenario) -> Vec<TopicContract> {
    let known = |name: &TopicName| scenario.topics.iter().any(|topic| topic.name == *name);
    let mut contracts: Vec<TopicContract> = Vec::new();
    for open in &scenario.steps {
        if let Action::CreateTopic(topic) = &open.step.action
            && !known(&topic.name)
            && contracts.iter().all(|contract| contract.name != topic.name.as_str())
        {
            let overrides = topic.configs.iter().cloned().collect();
            let config =
                scenario.cluster.controller.log.with_overrides(&overrides, scenario.cluster.controller.version);
            contracts.push(topic_contract(scenario, topic, &config));
        }
    }
    contracts
}

/// The topic of the groups, which a broker creates when the first consumer asks for its coordinator.
fn groups_topic(scenario: &Scenario) -> Option<TopicContract> {
    let grouped = |kind: &ClientKind| matches!(kind, ClientKind::Consumer(config, _) if config.group_id.is_some());
    scenario.clients.iter().find(|client| grouped(&client.kind))?;
    let groups = &scenario.cluster.brokers.first()?.groups;
    let replicas = (groups.offsets_topic_num_partitions, groups.offsets_topic_replication_factor);
    Some(internal_topic(scenario, GROUP_METADATA_TOPIC, replicas, &[("cleanup.policy", "compact".to_owned())]))
}

/// The topic of what share groups have done, which a broker creates when the first of their members fetches.
fn share_state_topic(scenario: &Scenario) -> Option<TopicContract> {
    let shares = |kind: &ClientKind| matches!(kind, ClientKind::Consumer(config, _) if config.group_protocol == GroupProtocol::Share);
    scenario.clients.iter().find(|client| shares(&client.kind))?;
    let share = &scenario.cluster.brokers.first()?.groups.share;
    let replicas = (share.state_topic_num_partitions, share.state_topic_replication_factor);
    let min_isr = ("min.insync.replicas", share.state_topic_min_isr.to_string());
    Some(internal_topic(scenario, SHARE_GROUP_STATE_TOPIC, replicas, &[("retention.ms", "-1".to_owned()), min_isr]))
}

fn internal_topic(
    scenario: &Scenario,
    name: &'static str,
    (partitions, replication_factor): (i32, i16),
    overrides: &[(&str, String)],
) -> TopicContract {
    let name = TopicName(StrBytes::from_static_str(name));
    let topic = NewTopic { name, partitions, replication_factor, assignments: Vec::new(), configs: Vec::new() };
    let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let config = scenario.cluster.controller.log.with_overrides(&overrides, scenario.cluster.controller.version);
    topic_contract(scenario, &topic, &config)
}

fn on_error(workload: Option<&ProducerWorkload>) -> OnError {
    match workload.map(|workload| workload.on_error) {
        Some(workload::OnError::Ignore) => OnError::Ignore,
        Some(workload::OnError::Resend) => OnError::Resend,
        // What a program outside was told, it knows; what it makes of it is its own business.
        None | Some(workload::OnError::Stop) => OnError::Stop,
    }
}

fn ending(workload: Option<&ProducerWorkload>) -> Ending {
    match workload.map(|workload| workload.at_end) {
        None | Some(AtEnd::Close(_) | AtEnd::Flush) => Ending::Closes,
        Some(AtEnd::Exit(_)) => Ending::Exits,
    }
}

/// What a reader should know about the world beside the configuration.
fn notes(scenario: &Scenario) -> Vec<String> {
    let network = &scenario.cluster.network;
    let mut notes = vec![format!("every message takes {} to {}", network.latency_min, network.latency_max)];
    notes.push(format!(
        "each broker has its own machine; dirty pages are written after {}",
        scenario.cluster.disk.writeback
    ));
    notes
}
