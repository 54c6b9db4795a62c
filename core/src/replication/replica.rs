//! What the leader knows of one follower.
//!
//! Kafka: `cluster/Replica.scala`, KIP-903.
//!
//! A follower is in sync if at some time during the last `replica.lag.time.max.ms` it had everything the leader had at
//! that time. The leader learns it one fetch late: a fetch *from* offset 10 says that everything below 10 is there.
//!
//! ```text
//!   fetch 1 at t1: leader's end is 10         fetch 2 at t2 asks for 10 or more
//!   ───────────●──────────────────────────────────●──────▶    so it was caught up at t1
//! ```
//!
//! Times are those of the wall clock, as in Kafka: a clock that jumps makes followers look late.

use crate::types::{BrokerEpoch, Duration, Offset, Timestamp};

/// A follower, seen from the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The broker.
    pub broker_id: i32,
    /// The offset it asked for last; -1 if it never did in this leadership.
    pub log_end: Offset,
    /// Its log start offset; -1 if unknown.
    pub log_start: Offset,
    /// Its incarnation as of its last fetch; none if it never fetched.
    pub broker_epoch: Option<BrokerEpoch>,
    leader_end_at_last_fetch: Offset,
    last_fetch: Option<Timestamp>,
    last_caught_up: Option<Timestamp>,
}

/// One fetch of a follower.
#[derive(Clone, Copy, Debug)]
pub struct FollowerFetch {
    /// The offset it asks for: its log end offset.
    pub offset: Offset,
    /// Its log start offset.
    pub log_start: Offset,
    /// When the request came.
    pub at: Timestamp,
    /// The leader's log end offset at that time.
    pub leader_end: Offset,
    /// The follower's incarnation; -1 if it does not say.
    pub broker_epoch: BrokerEpoch,
}

impl Replica {
    /// A follower that was never heard of.
    pub fn new(broker_id: i32) -> Self {
        Self {
            broker_id,
            log_end: Offset::NONE,
            log_start: Offset::NONE,
            broker_epoch: None,
            leader_end_at_last_fetch: Offset(0),
            last_fetch: None,
            last_caught_up: None,
        }
    }

    /// The leader begins a new epoch with its log ending at `leader_end`. A follower in the ISR gets the full lag time to
    /// show itself; one outside must not hold back the high watermark.
    pub fn begin_epoch(&mut self, now: Timestamp, leader_end: Offset, new_leader: bool, in_isr: bool) {
        let since = in_isr.then_some(now);
        if new_leader {
            *self = Self { last_caught_up: since, ..Self::new(self.broker_id) };
        } else {
            self.leader_end_at_last_fetch = leader_end;
            self.last_fetch = since;
            self.last_caught_up = since;
        }
    }

    /// When it had everything last, as far as the leader knows.
    pub fn last_caught_up(&self) -> Option<Timestamp> {
        self.last_caught_up
    }

    /// It fetched.
    pub fn fetched(&mut self, fetch: FollowerFetch) {
        if fetch.offset >= fetch.leader_end {
            self.last_caught_up = self.last_caught_up.max(Some(fetch.at));
        } else if fetch.offset >= self.leader_end_at_last_fetch {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.log_end = fetch.offset;
        self.log_start = fetch.log_start;
        self.leader_end_at_last_fetch = self.leader_end_at_last_fetch.max(fetch.leader_end);
        self.last_fetch = Some(fetch.at);
        self.broker_epoch = Some(fetch.broker_epoch);
    }

    /// Whether it has everything, or had so at most `lag_max` ago.
    pub fn is_caught_up(&self, leader_end: Offset, now: Timestamp, lag_max: Duration) -> bool {
        let lag_max = i64::try_from(lag_max.as_millis()).unwrap_or(i64::MAX);
        self.log_end == leader_end || self.last_caught_up.is_some_and(|since| now.0.saturating_sub(since.0) <= lag_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_millis(100);

    fn fetch(replica: &mut Replica, at: i64, offset: i64, leader_end: i64) {
        replica.fetched(FollowerFetch {
            offset: Offset(offset),
            log_start: Offset(0),
            at: Timestamp(at),
            leader_end: Offset(leader_end),
            broker_epoch: BrokerEpoch(7),
        });
    }

    fn member_since(now: i64, leader_end: i64) -> Replica {
        let mut replica = Replica::new(2);
        replica.begin_epoch(Timestamp(now), Offset(leader_end), true, true);
        replica
    }

    #[test]
    fn a_member_that_never_fetches_lags_after_the_lag_time() {
        let replica = member_since(1_000, 10);
        assert!(replica.is_caught_up(Offset(10), Timestamp(1_100), LAG));
        assert!(!replica.is_caught_up(Offset(10), Timestamp(1_101), LAG));
    }

    #[test]
    fn one_that_is_always_a_little_behind_a_busy_leader_is_in_sync() {
        let mut replica = member_since(0, 0);
        // At every fetch the leader is ten records ahead, but each fetch reaches what the leader had at the one before.
        for round in 0..10 {
            fetch(&mut replica, round * 90, round * 10, round * 10 + 10);
        }
        // Caught up as of the fetch before the last, at 720.
        assert!(replica.is_caught_up(Offset(100), Timestamp(820), LAG));
        assert!(!replica.is_caught_up(Offset(100), Timestamp(821), LAG));
    }

    #[test]
    fn one_that_falls_further_behind_with_every_fetch_is_not() {
        let mut replica = member_since(0, 0);
        for round in 1..10 {
            fetch(&mut replica, round * 90, round, round * 100);
        }
        assert!(!replica.is_caught_up(Offset(900), Timestamp(810), LAG));
    }

    #[test]
    fn one_with_everything_is_in_sync_however_long_ago_it_fetched() {
        let mut replica = member_since(0, 0);
        fetch(&mut replica, 0, 5, 5);
        assert!(replica.is_caught_up(Offset(5), Timestamp(1_000_000), LAG));
        assert!(!replica.is_caught_up(Offset(6), Timestamp(1_000_000), LAG));
    }

    #[test]
    fn a_new_leader_knows_nothing_of_an_outsider() {
        let mut replica = Replica::new(2);
        fetch(&mut replica, 50, 5, 5);
        replica.begin_epoch(Timestamp(60), Offset(9), true, false);
        assert_eq!((replica.log_end, replica.broker_epoch), (Offset::NONE, None));
        assert!(!replica.is_caught_up(Offset(9), Timestamp(60), LAG));
    }
}
