//! What new metadata makes of the replicas here.
//!
//! Kafka: `ReplicaManager.applyDelta`, `applyLocalLeadersDelta`, `applyLocalFollowersDelta`.
//! A topic whose name came back is another topic: its id says so (KIP-516), and the old log goes, also one that was left
//! here while this broker was away (KAFKA-14190).

use std::collections::BTreeSet;
use std::io;

use uuid::Uuid;

use super::fetcher::FetchFrom;
use super::partition::{Following, Partition, ReplicaRole};
use super::replica_manager::{DirectoryAssignment, ReplicaManager};
use crate::config::{KafkaVersion, Truncation};
use crate::fact::Fact;
use crate::log::partition_metadata::{read_topic_id, write_topic_id};
use crate::machine::Context;
use crate::metadata::{MetadataDelta, MetadataImage, PartitionRegistration};
use crate::types::TopicPartition;

/// Since when topics have ids, and logs say whose they are.
const TOPIC_IDS: KafkaVersion = KafkaVersion::new(2, 8);

impl ReplicaManager {
    /// Takes over what changed: becomes leader and follower, updates ISR and epochs, configurations, and who is alive.
    pub fn apply_metadata(&mut self, image: &MetadataImage, delta: &MetadataDelta, ctx: &mut Context<'_>) {
        if self.offline {
            return;
        }
        self.around.update(image, delta);
        self.throttle.update(self.around.config.broker_id, image, delta);
        self.fetchers.throttle.update(self.around.config.broker_id, image, delta);
        self.start_checkpoints(ctx.now());
        self.apply_configs(image, delta);
        let local = self.around.config.broker_id;
        let (mut leaders, mut followers) = (Vec::new(), Vec::new());
        for name in &delta.partitions {
            let stopped = match image.partitions.get(name) {
                Some(state) if state.replicas.contains(&local) => {
                    let role = if state.leader == local { &mut leaders } else { &mut followers };
                    role.push((name, state));
                    self.drop_log_of_another_topic(image, name, ctx)
                }
                // It was moved elsewhere.
                Some(_) => self.delete_replica(name, ctx),
                None if delta.topics.contains(&name.topic) => self.delete_replica(name, ctx),
                None => {
                    self.stop_replica(name, ctx);
                    Ok(())
                }
            };
            if stopped.is_err() {
                self.storage_failed(ctx);
                return;
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
        let defaults_changed = !delta.broker_configs.is_empty();
        let topics = if defaults_changed { image.topics.keys().collect::<BTreeSet<_>>() } else { BTreeSet::new() };
        for topic in topics.into_iter().chain(&delta.configs) {
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
        let topic_id = topic_id(image, name);
        self.note_topic_id(name, topic_id, ctx)?;
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
        let Some(partition) = self.partitions.get_mut(name) else { return };
        // Those who wait hear that it is gone; then it is.
        partition.role = ReplicaRole::Follower { leader: None };
        self.check_produces(name, ctx);
        self.check_fetches(name, ctx);
        self.partitions.remove(name);
    }

    /// The replica stops, and its log goes.
    fn delete_replica(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) -> io::Result<()> {
        self.stop_replica(name, ctx);
        match self.logs.delete(name, ctx) {
            Ok(Some(log_end)) => ctx.fact(Fact::LogDeleted { partition: name.clone(), log_end }),
            Ok(None) => {}
            Err(error) => {
                ctx.fact(Fact::StorageFailed { what: format!("deleting the log of {name}: {error}") });
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is here under this name may be left from a topic that was deleted.
    fn drop_log_of_another_topic(
        &mut self,
        image: &MetadataImage,
        name: &TopicPartition,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        let wanted = topic_id(image, name);
        let here = match self.partitions.get(name) {
            Some(partition) => Some(partition.topic_id),
            None => match self.logs.get(name) {
                Some(log) => read_topic_id(log.directory(), ctx.storage())?,
                None => None,
            },
        };
        match here {
            Some(here) if here != wanted => self.delete_replica(name, ctx),
            Some(_) | None => Ok(()),
        }
    }

    fn note_topic_id(&mut self, name: &TopicPartition, topic_id: Uuid, ctx: &mut Context<'_>) -> io::Result<()> {
        let Some(log) = self.logs.get(name) else { return Ok(()) };
        let storage = ctx.storage();
        if self.around.config.version < TOPIC_IDS || read_topic_id(log.directory(), storage)? == Some(topic_id) {
            return Ok(());
        }
        write_topic_id(log.directory(), topic_id, storage)
    }
}

fn topic_id(image: &MetadataImage, name: &TopicPartition) -> Uuid {
    image.topics.get(&name.topic).map_or(Uuid::nil(), |topic| topic.id)
}
