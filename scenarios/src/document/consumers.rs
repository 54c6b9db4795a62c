//! `[[consumer]]`, as it was written: the client, and the program that uses it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Partitions, Properties, Time, Value, Version, Written};

/// When a consuming program commits, beside what `enable.auto.commit` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Commit {
    /// What `poll()` returned, before the first record is processed: at most once.
    BeforeProcessing,
    /// What `poll()` returned, after the last record was processed: at least once.
    AfterProcessing,
    /// Each record, after it was processed.
    AfterEach,
}

/// How it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommitMode {
    /// `commitSync()`: it waits (the default).
    Sync,
    /// `commitAsync()`; `commit-failure` says what its callback does.
    Async,
}

/// What the callback of `commitAsync()` does when a commit has failed and might succeed the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommitFailure {
    /// Nothing (the default): a later commit makes up for it.
    Ignore,
    /// It commits the same offsets again after `commit-backoff`, even if the program has committed later ones since.
    Repeat,
    /// It commits them again, unless the program has committed since.
    RepeatIfLatest,
}

/// Which records cannot be processed. What is given must fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fails {
    /// Those with this key.
    pub key: Option<Written<String>>,
    /// Those with this value.
    pub value: Option<Written<String>>,
    /// The one at this offset of each partition.
    pub offset: Option<Written<u64>>,
    /// Only so many attempts fail, counted anew when the process starts; all if not given.
    pub attempts: Option<Written<u32>>,
}

/// What a program does about a record that it could not process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OnFailure {
    /// How often it tries again before it does something else; the records behind it wait. 0 if not given.
    pub retries: Option<Written<u32>>,
    /// The pause before each new attempt; 1s if not given.
    #[schemars(with = "Option<Time>")]
    pub backoff: Option<Written<String>>,
    /// What it does then; `crash` if not given.
    pub then: Option<Written<Then>>,
    /// With `then = "crash"`: somebody starts the process again after so long; nobody if not given.
    #[schemars(with = "Option<Time>")]
    pub restart_after: Option<Written<String>>,
    /// With `then = "hand-on"`: the topic for retries or dead letters.
    pub topic: Option<Written<String>>,
    /// With `then = "hand-on"`: whether it waits for the acknowledgement before it goes on; it does, if not given.
    pub wait: Option<Written<bool>>,
    /// With `then = "hand-on"`: properties of its producer, by Kafka's names.
    pub config: Properties,
}

/// What a program does with a record that it cannot process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Nothing catches the exception: the process ends.
    Crash,
    /// The exception is caught and perhaps logged, and the loop goes on with the next record.
    Skip,
    /// It tries for ever.
    Block,
    /// It sends the record to another topic and goes on.
    HandOn,
    /// A member of a share group gives it back: it is delivered again, to whichever member.
    Release,
    /// A member of a share group rejects it: it is delivered to nobody any more.
    Reject,
}

/// Where the effects of a consuming program go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sink {
    /// Every time a record is processed there is one effect more (the default).
    Append,
    /// An effect is written under a key of the record's own, like its place in the log: a second time changes nothing.
    Upsert,
    /// An effect is the value of its record's key, and the last write wins: an older record that is processed again brings an
    /// older value back.
    LastWrite,
    /// The same with the record's own time or place as version (HBase's cell timestamps): an older one changes nothing.
    Versioned,
    /// Effects are written into the store, in one transaction with how far the program has come.
    Transaction,
    /// The same, and only if the program is the last that has written there (`UPDATE .. WHERE offset = ?`, `checkAndPut`).
    CompareAndSet,
}

/// How a program gets its partitions from its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ByPattern {
    /// `topic` is a regular expression: the topics whose whole names match, and those that will.
    Pattern,
}

/// Whether a consumer subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`subscribe` is true, false or \"pattern\"")]
pub enum Subscribe {
    /// To `topic`, or not.
    Topic(bool),
    /// To the topics that match.
    Matching(ByPattern),
}

/// What a program does when it is told to stop (SIGTERM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnStop {
    /// Nothing catches it (the default): the process ends where it is, and its group finds out by itself.
    Exit,
    /// Another thread calls `wakeup()`. The loop goes on until the next `poll()` or `commitSync()` throws, and calls `close()`.
    Wakeup,
    /// The same, and the loop looks after each record whether it is to end: it leaves the rest of a batch undone, and calls `close()`.
    Break,
}

