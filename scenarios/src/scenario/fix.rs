//! A change of configuration in words, and as a file says it.

use ackproof_reports::names::listed;
use toml::{Table, Value};

use crate::document::{AtEnd, Commit, CommitFailure, Fix, FixedConsumer, OnError, OnStop, Properties, Sink, Then};

/// In one line: `acks=all with enable.idempotence=true and min.insync.replicas=2`.
pub(crate) fn in_words(fix: &Fix) -> String {
    let mut words = Vec::new();
    let producer = fix.producer.as_ref();
    let consumer = fix.consumer.as_ref();
    let topic = fix.topic.as_ref();
    let cluster = fix.cluster.as_ref();
    let tables = [
        producer.map(|producer| &producer.config),
        consumer.map(|consumer| &consumer.config),
        topic.map(|topic| &topic.config),
        cluster.map(|cluster| &cluster.config),
    ];
    for table in tables.into_iter().flatten() {
        words.extend(table.iter().map(|(name, value)| format!("{}={}", name.as_str(), **value)));
    }
    words.extend(
        topic.and_then(|topic| topic.replication_factor.as_ref()).map(|factor| format!("{} replicas", **factor)),
    );
    words.extend(cluster.into_iter().flat_map(|cluster| toggles(&cluster.toggles)));
    words.extend(
        cluster.and_then(|cluster| cluster.kafka.as_ref()).map(|version| format!("Kafka {}", version.as_str())),
    );
    if let Some(producer) = producer {
        words.extend(producer.on_error.as_ref().map(|on_error| match **on_error {
            OnError::Ignore => "an application that ignores errors".to_owned(),
            OnError::Resend => "an application that sends failed records again".to_owned(),
            OnError::Stop => "an application that stops at an error".to_owned(),
        }));
        words.extend(producer.at_end.as_ref().map(|at_end| match **at_end {
            AtEnd::Close => "close() at the end".to_owned(),
            AtEnd::Flush => "flush() at the end".to_owned(),
            AtEnd::Exit => "exit at the end".to_owned(),
        }));
    }
    words.extend(consumer.into_iter().flat_map(program));
    let rest = words.split_off(words.len().min(1));
    match (words.pop(), rest.is_empty()) {
        (Some(first), false) => format!("{first} with {}", listed(rest)),
        (first, _) => first.unwrap_or_default(),
    }
}

fn toggles(toggles: &Properties) -> impl Iterator<Item = String> {
    toggles.iter().map(|(name, value)| match value.to_string().as_str() {
        "true" => format!("the fix {}", name.as_str()),
        "false" => format!("no fix {}", name.as_str()),
        value => format!("the fix {}={value}", name.as_str()),
    })
}

/// As `[fix]`. Times of `close()` and exit are left out: no search changes them.
pub(crate) fn as_table(fix: &Fix) -> Table {
    let mut table = Table::new();
    let mut put = |section: &str, key: &str, value: Value| {
        let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = entry {
            section.insert(key.to_owned(), value);
        }
    };
    let text = |text: &str| Value::String(text.to_owned());
    let number = |number: &i16| Value::Integer((*number).into());
    if let Some(cluster) = &fix.cluster {
        properties(&cluster.config).into_iter().for_each(|config| put("cluster", "config", config));
        properties(&cluster.toggles).into_iter().for_each(|toggles| put("cluster", "toggles", toggles));
        cluster.kafka.iter().for_each(|version| put("cluster", "kafka", text(version)));
    }
    if let Some(topic) = &fix.topic {
        properties(&topic.config).into_iter().for_each(|config| put("topic", "config", config));
        topic.replication_factor.iter().for_each(|factor| put("topic", "replication-factor", number(factor)));
    }
    if let Some(producer) = &fix.producer {
        properties(&producer.config).into_iter().for_each(|config| put("producer", "config", config));
        let on_error = producer.on_error.as_ref().map(|on_error| match **on_error {
            OnError::Ignore => "ignore",
            OnError::Resend => "resend",
            OnError::Stop => "stop",
        });
        let at_end = producer.at_end.as_ref().map(|at_end| match **at_end {
            AtEnd::Close => "close",
            AtEnd::Flush => "flush",
            AtEnd::Exit => "exit",
        });
        on_error.into_iter().for_each(|word| put("producer", "on-error", text(word)));
        at_end.into_iter().for_each(|word| put("producer", "at-end", text(word)));
    }
    if let Some(consumer) = &fix.consumer {
        consumer_as_table(consumer, |key, value| put("consumer", key, value));
    }
    table
}

