//! Positions and epochs: plain integers that must never be mistaken for one another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The position of a record in a partition; 64 bits, from 0.
    Offset(i64)
);
number!(
    /// How many leaders a partition has had; -1 is unknown. Stamped into every batch (`partitionLeaderEpoch`).
    LeaderEpoch(i32)
);
number!(
    /// The version of a partition's state at the controller (KIP-497): every change of leader or ISR adds one.
    PartitionEpoch(i32)
);
number!(
    /// The incarnation of a broker: the metadata offset of its registration record (KIP-631).
    BrokerEpoch(i64)
);
number!(
    /// The incarnation of a producer id (KIP-98).
    ProducerEpoch(i16)
);
number!(
    /// The number that an idempotent producer gives to a record of one partition; wraps from `i32::MAX` to 0.
    Sequence(i32)
);

impl Offset {
    /// "There is none", as in a produce response at acks=0.
    pub const NONE: Offset = Offset(-1);

    /// The offset `records` further on.
    #[must_use]
    pub fn plus(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }

    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Offset {
        self.plus(1)
    }
}

impl LeaderEpoch {
    /// Unknown or none.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> LeaderEpoch {
        LeaderEpoch(self.0 + 1)
    }
}

impl ProducerEpoch {
    /// Without a producer id there is no epoch.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

impl Sequence {
    /// A record without a sequence.
    pub const NONE: Sequence = Sequence(-1);

    /// The sequence `increment` further on, wrapping to 0 after `i32::MAX` as Kafka's
    /// `DefaultRecordBatch.incrementSequence` does.
    #[must_use]
    pub fn plus(self, increment: i32) -> Sequence {
        let room = i32::MAX - self.0;
        if increment > room { Sequence(increment - room - 1) } else { Sequence(self.0 + increment) }
    }

    /// The sequence `decrement` before, wrapping from 0 to `i32::MAX`; the inverse of [`Sequence::plus`]. What a file says
    /// may be anything, so it wraps where that is no sequence.
    #[must_use]
    pub fn minus(self, decrement: i32) -> Sequence {
        if self.0 < decrement {
            Sequence(i32::MAX.wrapping_sub(decrement.wrapping_sub(self.0)).wrapping_add(1))
        } else {
            Sequence(self.0.wrapping_sub(decrement))
        }
    }
}
