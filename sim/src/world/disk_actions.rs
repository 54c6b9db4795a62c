//! What the plan does to disks and files, and what waits for a disk.

use std::collections::BTreeSet;

use ackproof_core::Effect;
use ackproof_core::fact::Observer;
use ackproof_core::record::batches;
use ackproof_core::types::{ConnectionId, Duration, Offset};

use super::disk::STALLED;
use super::run::Packaging;
use super::{Damage, DiskFaults, Extent, NodeIndex, SimDisk, World};
use crate::faults::{Action, FileDamage, FileKind, Place, SegmentChoice, StepState};

impl World {
    /// Something is wrong with disks from now on. The calls that meet it are the witnesses.
    pub(super) fn harm_disks(&mut self, number: usize, faults: &DiskFaults, targets: &[NodeIndex]) {
        let now = self.now;
        for target in targets {
            let node = self.node_mut(*target);
            let mut faults = faults.clone();
            if let Some(name) = &faults.directory {
                // A broker without such a directory is not concerned.
                let Some(root) = node.blueprint.root_of(name) else { continue };
                faults.directory = Some(root);
            }
            node.disk.add_faults(number, faults, now);
        }
    }

    /// What a step made wrong with disks is well again: what waited for them goes on.
    pub(super) fn mend_disks(&mut self, number: usize, targets: &[NodeIndex], observer: &mut dyn Observer) {
        let now = self.now;
        for target in targets {
            let node = self.node_mut(*target);
            node.disk.end_faults(number, now);
            let life = node.life;
            for (after, cause, effect) in std::mem::take(&mut node.stalled) {
                let departs = now + Duration(after.0.saturating_sub(STALLED.0));
                self.carry_out(*target, effect, Packaging { life, departs, cause }, observer);
            }
            if !self.node(*target).disk.is_out_of_handles() {
                self.accept_waiting(*target);
            }
        }
    }

    /// Whether what a node said comes after a call that its disk does not answer, or on a connection where such a thing waits.
    pub(super) fn must_wait_for_the_disk(&self, index: NodeIndex, after: Duration, effect: &Effect) -> bool {
        let node = self.node(index);
        if after < STALLED && node.stalled.is_empty() {
            return false;
        }
        match effect {
            // Memory has changed already, and the process does not wait to say so.
            Effect::Fact(_) | Effect::Because(_) | Effect::Complete(_) | Effect::Exit => false,
            Effect::Connect { connection, .. }
            | Effect::Send { connection, .. }
            | Effect::Reply { connection, .. }
            | Effect::Close(connection) => {
                after >= STALLED || node.stalled.iter().any(|(_, _, other)| connection_of(other) == Some(*connection))
            }
        }
    }

    /// A disk has failed a call, lied or been slow: the first time is the witness of the step that made it so.
    pub(super) fn disk_bit(&mut self, step: usize, target: NodeIndex, cause: u64, observer: &mut dyn Observer) {
        let steps = self.faults.steps().clone();
        let Action::Disk(_, faults) = &steps[step].action else { return };
        if self.faults.state(step) == StepState::InForce && self.faults.bites(step) == 0 {
            self.hit(step, target, faults.did(), cause, observer);
        }
    }

    /// Keeps the disks as they are, if a later step wants them so again.
    pub(super) fn remember_disks(&mut self, number: usize) {
        let wanted = |action: &Action| matches!(action, Action::RollBack(_, to) if *to == number);
        if self.faults.steps().iter().any(|step| wanted(&step.action)) {
            let disks = self.nodes.iter().map(|node| node.disk.clone()).collect();
            self.snapshots.insert(number, disks);
        }
    }

    /// Disks are again as they were when another step happened.
    pub(super) fn roll_back(
        &mut self,
        number: usize,
        to: usize,
        targets: &[NodeIndex],
        cause: u64,
        observer: &mut dyn Observer,
    ) {
        for target in targets {
            let Some(earlier) = self.snapshots.get(&to).map(|disks| disks[target.0 as usize].clone()) else { continue };
            if self.node_mut(*target).disk.roll_back(&earlier) > 0 {
                self.hit(number, *target, "rolled back the disk of", cause, observer);
            }
        }
    }

