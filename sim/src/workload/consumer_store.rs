//! A program that keeps how far it has come in a store of its own, with its results or without them.
//!
//! ```text
//!  given partitions ──▶ read the rows ──▶ seek ──▶ poll ──▶ process ──▶ write (results and) rows ──▶ poll
//!                            ▲                                              │
//!                            └──────────────── refused, or no answer ◀──────┘
//! ```
//!
//! Results that are written with the row are there or not as the row is, so a program that does not know what became of a
//! transaction reads the rows and begins there. A row alone is simply written again.

use std::collections::BTreeMap;

use ackproof_core::client::{Call, ConsumerRecord};
use ackproof_core::store::{Entry, StoreRequest, StoreResponse};
use ackproof_core::types::{Duration, Instant, Offset, TopicPartition};

use super::consumer_workload::StoreUse;

/// The pause before a store that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What an answer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing yet: it is asked again.
    Wait,
    /// The rows are written.
    Written,
    /// The program goes on from these places.
    Seek(Vec<(TopicPartition, Offset)>),
}

/// The store as the program sees it.
#[derive(Clone, Debug)]
pub(super) struct StoreSide {
    using: StoreUse,
    /// What the program believes to be in the rows of its partitions.
    rows: BTreeMap<TopicPartition, Option<Offset>>,
    /// Where it began to read, where there was no row.
    began: BTreeMap<TopicPartition, Offset>,
    /// The next offset of each partition.
    next: BTreeMap<TopicPartition, Offset>,
    results: BTreeMap<TopicPartition, Vec<Offset>>,
    asked: Option<StoreRequest>,
    asks_at: Option<Instant>,
}

impl StoreSide {
    pub fn new(using: StoreUse) -> Self {
        Self {
            using,
            rows: BTreeMap::new(),
            began: BTreeMap::new(),
            next: BTreeMap::new(),
            results: BTreeMap::new(),
            asked: None,
            asks_at: None,
        }
    }

    /// Whether an answer is outstanding.
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.asks_at
    }

    /// What it asks now, if anything.
    pub fn call(&mut self, now: Instant) -> Option<Call> {
        self.asks_at.take_if(|at| *at <= now)?;
        self.asked.clone().map(Call::Store)
    }

    fn ask(&mut self, request: StoreRequest, at: Instant) {
        self.asked = Some(request);
        self.asks_at = Some(at);
    }

    /// Partitions are the program's: it reads their rows.
    pub fn read(&mut self, partitions: Vec<TopicPartition>, now: Instant) {
        self.ask(StoreRequest::Read { group: self.using.group.clone(), partitions }, now);
    }

    /// They are no more.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.rows.remove(partition);
            self.began.remove(partition);
            self.next.remove(partition);
            self.results.remove(partition);
        }
    }

    /// What `poll()` returned.
    pub fn polled(&mut self, records: &[ConsumerRecord]) {
        for record in records {
            self.began.entry(record.partition.clone()).or_insert(record.offset);
            self.next.insert(record.partition.clone(), record.offset.next());
        }
    }

    /// Whether the result of a record waits to be written with the row.
    pub fn takes(&mut self, partition: &TopicPartition, offset: Offset) -> bool {
        if self.using.with_results {
            self.results.entry(partition.clone()).or_default().push(offset);
        }
        self.using.with_results
    }

    /// Writes these rows, or those of everything that `poll()` has returned.
    pub fn write(&mut self, offsets: Option<Vec<(TopicPartition, Offset)>>, now: Instant) {
        let offsets = offsets.unwrap_or_else(|| self.next.clone().into_iter().collect());
        let changed = |(partition, offset): &(TopicPartition, Offset)| {
            self.rows.get(partition).copied().flatten() != Some(*offset)
        };
        let entries: Vec<Entry> = offsets
            .into_iter()
            .filter(changed)
            .map(|(partition, offset)| Entry {
                expected: self.rows.get(&partition).copied().flatten(),
                results: self.results.get(&partition).cloned().unwrap_or_default(),
                partition,
                offset,
            })
            .collect();
        self.results.clear();
        let (group, guarded) = (self.using.group.clone(), self.using.guarded);
        self.ask(StoreRequest::Write { group, entries, guarded }, now);
    }

    /// The store has answered, or will not.
    pub fn answered(&mut self, answer: Option<StoreResponse>, now: Instant) -> Next {
        let Some(asked) = self.asked.take() else { return Next::Wait };
        match (asked, answer) {
            (StoreRequest::Read { .. }, Some(StoreResponse::Offsets(rows))) => self.begin(rows),
            (StoreRequest::Write { entries, .. }, Some(StoreResponse::Written)) => {
                self.rows.extend(entries.into_iter().map(|entry| (entry.partition, Some(entry.offset))));
                Next::Written
            }
            (StoreRequest::Write { .. }, answer) if self.using.with_results => {
                let known = self.next.keys().cloned().collect();
                let at = if answer.is_some() { now } else { now + PAUSE };
                self.read(known, at);
                Next::Wait
            }
            (request, _) => {
                self.ask(request, now + PAUSE);
                Next::Wait
            }
        }
    }

    /// It begins where the rows say.
    fn begin(&mut self, rows: Vec<(TopicPartition, Option<Offset>)>) -> Next {
        self.results.clear();
        let mut places = Vec::new();
        for (partition, row) in rows {
            if let Some(place) = row.or_else(|| self.began.get(&partition).copied()) {
                self.next.insert(partition.clone(), place);
                places.push((partition.clone(), place));
            }
            self.rows.insert(partition, row);
        }
        Next::Seek(places)
    }
}
