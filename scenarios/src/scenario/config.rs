//! Kafka's configuration: properties into typed configurations, problems back to where they were written.

use std::ops::Range;

use ackproof_core::config::{
    BrokerConfig, ConfigProblem, ConsumerConfig, KafkaVersion, LegacyProducerConfig, LogConfig, Part, ProducerConfig,
    Property, Resolved, ToggleError, Toggles,
};

use super::reading::Reading;
use super::settings::Settings;
use crate::diagnostics::Diagnostic;
use crate::document::{ConsumerKind, Properties, Value, Written};

impl Reading<'_> {
    /// The configuration of a broker or controller.
    pub fn broker_config(
        &mut self,
        version: KafkaVersion,
        toggles: [&Properties; 2],
        settings: &Settings,
        span: &Range<usize>,
    ) -> Option<BrokerConfig> {
        let mut config = self.resolved(settings, span, |properties| BrokerConfig::resolve(version, properties))?;
        for (name, value) in self.switches(toggles) {
            self.toggle(&mut config, &name, &value);
        }
        Some(config)
    }

    /// What is switched, in order: what a fix switches goes before what the file switches.
    fn switches(&self, [written, fixed]: [&Properties; 2]) -> Vec<(Written<String>, Written<Value>)> {
        let switched = self.switched.as_ref().map(|(name, value)| (name, value));
        let all = written.iter().chain(switched).chain(fixed);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The configuration of a topic whose defaults come from `broker`.
    pub fn topic_config(
        &mut self,
        broker: &BrokerConfig,
        settings: &Settings,
        name: &Written<String>,
    ) -> Option<LogConfig> {
        self.resolved(settings, &name.span(), |properties| LogConfig::resolve(broker, properties))
    }

    /// The configuration of a Java producer; `client.id` is its name if nothing else is said.
    pub fn producer_config(
        &mut self,
        version: KafkaVersion,
        settings: &Settings,
        name: &Written<String>,
    ) -> Option<ProducerConfig> {
        let settings = settings.clone().over("client.id", name, self.source, &name.span());
        self.resolved(&settings, &name.span(), |properties| ProducerConfig::resolve(version, properties))
    }

    /// The configuration of a Scala producer.
    pub fn legacy_producer_config(
        &mut self,
        settings: &Settings,
        name: &Written<String>,
    ) -> Option<LegacyProducerConfig> {
        let settings = settings.clone().over("client.id", name, self.source, &name.span());
        self.resolved(&settings, &name.span(), LegacyProducerConfig::resolve)
    }

    /// The configuration of a consumer. What is wrong with toggles has been told of the brokers.
    pub fn consumer_config(
        &mut self,
        version: KafkaVersion,
        toggles: [&Properties; 2],
        settings: &Settings,
        (name, kind): (&Written<String>, ConsumerKind),
    ) -> Option<ConsumerConfig> {
        let settings = settings.clone().over("client.id", name, self.source, &name.span());
        let mut config = self.resolved(&settings, &name.span(), |properties| match kind {
            ConsumerKind::Java => ConsumerConfig::resolve(version, properties),
            ConsumerKind::Share => ConsumerConfig::resolve_share(version, properties),
        })?;
        for (name, value) in self.switches(toggles) {
            let _ = config.toggles.set(&name, &value.to_string());
        }
        Some(config)
    }

    fn resolved<C>(
        &mut self,
        settings: &Settings,
        span: &Range<usize>,
        resolve: impl FnOnce(&[Property]) -> Result<Resolved<C>, Vec<ConfigProblem>>,
    ) -> Option<C> {
        if settings.incomplete {
            return None;
        }
        let properties: Vec<Property> =
            settings.iter().map(|setting| Property::new(&setting.name, &setting.value)).collect();
        let resolved = match resolve(&properties) {
            Ok(resolved) => resolved,
            Err(problems) => {
                for problem in problems {
                    self.problem(settings, &problem, span);
                }
                return None;
            }
        };
        for (name, why) in resolved.no_effect {
            if let Some(setting) = settings.get(&name) {
                let message = format!("`{name}` has no effect here: {why}");
                self.report(Diagnostic::note(&setting.source, setting.name_span.clone(), message));
            }
        }
        for notice in resolved.notices {
            self.report(Diagnostic::note(self.source, span.clone(), notice));
        }
        Some(resolved.config)
    }

    fn problem(&mut self, settings: &Settings, problem: &ConfigProblem, span: &Range<usize>) {
        let found = match settings.iter().nth(problem.index) {
            Some(setting) => {
                let span = match problem.part {
                    Part::Name => setting.name_span.clone(),
                    Part::Value => setting.value_span.clone(),
                };
                Diagnostic::error(&setting.source, span, &problem.message)
            }
            None => self.error(span.clone(), &problem.message),
        };
        self.report(match &problem.suggestion {
            Some(suggestion) => found.remedy(format!("did you mean `{suggestion}`?")),
            None => found,
        });
    }

    fn toggle(&mut self, config: &mut BrokerConfig, name: &Written<String>, value: &Written<Value>) {
        let Err(error) = config.toggles.set(name, &value.to_string()) else { return };
        let found = match &error {
            ToggleError::Unknown { .. } => {
                let found = self.error(name.span(), format!("there is no toggle `{}`", name.as_str()));
                found.nearest(name, Toggles::NAMES.iter().copied())
            }
            ToggleError::Value { expected, .. } => {
                let message = format!("`{}` is no value of the toggle `{}`", **value, name.as_str());
                self.error(value.span(), message).remedy(format!("write {expected}"))
            }
        };
        self.report(found);
    }
}
