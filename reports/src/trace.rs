//! A run on paper: newline-delimited JSON, a header line and then one event per line.
//!
//! ```text
//! {"format":"ackproof-trace","version":1,"scenario":"acks-1-leader-crash","seed":"7","replay":"ackproof run ...",...}
//! {"n":1,"t":0,"node":{"broker":1},"cause":0,"fact":"node-started"}
//! ```
//!
//! Version policy: a reader takes files of its own version and older ones. Within a version fields may be added, and a
//! reader ignores those that it does not know, in the header and in facts; a new kind of fact, a removed field or another
//! meaning raises the version, because a judge who skips what it does not understand acquits the guilty.
//!
//! This module knows no files: it reads from `BufRead` and writes to `Write`. Nothing in a trace is trusted: a line that is
//! too long, cut off, binary, out of order or refers to its own future is an error with its place, never a panic.

use std::io::{self, BufRead, Read, Write};

use ackproof_core::fact::{Event, Observer};
use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::names::NodeNames;

/// What the first line calls the format.
pub const FORMAT: &str = "ackproof-trace";
/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 1;
/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 16 << 20;

/// The first line of a trace: what is needed to judge it and to run it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`] at the time of writing.
    pub version: u32,
    /// The scenario.
    pub scenario: String,
    /// The seed.
    #[serde(with = "number_as_text")]
    pub seed: u64,
    /// The command that shows it again.
    pub replay: String,
    /// What was promised.
    #[serde(default)]
    pub contract: Contract,
    /// What nodes are called.
    #[serde(default)]
    pub nodes: NodeNames,
}

impl Header {
    /// The header of a trace written by this version.
    pub fn new(scenario: impl Into<String>, seed: u64, replay: impl Into<String>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            scenario: scenario.into(),
            seed,
            replay: replay.into(),
            contract: Contract::default(),
            nodes: NodeNames::new(),
        }
    }
}

/// 64-bit numbers as text: JSON readers in other languages round them.
pub(crate) mod number_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not a seed: write a number in quotes")))
    }
}

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The source failed.
    #[error("line {line}: cannot read: {source}")]
    Io {
        /// The line, from 1.
        line: u64,
        /// How it failed.
        source: io::Error,
    },
    /// The content is not a trace.
    #[error("line {line}, column {column}: {what}\n  {help}")]
    Content {
        /// The line, from 1.
        line: u64,
        /// The byte in that line, from 1.
        column: usize,
        /// What is wrong.
        what: String,
        /// What to do about it.
        help: &'static str,
    },
}

const RECORD_AGAIN: &str = "record the trace again: ackproof run SCENARIO --seed N --trace FILE";
const NOT_A_TRACE: &str = "this is no trace: its first line must be the header that `ackproof run --trace FILE` writes";
const NEWER: &str = "it was written by a newer ackproof: read it with that one";
const CUT_OFF: &str = "the file is cut off: its writer was stopped. Remove this line to judge what comes before it";

/// Writes a trace. It takes facts as an [`Observer`]; what fails is said by [`TraceWriter::finish`].
#[derive(Debug)]
pub struct TraceWriter<W: Write> {
    to: W,
    failed: Option<io::Error>,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// If `to` cannot be written.
    pub fn new(mut to: W, header: &Header) -> io::Result<Self> {
        write_line(&mut to, header)?;
        Ok(Self { to, failed: None })
    }

    /// Flushes, and says whether everything was written.
    ///
    /// # Errors
    /// The first one that writing met.
    pub fn finish(mut self) -> io::Result<W> {
        match self.failed {
            Some(error) => Err(error),
            None => {
                self.to.flush()?;
                Ok(self.to)
            }
        }
    }
}

impl<W: Write> Observer for TraceWriter<W> {
    fn observe(&mut self, event: &Event) {
        if self.failed.is_none() {
            self.failed = write_line(&mut self.to, event).err();
        }
    }
}

