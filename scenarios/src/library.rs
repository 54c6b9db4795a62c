//! Where scenarios are: files and folders on disk, and the library that is built into the program.
//!
//! An argument of the command line is a file, a folder, the name of a library scenario (`durability/acks-1-leader-crash`, or its
//! last part alone), or of a chapter (`durability`). What is on disk wins over the library.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostics::{Diagnostic, Diagnostics, Source, nearest};

/// A file of the library: its path below `scenarios/library`, and its bytes.
type Embedded = (&'static str, &'static [u8]);

include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// Where the library stands in the repository; shown for embedded files.
const FOLDER: &str = "scenarios/library";

/// A file, on disk or in the library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On disk.
    Disk(PathBuf),
    /// In the library: its path below `scenarios/library`.
    Library(String),
}

impl Place {
    /// What it holds.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Place::Disk(path) => std::fs::read(path),
            Place::Library(path) => LIBRARY
                .iter()
                .find(|(name, _)| name == path)
                .map(|(_, bytes)| bytes.to_vec())
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file in the library")),
        }
    }

    /// The file of this relative path in the same folder.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Place {
        match self {
            Place::Disk(path) => Place::Disk(path.parent().unwrap_or(Path::new("")).join(name)),
            Place::Library(_) if Path::new(name).is_absolute() => Place::Disk(name.into()),
            Place::Library(path) => {
                let mut parts: Vec<&str> = path.split('/').collect();
                parts.pop();
                for part in name.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => drop(parts.pop()),
                        name => parts.push(name),
                    }
                }
                Place::Library(parts.join("/"))
            }
        }
    }

    /// What it is called in messages.
    pub fn display(&self) -> String {
        match self {
            Place::Disk(path) => path.display().to_string(),
            Place::Library(path) => format!("{FOLDER}/{path}"),
        }
    }

    /// What is typed to run it: the path, or the library's name.
    pub fn name(&self) -> String {
        match self {
            Place::Disk(path) => path.display().to_string(),
            Place::Library(path) => path.strip_suffix(".toml").unwrap_or(path).to_owned(),
        }
    }
}

/// All scenarios of the library, in order.
pub fn library() -> Vec<Place> {
    scenario_names().map(|name| Place::Library(format!("{name}.toml"))).collect()
}

fn scenario_names() -> impl Iterator<Item = &'static str> {
    LIBRARY.iter().filter_map(|(path, _)| path.strip_suffix(".toml"))
}

/// The scenarios that an argument names, in order.
pub fn find(argument: &str) -> Result<Vec<Place>, Diagnostics> {
    let path = Path::new(argument);
    if path.is_file() {
        return Ok(vec![Place::Disk(path.to_owned())]);
    }
    if path.is_dir() {
        let found = folder(path).map_err(|error| unreadable(argument, &error))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let wanted = argument.trim_end_matches('/');
    let wanted = wanted.strip_prefix(FOLDER).unwrap_or(wanted).trim_start_matches('/');
    let wanted = wanted.strip_suffix(".toml").unwrap_or(wanted);
    let named: Vec<Place> = scenario_names()
        .filter(|name| {
            *name == wanted
                || name.rsplit('/').next() == Some(wanted)
                || name.strip_prefix(wanted).is_some_and(|rest| wanted.is_empty() || rest.starts_with('/'))
        })
        .map(|name| Place::Library(format!("{name}.toml")))
        .collect();
    if named.is_empty() { Err(unknown(argument, path.is_dir())) } else { Ok(named) }
}

fn unreadable(argument: &str, error: &io::Error) -> Diagnostics {
    Diagnostic::about_file(&Source::new(argument, ""), format!("cannot be read: {error}")).into()
}

fn unknown(argument: &str, is_folder: bool) -> Diagnostics {
    let message = match (is_folder, Path::new(argument).extension().is_some()) {
        (true, _) => "there is no scenario (*.toml) in this folder",
        (false, true) => "there is no such file",
        (false, false) => "this is neither a file nor a folder nor a scenario or chapter of the library",
    };
    let found = Diagnostic::about_file(&Source::new(argument, ""), message);
    let mut known: Vec<&str> = scenario_names()
        .flat_map(|name| [Some(name), name.rsplit('/').next(), name.split('/').next()])
        .flatten()
        .collect();
    known.sort_unstable();
    known.dedup();
    match nearest(argument, &known) {
        Some(name) => found.remedy(format!("did you mean `{name}`?")).into(),
        None => found.remedy("`ackproof list` shows what the library has").into(),
    }
}

/// All `*.toml` files in a folder and the folders below it, in order.
fn folder(path: &Path) -> io::Result<Vec<Place>> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(folder(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            found.push(Place::Disk(entry));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_found_by_chapter_by_name_and_by_its_last_part() {
        let place = Place::Library("durability/tutorial/orders.toml".into());
        for argument in ["durability/tutorial/orders", "orders", "scenarios/library/durability/tutorial/orders.toml"] {
            assert_eq!(find(argument).expect(argument), std::slice::from_ref(&place), "{argument}");
        }
        for chapter in ["durability", "durability/tutorial"] {
            assert!(find(chapter).expect("a chapter").contains(&place), "{chapter}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_with_the_nearest_name() {
        let message = |argument: &str| find(argument).expect_err("not there").to_string();
        assert!(message("durabilty").contains("did you mean `durability`?"), "{}", message("durabilty"));
        assert!(message("no/such.toml").contains("no such file"));
    }

    #[test]
    fn a_file_of_the_library_knows_its_siblings() {
        let place = Place::Library("durability/tutorial/orders.toml".into());
        assert!(place.sibling("server-hadoop01.properties").read().is_ok());
        assert_eq!(place.sibling("../x.properties").display(), "scenarios/library/durability/x.properties");
        assert!(place.sibling("none").read().is_err());
    }
}
