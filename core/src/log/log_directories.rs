//! The log directories of a broker: where logs lie, and which of the disks still work.
//!
//! ```text
//! log.dirs=/data/d1,/data/d2
//!   data/d1/meta.properties   directory.id: who the directory is, wherever it is mounted (KIP-858)
//!   data/d1/orders-0/ ...     the logs, with checkpoints and the clean marker beside them, in each directory its own
//! ```
//!
//! A broker with one directory has its logs at the root of its storage, and its directory needs no name.
//!
//! Kafka: `LogManager` (`liveLogDirs`, `nextLogDirs`, `handleLogDirFailure`), `MetaPropertiesEnsemble`; KIP-112, KIP-858.
//! Not modelled: moving a replica from one directory to another (KIP-113), a directory id of a broker with one directory.

use std::io;

use bytes::Bytes;
use uuid::Uuid;

use crate::config::BrokerConfig;
use crate::machine::Context;
use crate::storage::{OpenMode, Storage};

/// One log directory.
#[derive(Clone, Debug)]
pub struct LogDirectory {
    /// As `log.dirs` has it.
    pub name: String,
    /// Where it lies in the storage; `""` is the root.
    pub root: String,
    /// Its `directory.id`, where directories have one; nil before it was read.
    pub id: Uuid,
    /// Whether its disk still works.
    pub online: bool,
}

/// All of them, in the order of `log.dirs`.
#[derive(Clone, Debug)]
pub struct LogDirectories(Vec<LogDirectory>);

impl LogDirectories {
    /// Those of a configuration; nothing is read yet.
    pub fn new(config: &BrokerConfig) -> Self {
        let roots = config.log_directory_roots();
        let directories = config.log_dirs.iter().zip(roots);
        let directory =
            |(name, root): (&String, String)| LogDirectory { name: name.clone(), root, id: Uuid::nil(), online: true };
        Self(directories.map(directory).collect())
    }

    /// All of them.
    pub fn all(&self) -> &[LogDirectory] {
        &self.0
    }

    /// Those that work, with their places.
    pub fn online(&self) -> impl Iterator<Item = (usize, &LogDirectory)> {
        self.0.iter().enumerate().filter(|(_, directory)| directory.online)
    }

    /// Whether there are several, so that one can fail alone.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// A directory's disk works no longer.
    pub fn fail(&mut self, place: usize) {
        self.0[place].online = false;
    }