fn write_line<W: Write, T: Serialize>(to: &mut W, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

/// Reads a trace: the header at once, then the events as an iterator that ends after the first error.
#[derive(Debug)]
pub struct TraceReader<R: BufRead> {
    from: R,
    header: Header,
    line: u64,
    last_sequence: u64,
    buffer: Vec<u8>,
    done: bool,
}

impl<R: BufRead> TraceReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If there is none, or if it is of a newer version.
    pub fn open(mut from: R) -> Result<Self, TraceError> {
        let mut buffer = Vec::new();
        if !read_line(&mut from, &mut buffer, 1)? {
            return Err(content(1, 1, "the trace is empty", RECORD_AGAIN));
        }
        /// What every version has: enough to say which one it is.
        #[derive(Deserialize)]
        struct Start {
            format: String,
            version: u32,
        }
        let start: Start =
            serde_json::from_slice(&buffer).map_err(|error| content(1, error.column(), reason(&error), NOT_A_TRACE))?;
        if start.format != FORMAT {
            return Err(content(1, 1, format!("the format is `{}`, not `{FORMAT}`", start.format), NOT_A_TRACE));
        }
        if start.version == 0 || start.version > VERSION {
            return Err(content(1, 1, format!("this is version {}; {VERSION} is known", start.version), NEWER));
        }
        let header = serde_json::from_slice(&buffer)
            .map_err(|error| content(1, error.column(), reason(&error), RECORD_AGAIN))?;
        Ok(Self { from, header, line: 1, last_sequence: 0, buffer, done: false })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Everything at once.
    ///
    /// # Errors
    /// The first line that is no event.
    pub fn read_all(self) -> Result<(Header, Vec<Event>), TraceError> {
        let header = self.header.clone();
        let events = self.collect::<Result<Vec<Event>, TraceError>>()?;
        Ok((header, events))
    }

    fn read_event(&mut self) -> Result<Option<Event>, TraceError> {
        self.line += 1;
        if !read_line(&mut self.from, &mut self.buffer, self.line)? {
            return Ok(None);
        }
        let event: Event = serde_json::from_slice(&self.buffer).map_err(|error| {
            let help = match (error.is_eof() || error.is_syntax(), reason(&error)) {
                (true, _) if self.buffer.last() != Some(&b'\n') => CUT_OFF,
                (false, what) if what.starts_with("unknown variant") => NEWER,
                (_, _) => RECORD_AGAIN,
            };
            content(self.line, error.column(), reason(&error), help)
        })?;
        if event.sequence <= self.last_sequence {
            let what = format!("event {} follows event {}: they count upwards", event.sequence, self.last_sequence);
            return Err(content(self.line, 1, what, RECORD_AGAIN));
        }
        if event.cause >= event.sequence {
            let what = format!("event {} names {} as its cause, which is not before it", event.sequence, event.cause);
            return Err(content(self.line, 1, what, RECORD_AGAIN));
        }
        self.last_sequence = event.sequence;
        Ok(Some(event))
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read_event().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads one line into the buffer; false at the end.
fn read_line<R: BufRead>(from: &mut R, buffer: &mut Vec<u8>, line: u64) -> Result<bool, TraceError> {
    buffer.clear();
    let limit = MAX_LINE as u64 + 1;
    from.by_ref().take(limit).read_until(b'\n', buffer).map_err(|source| TraceError::Io { line, source })?;
    if buffer.len() > MAX_LINE {
        return Err(content(line, MAX_LINE, format!("the line is longer than {MAX_LINE} bytes"), NOT_A_TRACE));
    }
    Ok(!buffer.is_empty())
}

fn content(line: u64, column: usize, what: impl Into<String>, help: &'static str) -> TraceError {
    TraceError::Content { line, column: column.max(1), what: what.into(), help }
}

/// What the JSON reader says, without its own idea of the place.
fn reason(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    // The list of everything that it could have been is longer than the line.
    let end = text.find(", expected one of").filter(|_| text.starts_with("unknown variant"));
    if let Some(end) = end.or_else(|| text.rfind(" at line ")) {
        text.truncate(end);
    }
    text
}
