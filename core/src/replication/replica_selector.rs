//! From which replica a consumer should read: the one in its own rack.
//!
//! Kafka: `ReplicaManager.findPreferredReadReplica`, `RackAwareReplicaSelector`, `ReplicaView.comparator`; KIP-392 (2.4),
//! KAFKA-14372 (3.4: only replicas in the ISR, or a consumer could be sent to one that never catches up).

use crate::types::{Offset, Timestamp};

/// A replica as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaView<'a> {
    /// The broker.
    pub broker_id: i32,
    /// Its rack.
    pub rack: Option<&'a str>,
    /// Its log end offset.
    pub log_end: Offset,
    /// When it had everything last.
    pub last_caught_up: Option<Timestamp>,
}

/// Where a consumer in `client_rack` should read: of the followers in its rack the one that has most. `None`: from the
/// leader, because it is in that rack itself, or because nobody is.
pub fn rack_aware<'a>(
    client_rack: &str,
    leader_rack: Option<&str>,
    followers: impl IntoIterator<Item = ReplicaView<'a>>,
) -> Option<i32> {
    if client_rack.is_empty() || leader_rack == Some(client_rack) {
        return None;
    }
    let near = followers.into_iter().filter(|replica| replica.rack == Some(client_rack));
    near.max_by_key(|replica| (replica.log_end, replica.last_caught_up, replica.broker_id)).map(|best| best.broker_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(broker_id: i32, rack: &'static str, log_end: i64, caught_up: i64) -> ReplicaView<'static> {
        let last_caught_up = Some(Timestamp(caught_up));
        ReplicaView { broker_id, rack: Some(rack), log_end: Offset(log_end), last_caught_up }
    }

    #[test]
    fn the_nearest_replica_is_the_one_in_the_same_rack_that_has_most() {
        let cases = [
            ("nobody is in that rack", "c", "a", vec![view(2, "b", 9, 1)], None),
            ("the leader is", "a", "a", vec![view(2, "a", 9, 1)], None),
            ("one follower is", "b", "a", vec![view(2, "b", 3, 1), view(3, "c", 9, 1)], Some(2)),
            ("of two the one that has more", "b", "a", vec![view(2, "b", 3, 1), view(3, "b", 4, 0)], Some(3)),
            ("or had everything later", "b", "a", vec![view(2, "b", 3, 5), view(3, "b", 3, 1)], Some(2)),
            ("a consumer without a rack reads from the leader", "", "a", vec![view(2, "", 3, 5)], None),
        ];
        for (what, client, leader, followers, expected) in cases {
            assert_eq!(rack_aware(client, Some(leader), followers), expected, "{what}");
        }
    }
}
