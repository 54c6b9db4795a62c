//! The historical fixes that a version of Kafka has: each a toggle that a test may switch off.
//!
//! They are the only conditional wrongness in this crate. Each is guarded in one place; a scenario with the fix off must be
//! convicted, its control with the fix on acquitted (`failure-catalog.md`, section 3).

use super::KafkaVersion;
use super::values::nearest;

/// How a follower finds out how much of its log the leader does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// It cuts to its own high watermark whenever it begins to follow, and asks nobody (before 0.11).
    Hw,
    /// It asks with OffsetForLeaderEpoch where its last epoch ends at the leader, once, and believes the number: a leader
    /// that has no such epoch answers with the start of its next one (KIP-101; 0.11 to 1.1).
    Kip101,
    /// It asks with OffsetForLeaderEpoch before it fetches, epoch by epoch (KIP-101, KIP-279; 2.0 to 2.6).
    Kip279,
    /// The fetch itself carries the epoch of the last record; the leader answers with the diverging epoch (2.7, KIP-595).
    OnFetch,
}

impl Truncation {
    /// How `version` does it.
    fn of(version: KafkaVersion) -> Self {
        let since = |major, minor| version >= KafkaVersion::new(major, minor);
        match () {
            () if since(2, 7) => Truncation::OnFetch,
            () if since(2, 0) => Truncation::Kip279,
            () if since(0, 11) => Truncation::Kip101,
            () => Truncation::Hw,
        }
    }

    /// The names that scenarios use.
    const NAMES: &'static str = "hw, kip101, kip279 or truncate_on_fetch";

    /// By the name that scenarios use.
    fn parse(value: &str) -> Option<Truncation> {
        match value {
            "hw" => Some(Truncation::Hw),
            "kip101" => Some(Truncation::Kip101),
            "kip279" => Some(Truncation::Kip279),
            "truncate_on_fetch" => Some(Truncation::OnFetch),
            _ => None,
        }
    }
}

