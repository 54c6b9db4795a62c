//! Producer ids for idempotent producers, out of blocks that the controller hands to brokers.
//!
//! Kafka: `coordinator/transaction/ProducerIdManager.scala` (RPCProducerIdManager), KIP-730.
//! Requests wait while a block is on its way, as before 3.6; later versions answer `COORDINATOR_LOAD_IN_PROGRESS`
//! at once and the producer asks again.
//! Not modelled: fetching the next block when nine tenths of one are used.

use std::collections::VecDeque;
use std::ops::Range;

use super::socket_server::ReplyTo;
use crate::types::{Duration, Instant};

/// Wait before the next attempt when the controller refused.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);

/// The block in use, and who waits for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducerIdManager {
    block: Range<i64>,
    waiting: VecDeque<ReplyTo>,
    requested: bool,
    retry_at: Option<Instant>,
}

impl ProducerIdManager {
    /// A request for an id; it is answered by [`Self::next_grant`].
    pub fn enqueue(&mut self, reply_to: ReplyTo) {
        self.waiting.push_back(reply_to);
    }

    /// The next answer that can be given.
    pub fn next_grant(&mut self) -> Option<(ReplyTo, i64)> {
        if self.waiting.is_empty() {
            return None;
        }
        let id = self.block.next()?;
        Some((self.waiting.pop_front()?, id))
    }

    /// Whether a block must be asked for now; it is taken as asked for.
    pub fn must_request_block(&mut self, now: Instant) -> bool {
        let must = !self.waiting.is_empty() && !self.requested && self.retry_at.is_none_or(|at| at <= now);
        if must {
            self.requested = true;
            self.retry_at = None;
        }
        must
    }

    /// The controller's answer: a block, or an error.
    pub fn on_block(&mut self, block: Option<Range<i64>>, now: Instant) {
        self.requested = false;
        match block.filter(|block| !block.is_empty() && block.start >= self.block.end) {
            Some(block) => self.block = block,
            None => self.retry_at = Some(now + RETRY_BACKOFF),
        }
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.retry_at.filter(|_| !self.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ConnectionId, NodeId};

    fn client(number: u32) -> ReplyTo {
        ReplyTo {
            connection: ConnectionId(u64::from(number)),
            correlation_id: 0,
            from: NodeId::Client(number),
            cause: 0,
        }
    }

    #[test]
    fn requests_wait_for_the_block_and_get_its_ids_in_order() {
        let mut ids = ProducerIdManager::default();
        ids.enqueue(client(1));
        ids.enqueue(client(2));
        assert_eq!(ids.next_grant(), None);
        assert!(ids.must_request_block(Instant(0)));
        assert!(!ids.must_request_block(Instant(0)), "one block at a time");
        ids.on_block(Some(1000..1002), Instant(5));
        assert_eq!(ids.next_grant(), Some((client(1), 1000)));
        assert_eq!(ids.next_grant(), Some((client(2), 1001)));
        ids.enqueue(client(3));
        assert_eq!(ids.next_grant(), None, "the block is used up");
        assert!(ids.must_request_block(Instant(6)));
    }

    #[test]
    fn a_refusal_or_a_block_that_goes_back_is_asked_again_after_the_backoff() {
        for answer in [None, Some(0..10), Some(1002..1002)] {
            let mut ids = ProducerIdManager { block: 1002..1002, ..ProducerIdManager::default() };
            ids.enqueue(client(1));
            assert!(ids.must_request_block(Instant(0)));
            ids.on_block(answer, Instant(0));
            assert_eq!(ids.next_grant(), None);
            assert!(!ids.must_request_block(Instant(0)));
            let retry_at = ids.next_deadline().expect("there is a next attempt");
            assert_eq!(retry_at, Instant(0) + RETRY_BACKOFF);
            assert!(ids.must_request_block(retry_at));
        }
    }
}