/// The same of what is done to consumers, key by key.
fn consumer_as_table(consumer: &FixedConsumer, mut put: impl FnMut(&str, Value)) {
    let text = |text: &str| Value::String(text.to_owned());
    properties(&consumer.config).into_iter().for_each(|config| put("config", config));
    let commit = consumer.commit.as_ref().map(|commit| match **commit {
        Commit::BeforeProcessing => "before-processing",
        Commit::AfterProcessing => "after-processing",
        Commit::AfterEach => "after-each",
    });
    let sink = consumer.sink.as_ref().map(|sink| match **sink {
        Sink::Append => "append",
        Sink::Upsert => "upsert",
        Sink::LastWrite => "last-write",
        Sink::Versioned => "versioned",
        Sink::Transaction => "transaction",
        Sink::CompareAndSet => "compare-and-set",
    });
    consumer.hand_over.iter().for_each(|flag| put("hand-over", Value::Boolean(**flag)));
    consumer.pause.iter().for_each(|flag| put("pause", Value::Boolean(**flag)));
    let on_stop = consumer.on_stop.as_ref().map(|on_stop| match **on_stop {
        OnStop::Exit => "exit",
        OnStop::Wakeup => "wakeup",
        OnStop::Break => "break",
    });
    on_stop.into_iter().for_each(|word| put("on-stop", text(word)));
    commit.into_iter().for_each(|word| put("commit", text(word)));
    sink.into_iter().for_each(|word| put("sink", text(word)));
    let failure = consumer.commit_failure.as_ref().map(|failure| match **failure {
        CommitFailure::Ignore => "ignore",
        CommitFailure::Repeat => "repeat",
        CommitFailure::RepeatIfLatest => "repeat-if-latest",
    });
    failure.into_iter().for_each(|word| put("commit-failure", text(word)));
    // Searches change what is done in the end, and nothing else of it.
    let then = consumer.on_failure.as_ref().and_then(|on_failure| on_failure.then.as_ref()).map(|then| match **then {
        Then::Crash => "crash",
        Then::Skip => "skip",
        Then::Block => "block",
        Then::HandOn => "hand-on",
        Then::Release => "release",
        Then::Reject => "reject",
    });
    let as_failure = |word| Value::Table(Table::from_iter([("then".to_owned(), text(word))]));
    then.into_iter().for_each(|word| put("on-failure", as_failure(word)));
}

fn properties(properties: &Properties) -> Option<Value> {
    let entries = properties.iter().map(|(name, value)| (name.to_string(), plain(&value.to_string())));
    let table = Table::from_iter(entries);
    (!table.is_empty()).then_some(Value::Table(table))
}

/// A property's value as a person would write it.
pub(crate) fn plain(text: &str) -> Value {
    match (text, text.parse::<i64>()) {
        ("true", _) => Value::Boolean(true),
        ("false", _) => Value::Boolean(false),
        (_, Ok(number)) if number.to_string() == text => Value::Integer(number),
        (_, _) => Value::String(text.to_owned()),
    }
}

/// What a consuming program does otherwise.
fn program(consumer: &FixedConsumer) -> Vec<String> {
    let hand_over = consumer.hand_over.as_ref().map(|hand_over| match **hand_over {
        true => "work handed to a worker",
        false => "work done before the next poll()",
    });
    let pause = consumer.pause.as_ref().map(|pause| match **pause {
        true => "partitions paused while a worker works",
        false => "no partitions paused",
    });
    let on_stop = consumer.on_stop.as_ref().map(|on_stop| match **on_stop {
        OnStop::Exit => "a program that ends at once when it is told to stop",
        OnStop::Wakeup => "a program that finishes its batch and closes its consumer when it is told to stop",
        OnStop::Break => "a program that breaks off its batch and closes its consumer when it is told to stop",
    });
    let commit = consumer.commit.as_ref().map(|commit| match **commit {
        Commit::BeforeProcessing => "a commit before processing",
        Commit::AfterProcessing => "a commit after processing",
        Commit::AfterEach => "a commit after each record",
    });
    let sink = consumer.sink.as_ref().map(|sink| match **sink {
        Sink::Append => "a sink that appends",
        Sink::Upsert => "a sink that takes each record once (upsert)",
        Sink::LastWrite => "a sink that keeps the last value written of each key",
        Sink::Versioned => "a sink that keeps the newest value of each key (versions)",
        Sink::Transaction => "results and offset written in one transaction",
        Sink::CompareAndSet => "results and offset written in one transaction, if the offset is as expected",
    });
    let failure = consumer.commit_failure.as_ref().map(|failure| match **failure {
        CommitFailure::Ignore => "no second attempt at a commit that failed",
        CommitFailure::Repeat => "a second attempt at a commit that failed",
        CommitFailure::RepeatIfLatest => "a second attempt at a commit only if there was no later one",
    });
    let then = consumer.on_failure.as_ref().map(|on_failure| match on_failure.then.as_deref() {
        None | Some(Then::Crash) => "a program that ends at a record that it cannot process".to_owned(),
        Some(Then::Skip) => "a program that skips what it cannot process".to_owned(),
        Some(Then::Block) => "a program that tries a record until it succeeds".to_owned(),
        Some(Then::Release) => "a program that gives back what it cannot process".to_owned(),
        Some(Then::Reject) => "a program that rejects what it cannot process".to_owned(),
        Some(Then::HandOn) => match &on_failure.topic {
            Some(topic) => format!("records that cannot be processed sent to {}", topic.as_str()),
            None => "records that cannot be processed sent to another topic".to_owned(),
        },
    });
    let plain = [hand_over, pause, on_stop, commit, sink, failure].into_iter().flatten().map(str::to_owned);
    plain.chain(then).collect()
}
