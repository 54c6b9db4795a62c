//! The disk as the machine on it sees it.

use std::io;

use ackproof_core::storage::{FileId, OpenMode, Storage};
use ackproof_core::types::Duration;
use bytes::Bytes;

use super::faults::{Call, Meets, sync_failed};
use super::file::File;
use super::{Entry, SimDisk};

impl SimDisk {
    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// A call about an open file begins.
    fn meet_file(&mut self, call: Call, id: FileId, cost: Duration) -> io::Result<Meets> {
        if self.has_no_faults() {
            self.elapsed += cost;
            return Ok(Meets::Nothing);
        }
        let path = self.file(id)?.path().to_owned();
        self.meet(call, &path, cost)
    }

    fn has_no_faults(&self) -> bool {
        self.active.is_empty()
    }

    fn parent_exists(&self, path: &str) -> bool {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.names.get(parent) == Some(&Entry::Directory),
            None => true,
        }
    }

    /// Appends what fits; what does not is an error.
    fn append_what_fits(&mut self, id: FileId, data: Bytes) -> io::Result<()> {
        let path = self.file(id)?.path().to_owned();
        let fits = self.fits(&path, data.len() as u64);
        let now = self.now;
        let whole = fits == data.len() as u64;
        self.file(id)?.append(data.slice(..fits as usize), now);
        if whole { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Storage for SimDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        self.meet(Call::Open, path, Duration::ZERO)?;
        if path.is_empty() || !self.parent_exists(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.names.get(path) {
            Some(Entry::Directory) => Err(io::Error::other("EISDIR: is a directory")),
            Some(Entry::File(id)) => {
                let id = *id;
                if mode == OpenMode::Truncate {
                    self.file(id)?.cut(0);
                }
                Ok(id)
            }
            None if mode == OpenMode::Existing => Err(io::ErrorKind::NotFound.into()),
            None => {
                let id = FileId(self.next_file);
                self.next_file += 1;
                self.files.insert(id, File::new(path.to_owned()));
                self.names.insert(path.to_owned(), Entry::File(id));
                Ok(id)
            }
        }
    }

    fn close(&mut self, _file: FileId) {}

    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        if self.meet_file(Call::Write, file, self.spec.write)? == Meets::PartialWrite {
            let most = (data.len() as u64).saturating_sub(1);
            let written = self.rng.between(most.min(1), most) as usize;
            let now = self.now;
            self.file(file)?.append(data.slice(..written), now);
            return Err(io::Error::other("EIO: input/output error, after a part of the write"));
        }
        if self.spec.capacity.is_some() || !self.has_no_faults() {
            self.append_what_fits(file, data)?;
        } else {
            let now = self.now;
            self.file(file)?.append(data, now);
        }
        if let Some(limit) = self.spec.dirty_bytes {
            self.write_back_oldest(limit);
        }
        Ok(())
    }

    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.meet_file(Call::Read, file, Duration::ZERO)?;
        Ok(self.file(file)?.read(position, len))
    }

    fn len(&self, file: FileId) -> io::Result<u64> {
        self.files.get(&file).map(File::len).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.meet_file(Call::Name, file, self.spec.write)?;
        self.file(file)?.cut(len);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        let cost = if self.file(file)?.is_dirty() { self.spec.sync } else { Duration::ZERO };
        match self.meet_file(Call::Sync, file, cost)? {
            Meets::Nothing | Meets::PartialWrite => self.file(file)?.sync(),
            Meets::SyncErrorDropsPages => {
                self.file(file)?.drop_dirty();
                return Err(sync_failed());
            }
            Meets::SyncDropsPages => self.file(file)?.drop_dirty(),
            Meets::SyncLies => {}
        }
        Ok(())
    }

    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.meet(Call::Name, path, Duration::ZERO).map(|_| ())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.meet(Call::Name, from, self.spec.write)?;
        let entry = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if !self.parent_exists(to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(Entry::File(replaced)) = self.names.get(to).copied() {
            self.files.remove(&replaced);
        }
        if entry == Entry::Directory {
            let below = format!("{from}/");
            let moved: Vec<String> = self.names.keys().filter(|name| name.starts_with(&below)).cloned().collect();
            for name in moved {
                let inner = self.names.remove(&name).expect("its name was just listed");
                self.enter(format!("{to}/{}", &name[below.len()..]), inner);
            }
        }
        self.names.remove(from);
        self.enter(to.to_owned(), entry);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.meet(Call::Name, path, self.spec.write)?;
        let entry = self.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        let mut gone = vec![entry];
        if entry == Entry::Directory {
            let below = format!("{path}/");
            let inner: Vec<String> = self.names.keys().filter(|name| name.starts_with(&below)).cloned().collect();
            gone.extend(inner.iter().filter_map(|name| self.names.remove(name)));
        }
        for entry in gone {
            if let Entry::File(id) = entry {
                self.files.remove(&id);
            }
        }
        Ok(())
    }

    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.meet(Call::Name, path, Duration::ZERO)?;
        if !self.parent_exists(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.names.get(path) {
            Some(Entry::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            Some(Entry::Directory) => Ok(()),
            None => {
                self.names.insert(path.to_owned(), Entry::Directory);
                Ok(())
            }
        }
    }

    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        self.meet(Call::Name, path, Duration::ZERO)?;
        let below = if path.is_empty() {
            String::new()
        } else if self.names.get(path) == Some(&Entry::Directory) {
            format!("{path}/")
        } else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let inside = self.names.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        Ok(inside
            .filter(|(name, _)| !name[below.len()..].contains('/'))
            .map(|(name, entry)| match entry {
                Entry::File(_) => name[below.len()..].to_owned(),
                Entry::Directory => format!("{}/", &name[below.len()..]),
            })
            .collect())
    }

    fn exists(&self, path: &str) -> bool {
        self.names.contains_key(path)
    }

    fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl SimDisk {
    /// Gives a file or directory its name.
    fn enter(&mut self, name: String, entry: Entry) {
        if let Entry::File(id) = entry
            && let Some(file) = self.files.get_mut(&id)
        {
            file.move_to(name.clone());
        }
        self.names.insert(name, entry);
    }
}