/// One line per fix: what it does, its name, and the version that has it.
macro_rules! toggles {
    ($($(#[$doc:meta])* $name:ident since ($major:literal, $minor:literal),)*) => {
        /// Historical fixes, on or off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Toggles {
            /// How followers truncate.
            pub truncation: Truncation,
            /// Among how many of a producer's last batches a leader recognises one that comes again (1; KAFKA-5494: 5).
            pub dedupe_window: usize,
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Toggles {
            /// The names for [`Toggles::set`], as in the table of mutations of the failure catalog.
            pub const NAMES: &'static [&'static str] = &["truncation", "dedupe_window", $(stringify!($name),)*];

            /// A leader remembers no more batches of a producer than this.
            pub const DEDUPE_WINDOW_MAX: usize = 5;

            /// What `version` has.
            pub fn of(version: KafkaVersion) -> Self {
                Self {
                    truncation: Truncation::of(version),
                    dedupe_window: if version >= KafkaVersion::new(1, 0) { Toggles::DEDUPE_WINDOW_MAX } else { 1 },
                    $($name: version >= KafkaVersion::new($major, $minor),)*
                }
            }

            /// Whether `version` has a fix.
            pub fn has(version: KafkaVersion, name: &str) -> bool {
                Self::of(version).switch(name).is_some_and(|on| *on)
            }

            fn switch(&mut self, name: &str) -> Option<&mut bool> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

toggles! {
    /// The high watermark stands still while the ISR is smaller than `min.insync.replicas`, and that is capped by the
    /// replication factor (KAFKA-15583).
    strict_min_isr since (3, 7),
    /// Followers' fetches, and with them the leader's proposals, name the incarnation of the follower; one that has been
    /// replaced is not let into the ISR (KIP-903).
    isr_broker_epoch since (3, 5),
    /// Only an unfenced broker that is not shutting down may join an ISR (KIP-841).
    isr_eligibility_unfenced since (3, 3),
    /// The registration of a new process is refused until the old one's session is over, and takes it out of ISRs and
    /// leaderships (KIP-380 in ZooKeeper mode, KIP-631 in KRaft). Without it a broker that is back soon is taken for the
    /// one that was, whatever its disk has lost.
    bounce_requires_fencing since (2, 2),
    /// Replicas that leave an ISR smaller than `min.insync.replicas` stay eligible as leaders unless they stop uncleanly
    /// (KIP-966: `eligible.leader.replicas.version` 1, which new clusters have since 4.1).
    elr since (4, 1),
    /// A leader counts replicas that it has proposed for the ISR as members already (KIP-497). Before 2.7 it held its lock while it
    /// wrote the ISR to ZooKeeper, which comes to the same: no high watermark moved meanwhile.
    maximal_isr since (0, 8),
    /// ListOffsets for the end waits until the high watermark has reached this leader's epoch (KIP-207).
    listoffsets_waits_hw since (2, 2),
    /// The leader answers a batch that it has among the last five of a producer with its old offset (KIP-98).
    idempotence since (0, 11),
    /// After a failed append nothing more is appended to a log, rather than until its directory has been taken offline
    /// (KAFKA-10778).
    append_fence_after_error since (2, 8),
    /// A leader that knows nothing of a producer takes its batch whatever the sequence, instead of answering
    /// UNKNOWN_PRODUCER_ID (KIP-360).
    unknown_producer_accepted since (2, 5),
    /// Retention never deletes what is not committed (KAFKA-5634).
    retention_bounded_by_hw since (1, 0),
    /// A tombstone may go `delete.retention.ms` after the cleaner has first seen it, which it writes into the batch; before,
    /// that counted from the last modification of the segment in which the clean part ends (KIP-534).
    delete_horizon since (3, 1),
    /// What a leader knows of a producer outlives the producer's last record in the log (KAFKA-7190).
    pid_state_retained since (2, 5),
    /// At a start the indexes that lie below the recovery point are taken as they are, which saves reading them (KAFKA-7283). A
    /// fix of slow starts: what is wrong with an index stays so until somebody deletes it.
    index_check_skipped since (2, 3),
    /// Requests carry the epoch in which the asker believes the leader to be, and a leader in another one refuses them
    /// (KIP-320).
    fetch_epoch_fencing since (2, 1),
    /// A follower compares its log with the leader's after every new epoch, even if the leader is the same (KAFKA-7164).
    truncate_on_every_epoch since (2, 1),
    /// A follower joins the ISR only when it has reached the start of the leader's epoch, not just the high watermark
    /// (KAFKA-7128).
    isr_join_requires_epoch_start since (2, 1),
    /// A leader writes down where its epoch starts when it is elected, not with the first record (KAFKA-7415).
    persist_epoch_on_election since (2, 1),
    /// A follower that is ahead of its leader cuts its log even where unclean elections are off, instead of halting
    /// (KAFKA-7414).
    oor_not_fatal since (2, 1),
    /// A follower lags by time alone, not also by more than 4000 records (`replica.lag.max.messages`, until 0.8).
    isr_by_time_only since (0, 9),
    /// A follower that was out of range, and is in range again by the time it has asked, keeps its log (KAFKA-2143).
    oor_keep_log since (0, 10),
    /// A broker acts on metadata as soon as it has read all there is (`MetadataLoader`), rather than when the controller has
    /// registered it and acknowledged that it is caught up (`BrokerMetadataListener.startPublishing`). A fix of slow starts:
    /// a broker that is back within its session leads once more in the epoch in which it died.
    early_publishing since (3, 5),
    /// A consumer of the consumer protocol (KIP-848) commits automatically what `poll()` had returned when it was called
    /// again. Without, another thread commits meanwhile, and may find positions that `poll()` has just moved beyond what the
    /// program has seen (KAFKA-18641). Which of the two threads is first is a matter of chance; here it is the program's.
    async_commit_snapshot since (4, 0),
    /// A coordinator tells a member of a share group what it has whenever the member says everything, as it does after a heartbeat
    /// that failed. Without, it tells that when the member joins and when it changes: a member that does not get that one answer
    /// never hears it.
    share_assignment_repeated since (4, 1),
    /// A commit must come from a member of the group's present generation.
    commit_generation_check since (0, 9),
}

impl Toggles {
    /// Switches a fix on or off: `true` or `false`; a method for `truncation`, a number for `dedupe_window`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ToggleError> {
        let value = value.trim();
        if name == "truncation" {
            self.truncation =
                Truncation::parse(value).ok_or_else(|| ToggleError::value(name, value, Truncation::NAMES))?;
            return Ok(());
        }
        if name == "dedupe_window" {
            self.dedupe_window = value
                .parse()
                .ok()
                .filter(|window| (1..=Toggles::DEDUPE_WINDOW_MAX).contains(window))
                .ok_or_else(|| ToggleError::value(name, value, "a number from 1 to 5"))?;
            return Ok(());
        }
        let Some(toggle) = self.switch(name) else {
            let suggestion = nearest(name, Toggles::NAMES.iter().copied(), '_').map(str::to_owned);
            return Err(ToggleError::Unknown { name: name.to_owned(), suggestion });
        };
        *toggle = value.parse().map_err(|_| ToggleError::value(name, value, "true or false"))?;
        Ok(())
    }
}

/// A toggle that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToggleError {
    /// There is none of this name.
    #[error("there is no toggle `{name}`; there are {}", Toggles::NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// It does not take this value.
    #[error("the toggle `{name}` is {expected}, not `{value}`")]
    Value {
        /// The name.
        name: String,
        /// The value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl ToggleError {
    fn value(name: &str, value: &str, expected: &'static str) -> ToggleError {
        ToggleError::Value { name: name.to_owned(), value: value.to_owned(), expected }
    }
}