/// What a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConsumerKind {
    /// `KafkaConsumer` (the default): it reads partitions.
    Java,
    /// `KafkaShareConsumer`: a member of a share group, which gets records (KIP-932).
    Share,
}

/// A process that reads: partitions that it names, or that its group gives it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Consumer {
    /// Its name: how steps and reports call it.
    pub name: Written<String>,
    /// What it reads; with `subscribe = "pattern"` a regular expression.
    pub topic: Written<String>,
    /// What it is: `java` if not given.
    pub kind: Option<Written<ConsumerKind>>,
    /// Which partitions; all if not given.
    #[schemars(with = "Option<Partitions>")]
    pub partitions: Option<Written<Value>>,
    /// The client's Kafka version; that of the cluster if not given.
    #[schemars(with = "Option<Version>")]
    pub kafka: Option<Written<String>>,
    /// A file of consumer properties, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Consumer properties by Kafka's names. They win over `config-file`.
    #[serde(default)]
    pub config: Properties,
    /// When the process starts, counted from the moment when the cluster is ready; 0s if not given.
    #[schemars(with = "Option<Time>")]
    pub starts_after: Option<Written<String>>,
    /// The timeout of each `poll()`; 100ms if not given.
    #[schemars(with = "Option<Time>")]
    pub poll_timeout: Option<Written<String>>,
    /// The time the program takes for what one `poll()` brought; none if not given.
    #[schemars(with = "Option<Time>")]
    pub processing: Option<Written<String>>,
    /// The time the program takes for each record; none if not given.
    #[schemars(with = "Option<Time>")]
    pub processing_each: Option<Written<String>>,
    /// Whether it subscribes, and its group (`group.id`) says what it reads; not, if not given.
    pub subscribe: Option<Written<Subscribe>>,
    /// Whether records are handed to a worker and the loop goes on; not, if not given.
    pub hand_over: Option<Written<bool>>,
    /// With `hand-over`: whether the loop pauses its partitions until the worker is done, and goes on polling to stay in its group.
    pub pause: Option<Written<bool>>,
    /// What it does when it is told to stop.
    pub on_stop: Option<Written<OnStop>>,
    /// The timeout of its `close()`; 30s if not given.
    #[schemars(with = "Option<Time>")]
    pub close_timeout: Option<Written<String>>,
    /// Where its effects go.
    pub sink: Option<Written<Sink>>,
    /// The `[[store]]` in which it keeps how far it has come, instead of with its group; it begins there.
    pub store: Option<Written<String>>,
    /// When it commits; never by itself, if not given.
    pub commit: Option<Written<Commit>>,
    /// How it commits.
    pub commit_mode: Option<Written<CommitMode>>,
    /// What the callback of `commitAsync()` does about a failure.
    pub commit_failure: Option<Written<CommitFailure>>,
    /// After how long it commits again; 1s if not given.
    #[schemars(with = "Option<Time>")]
    pub commit_backoff: Option<Written<String>>,
    /// Which records cannot be processed; none if not given.
    pub fails: Option<Written<Fails>>,
    /// What it does about a record that it could not process.
    pub on_failure: Option<Written<OnFailure>>,
}

/// Properties of a group, which brokers go by.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Its `group.id`.
    pub name: Written<String>,
    /// Properties by Kafka's names: `share.auto.offset.reset`, `share.record.lock.duration.ms`.
    #[serde(default)]
    pub config: Properties,
}

/// A store outside Kafka, in which programs keep how far they have come.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Its name: how consumers, steps and reports call it.
    pub name: Written<String>,
    /// What it is.
    pub kind: Written<StoreKind>,
    /// With `kind = "redis"`: what it keeps on its disk; `none` if not given.
    pub persistence: Option<Written<Persistence>>,
    /// With `persistence = "rdb"`: how often it takes a snapshot; 60s if not given.
    #[schemars(with = "Option<Time>")]
    pub snapshot_every: Option<Written<String>>,
}

/// What a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Redis: in memory, with or without something on its disk.
    Redis,
    /// HBase: a write is in the memory of three machines when it is answered (`hflush`).
    Hbase,
    /// A relational database: a transaction is synced before it is answered.
    Rdbms,
}

/// What Redis keeps on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// Nothing.
    None,
    /// A snapshot now and then.
    Rdb,
    /// A log that is synced by the operating system (`appendfsync no`).
    AofNo,
    /// A log that is synced once a second (`appendfsync everysec`).
    AofEverysec,
    /// A log that is synced before each answer (`appendfsync always`).
    AofAlways,
}
