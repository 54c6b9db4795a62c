//! Where output goes: standard output and standard error, with colours where they are wanted.

use std::io::{self, IsTerminal, Write};

use ackproof_reports::render::text::{Style, Tone};
use annotate_snippets::Renderer;
use anstream::AutoStream;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use owo_colors::{AnsiColors, Style as Paint};

use crate::diagnostics::Diagnostics;

/// Standard output and standard error. Colours are taken out again where the output is no terminal or `NO_COLOR` is set.
pub(super) struct Screen {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
}

impl Screen {
    /// Those of this process.
    pub fn standard() -> Self {
        Self { out: anstream::stdout(), err: anstream::stderr() }
    }

    /// Writes text that ends with a line break, or adds one.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    /// Writes to standard error. If that fails there is nobody left to tell.
    pub fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Says what is wrong with the input.
    pub fn diagnose(&mut self, found: &Diagnostics) {
        if !found.is_empty() {
            let text = found.render(&Renderer::styled());
            self.complain(&format!("{text}\n"));
        }
    }

    /// A bar for work of so many parts, if somebody watches.
    pub fn bar(&self, parts: u64, template: &str) -> ProgressBar {
        if !self.is_watched() {
            return hidden();
        }
        let bar = ProgressBar::new(parts);
        // A template that does not parse is a wrong program; the default style will do all the same.
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.with_key("speed", speed));
        bar.set_message("nothing yet");
        bar
    }

    /// Whether somebody watches while it runs.
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal() && io::stdout().is_terminal()
    }
}

/// A bar that nobody sees.
pub(super) fn hidden() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
}

/// How far a search through worlds has come.
pub(super) const WORLDS: &str = "{bar:20} {pos}/{len} worlds, {speed}, {msg}, {eta} left";

/// How far making failures small has come.
pub(super) const FAILURES: &str = "{bar:20} {pos}/{len} failures, {msg}";

/// The colours of reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours;

impl Style for Colours {
    fn paint(&self, tone: Tone, text: &str, out: &mut String) {
        use std::fmt::Write as _;
        let paint = match tone {
            Tone::Bad => Paint::new().bold().color(AnsiColors::Red),
            Tone::Good => Paint::new().bold().color(AnsiColors::Green),
            Tone::Doubt => Paint::new().bold().color(AnsiColors::Yellow),
            Tone::Name => Paint::new().color(AnsiColors::Cyan),
            Tone::Mark => Paint::new().bold(),
            Tone::Quiet => Paint::new().dimmed(),
            Tone::Plain => Paint::new(),
        };
        let _ = write!(out, "{}", paint.style(text));
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object per line
    Json,
}

/// How results are written that a CI system may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object per line
    Json,
    /// JUnit XML
    Junit,
    /// Annotations of GitHub Actions, and a summary in the file that $GITHUB_STEP_SUMMARY names
    Github,
}

/// The variable in which GitHub Actions names the file for summaries.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Adds to the summary of a job of GitHub Actions, if this is one.
pub(super) fn add_to_summary(markdown: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os(SUMMARY).filter(|path| !path.is_empty()) else { return Ok(()) };
    let added = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    added.and_then(|mut file| file.write_all(markdown.as_bytes())).map_err(|error| {
        let message = format!("{} (from {SUMMARY}): {error}", path.to_string_lossy());
        io::Error::new(error.kind(), message)
    })
}
