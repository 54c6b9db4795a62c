//! Stores outside Kafka, and how consuming programs use them.

use std::sync::Arc;

use ackproof_core::config::ConsumerConfig;
use ackproof_core::store::{Persistence, StoreConfig};
use ackproof_core::types::{Duration, NodeId};
use ackproof_sim::workload::{CommitPolicy, StoreUse};
use ackproof_sim::{ClientKind, ClientSpec};

use super::reading::Reading;
use crate::document::{self, Consumer, Sink, Store, StoreKind, Written};

/// How often Redis takes a snapshot, if the scenario does not say: `save 60 10000` is the shortest of its own.
const SNAPSHOTS: Duration = Duration::from_secs(60);

impl Reading<'_> {
    /// Reads a store.
    pub fn store(&mut self, written: &Store) -> Option<ClientSpec> {
        let persistence = match *written.kind {
            StoreKind::Redis => self.persistence(written),
            StoreKind::Hbase => Persistence::Log,
            StoreKind::Rdbms => Persistence::LogSyncedAlways,
        };
        if let Some(given) = &written.persistence
            && *written.kind != StoreKind::Redis
        {
            let found = self.error(given.span(), "`persistence` has no effect: this store has one way of writing");
            self.report(found.remedy("it goes with `kind = \"redis\"`"));
        }
        if let Some(every) = &written.snapshot_every
            && !matches!(persistence, Persistence::Snapshots(_))
        {
            let found = self.error(every.span(), "`snapshot-every` has no effect: the store takes no snapshots");
            self.report(found.remedy("it goes with `persistence = \"rdb\"`"));
        }
        let kind = ClientKind::Store(Arc::new(StoreConfig { persistence }));
        Some(ClientSpec { name: written.name.to_string(), kind, starts_after: Duration::ZERO })
    }

    fn persistence(&mut self, written: &Store) -> Persistence {
        match written.persistence.as_deref() {
            None | Some(document::Persistence::None) => Persistence::None,
            Some(document::Persistence::Rdb) => {
                let every = self.time(written.snapshot_every.as_ref(), SNAPSHOTS);
                Persistence::Snapshots(every.max(Duration::from_millis(1)))
            }
            Some(document::Persistence::AofNo) => Persistence::Log,
            Some(document::Persistence::AofEverysec) => Persistence::LogSyncedEverySecond,
            Some(document::Persistence::AofAlways) => Persistence::LogSyncedAlways,
        }
    }

    /// How a program uses its store.
    pub fn store_use(
        &mut self,
        written: &Consumer,
        sink: Option<&Written<Sink>>,
        config: Option<&ConsumerConfig>,
        commit: CommitPolicy,
    ) -> Option<StoreUse> {
        let kind = sink.map(|sink| **sink);
        let with_results = matches!(kind, Some(Sink::Transaction | Sink::CompareAndSet));
        let Some(store) = &written.store else {
            if let Some(sink) = sink.filter(|_| with_results) {
                let found = self.error(sink.span(), "there is no store to write effects into");
                self.report(found.remedy("write store = \"db\", and add [[store]] with that name"));
            }
            return None;
        };
        let Some(number) = self.names.stores.get(store.as_str()).copied() else {
            let found = self.error(store.span(), format!("there is no store `{}`", store.as_str()));
            let names: Vec<String> = self.names.stores.keys().cloned().collect();
            self.report(found.nearest(store, names.iter().map(String::as_str)));
            return None;
        };
        let Some(group) = config.and_then(|config| config.group_id.clone()) else {
            let found = self.error(store.span(), "the rows of the store bear the name of a group, and there is none");
            self.report(found.remedy("write config = { \"group.id\" = \"billing\" }"));
            return None;
        };
        let fits = match commit {
            CommitPolicy::Never => false,
            CommitPolicy::BeforeProcessing => !with_results,
            CommitPolicy::AfterProcessing | CommitPolicy::AfterEach => written.hand_over.as_deref() != Some(&true),
        };
        if !fits {
            let found = self.error(store.span(), "nothing says when the program writes into its store");
            let remedy = "write commit = \"after-processing\" or \"after-each\", or \"before-processing\" where effects are elsewhere; without `hand-over`";
            self.report(found.remedy(remedy));
            return None;
        }
        let guarded = kind == Some(Sink::CompareAndSet);
        Some(StoreUse { node: NodeId::Client(number), group, with_results, guarded })
    }
}
