//! Brokers, controller, network, disks and topics.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ackproof_core::client::NewTopic;
use ackproof_core::config::{BrokerConfig, KafkaVersion, LogConfig, RequestTimes, UnknownVersion};
use ackproof_core::types::{Duration, StrBytes, TopicName};
use ackproof_sim::world::{DiskSpec, LinkSpec};

use super::amounts;
use super::reading::Reading;
use super::settings::Settings;
use crate::document::Written as At;
use crate::document::{Broker, Cluster as Written, Fix, FixedTopic, Network, Requests, Topic};
use crate::library::Place;

/// More brokers than this are not simulated.
const BROKERS_MAX: u32 = 100;
/// More partitions than this in one topic are not simulated.
const PARTITIONS_MAX: i32 = 10_000;
/// The controller's `node.id`, unless a broker has it.
const CONTROLLER_ID: i32 = 100;
/// The version of a cluster that does not say.
const VERSION: KafkaVersion = KafkaVersion::new(3, 9);

/// The cluster as the world will build it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The Kafka version of the brokers.
    pub version: KafkaVersion,
    /// The brokers.
    pub brokers: Vec<Arc<BrokerConfig>>,
    /// The controller.
    pub controller: Arc<BrokerConfig>,
    /// The links.
    pub network: LinkSpec,
    /// The disks.
    pub disk: DiskSpec,
}

/// A broker before its configuration is resolved.
struct Member {
    settings: Settings,
    span: Range<usize>,
}

