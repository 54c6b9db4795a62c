//! The store itself: rows in memory, and on its disk what its persistence keeps of them.
//!
//! ```text
//!                       before the answer         beside it              a kill loses       a loss of power loses
//!  none                 -                         -                      everything         everything
//!  snapshots (RDB)      -                         a snapshot every n s   up to n s          up to n s
//!  log (AOF no, hflush) written                   -                      nothing            what is not written back
//!  synced log (AOF      written                   an fsync every second  nothing            up to a second or so
//!   everysec)
//!  always (AOF always,  written and synced        -                      nothing            nothing
//!   a database's WAL)
//! ```
//!
//! Each transaction has a number, and the disk knows the last: what a restart has lost is told by the number it begins with.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::messages::{Entry, StoreRequest, StoreResponse};
use crate::fact::Fact;
use crate::machine::{Context, Input, Machine};
use crate::protocol::{Request, Response};
use crate::storage::{FileId, OpenMode, Storage};
use crate::types::{Duration, Instant, NodeId, Offset, TopicPartition};

const LOG: &str = "appendonly.aof";
const SNAPSHOT: &str = "dump.rdb";
const NEW_SNAPSHOT: &str = "temp.rdb";
/// `appendfsync everysec`.
const EVERY_SECOND: Duration = Duration::from_secs(1);

/// What is on the disk, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// A snapshot of everything, so often.
    Snapshots(Duration),
    /// A log that is written before the answer, and synced by the operating system when it likes.
    Log,
    /// A log that is synced once a second.
    LogSyncedEverySecond,
    /// A log that is synced before the answer.
    LogSyncedAlways,
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// What it keeps.
    pub persistence: Persistence,
}

type Rows = BTreeMap<(String, TopicPartition), Offset>;

/// The process.
#[derive(Clone, Debug)]
pub struct Store {
    config: Arc<StoreConfig>,
    rows: Rows,
    /// The number of the last transaction.
    transactions: u64,
    log: Option<FileId>,
    /// Whether the disk does not have everything yet.
    is_behind: bool,
    saves_at: Option<Instant>,
}

impl Store {
    /// A process that has not read its disk yet.
    pub fn new(config: Arc<StoreConfig>) -> Self {
        Self { config, rows: Rows::new(), transactions: 0, log: None, is_behind: false, saves_at: None }
    }

    /// How often something is done about the disk beside the answers.
    fn saves_every(&self) -> Option<Duration> {
        match self.config.persistence {
            Persistence::Snapshots(every) => Some(every),
            Persistence::LogSyncedEverySecond => Some(EVERY_SECOND),
            Persistence::None | Persistence::Log | Persistence::LogSyncedAlways => None,
        }
    }

    fn start(&mut self, ctx: &mut Context<'_>) {
        if let Err(error) = self.load(ctx.storage()) {
            ctx.fact(Fact::StorageFailed { what: format!("the store could not read its disk: {error}") });
        }
        self.saves_at = self.saves_every().map(|every| ctx.now() + every);
        ctx.fact(Fact::StoreLoaded { transactions: self.transactions });
    }

    fn load(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        match self.config.persistence {
            Persistence::None => Ok(()),
            Persistence::Snapshots(_) => {
                if storage.exists(SNAPSHOT) {
                    let file = storage.open(SNAPSHOT, OpenMode::Existing)?;
                    self.replay(storage, file)?;
                    storage.close(file);
                }
                Ok(())
            }
            Persistence::Log | Persistence::LogSyncedEverySecond | Persistence::LogSyncedAlways => {
                let file = storage.open(LOG, OpenMode::Create)?;
                storage.sync_dir("")?;
                let valid = self.replay(storage, file)?;
                // A piece of a transaction at the end is cut off, as by aof-load-truncated.
                if valid < storage.len(file)? {
                    storage.truncate(file, valid)?;
                }
                self.log = Some(file);
                Ok(())
            }
        }
    }

    /// Reads whole transactions from the start, and says where the last one ends.
    fn replay(&mut self, storage: &mut dyn Storage, file: FileId) -> io::Result<u64> {
        let length = storage.len(file)?;
        let bytes = storage.read_at(file, 0, usize::try_from(length).unwrap_or(usize::MAX))?;
        let mut rest = bytes.clone();
        while let Some((transaction, rows)) = take(&mut rest) {
            self.transactions = transaction;
            self.rows.extend(rows);
        }
        Ok((bytes.len() - rest.len()) as u64)
    }

    fn asked(&mut self, from: NodeId, request: StoreRequest, ctx: &mut Context<'_>) -> StoreResponse {
        match request {
            StoreRequest::Read { group, partitions } => {
                let row = |partition: TopicPartition| {
                    let offset = self.rows.get(&(group.clone(), partition.clone())).copied();
                    (partition, offset)
                };
                StoreResponse::Offsets(partitions.into_iter().map(row).collect())
            }
            StoreRequest::Write { group, entries, guarded } => {
                let client = match from {
                    NodeId::Client(client) => client,
                    NodeId::Controller(_) | NodeId::Broker(_) => return StoreResponse::Failed,
                };
                if guarded && !self.is_as_expected(&group, &entries, client, ctx) {
                    return StoreResponse::Refused;
                }
                self.write(&group, entries, client, ctx)
            }
        }
    }

