//! Faults of messages, links, disks, files, clocks and threads: what they mean.

use std::ops::Range;

use ackproof_core::types::Duration;
use ackproof_sim::faults::{Action, FileDamage, FileKind, LinkChange, MessageFault, Place, SegmentChoice};
use ackproof_sim::world::{Corruption, Damage, Direction, DiskFault, DiskFaults, Interference};

use super::amounts::{self, Between};
use super::reading::Reading;
use super::steps::Choice;
use crate::document::faults as written;
use crate::document::steps::{ClockDrift, CutDirection, MetadataLag};
use crate::document::{Value, Written};

impl Reading<'_> {
    pub fn messages(
        &mut self,
        it: &written::Messages,
        interference: Interference,
        span: Range<usize>,
        choices: &mut Vec<Choice>,
    ) -> Option<MessageFault> {
        let from = it.from.as_ref().map(|nodes| self.nodes(nodes));
        let to = it.to.as_ref().map(|nodes| self.nodes(nodes));
        let partition = it.partition.as_ref().map(|name| self.partition(name, name.span()));
        let by = it.by.as_ref().map(|by| (self.time_or_range(by), by.span()));
        if let Some(api) = &it.api
            && !ackproof_core::protocol::APIS.contains(&api.as_str())
        {
            let found = self.error(api.span(), format!("there is no API `{}`", api.as_str()));
            self.report(found.nearest(api, ackproof_core::protocol::APIS.iter().copied()));
        }
        let interference = self.interference(it, interference, by, span, choices)?;
        let mut number = |written: &Option<Written<Value>>, choice: fn(Between<u64>) -> Choice| {
            let range = self.number_or_range(written.as_ref()?)?;
            choices.push(choice(range));
            Some(range.low)
        };
        let times = number(&it.times, Choice::MessageTimes);
        let skip = number(&it.skip, Choice::MessageSkip).unwrap_or(0);
        let direction = it.message.map(|kind| match kind {
            written::MessageKind::Request => Direction::Request,
            written::MessageKind::Response => Direction::Response,
        });
        // `None` inside `Some` is a selector that could not be read.
        let (from, to) = (from.map_or(Some(None), |it| it.map(Some))?, to.map_or(Some(None), |it| it.map(Some))?);
        let partition = partition.map_or(Some(None), |it| it.map(Some))?;
        let api = it.api.as_ref().map(ToString::to_string);
        Some(MessageFault { api, direction, from, to, partition, interference, times, skip })
    }

    pub fn clock_drift(&mut self, it: &ClockDrift) -> Option<Action> {
        if !(-500_000..=500_000).contains(&*it.ppm) {
            let found = self.error(it.ppm.span(), format!("a clock that is {} ppm fast is no clock", *it.ppm));
            self.report(found.remedy("from -500000 to 500000"));
        }
        self.nodes(&it.nodes).map(|nodes| Action::ClockDrift(nodes, *it.ppm))
    }

    pub fn metadata_lag(&mut self, it: &MetadataLag) -> Option<Action> {
        let by = self.time(Some(&it.by), Duration::ZERO);
        if by == Duration::ZERO {
            let found = self.error(it.by.span(), "a broker that is not late lags behind nobody");
            self.report(found.remedy("write a time, like \"10s\""));
        }
        self.nodes(&it.nodes).map(|nodes| Action::MetadataLag(nodes, by))
    }

    pub fn disk(&mut self, it: &written::DiskFault, span: Range<usize>) -> Option<Action> {
        let nodes = self.nodes(&it.nodes);
        let slow = self.time(it.slow.as_ref(), Duration::ZERO);
        if it.faults.is_empty() && it.slow.is_none() && it.room.is_none() {
            let found = self.error(span, "nothing is wrong with this disk");
            self.report(found.remedy("add `faults = [\"full\"]`, `room = 4096` or `slow = \"10ms\"`"));
            return None;
        }
        if let Some(times) = &it.times
            && **times == 0
        {
            self.report(self.error(times.span(), "no call is concerned").remedy("at least 1"));
        }
        let directory = match &it.dir {
            None => None,
            Some(dir) => Some(self.log_directory(dir)?),
        };
        let faults = DiskFaults {
            directory,
            kinds: it.faults.iter().map(|kind| disk_fault(*kind)).collect(),
            room: it.room.as_ref().map(|room| **room),
            slow,
            times: it.times.as_ref().map(|times| **times),
        };
        nodes.map(|nodes| Action::Disk(nodes, faults))
    }

    /// One of the brokers' `log.dirs`.
    fn log_directory(&mut self, dir: &Written<String>) -> Option<String> {
        if self.names.log_dirs.contains(dir.as_str()) {
            return Some(dir.to_string());
        }
        let found = self.error(dir.span(), format!("no broker has a log directory `{}`", dir.as_str()));
        let known = self.names.log_dirs.clone();
        self.report(found.nearest(dir, known.iter().map(String::as_str)));
        None
    }

    fn interference(
        &mut self,
        it: &written::Messages,
        interference: Interference,
        by: Option<(Option<Between<Duration>>, Range<usize>)>,
        span: Range<usize>,
        choices: &mut Vec<Choice>,
    ) -> Option<Interference> {
        if it.part.is_some() && !matches!(interference, Interference::Corrupt(_)) {
            self.report(self.error(span, "only `corrupt` has `part`").remedy("leave it out, or use `corrupt`"));
            return None;
        }
        Some(match (interference, by) {
            (Interference::Delay(_), None) => {
                self.report(self.error(span, "`by` is missing here").remedy("say how much later: by = \"200ms\""));
                return None;
            }
            (Interference::Delay(_), Some((by, _))) => {
                let by = by?;
                choices.push(Choice::DelayBy(by));
                Interference::Delay(by.low)
            }
            (Interference::Duplicate(_), Some((by, _))) => {
                let by = by?;
                choices.push(Choice::DelayBy(by));
                Interference::Duplicate(by.low)
            }
            (Interference::Duplicate(_), None) if it.message == Some(written::MessageKind::Response) => {
                let found = self.error(span, "a response is never repeated: nobody would hear it");
                self.report(found.remedy("leave `message` out, or write \"request\""));
                return None;
            }
            (Interference::Corrupt(_), None) => Interference::Corrupt(match it.part {
                None | Some(written::Corruption::Records) => Corruption::Records,
                Some(written::Corruption::BaseOffset) => Corruption::BaseOffset,
                Some(written::Corruption::LeaderEpoch) => Corruption::LeaderEpoch,
                Some(written::Corruption::Partition) => Corruption::Partition,
            }),
            (other, None) => other,
            (_, Some((_, by))) => {
                self.report(
                    self.error(by, "only `delay` and `duplicate` have `by`").remedy("leave it out, or use `delay`"),
                );
                return None;
            }
        })
    }

    /// Reads what becomes of links.
    pub fn link(&mut self, it: &written::Link, span: Range<usize>) -> Option<Action> {
        let (from, to) = (self.nodes(&it.from), self.nodes(&it.to));
        let latency = it.latency.as_ref().map(|latency| self.time_or_range(latency));
        let remedy = "write a fraction: \"1/100\"";
        let loss = it.loss.as_ref().map(|loss| self.accept(loss.span(), amounts::fraction(loss), remedy));
        if it.latency.is_none() && it.loss.is_none() && it.bandwidth.is_none() {
            let found = self.error(span, "nothing changes on these links");
            self.report(found.remedy("add `latency = \"20ms\"`, `loss = \"1/10\"` or `bandwidth = 100000`"));
            return None;
        }
        let latency = match latency {
            None => None,
            Some(range) => range.map(|range| Some((range.low, range.high)))?,
        };
        let loss = match loss {
            None => None,
            Some(loss) => Some(loss?),
        };
        let bandwidth = it.bandwidth.as_ref().map(|bandwidth| (**bandwidth).max(1));
        let both_ways = it.direction == CutDirection::Both;
        Some(Action::Link(LinkChange { from: from?, to: to?, both_ways, latency, loss, bandwidth }))
    }

    /// Reads which file is damaged, and where.
    pub fn file_damage(&mut self, it: &written::FilePart, damage: Damage, span: Range<usize>) -> Option<Action> {
        let nodes = self.nodes(&it.nodes);
        let file = match &it.file {
            None => FileKind::Log,
            Some(name) => match FileKind::ALL.iter().find(|(known, _)| *known == name.as_str()) {
                Some((_, kind)) => *kind,
                None => {
                    let found = self.error(name.span(), format!("there is no file `{}`", name.as_str()));
                    self.report(found.nearest(name, FileKind::ALL.iter().map(|(known, _)| *known)));
                    return None;
                }
            },
        };
        let partition = it.partition.as_ref().map(|name| self.partition(name, name.span()));
        if file.is_of_partition() != partition.is_some() {
            let (wrong, remedy) = if partition.is_none() {
                ("this file belongs to a partition", "add `partition = \"orders-0\"`")
            } else {
                ("this file belongs to the whole log directory", "leave `partition` out")
            };
            self.report(self.error(span, wrong).remedy(remedy));
            return None;
        }
        let partition = match partition {
            None => None,
            Some(partition) => Some(partition?),
        };
        let place = match (&it.offset, &it.byte, &it.last) {
            (Some(offset), None, None) => Place::Offset(**offset),
            (None, Some(byte), None) => Place::From(**byte),
            (None, None, Some(last)) => Place::Last(**last),
            (None, None, None) => Place::Last(1),
            (_, _, _) => {
                let found = self.error(span, "a place is one of `offset`, `byte` and `last`");
                self.report(found.remedy("keep one of them"));
                return None;
            }
        };
        let segment = match it.segment {
            Some(written::SegmentName::First) => SegmentChoice::First,
            None | Some(written::SegmentName::Last) => SegmentChoice::Last,
            Some(written::SegmentName::All) => SegmentChoice::All,
        };
        nodes.map(|nodes| Action::Damage(nodes, FileDamage { damage, file, partition, segment, place, bit: 0 }))
    }
}

fn disk_fault(kind: written::DiskFaultKind) -> DiskFault {
    match kind {
        written::DiskFaultKind::IoError => DiskFault::IoError,
        written::DiskFaultKind::ReadError => DiskFault::ReadError,
        written::DiskFaultKind::WriteError => DiskFault::WriteError,
        written::DiskFaultKind::PartialWrite => DiskFault::PartialWrite,
        written::DiskFaultKind::Full => DiskFault::Full,
        written::DiskFaultKind::SyncError => DiskFault::SyncError,
        written::DiskFaultKind::SyncErrorDropsPages => DiskFault::SyncErrorDropsPages,
        written::DiskFaultKind::SyncDropsPages => DiskFault::SyncDropsPages,
        written::DiskFaultKind::SyncLies => DiskFault::SyncLies,
        written::DiskFaultKind::NoFileHandles => DiskFault::NoFileHandles,
        written::DiskFaultKind::Stalled => DiskFault::Stalled,
    }
}
