//! A file that is there as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A place for a file that is written more than once, each time as a whole.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    /// What is being written, in the same folder, so that it can take the place of the file in one stroke.
    draft: PathBuf,
}

impl WholeFile {
    /// Finds out whether it can be written there, and leaves nothing behind.
    pub fn at(path: &Path) -> io::Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|_| !path.is_dir()) else {
            let message = format!("{}: this is a folder; name a file in it", path.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, message));
        };
        let draft = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = Self { path: path.to_owned(), draft };
        let tried = File::create(&file.draft).and_then(|_| fs::remove_file(&file.draft));
        tried.map_err(|error| file.named(&error))?;
        Ok(file)
    }

    /// Writes it.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let written = self.draft(text).and_then(|()| fs::rename(&self.draft, &self.path));
        written.map_err(|error| {
            // Whether that works or not, the first error is the one to tell.
            let _ = fs::remove_file(&self.draft);
            self.named(&error)
        })
    }

    fn draft(&self, text: &str) -> io::Result<()> {
        let mut file = File::create(&self.draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}