    /// The one in which a log's directory lies.
    pub fn of(&self, log_directory: &str) -> usize {
        let inside = |directory: &LogDirectory| {
            log_directory
                .strip_prefix(&directory.root)
                .is_some_and(|rest| directory.root.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().position(inside).unwrap_or(0)
    }

    /// Makes a directory ready: it exists and has an id.
    pub fn open(&mut self, place: usize, ctx: &mut Context<'_>) -> io::Result<()> {
        if !self.are_several() {
            return Ok(());
        }
        let directory = &mut self.0[place];
        for (end, _) in directory.root.match_indices('/').chain([(directory.root.len(), "")]) {
            ctx.storage().create_dir(&directory.root[..end])?;
        }
        let path = directory.path("meta.properties");
        directory.id = match read_id(&path, ctx.storage())? {
            Some(id) => id,
            None => {
                let rng = ctx.rng();
                let id = Uuid::from_u64_pair(rng.next_u64(), rng.next_u64());
                write_id(&path, id, ctx.storage())?;
                id
            }
        };
        Ok(())
    }
}

impl LogDirectory {
    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        if self.root.is_empty() { name.to_owned() } else { format!("{}/{name}", self.root) }
    }
}

fn read_id(path: &str, storage: &mut dyn Storage) -> io::Result<Option<Uuid>> {
    if !storage.exists(path) {
        return Ok(None);
    }
    let file = storage.open(path, OpenMode::Existing)?;
    let bytes = storage.read_at(file, 0, 1_000);
    storage.close(file);
    let bytes = bytes?;
    let text = String::from_utf8_lossy(&bytes);
    let id = text.lines().find_map(|line| line.strip_prefix("directory.id=")).and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no directory.id in {path}")))
}

fn write_id(path: &str, id: Uuid, storage: &mut dyn Storage) -> io::Result<()> {
    let file = storage.open(path, OpenMode::Truncate)?;
    let written =
        storage.append(file, Bytes::from(format!("version=1\ndirectory.id={id}\n"))).and_then(|()| storage.sync(file));
    storage.close(file);
    written
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::LogManager;
    use crate::log::testing::{Bench, broker_config, config};
    use crate::types::{BrokerEpoch, TopicPartition};

    fn orders(number: i32) -> TopicPartition {
        TopicPartition::of("orders", number)
    }

    /// A broker with two directories, started.
    fn started(bench: &mut Bench) -> LogManager {
        let mut broker = broker_config(config());
        Arc::make_mut(&mut broker).log_dirs = vec!["/data/d1".into(), "/data/d2".into()];
        let mut manager = LogManager::new(broker);
        bench.with(|ctx| manager.load_all(ctx)).expect("one directory works at least");
        manager
    }

    fn create(manager: &mut LogManager, bench: &mut Bench, number: i32) -> String {
        bench.with(|ctx| {
            let log = manager.get_or_create(&orders(number), &config(), None, ctx).expect("the disk is well");
            log.directory().to_owned()
        })
    }

    #[test]
    fn a_new_log_goes_where_there_are_fewest_and_is_found_there_again() {
        let mut bench = Bench::new();
        let mut manager = started(&mut bench);
        let places: Vec<String> = (0..3).map(|number| create(&mut manager, &mut bench, number)).collect();
        assert_eq!(places, ["data/d1/orders-0", "data/d2/orders-1", "data/d1/orders-2"]);
        let ids: Vec<Uuid> = manager.directories().all().iter().map(|directory| directory.id).collect();
        assert_ne!(ids[0], ids[1]);
        bench.with(|ctx| manager.shutdown(BrokerEpoch(7), ctx)).expect("the disk is well");
        assert!(bench.disk.exists("data/d1/.kafka_cleanshutdown") && bench.disk.exists("data/d2/.kafka_cleanshutdown"));

        let again = started(&mut bench);
        let found: Vec<&str> = again.logs().map(|(_, log)| log.directory()).collect();
        assert_eq!(found, places);
        assert_eq!(again.directory_id(&orders(1)), Some(ids[1]));
    }

    #[test]
    fn a_directory_that_fails_takes_only_its_own_logs_and_the_last_one_everything() {
        let mut bench = Bench::new();
        let mut manager = started(&mut bench);
        for number in 0..3 {
            create(&mut manager, &mut bench, number);
        }
        manager.blame(&orders(0));
        assert_eq!(bench.with(|ctx| manager.fail_directories(ctx)), Some(vec![orders(0), orders(2)]));
        assert!(manager.get(&orders(0)).is_none() && manager.get(&orders(1)).is_some());
        assert_eq!(create(&mut manager, &mut bench, 3), "data/d2/orders-3");
        manager.blame(&orders(1));
        assert_eq!(bench.with(|ctx| manager.fail_directories(ctx)), None);
    }

    #[test]
    fn what_may_lie_in_a_missing_directory_is_not_created_anew() {
        let mut bench = Bench::new();
        let mut manager = started(&mut bench);
        create(&mut manager, &mut bench, 0);
        let ids: Vec<Uuid> = manager.directories().all().iter().map(|directory| directory.id).collect();
        bench.disk.put("data/d1/meta.properties", Bytes::from_static(b"damaged"));
        let manager = started(&mut bench);
        assert!(manager.get(&orders(0)).is_none());
        assert!(!manager.may_create(&orders(0), Some(ids[0])));
        assert!(manager.may_create(&orders(1), Some(ids[1])));
        assert!(manager.may_create(&orders(1), None), "nobody has placed it yet");
    }
}
