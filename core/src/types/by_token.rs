//! What waits under numbers that were given out one after the other: requests in the hands of somebody else.

use std::collections::VecDeque;

/// A map whose keys ascend as they are inserted, and of which the oldest leave first, by and large. So a list in that
/// order does, and nothing is allocated for the next one while others leave.
#[derive(Clone, Debug)]
pub struct ByToken<T> {
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for ByToken<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> ByToken<T> {
    /// One more waits.
    ///
    /// # Panics
    /// If the token is not larger than those before it.
    pub fn insert(&mut self, token: u64, value: T) {
        assert!(self.waiting.back().is_none_or(|(last, _)| *last < token), "tokens ascend");
        self.waiting.push_back((token, value));
    }

    /// What waits under a token.
    pub fn get_mut(&mut self, token: u64) -> Option<&mut T> {
        let at = self.position(token)?;
        self.waiting.get_mut(at).map(|(_, value)| value)
    }

    /// It waits no more.
    pub fn remove(&mut self, token: u64) -> Option<T> {
        let at = self.position(token)?;
        self.waiting.remove(at).map(|(_, value)| value)
    }

    /// All that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.waiting.iter().map(|(token, value)| (*token, value))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn position(&self, token: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&token, |(waiting, _)| *waiting).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_token_until_it_leaves() {
        let mut waiting = ByToken::default();
        for token in [3, 5, 9] {
            waiting.insert(token, token * 10);
        }
        assert_eq!(waiting.remove(5), Some(50));
        assert_eq!((waiting.remove(5), waiting.remove(4)), (None, None));
        assert_eq!(waiting.get_mut(9).copied(), Some(90));
        let left: Vec<(u64, u64)> = waiting.iter().map(|(token, value)| (token, *value)).collect();
        assert_eq!(left, [(3, 30), (9, 90)]);
        assert_eq!((waiting.len(), waiting.is_empty()), (2, false));
    }

    #[test]
    #[should_panic(expected = "tokens ascend")]
    fn an_old_token_is_not_taken_again() {
        let mut waiting = ByToken::default();
        waiting.insert(2, ());
        waiting.insert(2, ());
    }
}
