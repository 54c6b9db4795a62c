//! Consumers, with the programs that use them.

use std::sync::Arc;

use ackproof_core::client::TopicPattern;
use ackproof_core::config::{AcknowledgementMode, ConsumerConfig, KafkaVersion};
use ackproof_core::types::{Duration, TopicPartition};
use ackproof_sim::workload::{
    CommitMode, CommitPolicy, ConsumerWorkload, HandOn, OnCommitFailure, OnFailure, OnStop, Poison, Sink, Source, Then,
};
use ackproof_sim::{ClientKind, ClientSpec};

use super::reading::Reading;
use crate::document::{self, ByPattern, Consumer, ConsumerKind, Fix, FixedConsumer, Subscribe, Value, Written};
use crate::library::Place;

impl Reading<'_> {
    pub(super) fn consumer(
        &mut self,
        place: &Place,
        written: &Consumer,
        (version, toggles): (KafkaVersion, [&document::Properties; 2]),
        fix: &Fix,
    ) -> Option<ClientSpec> {
        let version = self.version(written.kafka.as_ref(), version);
        let settings = self.file(place, written.config_file.as_ref());
        let fix = fix.consumer.clone().unwrap_or_default();
        let settings = settings.under(self.table(&written.config)).under(self.table(&fix.config));
        let kind = written.kind.as_deref().copied().unwrap_or(ConsumerKind::Java);
        let config = self.consumer_config(version, toggles, &settings, (&written.name, kind));
        if kind == ConsumerKind::Share {
            self.check_share_consumer(written, version, config.as_ref());
        }
        let source = self.source(written, config.as_ref());
        self.check_commits(written, config.as_ref());
        let acknowledges = config.as_ref().is_some_and(|config| {
            kind == ConsumerKind::Share && config.share_acknowledgement_mode == AcknowledgementMode::Explicit
        });
        let on_failure = fix.on_failure.as_ref().or(written.on_failure.as_ref());
        if let Some(on_failure) = on_failure {
            self.check_acknowledging(on_failure, acknowledges);
        }
        let on_failure = self.on_failure(on_failure, version, &written.name);
        let sink = fix.sink.as_ref().or(written.sink.as_ref());
        let commit = match fix.commit.as_ref().or(written.commit.as_ref()).map(|written| **written) {
            None => CommitPolicy::Never,
            Some(document::Commit::BeforeProcessing) => CommitPolicy::BeforeProcessing,
            Some(document::Commit::AfterProcessing) => CommitPolicy::AfterProcessing,
            Some(document::Commit::AfterEach) => CommitPolicy::AfterEach,
        };
        let workload = ConsumerWorkload {
            poll_timeout: self.time(written.poll_timeout.as_ref(), Duration::from_millis(100)),
            processing: self.time(written.processing.as_ref(), Duration::ZERO),
            processing_each: self.time(written.processing_each.as_ref(), Duration::ZERO),
            hand_over: fix.hand_over.as_ref().or(written.hand_over.as_ref()).is_some_and(|flag| **flag),
            pauses: fix.pause.as_ref().or(written.pause.as_ref()).is_some_and(|flag| **flag),
            on_stop: self.on_stop(written, &fix),
            sink: match sink.map(|sink| **sink) {
                Some(document::Sink::Upsert) => Sink::Upsert,
                Some(document::Sink::LastWrite) => Sink::LastWrite,
                Some(document::Sink::Versioned) => Sink::Versioned,
                // What the store has taken is there once for each transaction.
                None | Some(document::Sink::Append | document::Sink::Transaction | document::Sink::CompareAndSet) => {
                    Sink::Append
                }
            },
            store: self.store_use(written, sink, config.as_ref(), commit),
            commit,
            acknowledges,
            commit_mode: self.commit_mode(written, &fix),
            poison: written.fails.as_ref().map(poison),
            on_failure: on_failure?,
            source: source?,
        };
        let kind = ClientKind::Consumer(Arc::new(config?), Some(Arc::new(workload)));
        let starts_after = self.time(written.starts_after.as_ref(), Duration::ZERO);
        Some(ClientSpec { name: written.name.to_string(), kind, starts_after })
    }

    /// A member of a share group: its version has such groups, it subscribes, and has nothing to do with positions.
    fn check_share_consumer(&mut self, written: &Consumer, version: KafkaVersion, config: Option<&ConsumerConfig>) {
        let span = written.kind.as_ref().map_or(written.name.span(), Written::span);
        if version < KafkaVersion::new(4, 0) {
            let found = self.error(span.clone(), format!("Kafka {version} has no share groups"));
            self.report(found.remedy("they came with kafka = \"4.0\" (early access) and \"4.1\" (preview)"));
        }
        if !self.names.has_share_groups {
            let found = self.error(span.clone(), "the brokers of this cluster have no share groups");
            let remedy =
                "write [cluster] config = { \"group.coordinator.rebalance.protocols\" = \"classic,consumer,share\" }";
            self.report(found.remedy(format!("{remedy}, which is what share.version=1 means")));
        }
        if written.subscribe.as_deref() != Some(&Subscribe::Topic(true)) {
            let found = self.error(span, "a share consumer subscribes to a topic by its name");
            self.report(found.remedy("add subscribe = true"));
        }
        let unknown = [
            ("store", written.store.as_ref().map(Written::span)),
            ("pause", written.pause.as_ref().map(Written::span)),
            ("commit-failure", written.commit_failure.as_ref().map(Written::span)),
        ];
        for (key, span) in unknown {
            if let Some(span) = span {
                let found = self.error(span, format!("`{key}` goes with positions, and a share consumer has none"));
                self.report(found.remedy(format!("leave out `{key}`")));
            }
        }
        let is_explicit = |config: &ConsumerConfig| config.share_acknowledgement_mode == AcknowledgementMode::Explicit;
        if let Some(hand_over) = &written.hand_over
            && **hand_over
            && config.is_some_and(is_explicit)
        {
            let found = self.error(hand_over.span(), "poll() throws while records are not acknowledged");
            self.report(found.remedy("let the loop process them, or use share.acknowledgement.mode=implicit"));
        }
    }

    fn check_acknowledging(&mut self, written: &Written<document::OnFailure>, acknowledges: bool) {
        let Some(then) = &written.then else { return };
        if matches!(**then, document::Then::Release | document::Then::Reject) && !acknowledges {
            let found = self.error(then.span(), "only a share consumer that acknowledges each record can do that");
            let remedy = "write kind = \"share\" and config = { \"share.acknowledgement.mode\" = \"explicit\" }";
            self.report(found.remedy(remedy));
        }
    }

    /// Whether it names its partitions, or its group does.
    fn source(&mut self, written: &Consumer, config: Option<&ConsumerConfig>) -> Option<Source> {
        let Some(flag) = written.subscribe.as_ref().filter(|flag| ***flag != Subscribe::Topic(false)) else {
            return self.consumer_partitions(written).map(Source::Assign);
        };
        let source = match **flag {
            Subscribe::Topic(_) => {
                self.client_topic(&written.topic)?;
                Source::Subscribe(vec![TopicPartition::of(written.topic.as_str(), 0).topic])
            }
            Subscribe::Matching(ByPattern::Pattern) => Source::Pattern(self.pattern(&written.topic)?),
        };
        if let Some(partitions) = &written.partitions {
            let found = self.error(partitions.span(), "a consumer that subscribes does not choose its partitions");
            self.report(found.remedy("leave out `partitions`, or `subscribe`"));
        }
        if config.is_some_and(|config| config.group_id.is_none()) {
            let found = self.error(flag.span(), "a consumer that subscribes needs a group");
            self.report(found.remedy("write config = { \"group.id\" = \"billing\" }"));
            return None;
        }
        Some(source)
    }

    /// A regular expression that matches a topic of the scenario: one that is there, or that a step creates.
    fn pattern(&mut self, written: &Written<String>) -> Option<TopicPattern> {
        const REMEDY: &str = "write one like \"orders-.*\"; look-around and back-references are not modelled";
        let parsed = TopicPattern::parse(written).map_err(|_| "this is no regular expression".to_owned());
        let pattern = self.accept(written.span(), parsed, REMEDY)?;
        let mut topics = self.names.topics.keys().map(|topic| TopicPartition::of(topic, 0).topic);
        if !topics.any(|topic| pattern.matches(&topic)) {
            let found = self.error(written.span(), format!("no topic matches `{}`", written.as_str()));
            self.report(found.remedy("the whole name must match, of a [[topic]] or of one that a step creates"));
        }
        Some(pattern)
    }

    fn on_stop(&mut self, written: &Consumer, fix: &FixedConsumer) -> OnStop {
        let on_stop = fix.on_stop.as_ref().or(written.on_stop.as_ref()).map(|on_stop| **on_stop);
        if let Some(timeout) = &written.close_timeout
            && matches!(on_stop, None | Some(document::OnStop::Exit))
        {
            let found = self.error(timeout.span(), "`close-timeout` has no effect: the program does not call close()");
            self.report(found.remedy("it goes with `on-stop = \"wakeup\"` or `\"break\"`"));
        }
        if let Some(pause) = &written.pause
            && written.hand_over.as_deref() != Some(&true)
        {
            let found = self.error(pause.span(), "`pause` has no effect: there is no worker to wait for");
            self.report(found.remedy("it goes with `hand-over = true`"));
        }
        let timeout = self.time(written.close_timeout.as_ref(), Duration::from_secs(30));
        match on_stop {
            None | Some(document::OnStop::Exit) => OnStop::Exit,
            Some(document::OnStop::Wakeup) => OnStop::Wakeup(timeout),
            Some(document::OnStop::Break) => OnStop::Break(timeout),
        }
    }

    fn check_commits(&mut self, written: &Consumer, config: Option<&ConsumerConfig>) {
        if let Some(commit) = &written.commit
            && config.is_some_and(|config| config.group_id.is_none())
        {
            let found = self.error(commit.span(), "there is no group to commit for");
            self.report(found.remedy("write config = { \"group.id\" = \"billing\" }"));
        }
        if let Some(mode) = &written.commit_mode
            && written.commit.is_none()
        {
            let found = self.error(mode.span(), "`commit-mode` has no effect: the program does not commit");
            self.report(found.remedy("it goes with `commit`"));
        }
        let of_callback = [
            ("commit-failure", written.commit_failure.as_ref().map(Written::span)),
            ("commit-backoff", written.commit_backoff.as_ref().map(Written::span)),
        ];
        for (key, span) in of_callback {
            let is_async = written.commit_mode.as_deref() == Some(&document::CommitMode::Async);
            if let Some(span) = span.filter(|_| !is_async) {
                let found = self.error(span, format!("`{key}` has no effect: commits have no callback"));
                self.report(found.remedy("it goes with `commit-mode = \"async\"`"));
            }
        }
    }

    fn commit_mode(&mut self, written: &Consumer, fix: &FixedConsumer) -> CommitMode {
        let after = self.time(written.commit_backoff.as_ref(), Duration::from_secs(1));
        let failure = fix.commit_failure.as_ref().or(written.commit_failure.as_ref());
        match written.commit_mode.as_deref() {
            None | Some(document::CommitMode::Sync) => CommitMode::Sync,
            Some(document::CommitMode::Async) => CommitMode::Async(match failure.map(|failure| **failure) {
                None | Some(document::CommitFailure::Ignore) => OnCommitFailure::Ignore,
                Some(document::CommitFailure::Repeat) => OnCommitFailure::Repeat(after),
                Some(document::CommitFailure::RepeatIfLatest) => OnCommitFailure::RepeatIfLatest(after),
            }),
        }
    }

    fn on_failure(
        &mut self,
        written: Option<&Written<document::OnFailure>>,
        version: KafkaVersion,
        consumer: &Written<String>,
    ) -> Option<OnFailure> {
        let Some(written) = written else { return Some(OnFailure::default()) };
        let then = written.then.as_deref().copied().unwrap_or(document::Then::Crash);
        self.check_on_failure(written, then);
        let then = match then {
            document::Then::Skip => Then::Skip,
            document::Then::Block => Then::Block,
            document::Then::Release => Then::Release,
            document::Then::Reject => Then::Reject,
            document::Then::Crash => {
                Then::Crash(written.restart_after.as_ref().map(|after| self.time(Some(after), Duration::ZERO)))
            }
            document::Then::HandOn => Then::HandOn(self.hand_on(written, version, consumer)?),
        };
        Some(OnFailure {
            retries: written.retries.as_deref().copied().unwrap_or(0),
            backoff: self.time(written.backoff.as_ref(), Duration::from_secs(1)),
            then,
        })
    }

    fn check_on_failure(&mut self, written: &document::OnFailure, then: document::Then) {
        if let Some(after) = &written.restart_after
            && then != document::Then::Crash
        {
            let found = self.error(after.span(), "`restart-after` has no effect: the program does not crash");
            self.report(found.remedy("it goes with `then = \"crash\"`"));
        }
        let of_hand_on = [
            ("topic", written.topic.as_ref().map(Written::span)),
            ("wait", written.wait.as_ref().map(Written::span)),
            ("config", written.config.keys().next().map(Written::span)),
        ];
        for (key, span) in of_hand_on {
            if let Some(span) = span.filter(|_| then != document::Then::HandOn) {
                let found = self.error(span, format!("`{key}` has no effect: the program hands nothing on"));
                self.report(found.remedy("it goes with `then = \"hand-on\"`"));
            }
        }
    }

    fn hand_on(
        &mut self,
        written: &Written<document::OnFailure>,
        version: KafkaVersion,
        consumer: &Written<String>,
    ) -> Option<HandOn> {
        let Some(topic) = &written.topic else {
            let found = self.error(written.span(), "the program hands records on, and no topic is named");
            self.report(found.remedy("write topic = \"orders-dlt\", and add that [[topic]]"));
            return None;
        };
        self.client_topic(topic)?;
        let settings = self.table(&written.config);
        let producer = self.producer_config(version, &settings, consumer)?;
        let topic = TopicPartition::of(topic.as_str(), 0).topic;
        Some(HandOn { topic, producer: Arc::new(producer), waits: written.wait.as_deref() != Some(&false) })
    }

    fn consumer_partitions(&mut self, written: &Consumer) -> Option<Vec<TopicPartition>> {
        let count = self.client_topic(&written.topic)?;
        let topic = written.topic.as_str();
        let at_start = self.names.topics_at_start.get(topic).copied().unwrap_or(count);
        let all = || (0..at_start).map(|number| TopicPartition::of(topic, number)).collect();
        let Some(partitions) = &written.partitions else { return Some(all()) };
        let list = match &**partitions {
            Value::Text(text) if text == "all" => return Some(all()),
            Value::List(list) if !list.is_empty() => list,
            Value::Text(_) | Value::List(_) | Value::Integer(_) | Value::Bool(_) => {
                let found = self.error(partitions.span(), "these are not partitions");
                self.report(found.remedy("write \"all\" or a list like [0, 1]"));
                return None;
            }
        };
        let mut chosen = Vec::new();
        for number in list {
            chosen.push(self.partition(&format!("{topic}-{}", **number), number.span())?);
        }
        chosen.dedup();
        Some(chosen)
    }
}

fn poison(fails: &Written<document::Fails>) -> Poison {
    let bytes = |text: &Option<Written<String>>| text.as_ref().map(|text| text.to_string().into_bytes().into());
    Poison {
        key: bytes(&fails.key),
        value: bytes(&fails.value),
        offset: fails.offset.as_ref().map(|offset| i64::try_from(**offset).unwrap_or(i64::MAX)),
        attempts: fails.attempts.as_ref().map(|attempts| **attempts),
    }
}
