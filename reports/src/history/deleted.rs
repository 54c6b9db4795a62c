//! Topics that are deleted while the history is written: what of it is theirs ([`crate::deletion`]).

use ackproof_core::types::Offset;

use super::History;

impl History {
    /// Whether a record that was told to be at an offset of a partition went with its topic, which was deleted.
    pub(crate) fn was_deleted(&self, index: usize, partition: usize, offset: Offset) -> bool {
        self.deletions.took(index, &self.partition_names[partition], offset)
    }

    /// A topic is gone. What its offsets held says nothing of another topic of the same name.
    pub(super) fn topic_deleted(&mut self, topic: &str) {
        let replicas = self.replica_lists.get(topic).map_or(&[][..], Vec::as_slice);
        self.deletions.deleted(topic, replicas, |broker| self.down.contains(&broker), self.sends.len());
        let named = self.partition_names.iter().zip(&mut self.partitions);
        for (_, partition) in named.filter(|(name, _)| name.topic.as_str() == topic) {
            partition.end();
        }
    }

    /// Whether what an offset is said to hold may be a word of a topic that was deleted.
    pub(super) fn may_be_old(&mut self, partition: usize, digest: u64) -> bool {
        let (sends, topics) = (&self.sends, &self.topics);
        let sent = |from: usize| sends[from..].iter().map(|sent| (topics[sent.topic].0.as_str(), sent.digest));
        self.deletions.may_be_old(self.partition_names[partition].topic.as_str(), digest, sent)
    }

    /// The process of a broker begins, or has ended.
    pub(super) fn lives(&mut self, broker: i32, lives: bool) {
        if lives {
            self.down.remove(&broker);
        } else {
            self.down.insert(broker);
            self.deletions.went_down(broker, self.sends.len());
        }
    }
}
