//! What a campaign found, kept as a scenario file that `ackproof run` replays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use ackproof_reports::render::text::{self as render, Style};
use toml::Value;

use super::campaign::explained;
use super::tally::{Failure, WorldId};
use crate::contract::node_names;
use crate::form::{Form, table, text};
use crate::guard::caught;
use crate::interrupt;
use crate::library::Place;
use crate::runner::{self, Options};
use crate::scenario::Scenario;
use crate::shrink::{Beyond, Limits, Shrunk, shrink_beyond, with_files};
use crate::signature::{Signature, expectation};
use crate::whole_file::WholeFile;

/// Where failures come from: whatever can say again which scenario a world was.
pub trait Worlds {
    /// The scenario of a world.
    fn form(&self, world: WorldId) -> Form;
    /// Where it would lie as a file.
    fn place(&self) -> Place;
}

/// The file of a failure.
pub fn path(folder: &Path, signature: Signature) -> PathBuf {
    folder.join(format!("{}.toml", signature.slug()))
}

/// The folder of a search, with the files that it has put there. What others put there stays as it is.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    files: BTreeMap<Signature, PathBuf>,
    /// Which of them this search has made.
    made: BTreeSet<PathBuf>,
    /// What could not be written, the first time.
    unwritten: Option<String>,
}

impl Shelf {
    /// Finds out whether files can be written to a folder, and leaves nothing behind. Whoever hears of it after a night has lost that night.
    pub fn at(folder: &Path) -> io::Result<Self> {
        let there = |path: &&Path| path.as_os_str().is_empty() || path.exists();
        let nearest = folder.ancestors().find(there).unwrap_or(folder);
        if nearest.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is no folder", nearest.display())));
        }
        WholeFile::at(&nearest.join("failure.toml"))?;
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new(), made: BTreeSet::new(), unwritten: None })
    }

    /// Where a failure lies, if it could be written.
    pub fn file(&self, signature: Signature) -> Option<&Path> {
        self.files.get(&signature).map(PathBuf::as_path)
    }

    /// What could not be written.
    pub fn unwritten(&self) -> Option<&str> {
        self.unwritten.as_deref()
    }

    /// Files of failures that were there and say something else, each with the one that was written beside it.
    pub fn beside(&self) -> Vec<(PathBuf, &Path)> {
        let usual = self.files.iter().map(|(signature, file)| (path(&self.folder, *signature), file.as_path()));
        usual.filter(|(usual, file)| usual != file).collect()
    }

    /// Writes what is left of a failure, whole or not at all. That it cannot be written is remembered.
    pub fn put(&mut self, signature: Signature, form: &Form) {
        if let Err(error) = self.try_put(signature, &form.text()) {
            self.files.remove(&signature);
            self.unwritten.get_or_insert_with(|| error.to_string());
        }
    }

    fn try_put(&mut self, signature: Signature, text: &str) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.folder.display())))?;
        for number in 1..u32::MAX {
            let file = numbered(&self.folder, signature, number);
            let is_own = self.made.contains(&file) && self.file(signature) == Some(&file);
            if !is_own && file.exists() {
                if std::fs::read(&file).is_ok_and(|known| known == text.as_bytes()) {
                    self.forget_own(signature, &file);
                    self.files.insert(signature, file);
                    return Ok(());
                }
                continue;
            }
            WholeFile::at(&file)?.write(text)?;
            self.made.insert(file.clone());
            self.files.insert(signature, file);
            return Ok(());
        }
        Err(io::Error::other(format!("{}: too many failures of one name", self.folder.display())))
    }

    /// What this search has written before is there already under another name.
    fn forget_own(&mut self, signature: Signature, there: &Path) {
        if let Some(own) = self.files.get(&signature).filter(|own| *own != there && self.made.contains(*own)) {
            // A file too many does no harm.
            let _ = std::fs::remove_file(own);
        }
    }
}

/// The name of a failure's file, where files of that name were there before.
fn numbered(folder: &Path, signature: Signature, number: u32) -> PathBuf {
    match number {
        1 => path(folder, signature),
        _ => folder.join(format!("{}-{number}.toml", signature.slug())),
    }
}

/// Writes what is left of a failure, whole or not at all, over whatever was there.
pub fn put(folder: &Path, signature: Signature, form: &Form) -> io::Result<()> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(about)?;
    WholeFile::at(&path(folder, signature))?.write(&form.text())
}

/// In so many other worlds the fix of a failure is tried.
pub const CONFIRMED: usize = 20;

/// The smallest scenario that fails as the first world did, within so many more worlds and changes. Its fix has been tried in
/// other worlds that failed so.
pub fn small(worlds: &dyn Worlds, signature: Signature, failure: &Failure, limits: Limits) -> Option<Shrunk> {
    if interrupt::is_asked() {
        return None;
    }
    let others = failure.worlds.iter().skip(1).filter_map(|world| understood(worlds, *world)).collect();
    let beyond = Beyond { others, confirm: CONFIRMED, ..Beyond::default() };
    small_beyond(worlds, signature, failure.first(), limits, beyond)
}

/// A world as a scenario, with its seed.
pub fn understood(worlds: &dyn Worlds, world: WorldId) -> Option<(Scenario, u64)> {
    Some((worlds.form(world).understand(&worlds.place()).ok()?, world.seed))
}

/// The smallest scenario that fails as a world did, where more is known.
pub fn small_beyond(
    worlds: &dyn Worlds,
    signature: Signature,
    world: WorldId,
    limits: Limits,
    beyond: Beyond,
) -> Option<Shrunk> {
    let (form, place) = (worlds.form(world), worlds.place());
    let work = || shrink_beyond(&form, &place, (world.seed, signature), limits, beyond, &mut |_| {});
    caught(work).ok().flatten()
}

/// The first world of a failure, as a scenario that expects what was found.
pub fn form(worlds: &dyn Worlds, signature: Signature, failure: &Failure) -> Form {
    let WorldId { seed, .. } = failure.first();
    let place = worlds.place();
    // It will lie in another folder than the files that it names.
    let mut form = with_files(&worlds.form(failure.first()), &place);
    form.0.insert("title".into(), text(format!("Found by chaos: {signature}")));
    let seeds = table([("test", text(format!("{seed}..{}", seed.saturating_add(1))))]);
    form.0.insert("seeds".into(), Value::Table(seeds));
    let found = match form.understand(&place) {
        Ok(scenario) => explained(&scenario, seed),
        Err(_) => vec![signature],
    };
    form.0.insert("expect".into(), Value::Table(expectation(found.into_iter().map(|found| (found, true)))));
    form
}

/// What happens in a scenario: the story of the first message that it happened to.
pub fn story(form: &Form, place: &Place, seed: u64, signature: Signature, style: &dyn Style) -> Option<String> {
    let scenario = form.understand(place).ok()?;
    let mut run = runner::run(&scenario, seed, Options::default()).ok()?;
    if let Signature::Broken(_) = signature {
        return Some(render::invariants(&run.judgement, style));
    }
    let stories = &mut run.explanation.stories;
    stories.retain(|story| Signature::of(&story.anomaly) == signature);
    stories.truncate(1);
    stories.iter_mut().for_each(|story| story.replay = None);
    run.explanation.more.clear();
    Some(render::explanation(&run.explanation, &node_names(&scenario), style))
}
