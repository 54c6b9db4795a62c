//! What a campaign came to, told: for people, for CI. It makes no difference whether one process ran it or several.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use ackproof_core::types::Duration;
use ackproof_reports::render::github::{self, Annotation, Level};
use ackproof_reports::render::junit::{Case, CaseEnd, Detail, Suite};
use ackproof_reports::render::text::PlainText;

use super::screen::{ReportFormat, Screen, add_to_summary};
use crate::chaos::keep;
use crate::chaos::results::{Asked, Kept};
use crate::chaos::tally::{Failure, Plan, Report, WorldId};
use crate::guard::caught;
use crate::library::Place;
use crate::runner::quoted;
use crate::signature::Signature;

/// A campaign that is over.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// What it came to.
    pub report: &'a Report,
    /// The failures that were kept.
    pub kept: &'a BTreeMap<Signature, Kept>,
    /// Where they lie as files.
    pub folder: &'a Path,
    /// Worlds that were to be run and were not, in words.
    pub missing: &'a [String],
}

impl Told<'_> {
    /// Tells it. JSON is written as it comes, and not by this.
    pub fn tell(&self, format: ReportFormat, speed: Option<u64>, screen: &mut Screen) -> io::Result<()> {
        match format {
            ReportFormat::Human => screen.print(&self.human(speed)),
            ReportFormat::Json => Ok(()),
            ReportFormat::Junit => screen.print(&self.junit()),
            ReportFormat::Github => {
                screen.print(&self.github())?;
                add_to_summary(&self.markdown())
            }
        }
    }

    fn human(&self, speed: Option<u64>) -> String {
        let mut out = String::new();
        for (signature, failure) in &self.report.failures {
            let _ = writeln!(out, "{signature}\n{}", self.indented_story(*signature, failure));
        }
        for (said, failure) in &self.report.panics {
            let _ = writeln!(out, "panic: {said}\n{}", self.panic(failure));
        }
        let _ = writeln!(out, "{}\n{}", self.summary(), self.figures(speed));
        out.push_str(&self.gaps());
        out
    }

    /// In how many worlds, what happens in one of them, and how to see that again.
    fn indented_story(&self, signature: Signature, failure: &Failure) -> String {
        let mut out = self.times(failure);
        let Some(kept) = self.kept.get(&signature) else {
            let _ = writeln!(out, "  replay  {}", self.asked.replay(failure.first()));
            return out;
        };
        let path = keep::path(self.folder, signature);
        let place = Place::Disk(path.clone());
        let story = caught(|| keep::story(&kept.form, &place, kept.seed, signature, &PlainText));
        if let Some(story) = story.ok().flatten() {
            let _ = writeln!(out, "\n{}\n", indented(story.trim_end()));
        }
        let (path, seed) = (quoted(&path.display().to_string()), kept.seed);
        let _ = writeln!(out, "  replay  ackproof run {path} --seed {seed}");
        if !kept.is_small {
            let _ = writeln!(out, "  small   ackproof shrink {path} --seed {seed}");
        }
        out
    }

    fn panic(&self, failure: &Failure) -> String {
        format!("{}  replay  {}\n", self.times(failure), self.asked.replay(failure.first()))
    }

    fn times(&self, failure: &Failure) -> String {
        format!("  in {} of {} worlds; {}\n", failure.times, self.report.worlds, listed(&failure.worlds))
    }

    /// The last line.
    fn summary(&self) -> String {
        let wanted = match self.asked.looking_for.as_str() {
            "forbidden" => "that the configuration forbids",
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
                listed(&self.report.unexplained.worlds)
            ),
        };
        let Report { worlds, seeds, .. } = self.report;
        let worlds = if *worlds == 1 { "1 world".to_owned() } else { format!("{worlds} worlds") };
        format!("{worlds} (seeds {seeds}, {}): {ways}{lessons}{long}", self.asked.faults())
    }

    /// How much was looked at.
    fn figures(&self, worlds_per_second: Option<u64>) -> String {
        let Report { sim_time, events, coverage, quiet, .. } = self.report;
        let speed = worlds_per_second.map(|worlds| format!(", {worlds} worlds/s")).unwrap_or_default();
        let seen = match &self.asked.exhaustive {
            Some(bounds) => {
                format!("{} moments of the run; left out: {}", self.report.moments(bounds.stride), bounds.left_out())
            }
            None => format!("{coverage} pairs of protocol states seen, the last new one {quiet} worlds ago"),
        };
        format!("{} simulated s, {events} events{speed}; {seen}", sim_time.0 / 1_000_000_000)
    }

    fn gaps(&self) -> String {
        if self.missing.is_empty() { String::new() } else { format!("not run: {}\n", self.missing.join(", ")) }
    }

    /// A case for each thing that went wrong, and one for the campaign.
    fn junit(&self) -> String {
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
        let end = if self.missing.is_empty() { CaseEnd::Passed } else { CaseEnd::Broken(missing()) };
        cases.push(case("every world was run".into(), end));
        let name = self.asked.scenario.as_ref().map_or("chaos".to_owned(), |named| format!("chaos {}", named.name));
        Suite { name, cases }.document()
    }

    /// An annotation for each thing that went wrong, and a line for the campaign.
    fn github(&self) -> String {
        let mut out = String::new();
        for (signature, failure) in &self.report.failures {
            let path = self.kept.contains_key(signature).then(|| keep::path(self.folder, *signature));
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
            let replay = match self.kept.get(signature) {
                Some(kept) => {
                    let path = keep::path(self.folder, *signature).display().to_string();
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

/// Which worlds: drawn ones by their seeds, those of a sweep by what happens in them.
fn listed(worlds: &[WorldId]) -> String {
    let (mut seeds, mut swept) = (Vec::new(), Vec::new());
    for WorldId { seed, plan } in worlds {
        match plan {
            Plan::Drawn(_) => seeds.push(seed.to_string()),
            Plan::Swept(..) => swept.push(format!("{plan} of seed {seed}")),
        }
    }
    if swept.is_empty() { format!("seeds {}", seeds.join(", ")) } else { swept.join(", ") }
}

/// Text with a margin.
pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
