//! What a campaign found, kept as a scenario file that `ackproof run` replays.

use std::io;
use std::path::{Path, PathBuf};

use ackproof_reports::render::text::{self as render, Style};
use toml::Value;

use super::campaign::explained;
use super::tally::{Failure, WorldId};
use crate::contract::node_names;
use crate::form::{Form, table, text};
use crate::guard::caught;
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

/// Writes the first world of a failure, whole or not at all.
pub fn write(folder: &Path, worlds: &dyn Worlds, signature: Signature, failure: &Failure) -> io::Result<()> {
    put(folder, signature, &form(worlds, signature, failure))
}

/// Writes what is left of a failure, whole or not at all.
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
