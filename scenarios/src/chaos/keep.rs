//! What a campaign found, kept as a scenario file that `ackproof run` replays.

use std::io;
use std::path::{Path, PathBuf};

use ackproof_reports::render::text::{self, Style};
use toml::{Table, Value};

use super::campaign::{Campaign, Failure, explained};
use super::dice::{table, text};
use crate::contract::node_names;
use crate::form::Form;
use crate::runner::{self, Options};
use crate::signature::Signature;

/// The file of a failure.
pub fn path(folder: &Path, signature: Signature) -> PathBuf {
    folder.join(format!("{}.toml", signature.slug()))
}

/// Writes the first world of a failure, whole or not at all.
pub fn write(folder: &Path, campaign: &Campaign, signature: Signature, failure: &Failure) -> io::Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| about(folder, &error))?;
    whole(&path(folder, signature), &form(campaign, signature, failure).text())
}

/// Writes a file whole or not at all: under another name first.
pub fn whole(path: &Path, content: &str) -> io::Result<()> {
    let unfinished = path.with_extension("toml.unfinished");
    std::fs::write(&unfinished, content).map_err(|error| about(&unfinished, &error))?;
    std::fs::rename(&unfinished, path).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The first world of a failure, as a scenario that expects what was found.
pub fn form(campaign: &Campaign, signature: Signature, failure: &Failure) -> Form {
    let (seed, parts) = failure.first();
    let mut form = campaign.form(parts);
    form.0.insert("title".into(), text(format!("Found by chaos: {signature}")));
    let seeds = table([("test", text(format!("{seed}..{}", seed.saturating_add(1))))]);
    form.0.insert("seeds".into(), Value::Table(seeds));
    let found = match form.understand(&campaign.basis.place("drawn.toml")) {
        Ok(scenario) => explained(&scenario, seed),
        Err(_) => vec![signature],
    };
    form.0.insert("expect".into(), Value::Table(expect(&found)));
    form
}

/// What a run showed, as its expectation.
pub fn expect(found: &[Signature]) -> Table {
    let (mut anomalies, mut invariants) = (Vec::new(), Vec::new());
    for signature in found {
        match signature {
            Signature::Broken(invariant) => {
                invariants.push(Value::Table(table([("name", text(invariant.name()))])));
            }
            Signature::Anomaly { kind, cause, permitted } => {
                let mut anomaly = table([("kind", text(kind.name()))]);
                if let Some(cause) = cause {
                    anomaly.insert("cause".into(), text(cause.to_string()));
                }
                match permitted.name() {
                    "yes" => drop(anomaly.insert("permitted".into(), Value::Boolean(true))),
                    "no" => drop(anomaly.insert("permitted".into(), Value::Boolean(false))),
                    _ => {}
                }
                anomalies.push(Value::Table(anomaly));
            }
        }
    }
    let mut expect = Table::new();
    for (key, list) in [("anomaly", anomalies), ("invariant", invariants)] {
        if !list.is_empty() {
            expect.insert(key.into(), Value::Array(list));
        }
    }
    if expect.is_empty() {
        expect.insert("clean".into(), Value::Boolean(true));
    }
    expect
}

/// The story of the first world: the first message that it happened to.
pub fn story(campaign: &Campaign, signature: Signature, failure: &Failure, style: &dyn Style) -> Option<String> {
    let (seed, parts) = failure.first();
    let scenario = campaign.form(parts).understand(&campaign.basis.place("drawn.toml")).ok()?;
    let mut run = runner::run(&scenario, seed, Options::default()).ok()?;
    if let Signature::Broken(_) = signature {
        return Some(text::invariants(&run.judgement, style));
    }
    let is_it = |anomaly: &ackproof_reports::Anomaly| {
        Signature::Anomaly { kind: anomaly.kind, cause: anomaly.cause, permitted: anomaly.permitted.answer }
            == signature
    };
    let stories = &mut run.explanation.stories;
    stories.retain(|story| is_it(&story.anomaly));
    stories.truncate(1);
    stories.iter_mut().for_each(|story| story.replay = None);
    run.explanation.more.clear();
    Some(text::explanation(&run.explanation, &node_names(&scenario), style))
}