    /// Files are damaged.
    pub(super) fn damage_files(
        &mut self,
        number: usize,
        damage: &FileDamage,
        targets: &[NodeIndex],
        cause: u64,
        observer: &mut dyn Observer,
    ) {
        for target in targets {
            let disk = &mut self.node_mut(*target).disk;
            let mut done = BTreeSet::new();
            for path in paths(disk, damage) {
                let Some(extent) = extent(disk, &path, damage) else { continue };
                if disk.damage(&path, damage.damage, extent, damage.bit) {
                    done.insert(path);
                }
            }
            if !done.is_empty() {
                let did = match damage.damage {
                    Damage::FlipBit => "flipped a bit in",
                    Damage::Truncate => "cut",
                    Damage::ZeroTail => "zeroed the end of",
                    Damage::Delete => "deleted",
                };
                let files: Vec<String> = done.into_iter().collect();
                self.hit(number, *target, &format!("{did} {} of", files.join(", ")), cause, observer);
            }
        }
    }
}

fn connection_of(effect: &Effect) -> Option<ConnectionId> {
    match effect {
        Effect::Connect { connection, .. }
        | Effect::Send { connection, .. }
        | Effect::Reply { connection, .. }
        | Effect::Close(connection) => Some(*connection),
        Effect::Fact(_) | Effect::Because(_) | Effect::Complete(_) | Effect::Exit => None,
    }
}

/// The files that are meant, as they are called on this disk.
fn paths(disk: &SimDisk, damage: &FileDamage) -> Vec<String> {
    let Some(partition) = &damage.partition else {
        let name = damage.file.name();
        return disk.directories("").into_iter().map(|directory| join(&directory, name)).collect();
    };
    let name = partition.to_string();
    let directories = disk.directories(&name);
    match damage.file.suffix() {
        None => directories.into_iter().map(|directory| join(&directory, damage.file.name())).collect(),
        Some(suffix) => directories
            .into_iter()
            .flat_map(|directory| {
                let names = disk.names_in(&directory).into_iter().filter(|name| name.ends_with(suffix)).collect();
                let chosen = choose(names, damage);
                chosen.into_iter().map(move |name| join(&directory, &name))
            })
            .collect(),
    }
}

/// Of the files of all segments, in order, those that are meant.
fn choose(mut names: Vec<String>, damage: &FileDamage) -> Vec<String> {
    if let Place::Offset(offset) = damage.place {
        let base = |name: &String| name.split('.').next().and_then(|base| base.parse::<i64>().ok());
        names.retain(|name| base(name).is_some_and(|base| base <= offset));
        return names.pop().into_iter().collect();
    }
    match damage.segment {
        SegmentChoice::First => names.into_iter().take(1).collect(),
        SegmentChoice::Last => names.pop().into_iter().collect(),
        SegmentChoice::All => names,
    }
}

fn extent(disk: &SimDisk, path: &str, damage: &FileDamage) -> Option<Extent> {
    Some(match damage.place {
        Place::From(position) => Extent::From(position),
        Place::Last(bytes) => Extent::Last(bytes),
        Place::Offset(_) if damage.file != FileKind::Log || damage.damage == Damage::Delete => Extent::From(0),
        Place::Offset(offset) => {
            let mut position = 0;
            for batch in batches(disk.content(path)?).map_while(Result::ok) {
                let end = position + batch.size_in_bytes() as u64;
                if batch.last_offset() >= Offset(offset) {
                    // A bit in the last byte of the batch lies in a record, where the CRC covers it.
                    return Some(Extent::From(if damage.damage == Damage::FlipBit { end - 1 } else { position }));
                }
                position = end;
            }
            return None;
        }
    })
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