    fn is_as_expected(&self, group: &str, entries: &[Entry], client: u32, ctx: &mut Context<'_>) -> bool {
        let found = |entry: &Entry| self.rows.get(&(group.to_owned(), entry.partition.clone())).copied();
        let Some(other) = entries.iter().find(|entry| found(entry) != entry.expected) else { return true };
        ctx.fact(Fact::StoreRefused {
            group: group.to_owned(),
            partition: other.partition.clone(),
            expected: other.expected.unwrap_or(Offset::NONE),
            found: found(other).unwrap_or(Offset::NONE),
            client,
        });
        false
    }

    fn write(&mut self, group: &str, entries: Vec<Entry>, client: u32, ctx: &mut Context<'_>) -> StoreResponse {
        let transaction = self.transactions + 1;
        let row = |entry: &Entry| ((group.to_owned(), entry.partition.clone()), entry.offset);
        let rows: Rows = entries.iter().map(row).collect();
        if let Err(error) = self.keep(transaction, &rows, ctx.storage()) {
            ctx.fact(Fact::StorageFailed { what: format!("the store could not write its log: {error}") });
            return StoreResponse::Failed;
        }
        self.transactions = transaction;
        self.rows.extend(rows);
        for Entry { partition, offset, results, .. } in entries {
            let group = group.to_owned();
            ctx.fact(Fact::StoreWrote { transaction, group, partition, offset, results, client });
        }
        StoreResponse::Written
    }

    /// What is done about the disk before the answer.
    fn keep(&mut self, transaction: u64, rows: &Rows, storage: &mut dyn Storage) -> io::Result<()> {
        self.is_behind = true;
        let Some(log) = self.log else { return Ok(()) };
        storage.append(log, put(transaction, rows))?;
        if self.config.persistence == Persistence::LogSyncedAlways {
            storage.sync(log)?;
        }
        Ok(())
    }

    /// What is done about it beside the answers.
    fn save(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        if !std::mem::take(&mut self.is_behind) {
            return Ok(());
        }
        if let Some(log) = self.log {
            return storage.sync(log);
        }
        let file = storage.open(NEW_SNAPSHOT, OpenMode::Truncate)?;
        storage.append(file, put(self.transactions, &self.rows))?;
        storage.sync(file)?;
        storage.close(file);
        storage.rename(NEW_SNAPSHOT, SNAPSHOT)?;
        storage.sync_dir("")
    }
}

impl Machine for Store {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Start => self.start(ctx),
            Input::Deadline => {
                self.saves_at = self.saves_every().map(|every| ctx.now() + every);
                if let Err(error) = self.save(ctx.storage()) {
                    ctx.fact(Fact::StorageFailed { what: format!("the store could not save: {error}") });
                }
            }
            Input::Request { connection, from, correlation_id, request: Request::Store(request) } => {
                let response = self.asked(from, *request, ctx);
                ctx.reply(connection, correlation_id, Response::Store(Box::new(response)));
            }
            Input::Stop => ctx.exit(),
            Input::Request { .. }
            | Input::Connected(_)
            | Input::Disconnected(_)
            | Input::Response { .. }
            | Input::MetadataLag(_)
            | Input::Call(_) => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.saves_at.filter(|_| self.is_behind)
    }
}

/// A transaction as bytes: length and checksum, then its number and rows.
fn put(transaction: u64, rows: &Rows) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u64(transaction);
    for ((group, partition), offset) in rows {
        for text in [group.as_str(), partition.topic.as_str()] {
            body.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
            body.put_slice(text.as_bytes());
        }
        body.put_i32(partition.partition);
        body.put_i64(offset.0);
    }
    let mut bytes = BytesMut::with_capacity(body.len() + 8);
    bytes.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    bytes.put_u32(crc32c::crc32c(&body));
    bytes.put_slice(&body);
    bytes.freeze()
}

/// Takes a whole transaction from the front, if there is one.
fn take(bytes: &mut Bytes) -> Option<(u64, Rows)> {
    let mut rest = bytes.clone();
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let crc = rest.try_get_u32().ok()?;
    if rest.len() < length || length == 0 {
        return None;
    }
    let mut body = rest.split_to(length);
    if crc32c::crc32c(&body) != crc {
        return None;
    }
    let transaction = body.try_get_u64().ok()?;
    let mut rows = Rows::new();
    while body.has_remaining() {
        let (group, topic) = (text(&mut body)?, text(&mut body)?);
        let partition = TopicPartition::of(&topic, body.try_get_i32().ok()?);
        rows.insert((group, partition), Offset(body.try_get_i64().ok()?));
    }
    *bytes = rest;
    Some((transaction, rows))
}

fn text(bytes: &mut Bytes) -> Option<String> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (bytes.len() >= length).then(|| String::from_utf8_lossy(&bytes.split_to(length)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(offset: i64) -> Rows {
        Rows::from([(("billing".to_owned(), TopicPartition::of("orders", 0)), Offset(offset))])
    }

    #[test]
    fn a_torn_transaction_is_none() {
        let (first, second) = (put(1, &rows(10)), put(2, &rows(20)));
        for cut in 0..second.len() {
            let mut bytes: Bytes = [&first[..], &second[..cut]].concat().into();
            assert_eq!(take(&mut bytes), Some((1, rows(10))), "{cut}");
            assert_eq!(take(&mut bytes), None, "{cut}");
            assert_eq!(bytes.len(), cut);
        }
    }

    #[test]
    fn a_changed_transaction_is_none() {
        let bytes = put(1, &rows(10));
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            assert_eq!(take(&mut changed.into()), None, "{place}");
        }
    }
}
