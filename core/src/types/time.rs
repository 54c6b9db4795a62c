//! Virtual time: integers of nanoseconds since the start of the run.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A moment of the run, in nanoseconds since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(pub u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Duration(pub u64);

/// Wall-clock time as Kafka writes it into records: milliseconds since 1970. -1 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// No timestamp.
    pub const NONE: Timestamp = Timestamp(-1);
}

/// The earliest of some deadlines, those that there are.
pub fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    // Asked for after every input, of every part: a plain loop, where a chain of iterators would cost several times that.
    let mut earliest = None;
    for deadline in deadlines {
        earliest = match (earliest, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (only, None) | (None, only) => only,
        };
    }
    earliest
}

impl Instant {
    /// The start of the run.
    pub const START: Instant = Instant(0);
    /// Later than anything that happens.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// Longer than any run; Kafka's `Long.MAX_VALUE`.
    pub const FOREVER: Duration = Duration(u64::MAX);

    /// So many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Duration {
        Duration(nanos)
    }
    /// So many microseconds, at most [`Duration::FOREVER`].
    pub const fn from_micros(micros: u64) -> Duration {
        Duration(micros.saturating_mul(1_000))
    }
    /// So many milliseconds, at most [`Duration::FOREVER`].
    pub const fn from_millis(millis: u64) -> Duration {
        Duration(millis.saturating_mul(1_000_000))
    }
    /// What a request says in milliseconds; less than nothing is nothing.
    pub fn from_request_millis(millis: i32) -> Duration {
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
    /// So many seconds, at most [`Duration::FOREVER`].
    pub const fn from_secs(secs: u64) -> Duration {
        Duration(secs.saturating_mul(1_000_000_000))
    }
    /// Whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// The time multiplied, at most [`Duration::FOREVER`].
    #[must_use]
    pub const fn times(self, factor: u64) -> Duration {
        Duration(self.0.saturating_mul(factor))
    }
}

impl From<std::time::Duration> for Duration {
    /// The same time, at most [`Duration::FOREVER`].
    fn from(time: std::time::Duration) -> Duration {
        Duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, length: Duration) -> Instant {
        Instant(self.0.saturating_add(length.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, length: Duration) {
        *self = *self + length;
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Duration) {
        *self = *self + other;
    }
}

impl Sub for Duration {
    type Output = Duration;
    fn sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Instant {
    /// Seconds with milliseconds, `2.118s`; finer only where milliseconds would hide the order of things.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1_000)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("forever"),
            nanos if nanos % 1_000_000_000 == 0 => write!(f, "{} s", nanos / 1_000_000_000),
            nanos if nanos >= 1_000_000_000 => {
                write!(f, "{}.{:03} s", nanos / 1_000_000_000, nanos / 1_000_000 % 1_000)
            }
            nanos if nanos >= 1_000_000 => write!(f, "{} ms", nanos / 1_000_000),
            nanos if nanos >= 1_000 => write!(f, "{} µs", nanos / 1_000),
            nanos => write!(f, "{nanos} ns"),
        }
    }
}
