//! The disks of a run as folders, so that Kafka's own tools can look at them.
//!
//! What is exported is what a process would read at the end of the run: the page cache, not only what is durable. The bytes are
//! Kafka's: `kafka-dump-log --files DIR/broker-1/orders-0/00000000000000000000.log --print-data-log`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::storage::{OpenMode, Storage};
use ackproof_core::types::NodeId;
use ackproof_sim::World;
use ackproof_sim::world::SimDisk;

use crate::scenario::Scenario;

struct Nobody;

impl Observer for Nobody {
    fn observe(&mut self, _event: &Event) {}
}

/// Runs a scenario and writes the log directory of every broker to `folder/broker-N`. Returns how many files that were.
pub fn export(scenario: &Scenario, seed: u64, folder: &Path) -> io::Result<usize> {
    let mut world = World::new(Arc::new(scenario.plan(seed)));
    world.run(&mut Nobody);
    let mut files = 0;
    for node in world.nodes() {
        if let NodeId::Broker(id) = node.id {
            files += write(&mut node.disk.without_faults(), "", &folder.join(format!("broker-{id}")))?;
        }
    }
    Ok(files)
}

fn write(disk: &mut SimDisk, directory: &str, to: &Path) -> io::Result<usize> {
    fs::create_dir_all(to)?;
    let mut files = 0;
    for name in disk.list(directory)? {
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        if let Some(inner) = path.strip_suffix('/') {
            files += write(disk, inner, &to.join(name.trim_end_matches('/')))?;
            continue;
        }
        let file = disk.open(&path, OpenMode::Existing)?;
        let len = usize::try_from(disk.len(file)?).map_err(io::Error::other)?;
        fs::write(to.join(&name), disk.read_at(file, 0, len)?)?;
        files += 1;
    }
    Ok(files)
}
