//! `ackproof shrink`: from a scenario in which something goes wrong to the smallest one that goes wrong in the same way.

use std::io;
use std::path::PathBuf;

use ackproof_reports::names::listed;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::End;
use super::numbers;
use super::run::human;
use super::screen::{Colours, Format, Screen, hidden};
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::form::Form;
use crate::interrupt;
use crate::library::{Place, find};
use crate::runner::{self, Options, replay};
use crate::scenario::Scenario;
use crate::shrink::{Limits, Shrunk, failures, shrink};
use crate::signature::Signature;
use crate::whole_file::WholeFile;

/// What the result is called where it goes to standard output.
const UNNAMED: &str = "small.toml";

/// Make a scenario in which something goes wrong as small as it gets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof shrink failures/lost-write.toml -o small.toml
  ackproof shrink my-scenario.toml --seed 17 --signature duplicate -o small.toml
  ackproof shrink my-scenario.toml > small.toml
  ackproof shrink my-scenario.toml --max-worlds 500 --format json

Without -o the file goes to standard output, and what is told about it to standard error. With -o every improvement is
written at once. Ctrl-C or SIGTERM ends the search with the smallest so far, which is told as at the end; a second one ends at once.

Exit codes: 0 it was shrunk, 2 the input or the call is wrong, 3 nothing goes wrong in it, or a part of it was not put to the
test (a fault never bit), 130 and 143 interrupted by Ctrl-C or SIGTERM.")]
pub(super) struct Shrink {
    /// A file, or the name of a scenario of the library
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// The seed under which it goes wrong; the first of the scenario's own under which anything does, if not given
    #[arg(long, value_name = "N", value_parser = numbers::whole, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// What to keep, by anomaly, cause, invariant or all of it: lost-write, unclean-election; the worst if not given
    #[arg(long, value_name = "TEXT")]
    signature: Option<String>,
    /// Run at most so many worlds to make it smaller
    #[arg(long, value_name = "N", default_value_t = Limits::default().worlds, value_parser = numbers::some_of, allow_negative_numbers = true)]
    max_worlds: u64,
    /// Write the result to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How the result is told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A failure to be shrunk.
struct Failure {
    place: Place,
    form: Form,
    seed: u64,
    signature: Signature,
    others: Vec<Signature>,
}

impl Shrink {
    /// Shrinks it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let scenario = match self.read() {
            Ok(scenario) => scenario,
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        let failure = match self.failure(&scenario)? {
            Ok(failure) => failure,
            Err((end, message)) => {
                screen.complain(&message);
                return Ok(end);
            }
        };
        let output = self.output.as_deref().map(WholeFile::at).transpose()?;
        interrupt::watch()?;
        if self.format == Format::Human {
            screen.complain(&introduction(&scenario, &failure));
        }
        let bar = progress_bar(screen);
        let mut unwritten = None;
        let limits = Limits { worlds: self.max_worlds, ..Limits::default() };
        let shrunk = shrink(&failure.form, &failure.place, failure.seed, failure.signature, limits, &mut |progress| {
            bar.set_message(format!("{} worlds, {}", progress.worlds, progress.size));
            bar.inc(1);
            if let Some(output) = output.as_ref().filter(|_| progress.improved && unwritten.is_none()) {
                unwritten = output.write(&progress.file().text()).err();
            }
        });
        bar.finish_and_clear();
        // Only a form that is no scenario, or shows nothing, cannot be shrunk, and that has been looked at.
        let Some(shrunk) = shrunk else {
            return Err(io::Error::other("the failure does not show again under its own seed"));
        };
        if let Some(output) = &output {
            output.write(&shrunk.form.text())?;
        }
        self.tell(&failure, &shrunk, screen)?;
        if let Some(code) = interrupt::code() {
            return Ok(End::Interrupted(code));
        }
        Ok(if shrunk.doubts.is_empty() { End::AsExpected } else { End::Inconclusive })
    }

    fn read(&self) -> Result<Scenario, Diagnostics> {
        let places = find(&self.scenario)?;
        match &places[..] {
            [place] => Scenario::load(place).and_then(|scenario| scenario.runs_alone().map(|()| scenario)),
            several => {
                let message = format!("these are {} scenarios, and one is shrunk at a time", several.len());
                let names: Vec<String> = several.iter().take(3).map(Place::name).collect();
                let found = Diagnostic::about_file(&Source::new(&*self.scenario, ""), message);
                Err(found.remedy(format!("name one of them, like {}", listed(names))).into())
            }
        }
    }

