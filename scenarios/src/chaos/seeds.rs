//! Sets of seeds, as ranges: which were to be run, which were, which are missing.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::scenario::parse_seeds;

/// A set of seeds. Its ranges stand in order, and between two of them is a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Seeds(Vec<Range<u64>>);

impl Seeds {
    /// Those of a range.
    pub fn of(range: Range<u64>) -> Self {
        let mut seeds = Self::default();
        seeds.add(range);
        seeds
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them.
    pub fn has(&self, seed: u64) -> bool {
        self.0.iter().any(|range| range.contains(&seed))
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start))
    }

    /// Takes the seeds of a range too.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // What a campaign does all the time: the next one, or the last one once more.
        if let Some(last) = self.0.last_mut().filter(|last| last.start <= range.start && range.start <= last.end) {
            last.end = last.end.max(range.end);
            return;
        }
        let touches = |other: &Range<u64>| other.start <= range.end && range.start <= other.end;
        let (touching, mut apart): (Vec<_>, Vec<_>) = self.0.drain(..).partition(touches);
        let start = touching.iter().map(|other| other.start).fold(range.start, u64::min);
        let end = touching.iter().map(|other| other.end).fold(range.end, u64::max);
        let place = apart.partition_point(|other| other.start < start);
        apart.insert(place, start..end);
        self.0 = apart;
    }

    /// Takes one seed too; the last of all cannot be in a range, and is left out.
    pub fn add_one(&mut self, seed: u64) {
        self.add(seed..seed.saturating_add(1));
    }

    /// Takes those of another set too.
    pub fn add_all(&mut self, others: &Seeds) {
        others.0.iter().for_each(|range| self.add(range.clone()));
    }

    /// Those that another set does not have.
    #[must_use]
    pub fn without(&self, others: &Seeds) -> Seeds {
        let mut left = Seeds::default();
        for range in &self.0 {
            let mut start = range.start;
            for other in others.0.iter().filter(|other| other.start < range.end && range.start < other.end) {
                left.add(start..other.start.max(start));
                start = start.max(other.end);
            }
            left.add(start..range.end.max(start));
        }
        left
    }
}

impl TryFrom<Vec<String>> for Seeds {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let mut seeds = Seeds::default();
        for text in texts {
            seeds.add(parse_seeds(&text)?);
        }
        Ok(seeds)
    }
}

impl From<Seeds> for Vec<String> {
    fn from(seeds: Seeds) -> Self {
        seeds.0.iter().map(|range| format!("{}..{}", range.start, range.end)).collect()
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vec::from(self.clone()).join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(ranges: &[Range<u64>]) -> (Seeds, BTreeSet<u64>) {
        let mut seeds = Seeds::default();
        ranges.iter().for_each(|range| seeds.add(range.clone()));
        (seeds, ranges.iter().flat_map(Clone::clone).collect())
    }

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        prop::collection::vec((0u64..30, 0u64..6).prop_map(|(start, length)| start..start + length), 0..8)
    }

    proptest! {
        #[test]
        fn it_is_the_set_that_it_says(one in ranges(), other in ranges()) {
            let ((one, ones), (other, others)) = (all(&one), all(&other));
            prop_assert_eq!(one.ranges().iter().flat_map(Clone::clone).collect::<Vec<_>>(), ones.iter().copied().collect::<Vec<_>>());
            prop_assert!(one.ranges().windows(2).all(|two| two[0].end < two[1].start));
            prop_assert_eq!(one.len(), ones.len() as u64);
            let left = one.without(&other);
            prop_assert_eq!(left.ranges().iter().flat_map(Clone::clone).collect::<BTreeSet<_>>(), &ones - &others);
            prop_assert_eq!(Seeds::try_from(Vec::from(one.clone())), Ok(one));
        }
    }
}
