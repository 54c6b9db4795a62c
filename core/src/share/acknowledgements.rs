//! What a member says of records that it has: which it may say, and what follows from it.
//!
//! Kafka: `SharePartition.acknowledge`, `ShareAcknowledgementBatch`, `AcknowledgeType`, `KafkaApis.validateAcknowledgementBatches`.
//!
//! A batch is taken as a whole or not at all. What lies below the start offset is done with: an acknowledgement of it succeeds and
//! changes nothing, whoever sends it. Above it a record must be acquired, by this member, with nothing under way.

use super::SharePartition;
use super::in_flight::StateWrite;
use crate::fact::{ShareReason, ShareState};
use crate::protocol::ErrorCode;
use crate::types::{Offset, StrBytes};

/// What a member says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgeType {
    /// There is no record at this offset.
    Gap,
    /// It is processed.
    Accept,
    /// It is not, and is to be delivered again.
    Release,
    /// It cannot be, and is to be delivered to nobody.
    Reject,
}

impl AcknowledgeType {
    /// Its number.
    pub fn id(self) -> i8 {
        match self {
            AcknowledgeType::Gap => 0,
            AcknowledgeType::Accept => 1,
            AcknowledgeType::Release => 2,
            AcknowledgeType::Reject => 3,
        }
    }

    /// By its number.
    pub fn of(id: i8) -> Option<AcknowledgeType> {
        match id {
            0 => Some(AcknowledgeType::Gap),
            1 => Some(AcknowledgeType::Accept),
            2 => Some(AcknowledgeType::Release),
            3 => Some(AcknowledgeType::Reject),
            _ => None,
        }
    }

    /// As a reason.
    pub fn reason(self) -> ShareReason {
        match self {
            AcknowledgeType::Gap => ShareReason::Gap,
            AcknowledgeType::Accept => ShareReason::Accepted,
            AcknowledgeType::Release => ShareReason::Released,
            AcknowledgeType::Reject => ShareReason::Rejected,
        }
    }
}

/// Some neighbours, and what is said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first.
    pub first: Offset,
    /// The last.
    pub last: Offset,
    /// Of each, or one for all.
    pub types: Vec<AcknowledgeType>,
}

impl Acknowledgement {
    /// What is said of an offset.
    fn of(&self, offset: i64) -> Option<AcknowledgeType> {
        if let [one] = self.types[..] {
            return Some(one);
        }
        self.types.get(usize::try_from(offset - self.first.0).ok()?).copied()
    }

    /// Whether it is one: ascending, and with a word for all or for each.
    fn is_sound(&self) -> bool {
        let count = self.last.0.checked_sub(self.first.0).and_then(|more| more.checked_add(1)).unwrap_or(0);
        self.first.0 >= 0 && count > 0 && (self.types.len() == 1 || i64::try_from(self.types.len()) == Ok(count))
    }
}

/// Whether a request may say this of one partition at all.
fn are_sound(all: &[Acknowledgement]) -> bool {
    all.iter().all(Acknowledgement::is_sound) && all.windows(2).all(|two| two[0].last < two[1].first)
}

impl SharePartition {
    /// A member says what it has done with records. What is to be written, if anything is.
    pub fn acknowledge(
        &mut self,
        member: &StrBytes,
        acknowledgements: &[Acknowledgement],
    ) -> Result<Option<StateWrite>, ErrorCode> {
        if !are_sound(acknowledgements) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let mut said = Vec::new();
        for batch in acknowledgements {
            if batch.last < self.start_offset() {
                continue;
            }
            self.check_place(batch)?;
            let from = batch.first.max(self.start_offset());
            for (offset, record) in self.records.range(from.0..=batch.last.0) {
                if !record.is_held() || record.member != *member {
                    return Err(ErrorCode::INVALID_RECORD_STATE);
                }
                said.push((*offset, batch.of(*offset).ok_or(ErrorCode::INVALID_REQUEST)?));
            }
        }
        Ok(self.begin(said.into_iter().map(|(offset, said)| (offset, said.reason())).collect()))
    }

    /// Whether these offsets were ever handed out.
    fn check_place(&self, batch: &Acknowledgement) -> Result<(), ErrorCode> {
        let Some((first, last)) = self.bounds() else { return Err(ErrorCode::INVALID_RECORD_STATE) };
        if batch.first.0 < first && batch.first >= self.start_offset() {
            return Err(ErrorCode::INVALID_RECORD_STATE);
        }
        if batch.last.0 > last { Err(ErrorCode::INVALID_REQUEST) } else { Ok(()) }
    }

    /// The session of a member is over: what it has is given back. What is to be written, if anything is.
    pub fn release(&mut self, member: &StrBytes) -> Option<StateWrite> {
        let held = self.records.iter().filter(|(_, record)| record.is_held() && record.member == *member);
        let held = held.map(|(offset, _)| (*offset, ShareReason::SessionClosed)).collect();
        self.begin(held)
    }

    /// These are something else as soon as that is written.
    fn begin(&mut self, said: Vec<(i64, ShareReason)>) -> Option<StateWrite> {
        if said.is_empty() {
            return None;
        }
        let limits = self.limits;
        for (offset, reason) in &said {
            self.update(*offset, |record| {
                record.before = Some((record.delivery_count, std::mem::take(&mut record.member)));
                match reason {
                    ShareReason::Accepted => record.state = ShareState::Acknowledged,
                    ShareReason::Rejected | ShareReason::Gap => record.state = ShareState::Archived,
                    ShareReason::SessionClosed if limits.undelivered_does_not_count => {
                        record.delivery_count = record.delivery_count.saturating_sub(1);
                        record.state = ShareState::Available;
                    }
                    ShareReason::Released | ShareReason::SessionClosed | ShareReason::LockExpired => {
                        record.give_back(limits.delivery_count);
                    }
                }
            });
        }
        Some(self.write(said))
    }
}