    /// What is to be shrunk, or why there is nothing.
    fn failure(&self, scenario: &Scenario) -> io::Result<Result<Failure, (End, String)>> {
        let seeds: Vec<u64> = self.seed.map_or_else(|| scenario.seeds.all().collect(), |seed| vec![seed]);
        let found = seeds.iter().map(|seed| (*seed, failures(scenario, *seed))).find(|(_, found)| !found.is_empty());
        let Some((seed, found)) = found else {
            let under: Vec<String> = seeds.iter().map(u64::to_string).collect();
            let under = format!("{} {}", if under.len() == 1 { "seed" } else { "seeds" }, listed(under));
            let hint =
                "`--seed N` tries another seed; `ackproof run SCENARIO --seeds 0..1000` tells which seeds are worth it";
            return Ok(Err((
                End::Inconclusive,
                format!("nothing goes wrong in {} under {under}\n{hint}", scenario.name()),
            )));
        };
        let is_meant = |found: &&Signature| self.signature.as_ref().is_none_or(|wanted| names(**found, wanted));
        let Some(signature) = found.iter().find(is_meant).copied() else {
            let there: Vec<String> = found.iter().map(|found| format!("  {found}")).collect();
            let wanted = self.signature.as_deref().unwrap_or_default();
            let message = format!("error: seed {seed} shows no `{wanted}` but\n{}", there.join("\n"));
            return Ok(Err((End::WrongInput, message)));
        };
        // It was understood a moment ago: it is text, and TOML.
        let text = String::from_utf8(scenario.place.read()?).map_err(io::Error::other)?;
        let Some(form) = Form::parse(&text) else { return Err(io::Error::other("the file has just changed")) };
        let others = found.into_iter().filter(|other| *other != signature).collect();
        Ok(Ok(Failure { place: scenario.place.clone(), form, seed, signature, others }))
    }

    fn tell(&self, failure: &Failure, shrunk: &Shrunk, screen: &mut Screen) -> io::Result<()> {
        let text = shrunk.form.text();
        match (self.format, &self.output) {
            (Format::Json, output) => screen.print(&as_json(failure, shrunk, output.as_ref(), &text).to_string()),
            (Format::Human, Some(_)) => screen.print(&self.summary(shrunk)),
            (Format::Human, None) => {
                screen.print(&text)?;
                screen.complain(&format!("\n{}", self.summary(shrunk).trim_end()));
                Ok(())
            }
        }
    }

    /// From what to what, how that is known, the story, and how to see it again.
    fn summary(&self, shrunk: &Shrunk) -> String {
        let Shrunk { from, to, worlds, shown_by, seed, .. } = shrunk;
        let mut out = format!("from  {from}\nto    {to}\n\n{worlds} worlds were run");
        if interrupt::is_asked() {
            out.push_str("; interrupted, this is the smallest so far\n\n");
        } else {
            if shrunk.cut_short {
                out.push_str("; the limit of --max-worlds was reached, more of them may make it smaller still");
            }
            out.push_str(&format!("\n{} of the seeds 0 to 19 show it\n\n", shown_by.len()));
        }
        let place = Place::Disk(self.output.clone().unwrap_or_else(|| PathBuf::from(UNNAMED)));
        if let Ok(scenario) = shrunk.form.understand(&place)
            && let Ok(run) = runner::run(&scenario, *seed, Options::default())
        {
            out.push_str(&human(&scenario, &run, false, &Colours));
            if run.explanation.stories.is_empty() {
                out.push_str(&format!("replay    {}\n", replay(&scenario, *seed)));
            }
        }
        if self.output.is_none() {
            out.push_str(&format!("\n{UNNAMED} is what went to standard output\n"));
        }
        out
    }
}

/// Whether a text of the command line means a signature.
fn names(signature: Signature, wanted: &str) -> bool {
    let wanted = wanted.trim();
    let part = match signature {
        Signature::Broken(invariant) => invariant.name().eq_ignore_ascii_case(wanted),
        Signature::Anomaly { kind, cause, .. } => {
            kind.name() == wanted || cause.is_some_and(|cause| cause.name() == wanted)
        }
    };
    part || signature.to_string() == wanted || signature.slug() == wanted
}

fn introduction(scenario: &Scenario, failure: &Failure) -> String {
    let mut out = format!("{}  seed {}\nkeeping  {}", scenario.name(), failure.seed, failure.signature);
    for other in &failure.others {
        out.push_str(&format!("\nalso     {other}"));
    }
    if !failure.others.is_empty() {
        out.push_str("\n`--signature` chooses another");
    }
    out.push('\n');
    out
}

fn as_json(failure: &Failure, shrunk: &Shrunk, output: Option<&PathBuf>, text: &str) -> serde_json::Value {
    json!({
        "scenario": failure.place.name(),
        "seed": failure.seed.to_string(),
        "signature": shrunk.signature.to_string(),
        "others": failure.others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "from": shrunk.from,
        "to": shrunk.to,
        "worlds": shrunk.worlds,
        "cut_short": shrunk.cut_short,
        "result_seed": shrunk.seed.to_string(),
        "interrupted": interrupt::is_asked(),
        "shown_by": shrunk.shown_by,
        "doubts": shrunk.doubts,
        "file": output.map(|path| path.display().to_string()),
        "text": text,
    })
}

fn progress_bar(screen: &Screen) -> ProgressBar {
    if !screen.is_watched() {
        return hidden();
    }
    let bar = ProgressBar::new_spinner();
    // A template that does not parse is a wrong program; the default style will do all the same.
    let style = ProgressStyle::with_template("{spinner} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}
