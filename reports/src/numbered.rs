//! A map from numbers that mostly count from 0: a vector as long as it is well filled, a tree for the rest.
//!
//! Record numbers and offsets are dense in every run, but a trace is input, and one hostile number must not make a
//! vector of that length.

use std::collections::BTreeMap;

/// Values by number.
#[derive(Clone, Debug)]
pub(crate) struct Numbered<T> {
    dense: Vec<Option<T>>,
    occupied: usize,
    sparse: BTreeMap<u64, T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { dense: Vec::new(), occupied: 0, sparse: BTreeMap::new() }
    }
}

impl<T> Numbered<T> {
    /// The value of a number.
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        match usize::try_from(number).ok().and_then(|index| self.dense.get(index)) {
            Some(Some(value)) => Some(value),
            Some(None) | None => self.sparse.get(&number),
        }
    }

    /// The value of a number, to be changed.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        match usize::try_from(number).ok().and_then(|index| self.dense.get_mut(index)) {
            Some(Some(value)) => Some(value),
            Some(None) | None => self.sparse.get_mut(&number),
        }
    }

    /// Sets the value of a number that has none yet; keeps the old one otherwise and returns false.
    pub(crate) fn insert_new(&mut self, number: u64, value: T) -> bool {
        if self.get(number).is_some() {
            return false;
        }
        // At most four slots per value: memory stays proportional to what there is.
        let room = 64 + 4 * self.occupied;
        match usize::try_from(number) {
            Ok(index) if index < room => {
                if index >= self.dense.len() {
                    self.dense.resize_with(index + 1, || None);
                }
                self.dense[index] = Some(value);
                self.occupied += 1;
            }
            Ok(_) | Err(_) => {
                self.sparse.insert(number, value);
            }
        }
        true
    }

    /// All numbers with their values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let dense = (0..).zip(&self.dense).filter_map(|(number, value)| Some((number, value.as_ref()?)));
        dense.chain(self.sparse.iter().map(|(number, value)| (*number, value)))
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.dense.iter().flatten().chain(self.sparse.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_distant_numbers_are_both_found() {
        let mut map = Numbered::default();
        for number in [0, 1, 2, 1_000, u64::MAX] {
            assert!(map.insert_new(number, number));
            assert!(!map.insert_new(number, 7), "the first value stays");
        }
        assert_eq!(map.get(1_000), Some(&1_000));
        assert_eq!(map.get(u64::MAX), Some(&u64::MAX));
        assert_eq!(map.get(3), None);
        assert!(map.dense.len() <= 64 + 4 * 5);
        assert_eq!(map.values().count(), 5);
    }
}
