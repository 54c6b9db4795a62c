//! One file: what was written to it, in order, and what of that is on the device.

use ackproof_core::types::{Instant, Prng};
use bytes::{Bytes, BytesMut};

use super::{DiskSpec, Keep};

const PAGE: u64 = 4096;

/// Where a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the page cache.
    Dirty,
    /// On the device.
    Durable,
    /// In the page cache only, and believed to be on the device: a sync failed and the system forgot that it is dirty.
    Dropped,
}

#[derive(Clone, Debug)]
struct Write {
    start: u64,
    data: Bytes,
    at: Instant,
    state: State,
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    path: String,
    writes: Vec<Write>,
    len: u64,
    /// No write before this one is dirty.
    clean: usize,
}

impl Write {
    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }

    fn is_durable(&self) -> bool {
        self.state == State::Durable
    }
}

impl File {
    pub fn new(path: String) -> Self {
        Self { path, ..Self::default() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn move_to(&mut self, path: String) {
        self.path = path;
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn append(&mut self, data: Bytes, at: Instant) {
        if data.is_empty() {
            return;
        }
        let start = self.len;
        self.len += data.len() as u64;
        self.writes.push(Write { start, data, at, state: State::Dirty });
    }

    /// Whether a sync would have something to do.
    pub fn is_dirty(&self) -> bool {
        self.clean < self.writes.len()
    }

    pub fn sync(&mut self) {
        self.clean_dirty(State::Durable);
    }

    /// A sync failed, and the system marked the pages clean.
    pub fn drop_dirty(&mut self) {
        self.clean_dirty(State::Dropped);
    }

    fn clean_dirty(&mut self, to: State) {
        for write in &mut self.writes[self.clean..] {
            if write.state == State::Dirty {
                write.state = to;
            }
        }
        self.clean = self.writes.len();
    }

    /// The system has written back by `now` what was old enough when it last looked.
    pub fn write_back(&mut self, now: Instant, spec: &DiskSpec) {
        let interval = spec.writeback_interval.0.max(1);
        let looked = Instant(now.0 / interval * interval);
        while let Some(write) = self.writes.get_mut(self.clean) {
            if write.at + spec.writeback > looked {
                break;
            }
            if write.state == State::Dirty {
                write.state = State::Durable;
            }
            self.clean += 1;
        }
    }

    pub fn dirty_bytes(&self) -> u64 {
        let dirty = self.writes[self.clean..].iter().filter(|write| write.state == State::Dirty);
        dirty.map(|write| write.data.len() as u64).sum()
    }

    pub fn oldest_dirty(&self) -> Option<Instant> {
        self.writes[self.clean..].iter().find(|write| write.state == State::Dirty).map(|write| write.at)
    }

    /// Makes the oldest dirty write durable; how many bytes that was.
    pub fn write_back_oldest(&mut self) -> u64 {
        let Some(at) = self.writes[self.clean..].iter().position(|write| write.state == State::Dirty) else { return 0 };
        let write = &mut self.writes[self.clean + at];
        write.state = State::Durable;
        let bytes = write.data.len() as u64;
        self.clean += at + 1;
        bytes
    }

    /// Up to where everything from the start on is on the device.
    pub fn durable_length(&self) -> u64 {
        self.writes.iter().take_while(|write| write.is_durable()).last().map_or(0, Write::end)
    }

    pub fn bytes_at_risk(&self) -> u64 {
        self.writes.iter().filter(|write| !write.is_durable()).map(|write| write.data.len() as u64).sum()
    }

    pub fn cut(&mut self, len: u64) {
        let whole = self.writes.partition_point(|write| write.end() <= len);
        self.writes.truncate(whole + 1);
        if let Some(last) = self.writes.get_mut(whole) {
            if last.start < len {
                last.data.truncate((len - last.start) as usize);
            } else {
                self.writes.truncate(whole);
            }
        }
        self.len = self.len.min(len);
        self.clean = self.clean.min(self.writes.len());
    }

    /// Applies a loss of power to what is not durable; returns how many bytes are gone.
    pub fn lose_power(&mut self, keep: Keep, rng: &mut Prng) -> u64 {
        let lost = match keep {
            Keep::Everything => 0,
            Keep::Nothing => self.keep_first(0, 0),
            Keep::Prefix | Keep::Torn => {
                let dirty: Vec<&Write> = self.writes.iter().filter(|write| write.state == State::Dirty).collect();
                let kept = rng.below(dirty.len() as u64 + 1) as usize;
                let torn = match dirty.get(kept) {
                    Some(next) if keep == Keep::Torn => rng.below(next.data.len() as u64),
                    Some(_) | None => 0,
                };
                self.keep_first(kept, torn)
            }
            Keep::Subset => self.keep_pages(rng),
        };
        for write in &mut self.writes {
            write.state = State::Durable;
        }
        self.clean = self.writes.len();
        lost
    }

    /// Of the dirty writes the first `kept` survive, and `torn` bytes of the next one. Dropped ones never do.
    fn keep_first(&mut self, kept: usize, torn: u64) -> u64 {
        let mut dirty = 0;
        let mut lost = 0;
        let mut end = 0;
        for write in &mut self.writes {
            let survives = match write.state {
                State::Durable => write.data.len() as u64,
                State::Dropped => 0,
                State::Dirty => {
                    dirty += 1;
                    match dirty - 1 {
                        earlier if earlier < kept => write.data.len() as u64,
                        next if next == kept => torn,
                        _ => 0,
                    }
                }
            };
            let len = write.data.len() as u64;
            if survives > 0 {
                end = write.start + survives;
            }
            if survives < len {
                lost += len - survives;
                write.zero(survives, len);
            }
        }
        self.cut(end);
        lost
    }

    /// Of what is not durable any pages survive.
    fn keep_pages(&mut self, rng: &mut Prng) -> u64 {
        let safe = self.durable_length();
        let mut content = BytesMut::from(&self.read(0, self.len as usize)[..]);
        let mut lost = 0;
        let mut end = safe;
        let mut page_start = safe;
        while page_start < self.len {
            let page_end = ((page_start / PAGE + 1) * PAGE).min(self.len);
            if rng.below(2) == 0 {
                content[page_start as usize..page_end as usize].fill(0);
                lost += page_end - page_start;
            } else {
                end = page_end;
            }
            page_start = page_end;
        }
        for write in self.writes.iter().filter(|write| write.start >= safe) {
            let range = write.start as usize..write.end() as usize;
            match write.state {
                State::Dirty => {}
                State::Dropped => content[range].fill(0),
                State::Durable => {
                    content[range].copy_from_slice(&write.data);
                    end = end.max(write.end());
                }
            }
        }
        content.truncate(end as usize);
        self.len = end;
        self.writes = vec![Write { start: 0, data: content.freeze(), at: Instant::START, state: State::Durable }];
        self.writes.retain(|write| !write.data.is_empty());
        lost
    }

    pub fn flip_bit(&mut self, bit: u64) -> bool {
        let position = bit / 8;
        let Some(write) = self.writes.iter_mut().find(|write| (write.start..write.end()).contains(&position)) else {
            return false;
        };
        let mut data = BytesMut::from(&write.data[..]);
        data[(position - write.start) as usize] ^= 1 << (bit % 8);
        write.data = data.freeze();
        true
    }

    /// Everything from `from` on reads as zeros. Returns how many bytes that is.
    pub fn zero_from(&mut self, from: u64) -> u64 {
        for write in self.writes.iter_mut().filter(|write| write.end() > from) {
            let len = write.data.len() as u64;
            write.zero(from.saturating_sub(write.start), len);
        }
        self.len.saturating_sub(from)
    }

    pub fn read(&self, position: u64, len: usize) -> Bytes {
        let end = position.saturating_add(len as u64).min(self.len);
        if position >= end {
            return Bytes::new();
        }
        let first = self.writes.partition_point(|write| write.end() <= position);
        let write = &self.writes[first];
        if end <= write.end() {
            return write.data.slice((position - write.start) as usize..(end - write.start) as usize);
        }
        let mut joined = BytesMut::with_capacity((end - position) as usize);
        for write in &self.writes[first..] {
            if write.start >= end {
                break;
            }
            let from = position.max(write.start) - write.start;
            let to = end.min(write.end()) - write.start;
            joined.extend_from_slice(&write.data[from as usize..to as usize]);
        }
        joined.freeze()
    }
}

impl Write {
    fn zero(&mut self, from: u64, to: u64) {
        let mut data = BytesMut::from(&self.data[..]);
        data[from as usize..to as usize].fill(0);
        self.data = data.freeze();
    }
}
