//! What an operator does in a step: which topics, brokers and properties that names.

use std::ops::Range;

use ackproof_core::client::{AdminCall, ConfigResource, NewTopic};
use ackproof_core::config::{BrokerConfig, KafkaVersion, Property, validate_group_property};
use ackproof_core::types::{Duration, Offset, StrBytes, TopicName};
use ackproof_sim::faults::Action;

use super::reading::Reading;
use crate::diagnostics::Diagnostic;
use crate::document::operations::{AddPartitions, AlterConfig, DeleteRecords, Reassign};
use crate::document::{Assignments, Document, Group, Properties, Replicas, Topic, Value, Written};

/// The limits of a client.
const QUOTAS: [&str; 2] = ["consumer_byte_rate", "producer_byte_rate"];

impl Reading<'_> {
    /// Topics and partitions that only steps make: clients may name them too.
    pub fn names_of_operations(&mut self, document: &Document) {
        for step in &document.step {
            if let Some(created) = &step.create_topic {
                let explicit =
                    created.replicas.as_ref().map(|replicas| i32::try_from(replicas.0.len()).unwrap_or(i32::MAX));
                let partitions = explicit.or(created.partitions.as_ref().map(|partitions| **partitions)).unwrap_or(1);
                self.grow_topic(created.name.as_str(), partitions);
            }
            if let Some(added) = &step.add_partitions
                && self.names.topics.contains_key(added.topic.as_str())
            {
                self.grow_topic(added.topic.as_str(), *added.partitions);
            }
        }
    }

    fn grow_topic(&mut self, name: &str, partitions: i32) {
        let known = self.names.topics.entry(name.to_owned()).or_default();
        *known = (*known).max(partitions);
    }

    pub fn alter_config(&mut self, it: &AlterConfig, span: Range<usize>) -> Option<Action> {
        if it.set.is_empty() && it.remove.is_empty() {
            let found = self.error(span, "nothing is changed");
            self.report(found.remedy("add `set = { \"min.insync.replicas\" = 1 }` or `remove = [\"retention.ms\"]`"));
            return None;
        }
        match (&it.topic, &it.broker, &it.client, &it.group) {
            (Some(topic), None, None, None) => {
                let topic = self.topic_name(topic)?;
                self.check_topic_properties(&it.set);
                Some(configs(ConfigResource::Topic(topic), it))
            }
            (None, Some(broker), None, None) => {
                let broker = match &**broker {
                    Value::Text(text) if text == "all" => None,
                    value => Some(self.broker_id(value, broker.span())?),
                };
                Some(configs(ConfigResource::Broker(broker), it))
            }
            (None, None, Some(client), None) => self.client_quotas(client, it),
            (None, None, None, Some(group)) => {
                self.check_group_properties(&it.set);
                Some(configs(ConfigResource::Group(group.to_string()), it))
            }
            _ => {
                let found = self.error(span, "whose configuration is it?");
                self.report(
                    found.remedy("give exactly one of `topic = ..`, `broker = ..`, `group = ..` and `client = ..`"),
                );
                None
            }
        }
    }

    /// What is set for groups at the start.
    pub fn groups(&mut self, written: &[Written<Group>]) -> Vec<(String, Vec<(String, String)>)> {
        let mut groups = Vec::new();
        for group in written {
            self.check_group_properties(&group.config);
            let config = group.config.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            groups.push((group.name.to_string(), config.collect()));
        }
        groups
    }

    /// The bounds that a broker may set otherwise are looked at by the controller.
    fn check_group_properties(&mut self, set: &Properties) {
        let Ok(broker) = BrokerConfig::resolve(KafkaVersion::new(4, 1), &[]) else { return };
        let mut share = broker.config.groups.share;
        share.record_lock_range_ms = (Duration::from_millis(1000), Duration::from_millis(3_600_000));
        for (name, value) in set {
            if let Err(why) = validate_group_property(&share, name, &value.to_string()) {
                self.report(self.error(value.span(), why));
            }
        }
    }

    fn check_topic_properties(&mut self, set: &Properties) {
        let Ok(broker) = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]) else { return };
        for (name, value) in set {
            let property = Property::new(name.as_str(), value.to_string());
            let resolved = ackproof_core::config::LogConfig::resolve(&broker.config, &[property]);
            if let Ok(resolved) = &resolved {
                for (name_of_it, why) in &resolved.no_effect {
                    let message = format!("`{name_of_it}` has no effect here: {why}");
                    self.report(Diagnostic::note(self.source, name.span(), message));
                }
            }
            for problem in resolved.err().unwrap_or_default() {
                let found = self.error(name.span(), problem.message);
                self.report(match problem.suggestion {
                    Some(suggestion) => found.remedy(format!("did you mean `{suggestion}`?")),
                    None => found,
                });
            }
        }
    }

    fn broker_id(&mut self, value: &Value, span: Range<usize>) -> Option<i32> {
        let id = match value {
            Value::Integer(number) => i32::try_from(*number).ok(),
            Value::Text(_) | Value::Bool(_) | Value::List(_) => None,
        };
        let known = id.filter(|id| self.names.brokers.contains(id));
        if known.is_none() {
            let ids: Vec<String> = self.names.brokers.iter().map(i32::to_string).collect();
            let found = self.error(span, format!("`{value}` is no broker"));
            self.report(found.remedy(format!("write \"all\" or one of {}", ids.join(", "))));
        }
        known
    }

    fn client_quotas(&mut self, client: &Written<String>, it: &AlterConfig) -> Option<Action> {
        let client_id = match client.as_str() {
            "all" => None,
            name if self.names.clients.iter().any(|known| known == name) => Some(name.to_owned()),
            name => {
                let found = self.error(client.span(), format!("there is no client `{name}`"));
                let clients = self.names.clients.clone();
                self.report(found.nearest(name, clients.iter().map(String::as_str)));
                return None;
            }
        };
        let mut quotas = Vec::new();
        for (name, value) in &it.set {
            let rate = match **value {
                Value::Integer(number) => u32::try_from(number).ok().filter(|rate| *rate > 0),
                Value::Text(_) | Value::Bool(_) | Value::List(_) => None,
            };
            if rate.is_none() {
                let found = self.error(value.span(), format!("`{}` is no limit", **value));
                self.report(found.remedy("write bytes per second, at least 1"));
            }
            quotas.push((self.quota(name)?, Some(rate?)));
        }
        for name in &it.remove {
            quotas.push((self.quota(name)?, None));
        }
        Some(Action::Admin(AdminCall::AlterClientQuotas { client_id, quotas }))
    }

    fn quota(&mut self, name: &Written<String>) -> Option<String> {
        if !QUOTAS.contains(&name.as_str()) {
            let found = self.error(name.span(), format!("there is no limit `{}`", name.as_str()));
            self.report(found.nearest(name, QUOTAS));
            return None;
        }
        Some(name.to_string())
    }

    pub fn reassign(&mut self, it: &Reassign, span: Range<usize>) -> Option<Action> {
        let partition = self.partition(&it.partition, it.partition.span())?;
        let cancels = it.cancel.as_ref().is_some_and(|cancel| **cancel);
        let replicas = match (&it.replicas, cancels) {
            (Some(replicas), false) => Some(self.replica_ids(replicas)),
            (None, true) => None,
            (Some(_), true) | (None, false) => {
                let found = self.error(span, "where to?");
                self.report(found.remedy("write `replicas = [4, 5, 6]`, or `cancel = true`"));
                return None;
            }
        };
        Some(Action::Admin(AdminCall::Reassign { partition, replicas }))
    }

    pub fn delete_records(&mut self, it: &DeleteRecords, span: Range<usize>) -> Option<Action> {
        let partition = self.partition(&it.partition, it.partition.span())?;
        let all = it.all_committed.as_ref().is_some_and(|all| **all);
        let before = match (&it.before, all) {
            (Some(before), false) if **before >= 0 => Some(Offset(**before)),
            (None, true) => None,
            (Some(_), true | false) | (None, false) => {
                let found = self.error(span, "which records?");
                self.report(found.remedy("write `before = 100` (an offset), or `all-committed = true`"));
                return None;
            }
        };
        Some(Action::Admin(AdminCall::DeleteRecords { partition, before }))
    }

    fn replica_ids(&mut self, replicas: &Replicas) -> Vec<i32> {
        for id in &replicas.0 {
            if !self.names.brokers.contains(id) {
                let ids: Vec<String> = self.names.brokers.iter().map(i32::to_string).collect();
                let found = self.error(id.span(), format!("there is no broker {}", **id));
                self.report(found.remedy(format!("the brokers are {}", ids.join(", "))));
            }
        }
        replicas.0.iter().map(|id| **id).collect()
    }

    pub fn add_partitions(&mut self, it: &AddPartitions) -> Option<Action> {
        let topic = self.topic_name(&it.topic)?;
        let assignments = it.replicas.as_ref().map(|replicas: &Written<Assignments>| {
            replicas.0.iter().map(|partition| self.replica_ids(partition)).collect::<Vec<_>>()
        });
        Some(Action::Admin(AdminCall::CreatePartitions { topic, count: *it.partitions, assignments }))
    }

    pub fn create_topic(&mut self, it: &Topic) -> Option<NewTopic> {
        if let Some(file) = &it.config_file {
            let found = self.error(file.span(), "a topic that a step creates has no `config-file`");
            self.report(found.remedy("write its properties into `config`"));
        }
        self.check_topic_properties(&it.config);
        let replicas = it.replicas.as_ref();
        let assignments: Vec<Vec<i32>> =
            replicas.map(|replicas| replicas.0.iter().map(|one| self.replica_ids(one)).collect()).unwrap_or_default();
        let placed = assignments.is_empty();
        Some(NewTopic {
            name: TopicName(StrBytes::from_string(it.name.to_string())),
            partitions: if placed { it.partitions.as_ref().map_or(1, |partitions| **partitions) } else { -1 },
            replication_factor: it.replication_factor.as_ref().map_or(-1, |factor| **factor),
            assignments,
            configs: it.config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        })
    }

    pub fn delete_topic(&mut self, name: &Written<String>) -> Option<Action> {
        self.topic_name(name).map(|topic| Action::Admin(AdminCall::DeleteTopic(topic)))
    }

    fn topic_name(&mut self, name: &Written<String>) -> Option<TopicName> {
        if !self.names.topics.contains_key(name.as_str()) {
            let found = self.error(name.span(), format!("there is no topic `{}`", name.as_str()));
            let topics: Vec<String> = self.names.topics.keys().cloned().collect();
            self.report(found.nearest(name, topics.iter().map(String::as_str)));
            return None;
        }
        Some(TopicName(StrBytes::from_string(name.to_string())))
    }
}

fn configs(resource: ConfigResource, it: &AlterConfig) -> Action {
    let set = it.set.iter().map(|(name, value)| (name.to_string(), Some(value.to_string())));
    let removed = it.remove.iter().map(|name| (name.to_string(), None));
    Action::Admin(AdminCall::AlterConfigs { resource, configs: set.chain(removed).collect() })
}
