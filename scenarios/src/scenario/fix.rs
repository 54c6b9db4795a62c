//! A change of configuration in words.

use ackproof_reports::names::listed;

use crate::document::{AtEnd, Commit, CommitFailure, Fix, FixedConsumer, OnError, Properties, Sink, Then};

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

/// What a consuming program does otherwise.
fn program(consumer: &FixedConsumer) -> Vec<String> {
    let hand_over = consumer.hand_over.as_ref().map(|hand_over| match **hand_over {
        true => "work handed to a worker",
        false => "work done before the next poll()",
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
        Some(Then::HandOn) => match &on_failure.topic {
            Some(topic) => format!("records that cannot be processed sent to {}", topic.as_str()),
            None => "records that cannot be processed sent to another topic".to_owned(),
        },
    });
    let plain = [hand_over, commit, sink, failure].into_iter().flatten().map(str::to_owned);
    plain.chain(then).collect()
}
