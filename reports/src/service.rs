//! What producers get out of a run: how long they wait for their answers, and how many of their records are acknowledged.
//!
//! A record is what the program wanted to send: if it repeats a call because the first one failed, that is one record, and it has waited since
//! the first call. Virtual time, integers: the same seed gives the same figures.
//! Not modelled: what consumers see; producers without answers (acks=0 counts as acknowledged once it is on its way).

use std::collections::BTreeMap;
use std::fmt;

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, RecordId};
use serde::{Deserialize, Serialize};

/// Takes the facts of a run, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    records: u64,
    /// How long each acknowledged record took, in microseconds.
    waited_us: Vec<u64>,
    /// Records that wait, by their last call, with the time of the first.
    waiting: BTreeMap<RecordId, Instant>,
}

impl Observer for Meter {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::RecordSent { record, resend_of, .. } => {
                let first = resend_of.and_then(|earlier| self.waiting.remove(&earlier));
                self.records += u64::from(resend_of.is_none());
                // Of a call that is repeated although it was acknowledged nothing is waited for.
                if resend_of.is_none() || first.is_some() {
                    self.waiting.insert(*record, first.unwrap_or(event.time));
                }
            }
            Fact::RecordAcknowledged { record, .. } => {
                if let Some(sent) = self.waiting.remove(record) {
                    self.waited_us.push(event.time.since(sent).0 / 1_000);
                }
            }
            _ => {}
        }
    }
}

impl Meter {
    /// Takes another run.
    pub fn add(&mut self, other: &Meter) {
        self.records += other.records;
        self.waited_us.extend(&other.waited_us);
    }

    /// The figures.
    pub fn service(&self) -> Service {
        let mut waited = self.waited_us.clone();
        waited.sort_unstable();
        // The smallest of which so many percent are no larger.
        let percentile = |percent: usize| match (waited.len() * percent).div_ceil(100) {
            0 => 0,
            rank => waited[rank - 1],
        };
        let acknowledged = waited.len() as u64;
        Service { records: self.records, acknowledged, p50_us: percentile(50), p99_us: percentile(99) }
    }
}

/// What producers got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Records that programs wanted to send.
    pub records: u64,
    /// Those that were acknowledged.
    pub acknowledged: u64,
    /// Half of these were acknowledged within so many microseconds of virtual time.
    pub p50_us: u64,
    /// And 99 of 100 within so many.
    pub p99_us: u64,
}

impl Service {
    /// How many of a thousand records were acknowledged.
    pub fn permille(&self) -> u64 {
        (self.acknowledged * 1_000).checked_div(self.records).unwrap_or(0)
    }
}

/// What a change costs: the same seeds without it, and with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Without.
    pub before: Service,
    /// With it.
    pub after: Service,
}

impl Cost {
    /// From the same seeds without a change and with it.
    pub fn of(before: &Meter, after: &Meter) -> Self {
        Self { before: before.service(), after: after.service() }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { before, after } = self;
        if before.acknowledged == 0 && after.acknowledged == 0 {
            return f.write_str("no record is acknowledged, with it or without");
        }
        let waited = |service: &Service| format!("{} (p99 {})", time(service.p50_us), time(service.p99_us));
        let share = |service: &Service| format!("{}.{}%", service.permille() / 10, service.permille() % 10);
        let (was, is) = ((waited(before), share(before)), (waited(after), share(after)));
        match after.acknowledged {
            0 => f.write_str("acknowledged never")?,
            _ => write!(f, "acknowledged after {}", is.0)?,
        }
        // Where nothing was acknowledged there is no such time.
        if was.0 != is.0 && before.acknowledged > 0 {
            write!(f, ", before {}", was.0)?;
        }
        write!(f, "; {} of records acknowledged", is.1)?;
        if was.1 != is.1 {
            write!(f, ", before {}", was.1)?;
        }
        if was == is { f.write_str("; as before") } else { Ok(()) }
    }
}

fn time(micros: u64) -> String {
    match micros {
        0..1_000_000 => format!("{}.{:03} ms", micros / 1_000, micros % 1_000),
        _ => format!("{}.{:03} s", micros / 1_000_000, micros / 1_000 % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackproof_core::types::{NodeId, Offset, TopicPartition};

    fn meter(facts: &[(u64, Fact)]) -> Meter {
        let mut meter = Meter::default();
        for (millis, fact) in facts {
            let (time, node) = (Instant(millis * 1_000_000), NodeId::Client(0));
            meter.observe(&Event { sequence: 0, time, node, cause: 0, fact: fact.clone() });
        }
        meter
    }

    fn record(number: u64) -> RecordId {
        RecordId { client: 0, number }
    }

    fn sent(number: u64, resend_of: Option<u64>) -> Fact {
        let resend_of = resend_of.map(record);
        Fact::RecordSent { record: record(number), topic: "orders".into(), key: None, value: None, resend_of }
    }

    fn acknowledged(number: u64) -> Fact {
        let partition = TopicPartition::of("orders", 0);
        Fact::RecordAcknowledged { record: record(number), partition, offset: Offset(0), acks: -1 }
    }

    #[test]
    fn a_repeated_call_is_the_same_record() {
        let facts = [(0, sent(0, None)), (1, sent(1, None)), (3, acknowledged(1)), (5, sent(2, Some(0)))];
        let service = meter(&[&facts[..], &[(9, acknowledged(2)), (9, sent(3, None))]].concat()).service();
        assert_eq!(service, Service { records: 3, acknowledged: 2, p50_us: 2_000, p99_us: 9_000 });
        assert_eq!(service.permille(), 666);
    }

    #[test]
    fn runs_add_up() {
        let mut all = meter(&[(0, sent(0, None)), (1, acknowledged(0))]);
        all.add(&meter(&[(0, sent(0, None)), (4, acknowledged(0))]));
        assert_eq!(all.service(), Service { records: 2, acknowledged: 2, p50_us: 1_000, p99_us: 4_000 });
        assert_eq!(Meter::default().service(), Service::default());
    }

    #[test]
    fn costs_in_words() {
        let check = |before, after, words: &str| assert_eq!(Cost { before, after }.to_string(), words);
        let service = |acknowledged, p50_us| Service { records: 200, acknowledged, p50_us, p99_us: 2 * p50_us };
        check(
            service(200, 1_004),
            service(195, 2_103),
            "acknowledged after 2.103 ms (p99 4.206 ms), before 1.004 ms (p99 2.008 ms); 97.5% of records acknowledged, before 100.0%",
        );
        check(
            service(200, 1_004),
            service(200, 1_004),
            "acknowledged after 1.004 ms (p99 2.008 ms); 100.0% of records acknowledged; as before",
        );
        check(
            service(200, 999_999),
            service(200, 999_999),
            "acknowledged after 999.999 ms (p99 1.999 s); 100.0% of records acknowledged; as before",
        );
        let never = "acknowledged after 1.004 ms (p99 2.008 ms); 100.0% of records acknowledged, before 0.0%";
        check(service(0, 0), service(200, 1_004), never);
        let never = "acknowledged never, before 1.004 ms (p99 2.008 ms); 0.0% of records acknowledged, before 100.0%";
        check(service(200, 1_004), service(0, 0), never);
        check(service(0, 0), service(0, 0), "no record is acknowledged, with it or without");
    }
}
