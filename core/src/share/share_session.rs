//! Share sessions: what a member has told a leader before, and how many requests it has sent since.
//!
//! Kafka: `ShareSession`, `ShareSessionCache`, `SharePartitionManager.newContext`, `acknowledgeSessionUpdate`, `ShareRequestMetadata`.
//!
//! Epoch 0 opens a session, whatever was before; each request after that names the next epoch, and -1 closes the session. A member that
//! opens a new one where there is an old one does not give back what it had acquired in that: the locks expire.
//!
//! Not modelled: evicting sessions that were not used for long.

use std::collections::BTreeMap;

use kafka_protocol::messages::GroupId;

use crate::protocol::ErrorCode;
use crate::types::{ConnectionId, StrBytes, TopicPartition};

/// Opens a session.
pub const INITIAL_EPOCH: i32 = 0;
/// Closes it.
pub const FINAL_EPOCH: i32 = -1;

/// The epoch after this one; wraps to 1.
pub fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 { FINAL_EPOCH } else { epoch.checked_add(1).unwrap_or(1) }
}

/// Whose session it is.
pub type SessionKey = (GroupId, StrBytes);

/// A session of one member at one leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSession {
    /// The epoch of the next request.
    pub epoch: i32,
    /// What it reads, in the order in which it was said.
    pub partitions: Vec<TopicPartition>,
    /// On which it was opened.
    pub connection: ConnectionId,
}

/// All sessions of a broker.
#[derive(Clone, Debug, Default)]
pub struct ShareSessions {
    sessions: BTreeMap<SessionKey, ShareSession>,
}

/// What a ShareFetch says of its session.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its epoch.
    pub epoch: i32,
    /// Partitions that it reads as well from now on.
    pub added: Vec<TopicPartition>,
    /// Partitions that it does not read any more.
    pub forgotten: Vec<TopicPartition>,
    /// Whether it acknowledges something.
    pub acknowledges: bool,
    /// On which it came.
    pub connection: ConnectionId,
}

