//! What a campaign came to, told: for people, for CI. It makes no difference whether one process ran it or several.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use ackproof_core::types::Duration;
use ackproof_reports::render::github::{self, Annotation, Level};
use ackproof_reports::render::junit::{Case, CaseEnd, Detail, Suite};
use ackproof_reports::render::text::PlainText;

use super::screen::{ReportFormat, Screen, add_to_summary};
use crate::chaos::draw::Parts;
use crate::chaos::keep::{self, Shelf};
use crate::chaos::results::{Asked, Kept};
use crate::chaos::tally::{Failure, Plan, Report, WorldId};
use crate::guard::caught;
use crate::library::Place;
use crate::runner::quoted;
use crate::signature::Signature;

/// A campaign that is over.
#[derive(Clone)]
pub(super) struct Told<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// What it came to.
    pub report: &'a Report,
    /// The failures that were kept.
    pub kept: &'a BTreeMap<Signature, Kept>,
    /// Where they lie as files.
    pub shelf: &'a Shelf,
    /// Worlds that were to be run and were not, in words.
    pub missing: &'a [String],
    /// That somebody interrupted it, and when.
    pub interrupted: Option<String>,
}

impl Told<'_> {
    /// Tells it. JSON is written as it comes, and not by this.
    pub fn tell(&self, format: ReportFormat, elapsed: Option<Duration>, screen: &mut Screen) -> io::Result<()> {
        match format {
            ReportFormat::Human => screen.print(&self.human(elapsed)),
            ReportFormat::Json => {
                self.interrupted.iter().for_each(|interrupted| screen.complain(interrupted));
                Ok(())
            }
            ReportFormat::Junit => screen.print(&self.junit(elapsed.unwrap_or_default())),
            ReportFormat::Github => {
                screen.print(&self.github())?;
                add_to_summary(&self.markdown())
            }
        }
    }

    fn human(&self, elapsed: Option<Duration>) -> String {
        let mut out = String::new();
        for (signature, failure) in &self.report.failures {
            let _ = writeln!(out, "{signature}\n{}", self.indented_story(*signature, failure));
        }
        for (said, failure) in &self.report.panics {
            let _ = writeln!(out, "panic: {said}\n{}", self.panic(failure));
        }
        let _ = writeln!(out, "{}\n{}", self.summary(), self.figures(elapsed));
        out.push_str(&self.gaps());
        out
    }

    /// In how many worlds, what happens in one of them, and how to see that again.
    fn indented_story(&self, signature: Signature, failure: &Failure) -> String {
        let mut out = self.times(failure);
        let Some((kept, path)) = self.kept.get(&signature).zip(self.file(signature)) else {
            let _ = writeln!(out, "  replay  {}", self.asked.replay(failure.first()));
            return out;
        };
        let place = Place::Disk(path.clone());
        let story = caught(|| keep::story(&kept.form, &place, kept.seed, signature, &PlainText));
        if let Some(story) = story.ok().flatten() {
            let _ = writeln!(out, "\n{}\n", indented(story.trim_end()));
        }
        let (path, seed) = (quoted(&path.display().to_string()), kept.seed);
        let _ = writeln!(out, "  replay  ackproof run {path} --seed {seed}");
        if !kept.is_small {
            let signature = signature.slug();
            let _ = writeln!(out, "  small   ackproof shrink {path} --seed {seed} --signature {signature}");
        }
        let _ = writeln!(out, "  world   {}", self.asked.replay(failure.first()));
        out
    }

    /// Where a failure lies.
    fn file(&self, signature: Signature) -> Option<PathBuf> {
        self.shelf.file(signature).map(std::path::Path::to_owned)
    }

    fn panic(&self, failure: &Failure) -> String {
        format!("{}  replay  {}\n", self.times(failure), self.asked.replay(failure.first()))
    }

    fn times(&self, failure: &Failure) -> String {
        format!("  in {} of {}; {}\n", failure.times, counted(self.report.worlds, "world"), listed(failure))
    }

    /// The last line.
    fn summary(&self) -> String {
        let wanted = match self.asked.looking_for.as_str() {
            "forbidden" => "that the configuration forbids",
            _ if self.report.ways() > 1 => "that were looked for",
            _ => "that was looked for",
        };
        let ways = match self.report.ways() {
            0 => format!("nothing went wrong {wanted}"),
            1 => format!("one thing went wrong {wanted}"),
            ways => format!("{ways} things went wrong {wanted}"),
        };
        let lessons = match self.report.permitted {
            0 => String::new(),
            worlds => format!("; in {worlds} something else did"),
        };
        let long = match self.report.unexplained.times {
            0 => String::new(),
            times => format!(
                "; {times} too long to be explained ({}): look with --plan and `ackproof run`",
                listed(&self.report.unexplained)
            ),
        };
        let ended = self.ended().map(|ended| format!("; {ended}")).unwrap_or_default();
        let Report { worlds, seeds, .. } = self.report;
        let seeds = if seeds.is_empty() { "no seed".to_owned() } else { format!("seeds {seeds}") };
        let worlds = counted(*worlds, "world");
        format!("{worlds} ({seeds}, {}): {ways}{lessons}{long}{ended}", self.asked.faults())
    }

    /// What ended it, if not the last of its worlds.
    fn ended(&self) -> Option<String> {
        let quiet = self.asked.quiet_after.filter(|after| self.report.quiet >= *after);
        let quiet = || quiet.map(|after| format!("--quiet-after {after} ended it"));
        self.interrupted.clone().or_else(quiet)
    }

    /// How much was looked at.
    fn figures(&self, elapsed: Option<Duration>) -> String {
        let Report { worlds, sim_time, events, coverage, quiet, .. } = self.report;
        let speed = |elapsed: Duration| u128::from(*worlds) * 1_000_000_000 / u128::from(elapsed.0.max(1));
        let speed = elapsed.map(|elapsed| format!(", {} worlds/s", speed(elapsed))).unwrap_or_default();
        let seen = match &self.asked.exhaustive {
            Some(bounds) => self.report.swept_in_words(bounds),
            None => {
                let last = match quiet {
                    0 => "in the last world".to_owned(),
                    quiet => format!("{} ago", counted(*quiet, "world")),
                };
                format!("{coverage} pairs of protocol states seen, the last new one {last}")
            }
        };
        format!("{} simulated s, {events} events{speed}; {seen}", sim_time.0 / 1_000_000_000)
    }

    fn gaps(&self) -> String {
        if self.missing.is_empty() { String::new() } else { format!("not run: {}\n", self.missing.join(", ")) }
    }

    /// A case for each thing that went wrong, and one for the campaign.
    fn junit(&self, elapsed: Duration) -> String {
        let case = |name: String, end| Case { class: "ackproof.chaos".into(), name, time: Duration::ZERO, end };
        let detail = |kind: String, message: String, text: String| Detail { kind, message, text };
        let mut cases = Vec::new();
        for (signature, failure) in &self.report.failures {
            let text = self.indented_story(*signature, failure);
            let end = CaseEnd::Failed(detail(signature.slug(), signature.to_string(), text));
            cases.push(case(signature.to_string(), end));
        }
        for (said, failure) in &self.report.panics {
            let end = CaseEnd::Broken(detail("panic".into(), said.clone(), self.panic(failure)));
            cases.push(case(format!("panic: {said}"), end));
        }
        let missing = || detail("missing".into(), self.gaps().trim_end().to_owned(), self.summary());
        let end = match &self.interrupted {
            Some(interrupted) => CaseEnd::Broken(detail("interrupted".into(), interrupted.clone(), self.summary())),
            None if self.missing.is_empty() => CaseEnd::Passed,
            None => CaseEnd::Broken(missing()),
        };
        let name = match self.ended() {
            Some(ended) if self.interrupted.is_none() => format!("every world was run until {ended}"),
            Some(_) | None => "every world was run".to_owned(),
        };
        cases.push(Case { time: elapsed, ..case(name, end) });
        let name = self.asked.scenario.as_ref().map_or("chaos".to_owned(), |named| format!("chaos {}", named.name));
        Suite { name, cases }.document()
    }

    /// An annotation for each thing that went wrong, and a line for the campaign.
    fn github(&self) -> String {
        let mut out = String::new();
        for (signature, failure) in &self.report.failures {
            let path = self.file(*signature);
            let annotation = Annotation {
                level: Level::Error,
                file: path.map(|path| path.display().to_string()),
                title: signature.to_string(),
                message: self.indented_story(*signature, failure),
            };
            let _ = writeln!(out, "{annotation}");
        }
        for (said, failure) in &self.report.panics {
            let (title, message) = (format!("panic: {said}"), self.panic(failure));
            let _ = writeln!(out, "{}", Annotation { level: Level::Error, file: None, title, message });
        }
        if let Some(interrupted) = &self.interrupted {
            let (title, message) = ("interrupted".to_owned(), interrupted.clone());
            let _ = writeln!(out, "{}", Annotation { level: Level::Warning, file: None, title, message });
        }
        if !self.missing.is_empty() {
            let (title, message) = ("worlds are missing".to_owned(), self.gaps());
            let _ = writeln!(out, "{}", Annotation { level: Level::Warning, file: None, title, message });
        }
        let _ = writeln!(out, "{}", self.summary());
        out
    }

    fn markdown(&self) -> String {
        let row = |what: String, failure: &Failure, replay: String| {
            vec![what, failure.times.to_string(), failure.first().seed.to_string(), replay]
        };
        let mut rows = Vec::new();
        for (signature, failure) in &self.report.failures {
            let replay = match self.kept.get(signature).zip(self.file(*signature)) {
                Some((kept, path)) => {
                    let path = path.display().to_string();
                    format!("ackproof run {} --seed {}", quoted(&path), kept.seed)
                }
                None => self.asked.replay(failure.first()),
            };
            rows.push(row(signature.to_string(), failure, replay));
        }
        for (said, failure) in &self.report.panics {
            rows.push(row(format!("panic: {said}"), failure, self.asked.replay(failure.first())));
        }
        let mut out = format!("### ackproof chaos\n\n{}\n\n", self.summary());
        if !rows.is_empty() {
            out.push_str(&github::table(&["What went wrong", "Worlds", "First seed", "See it again"], &rows));
        }
        out.push_str(&self.gaps());
        out.push('\n');
        out
    }
}

/// Which worlds: drawn ones by their seeds, with their parts where those are not what a seed alone gives; those of a sweep by what happens in them.
fn listed(failure: &Failure) -> String {
    let (mut seeds, mut swept) = (Vec::new(), Vec::new());
    for WorldId { seed, plan } in &failure.worlds {
        match plan {
            Plan::Drawn(parts) if *parts == Parts::fresh(*seed) => seeds.push(seed.to_string()),
            Plan::Drawn(parts) => seeds.push(format!("{seed} (--parts {parts})")),
            Plan::Swept(..) => swept.push(format!("{plan} of seed {seed}")),
        }
    }
    let more = match failure.times.saturating_sub(failure.worlds.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let worlds = match &seeds[..] {
        [] => swept.join(", "),
        [seed] => format!("seed {seed}"),
        seeds => format!("seeds {}", seeds.join(", ")),
    };
    worlds + &more
}

/// A number of things.
pub(super) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Text with a margin.
pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
