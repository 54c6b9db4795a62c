//! What new metadata makes of the replicas here.
//!
//! Kafka: `ReplicaManager.applyDelta`, `applyLocalLeadersDelta`, `applyLocalFollowersDelta`.
//! Not modelled: deletion of topics; a replica that is assigned elsewhere stops and keeps its log.

use std::io;

use super::fetcher::FetchFrom;
use super::partition::{Following, Partition, ReplicaRole};
use super::replica_manager::{DirectoryAssignment, ReplicaManager};
use crate::config::Truncation;
use crate::fact::Fact;
use crate::machine::Context;
use crate::metadata::{MetadataDelta, MetadataImage, PartitionRegistration};
use crate::types::TopicPartition;

impl ReplicaManager {
    /// Takes over what changed: becomes leader and follower, updates ISR and epochs, configurations, and who is alive.
    pub fn apply_metadata(&mut self, image: &MetadataImage, delta: &MetadataDelta, ctx: &mut Context<'_>) {
        if self.offline {
            return;
        }
        self.around.update(image, delta);
        self.start_checkpoints(ctx.now());
        self.apply_configs(image, delta);
        let local = self.around.config.broker_id;
        let (mut leaders, mut followers) = (Vec::new(), Vec::new());
        for name in &delta.partitions {
            match image.partitions.get(name) {
                Some(state) if !state.replicas.contains(&local) => self.stop_replica(name, ctx),
                Some(state) if state.leader == local => leaders.push((name, state)),
                Some(state) => followers.push((name, state)),
                None => self.stop_replica(name, ctx),
            }
        }
        // A log directory that fails meanwhile takes its replicas with it; the others go on.
        while self
            .make_leaders(image, &leaders, ctx)
            .and_then(|()| self.make_followers(image, &followers, ctx))
            .is_err()
        {
            self.storage_failed(ctx);
            if self.offline {
                return;
            }
        }
        self.check_delete_records(ctx);
        let result = self.fetchers.on_partitions_changed(&self.around, &mut self.logs, ctx);
        self.check_fetchers(result, ctx);
    }

    fn apply_configs(&mut self, image: &MetadataImage, delta: &MetadataDelta) {
        for topic in &delta.configs {
            let config = self.around.log_config(image, topic);
            for (name, _) in image.partitions_of(topic) {
                if let Some(log) = self.logs.get_mut(name) {
                    log.update_config(config.clone());
                }
            }
        }
    }

    fn make_leaders(
        &mut self,
        image: &MetadataImage,
        leaders: &[(&TopicPartition, &PartitionRegistration)],
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        for &(name, _) in leaders {
            self.fetchers.remove(name);
        }
        for &(name, state) in leaders {
            self.host(image, name, state, ctx)?;
            let (Some(partition), Some(log)) = (self.partitions.get_mut(name), self.logs.get_mut(name)) else {
                continue;
            };
            if partition.make_leader(state, log, &self.around, ctx)? {
                self.check_produces(name, ctx);
                self.check_fetches(name, ctx);
            }
        }
        Ok(())
    }

    fn make_followers(
        &mut self,
        image: &MetadataImage,
        followers: &[(&TopicPartition, &PartitionRegistration)],
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        let local = self.around.config.broker_id;
        for &(name, state) in followers {
            self.host(image, name, state, ctx)?;
            let (Some(partition), Some(log)) = (self.partitions.get_mut(name), self.logs.get(name)) else {
                continue;
            };
            let following = partition.make_follower(state, log, &self.around, ctx);
            if self.in_controlled_shutdown && (!state.has_leader() || !state.isr.contains(&local)) {
                self.fetchers.remove(name);
            } else if following == Following::Anew
                || (following == Following::InNewEpoch && !self.fetchers.update_epoch(name, state.leader_epoch))
            {
                self.fetchers.remove(name);
                self.follow(image, name);
            } else if following == Following::AsBefore {
                continue;
            }
            self.check_produces(name, ctx);
            self.check_fetches(name, ctx);
        }
        Ok(())
    }

    /// Begins to fetch from the leader. Where from depends on how this version finds out what it must give up: one that
    /// asks first begins at the high watermark, one that hears it with the fetch at the end of its log.
    fn follow(&mut self, image: &MetadataImage, name: &TopicPartition) {
        let (Some(partition), Some(log)) = (self.partitions.get(name), self.logs.get(name)) else { return };
        let ReplicaRole::Follower { leader: Some(leader) } = partition.role else { return };
        if !image.brokers.contains_key(&leader) {
            return;
        }
        let latest_epoch = log.latest_epoch();
        let on_fetch = self.around.config.toggles.truncation == Truncation::OnFetch && latest_epoch.is_some();
        let from = FetchFrom {
            topic_id: partition.topic_id,
            offset: if on_fetch { log.log_end_offset() } else { log.high_watermark() },
            current_leader_epoch: partition.leader_epoch,
            last_fetched_epoch: latest_epoch.filter(|_| on_fetch),
        };
        self.fetchers.add(leader, name.clone(), from);
    }

    /// Makes sure that there is a replica, with its log, unless it may lie in a log directory that is offline.
    fn host(
        &mut self,
        image: &MetadataImage,
        name: &TopicPartition,
        state: &PartitionRegistration,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.partitions.contains_key(name) || self.offline_partitions.contains(name) {
            return Ok(());
        }
        let assigned = state.directory_of(self.around.config.broker_id);
        if !self.logs.may_create(name, assigned) {
            self.offline_partitions.insert(name.clone());
            let what = format!("{name} is not created anew: it may lie in a log directory that is offline");
            ctx.fact(Fact::StorageFailed { what });
            return Ok(());
        }
        let config = self.around.log_config(image, &name.topic);
        match self.logs.get_or_create(name, &config, assigned, ctx) {
            Ok(log) => log.update_config(config),
            Err(error) => {
                ctx.fact(Fact::StorageFailed { what: format!("creating the log of {name}: {error}") });
                return Err(error);
            }
        }
        let topic_id = image.topics.get(&name.topic).map_or(uuid::Uuid::nil(), |topic| topic.id);
        self.partitions.insert(name.clone(), Partition::new(name.clone(), topic_id));
        if self.around.config.tells_log_directories
            && self.logs.directories().are_several()
            && let Some(directory) = self.logs.directory_id(name).filter(|id| Some(*id) != assigned)
        {
            self.assignments.push(DirectoryAssignment { topic_id, partition: name.partition, directory });
        }
        Ok(())
    }

    pub(super) fn stop_replica(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        self.fetchers.remove(name);
        let Some(mut partition) = self.partitions.remove(name) else { return };
        partition.role = ReplicaRole::Follower { leader: None };
        let (produces, fetches) = (partition.waiting_produces.clone(), partition.waiting_fetches.clone());
        // Those who wait hear that it is gone; then it is.
        self.partitions.insert(name.clone(), partition);
        if !produces.is_empty() || !fetches.is_empty() {
            self.check_produces(name, ctx);
            self.check_fetches(name, ctx);
        }
        self.partitions.remove(name);
    }
}