impl Reading<'_> {
    /// Reads `[cluster]`, which is found at `span`.
    pub fn cluster(&mut self, place: &Place, written: &Written, span: Range<usize>, fix: &Fix) -> Option<Cluster> {
        let change = fix.cluster.clone().unwrap_or_default();
        let version = self.version(change.kafka.as_ref().or(written.kafka.as_ref()), VERSION);
        let common = self.file(place, written.config_file.as_ref()).under(self.table(&written.config));
        let fixed = self.table(&change.config);
        let toggles = [&written.toggles, &change.toggles];
        let members = self.members(place, written, span.clone(), &common);
        let network = self.network(written.network.as_ref());
        let disk = self.disk_spec(written);
        let request_times = self.request_times(written.requests.as_ref());
        let mut brokers = Vec::new();
        let mut ids = BTreeSet::new();
        for member in &members {
            let settings = member.settings.clone().under(fixed.clone());
            let Some(mut config) = self.broker_config(version, toggles, &settings, &member.span) else { continue };
            config.request_times = request_times.clone();
            if !ids.insert(config.broker_id) {
                self.report(
                    self.error(member.span.clone(), format!("there are two brokers with id {}", config.broker_id)),
                );
            }
            brokers.push(Arc::new(config));
        }
        self.names.brokers = ids.iter().copied().collect();
        self.names.has_share_groups = brokers.iter().all(|broker: &Arc<BrokerConfig>| broker.groups.share.enabled);
        self.names.log_dirs =
            brokers.iter().flat_map(|broker: &Arc<BrokerConfig>| broker.log_dirs.iter().cloned()).collect();
        self.names.racks = brokers.iter().filter_map(|broker: &Arc<BrokerConfig>| broker.broker_rack.clone()).collect();
        let own = written.controller.as_ref().map(|controller| self.table(&controller.config)).unwrap_or_default();
        // What is wrong with a broker has been told; without it, whatever names it would look wrong too.
        let first = members.first().filter(|_| brokers.len() == members.len())?;
        let id = ids.last().map_or(CONTROLLER_ID, |last| CONTROLLER_ID.max(last.saturating_add(1)));
        let settings = first.settings.clone().under(own).under(fixed).with_id(id, self.source, &first.span);
        let controller = Arc::new(self.broker_config(version, toggles, &settings, &first.span)?);
        Some(Cluster { version, brokers, controller, network, disk })
    }

    fn members(&mut self, place: &Place, written: &Written, span: Range<usize>, common: &Settings) -> Vec<Member> {
        let Some(count) = &written.brokers else {
            if written.broker.is_empty() {
                let found = self.error(span.clone(), "this cluster has no brokers");
                self.report(found.remedy("write `brokers = 3`, or one [[cluster.broker]] for each"));
            }
            return written.broker.iter().map(|broker| self.member(place, broker, None, &span, common)).collect();
        };
        if !(1..=BROKERS_MAX).contains(&**count) {
            let found = self.error(count.span(), format!("{} is not a number of brokers", **count));
            self.report(found.remedy(format!("from 1 to {BROKERS_MAX}")));
            return Vec::new();
        }
        let ids = 1..=i32::try_from(**count).unwrap_or(i32::MAX);
        for broker in &written.broker {
            match &broker.id {
                Some(id) if ids.contains(&**id) => {}
                Some(id) => {
                    let found = self.error(id.span(), format!("there is no broker {}", **id));
                    self.report(found.related(count.span(), "the brokers are 1 to this"));
                }
                None => {
                    let found =
                        self.error(span.clone(), "with `brokers = ..`, each [[cluster.broker]] says which one it is");
                    self.report(found.remedy("add `id = 1`"));
                }
            }
        }
        ids.map(|id| {
            let own = written.broker.iter().find(|broker| broker.id.as_ref().is_some_and(|own| **own == id));
            match own {
                Some(broker) => self.member(place, broker, Some(id), &span, common),
                None => Member { settings: common.clone().with_id(id, self.source, &count.span()), span: count.span() },
            }
        })
        .collect()
    }

    fn member(
        &mut self,
        place: &Place,
        broker: &Broker,
        id: Option<i32>,
        span: &Range<usize>,
        common: &Settings,
    ) -> Member {
        let file = self.file(place, broker.config_file.as_ref());
        let settings = common.clone().under(file).under(self.table(&broker.config));
        let at = broker.id.as_ref().map(At::span).or(broker.config_file.as_ref().map(At::span));
        let span = at.unwrap_or_else(|| span.clone());
        let id = id.or(broker.id.as_ref().map(|id| **id));
        match id {
            Some(id) => Member { settings: settings.with_id(id, self.source, &span), span },
            None => {
                let has_id = settings.get("broker.id").or(settings.get("node.id")).is_some();
                if !has_id && !settings.incomplete {
                    let found = self.error(span.clone(), "this broker has no id");
                    self.report(found.remedy("add `id = 1`, or `broker.id` to its configuration file"));
                }
                let mut settings = settings;
                settings.incomplete |= !has_id;
                Member { settings, span }
            }
        }
    }

    fn network(&mut self, written: Option<&Network>) -> LinkSpec {
        let mut spec = LinkSpec::default();
        let Some(written) = written else { return spec };
        if let Some(latency) = &written.latency
            && let Some(range) = self.time_or_range(latency)
        {
            (spec.latency_min, spec.latency_max) = (range.low, range.high);
        }
        if let Some(loss) = &written.loss
            && let Some(loss) = self.accept(loss.span(), amounts::fraction(loss), "write a fraction: \"1/100\"")
        {
            spec.loss = loss;
        }
        if let Some(bandwidth) = &written.bandwidth {
            if **bandwidth == 0 {
                let found = self.error(bandwidth.span(), "nothing would ever arrive");
                self.report(found.remedy("write bytes per second, or leave it out for no limit"));
            }
            spec.bandwidth = Some((**bandwidth).max(1));
        }
        spec
    }

    fn disk_spec(&mut self, written: &Written) -> DiskSpec {
        let otherwise = DiskSpec::default();
        let Some(disk) = &written.disk else { return otherwise };
        DiskSpec {
            write: self.time(disk.write.as_ref(), otherwise.write),
            sync: self.time(disk.sync.as_ref(), otherwise.sync),
            writeback: self.time(disk.writeback.as_ref(), otherwise.writeback),
            writeback_interval: self.time(disk.writeback_interval.as_ref(), otherwise.writeback_interval),
            dirty_bytes: disk.dirty_bytes.as_ref().map(|bytes| **bytes),
            capacity: disk.capacity.as_ref().map(|bytes| **bytes),
        }
    }

    fn request_times(&mut self, written: Option<&Requests>) -> RequestTimes {
        let Some(written) = written else { return RequestTimes::default() };
        let each = self.time(written.time.as_ref(), Duration::ZERO);
        let mut by_api = Vec::new();
        for (api, time) in &written.apis {
            if !ackproof_core::protocol::APIS.contains(&api.as_str()) {
                let found = self.error(api.span(), format!("there is no API `{}`", api.as_str()));
                self.report(found.nearest(api, ackproof_core::protocol::APIS.iter().copied()));
            }
            by_api.push((api.to_string(), self.time(Some(time), Duration::ZERO)));
        }
        RequestTimes::new(each, by_api)
    }

    /// Reads `[[topic]]`s.
    pub fn topics(
        &mut self,
        place: &Place,
        written: &[At<Topic>],
        cluster: &Cluster,
        fix: &Fix,
    ) -> (Vec<NewTopic>, Vec<LogConfig>) {
        written.iter().filter_map(|topic| self.topic(place, topic, cluster, fix)).unzip()
    }

    fn topic(&mut self, place: &Place, written: &Topic, cluster: &Cluster, fix: &Fix) -> Option<(NewTopic, LogConfig)> {
        let name = written.name.as_str();
        if !is_topic_name(name) {
            let found = self.error(written.name.span(), format!("`{name}` is not a legal topic name"));
            self.report(
                found.remedy("letters, digits, `.`, `_` and `-`, at most 249 of them, and neither `.` nor `..`"),
            );
            return None;
        }
        if self.names.topics.contains_key(name) {
            self.report(self.error(written.name.span(), format!("there are two topics `{name}`")));
            return None;
        }
        let change = fix.topic.clone().unwrap_or_default();
        let assignments = self.assignments(written, &change);
        let partitions = match assignments.len() {
            0 => self.partitions(written),
            explicit => i32::try_from(explicit).unwrap_or(i32::MAX),
        };
        self.names.topics.insert(name.to_owned(), partitions);
        let configured = cluster.controller.default_replication_factor;
        let replication_factor = self.replication_factor(written, &change, cluster.brokers.len(), configured);
        let settings = self.file(place, written.config_file.as_ref());
        let settings = settings.under(self.table(&written.config)).under(self.table(&change.config));
        let config = self.topic_config(&cluster.controller, &settings, &written.name)?;
        let configs = settings.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect();
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        let (partitions, replication_factor) =
            if assignments.is_empty() { (partitions, replication_factor) } else { (-1, -1) };
        Some((NewTopic { name, partitions, replication_factor, assignments, configs }, config))
    }

    fn partitions(&mut self, written: &Topic) -> i32 {
        let Some(partitions) = &written.partitions else { return 1 };
        if !(1..=PARTITIONS_MAX).contains(&**partitions) {
            let found = self.error(partitions.span(), format!("{} is not a number of partitions", **partitions));
            self.report(found.remedy(format!("from 1 to {PARTITIONS_MAX}")));
        }
        (**partitions).clamp(1, PARTITIONS_MAX)
    }

    fn replication_factor(&mut self, written: &Topic, change: &FixedTopic, brokers: usize, configured: i16) -> i16 {
        let (factor, span) = match change.replication_factor.as_ref().or(written.replication_factor.as_ref()) {
            Some(factor) => (**factor, factor.span()),
            None => (configured, written.name.span()),
        };
        let possible = usize::try_from(factor).is_ok_and(|factor| (1..=brokers).contains(&factor));
        if !possible && (written.replicas.is_none() || change.replication_factor.is_some()) {
            let message = match factor {
                ..=0 => format!("{factor} is not a number of replicas"),
                1.. => format!("{factor} replicas need {factor} brokers, and there are {brokers}"),
            };
            let found = self.error(span, message);
            self.report(found.remedy(format!("from 1 to {brokers}")));
        }
        factor
    }

    fn assignments(&mut self, written: &Topic, change: &FixedTopic) -> Vec<Vec<i32>> {
        let Some(replicas) = &written.replicas else { return Vec::new() };
        let doubled = written.partitions.as_ref().map(At::span).or(written.replication_factor.as_ref().map(At::span));
        if let Some(span) = doubled {
            let found = self.error(span, "`replicas` says this already").related(replicas.span(), "here");
            self.report(found.remedy("keep one of the two"));
        }
        for partition in &replicas.0 {
            if partition.is_empty() {
                self.report(self.error(partition.span(), "a partition needs at least one replica"));
            }
            let mut seen = BTreeSet::new();
            for id in &partition.0 {
                if !self.names.brokers.contains(id) {
                    let ids: Vec<String> = self.names.brokers.iter().map(i32::to_string).collect();
                    let found = self.error(id.span(), format!("there is no broker {}", **id));
                    self.report(found.remedy(format!("the brokers are {}", ids.join(", "))));
                } else if !seen.insert(**id) {
                    let found =
                        self.error(id.span(), format!("broker {} cannot hold two replicas of one partition", **id));
                    self.report(found);
                }
            }
        }
        let lists = replicas.0.iter().map(|partition| partition.0.iter().map(|id| **id).collect::<Vec<i32>>());
        match change.replication_factor.as_ref().and_then(|factor| usize::try_from(**factor).ok()) {
            Some(factor) => lists.map(|list| self.with_replicas(list, factor)).collect(),
            None => lists.collect(),
        }
    }

    /// So many replicas: the next brokers join at the end, or the last ones go.
    fn with_replicas(&self, mut list: Vec<i32>, factor: usize) -> Vec<i32> {
        let last = list.last().and_then(|last| self.names.brokers.iter().position(|id| id == last)).unwrap_or(0);
        let others: Vec<i32> =
            self.names.brokers.iter().cycle().skip(last + 1).take(self.names.brokers.len()).copied().collect();
        let joining: Vec<i32> = others.into_iter().filter(|id| !list.contains(id)).collect();
        list.extend(joining);
        list.truncate(factor);
        list
    }

    /// A Kafka version that this program knows.
    pub fn version(&mut self, written: Option<&At<String>>, otherwise: KafkaVersion) -> KafkaVersion {
        let Some(text) = written else { return otherwise };
        match text.parse() {
            Ok(version) => version,
            Err(error) => {
                let error: UnknownVersion = error;
                self.report(self.error(text.span(), error.to_string()).remedy("write the nearest of these"));
                otherwise
            }
        }
    }
}

/// Kafka: `Topic.validate`.
fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}