impl ShareSessions {
    /// A ShareFetch: the partitions that are to be read for it.
    pub fn fetch(&mut self, key: &SessionKey, told: Told, slots: usize) -> Result<Vec<TopicPartition>, ErrorCode> {
        match told.epoch {
            FINAL_EPOCH if !told.added.is_empty() => Err(ErrorCode::INVALID_REQUEST),
            FINAL_EPOCH => self.get(key).map(|_| Vec::new()),
            INITIAL_EPOCH if told.acknowledges => Err(ErrorCode::INVALID_REQUEST),
            INITIAL_EPOCH => {
                self.sessions.remove(key);
                if self.sessions.len() >= slots {
                    return Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED);
                }
                let partitions = told.added;
                let session = ShareSession { epoch: 1, partitions: partitions.clone(), connection: told.connection };
                self.sessions.insert(key.clone(), session);
                Ok(partitions)
            }
            epoch => {
                let session = self.in_epoch(key, epoch)?;
                session.partitions.retain(|partition| !told.forgotten.contains(partition));
                for partition in told.added {
                    if !session.partitions.contains(&partition) {
                        session.partitions.push(partition);
                    }
                }
                // Each time another one comes first.
                let turn = usize::try_from(epoch).unwrap_or(0) % session.partitions.len().max(1);
                let (first, second) = session.partitions.split_at(turn);
                Ok([second, first].concat())
            }
        }
    }

    /// A ShareAcknowledge.
    pub fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<(), ErrorCode> {
        match epoch {
            INITIAL_EPOCH => Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH),
            FINAL_EPOCH => self.get(key).map(|_| ()),
            epoch => self.in_epoch(key, epoch).map(|_| ()),
        }
    }

    fn get(&mut self, key: &SessionKey) -> Result<&mut ShareSession, ErrorCode> {
        self.sessions.get_mut(key).ok_or(ErrorCode::SHARE_SESSION_NOT_FOUND)
    }

    fn in_epoch(&mut self, key: &SessionKey, epoch: i32) -> Result<&mut ShareSession, ErrorCode> {
        let session = self.get(key)?;
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH);
        }
        session.epoch = next_epoch(epoch);
        Ok(session)
    }

    /// A session is over: what it read.
    pub fn close(&mut self, key: &SessionKey) -> Option<ShareSession> {
        self.sessions.remove(key)
    }

    /// The sessions that were opened on a connection.
    pub fn on_connection(&self, connection: ConnectionId) -> Vec<SessionKey> {
        let opened = self.sessions.iter().filter(|(_, session)| session.connection == connection);
        opened.map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SessionKey {
        let text = |text: &'static str| StrBytes::from_static_str(text);
        (GroupId(text("workers")), text("m1"))
    }

    fn told(epoch: i32, added: &[i32], forgotten: &[i32]) -> Told {
        let named = |indexes: &[i32]| indexes.iter().map(|index| TopicPartition::of("orders", *index)).collect();
        let (added, forgotten) = (named(added), named(forgotten));
        Told { epoch, added, forgotten, acknowledges: false, connection: ConnectionId(7) }
    }

    fn numbers(result: Result<Vec<TopicPartition>, ErrorCode>) -> Result<Vec<i32>, ErrorCode> {
        result.map(|partitions| partitions.into_iter().map(|partition| partition.partition).collect())
    }

    #[test]
    fn a_session_is_opened_goes_on_and_is_closed() {
        let (mut sessions, key) = (ShareSessions::default(), key());
        assert_eq!(numbers(sessions.fetch(&key, told(1, &[0], &[]), 10)), Err(ErrorCode::SHARE_SESSION_NOT_FOUND));
        assert_eq!(numbers(sessions.fetch(&key, told(0, &[0, 1], &[]), 10)), Ok(vec![0, 1]));
        assert_eq!(numbers(sessions.fetch(&key, told(1, &[2], &[]), 10)), Ok(vec![1, 2, 0]), "another one comes first");
        assert_eq!(numbers(sessions.fetch(&key, told(1, &[], &[]), 10)), Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH));
        assert_eq!(sessions.acknowledge(&key, 2), Ok(()), "both kinds of request count");
        assert_eq!(numbers(sessions.fetch(&key, told(3, &[], &[0, 1]), 10)), Ok(vec![2]));
        assert_eq!(numbers(sessions.fetch(&key, told(-1, &[0], &[]), 10)), Err(ErrorCode::INVALID_REQUEST));
        assert_eq!(numbers(sessions.fetch(&key, told(-1, &[], &[]), 10)), Ok(vec![]));
        assert_eq!(sessions.close(&key).map(|session| session.partitions.len()), Some(1));
        assert_eq!(sessions.acknowledge(&key, -1), Err(ErrorCode::SHARE_SESSION_NOT_FOUND));
    }

    #[test]
    fn epoch_0_opens_a_session_for_fetching_only_and_without_acknowledgements() {
        let (mut sessions, key) = (ShareSessions::default(), key());
        assert_eq!(sessions.acknowledge(&key, 0), Err(ErrorCode::INVALID_SHARE_SESSION_EPOCH));
        let acknowledging = Told { acknowledges: true, ..told(0, &[0], &[]) };
        assert_eq!(numbers(sessions.fetch(&key, acknowledging, 10)), Err(ErrorCode::INVALID_REQUEST));
        assert_eq!(numbers(sessions.fetch(&key, told(0, &[0], &[]), 0)), Err(ErrorCode::SHARE_SESSION_LIMIT_REACHED));
        for _ in 0..2 {
            assert_eq!(
                numbers(sessions.fetch(&key, told(0, &[0], &[]), 1)),
                Ok(vec![0]),
                "an old one is in nobody's way"
            );
        }
        assert_eq!(sessions.on_connection(ConnectionId(7)), std::slice::from_ref(&key));
        assert_eq!(sessions.on_connection(ConnectionId(8)), []);
    }

    #[test]
    fn epochs_wrap_to_1() {
        assert_eq!([0, 1, i32::MAX, -1].map(next_epoch), [1, 2, 1, -1]);
    }
}
