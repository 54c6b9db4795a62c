//! The clients of a scenario; producers with the programs that use them, and clients for programs outside the file.

use std::sync::Arc;

use ackproof_core::config::KafkaVersion;
use ackproof_core::types::{Duration, StrBytes, TopicName};
use ackproof_sim::workload::{AtEnd, OnError, ProducerWorkload, Template};
use ackproof_sim::{ClientKind, ClientSpec};

use super::reading::Reading;
use super::selector::is_free_name;
use crate::diagnostics::Diagnostic;
use crate::document::{self, Client, ConsumerKind, Fix, FixedProducer, Producer, ProducerKind, Written};
use crate::library::Place;

/// More records than this are not simulated.
const RECORDS_MAX: u64 = 1_000_000_000;
/// Larger values than this are not simulated.
const VALUE_BYTES_MAX: u32 = 64 << 20;

const A_TEMPLATE: &str = "the places for the record's number are {n} and {n%5}";

impl Reading<'_> {
    /// Reads all clients.
    pub fn clients(
        &mut self,
        place: &Place,
        document: &document::Document,
        version: KafkaVersion,
        fix: &Fix,
    ) -> Vec<ClientSpec> {
        let mut clients = Vec::new();
        let stores = document.store.iter().map(|store| store.name.to_string());
        let before = document.producer.len() + document.consumer.len() + document.client.len();
        self.names.stores = stores.zip(before as u32..).collect();
        for producer in &document.producer {
            self.client_name(&producer.name);
            clients.extend(self.producer(place, producer, version, fix));
        }
        let none = document::Properties::default();
        let written = document.cluster.as_ref().map_or(&none, |cluster| &cluster.toggles);
        let toggles = [written, fix.cluster.as_ref().map_or(&none, |cluster| &cluster.toggles)];
        for consumer in &document.consumer {
            self.client_name(&consumer.name);
            clients.extend(self.consumer(place, consumer, (version, toggles), fix));
        }
        for client in &document.client {
            self.client_name(&client.name);
            clients.extend(self.client(place, client, (version, toggles), fix));
        }
        for store in &document.store {
            self.client_name(&store.name);
            clients.extend(self.store(store));
        }
        clients
    }

    /// A client that a program outside the file uses.
    fn client(
        &mut self,
        place: &Place,
        written: &Client,
        (version, toggles): (KafkaVersion, [&document::Properties; 2]),
        fix: &Fix,
    ) -> Option<ClientSpec> {
        let version = self.version(written.kafka.as_ref(), version);
        let settings = self.file(place, written.config_file.as_ref());
        let fixed = match *written.kind {
            document::ClientKind::Producer => fix.producer.as_ref().map(|fix| self.table(&fix.config)),
            document::ClientKind::Consumer => fix.consumer.as_ref().map(|fix| self.table(&fix.config)),
            document::ClientKind::Admin => None,
        };
        let settings = settings.under(self.table(&written.config)).under(fixed.unwrap_or_default());
        let kind = match *written.kind {
            document::ClientKind::Producer => {
                ClientKind::Producer(Arc::new(self.producer_config(version, &settings, &written.name)?), None)
            }
            document::ClientKind::Consumer => ClientKind::Consumer(
                Arc::new(self.consumer_config(version, toggles, &settings, (&written.name, ConsumerKind::Java))?),
                None,
            ),
            document::ClientKind::Admin => {
                if let Some(setting) = settings.iter().next() {
                    let found = Diagnostic::error(
                        &setting.source,
                        setting.name_span.clone(),
                        "an admin client has no properties here",
                    );
                    self.report(found.remedy("leave them out"));
                }
                ClientKind::Admin
            }
        };
        Some(ClientSpec { name: written.name.to_string(), kind, starts_after: Duration::ZERO })
    }

    fn client_name(&mut self, name: &Written<String>) {
        if self.names.clients.contains(name) {
            let found = self.error(name.span(), format!("there are two clients `{}`", name.as_str()));
            self.report(found.remedy("steps and reports tell clients apart by their names"));
        } else if name.is_empty() || !is_free_name(name) {
            let found = self.error(name.span(), format!("`{}` cannot be the name of a client", name.as_str()));
            self.report(found.remedy("choose one that is no role, like \"p1\""));
        }
        self.names.clients.push(name.to_string());
    }

    pub(super) fn client_topic(&mut self, topic: &Written<String>) -> Option<i32> {
        let partitions = self.names.topics.get(topic.as_str()).copied();
        if partitions.is_none() {
            let found = self.error(topic.span(), format!("there is no topic `{}`", topic.as_str()));
            self.report(found.nearest(topic, self.names.topics.keys().map(String::as_str)));
        }
        partitions
    }

    fn producer(&mut self, place: &Place, written: &Producer, version: KafkaVersion, fix: &Fix) -> Option<ClientSpec> {
        let fix = fix.producer.clone().unwrap_or_default();
        let version = self.version(written.kafka.as_ref(), version);
        let settings = self.file(place, written.config_file.as_ref());
        let settings = settings.under(self.table(&written.config)).under(self.table(&fix.config));
        let workload = self.producer_workload(written, &fix).map(Arc::new);
        let starts_after = self.time(written.starts_after.as_ref(), Duration::ZERO);
        let kind = match written.kind {
            ProducerKind::Java => {
                let config = self.producer_config(version, &settings, &written.name)?;
                ClientKind::Producer(Arc::new(config), Some(workload?))
            }
            ProducerKind::Legacy => {
                let config = self.legacy_producer_config(&settings, &written.name)?;
                ClientKind::LegacyProducer(Arc::new(config), Some(workload?))
            }
        };
        Some(ClientSpec { name: written.name.to_string(), kind, starts_after })
    }

    fn producer_workload(&mut self, written: &Producer, fix: &FixedProducer) -> Option<ProducerWorkload> {
        let partitions = self.client_topic(&written.topic);
        if let (Some(partition), Some(partitions)) = (&written.partition, partitions)
            && !(0..partitions).contains(&**partition)
        {
            let found = self.error(
                partition.span(),
                format!("topic `{}` has no partition {}", written.topic.as_str(), **partition),
            );
            self.report(found.remedy(format!("its partitions are 0 to {}", partitions - 1)));
        }
        if *written.records > RECORDS_MAX {
            let found =
                self.error(written.records.span(), format!("{} records are too many to simulate", *written.records));
            self.report(found.remedy(format!("at most {RECORDS_MAX}")));
        }
        if let Some(burst) = &written.burst
            && **burst == 0
        {
            self.report(self.error(burst.span(), "a burst has at least one record"));
        }
        let mut template = |written: Option<&Written<String>>| {
            let parse = |text: &Written<String>| {
                self.accept(text.span(), Template::parse(text).map_err(|error| error.to_string()), A_TEMPLATE)
            };
            written.map(parse)
        };
        let key = template(written.key.as_ref());
        let value = template(written.value.as_ref()).unwrap_or_else(|| Template::parse("{n}").ok());
        let value_bytes = self.value_bytes(written);
        let at_end = self.at_end(written, fix);
        let on_error = fix.on_error.as_ref().or(written.on_error.as_ref()).map(|written| **written);
        Some(ProducerWorkload {
            topic: TopicName(StrBytes::from_string(written.topic.to_string())),
            partition: written.partition.as_ref().map(|partition| **partition),
            records: *written.records,
            first_after: self.time(written.first_after.as_ref(), Duration::ZERO),
            every: self.time(written.every.as_ref(), Duration::ZERO),
            burst: written.burst.as_ref().map_or(1, |burst| **burst),
            key: match key {
                None => None,
                Some(template) => Some(template?),
            },
            value: value?.padded_to(value_bytes),
            tombstones: written.tombstones,
            on_error: match on_error {
                None | Some(document::OnError::Ignore) => OnError::Ignore,
                Some(document::OnError::Resend) => OnError::Resend,
                Some(document::OnError::Stop) => OnError::Stop,
            },
            at_end,
        })
    }

    fn value_bytes(&mut self, written: &Producer) -> usize {
        let Some(bytes) = &written.value_bytes else { return 0 };
        if **bytes > VALUE_BYTES_MAX {
            let found = self.error(bytes.span(), format!("values of {} bytes are too large to simulate", **bytes));
            self.report(found.remedy(format!("at most {VALUE_BYTES_MAX}")));
            return 0;
        }
        usize::try_from(**bytes).unwrap_or(0)
    }

    fn at_end(&mut self, written: &Producer, fix: &FixedProducer) -> AtEnd {
        let kind = |at_end: &Option<Written<document::AtEnd>>| at_end.as_ref().map(|at_end| **at_end);
        let own = kind(&written.at_end).unwrap_or(document::AtEnd::Close);
        self.check_at_end(own, written.close_timeout.as_ref(), written.exit_after.as_ref());
        let at_end = kind(&fix.at_end).unwrap_or(own);
        self.check_at_end(at_end, fix.close_timeout.as_ref(), fix.exit_after.as_ref());
        let close_timeout = fix.close_timeout.as_ref().or(written.close_timeout.as_ref());
        let exit_after = fix.exit_after.as_ref().or(written.exit_after.as_ref());
        match at_end {
            document::AtEnd::Close => AtEnd::Close(self.time(close_timeout, Duration::FOREVER)),
            document::AtEnd::Flush => AtEnd::Flush,
            document::AtEnd::Exit => AtEnd::Exit(self.time(exit_after, Duration::ZERO)),
        }
    }

    fn check_at_end(
        &mut self,
        at_end: document::AtEnd,
        close: Option<&Written<String>>,
        exit: Option<&Written<String>>,
    ) {
        if let Some(timeout) = close
            && at_end != document::AtEnd::Close
        {
            let found = self.error(timeout.span(), "`close-timeout` has no effect: the program does not call close()");
            self.report(found.remedy("it goes with `at-end = \"close\"`"));
        }
        if let Some(after) = exit
            && at_end != document::AtEnd::Exit
        {
            let found = self.error(after.span(), "`exit-after` has no effect: the program does not exit by itself");
            self.report(found.remedy("it goes with `at-end = \"exit\"`"));
        }
    }
}
