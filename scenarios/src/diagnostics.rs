//! What is wrong with a file, said with its place, the line itself and a remedy.
//!
//! A [`Diagnostic`] points at bytes of a [`Source`]; [`Diagnostics`] collects several, so that one reading of a file
//! tells everything that is wrong with it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A file that was read: its name as the user knows it, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name, as it is shown.
    pub name: String,
    /// The text.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but not everything in it has an effect.
    Note,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// In which file.
    pub source: Arc<Source>,
    /// Which bytes of it; none is the file as a whole.
    pub span: Option<Range<usize>>,
    /// What is said beside the marked bytes.
    pub label: Option<String>,
    /// Other places in the same file that belong to it.
    pub related: Vec<(Range<usize>, String)>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Everything that was found, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Source {
    /// A file's text under the name that is shown for it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// A file's bytes. The error says where they stop being text.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Arc<Self>, Diagnostics> {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(Self::new(name, text)),
            Ok(_) => {
                Err(Diagnostic::about_file(&Source::new(name, ""), "this is not a text file: it contains zero bytes")
                    .into())
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let message = format!("this is not UTF-8 text: byte {at} begins no character");
                Err(Diagnostic::about_file(&Source::new(name, ""), message).into())
            }
        }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            source: Arc::clone(source),
            span: Some(span),
            label: None,
            related: Vec::new(),
            remedy: None,
        }
    }

    /// An error of the file as a whole.
    pub fn about_file(source: &Arc<Source>, message: impl Into<String>) -> Self {
        Self { span: None, ..Self::error(source, 0..0, message) }
    }

    /// A remark at a place.
    pub fn note(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(source, span, message) }
    }

    /// With words beside the marked bytes.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// With the nearest of the names that are known, or with all of them if none is near.
    #[must_use]
    pub fn nearest<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(written, &known) {
            Some(name) => self.remedy(format!("did you mean `{name}`?")),
            None if known.is_empty() => self,
            None => self.remedy(format!("known here: {}", quoted(&known))),
        }
    }

    /// Renders it, with colours if they are wanted.
    pub fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Note => Level::NOTE,
        };
        let remedy = self.remedy.as_deref().map(|remedy| Level::HELP.message(remedy.to_owned()));
        let Some(span) = &self.span else {
            let title = level.primary_title(format!("{}: {}", self.source.name, self.message));
            return renderer.render(&[Group::with_title(title).elements(remedy)]);
        };
        let text = self.source.text.as_str();
        let related = self
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(within(text, span)).label(label.as_str()));
        let primary = AnnotationKind::Primary.span(within(text, span)).label(self.label.as_deref());
        let snippet = Snippet::source(text).path(self.source.name.as_str()).annotation(primary).annotations(related);
        renderer.render(&[level.primary_title(self.message.as_str()).element(snippet).elements(remedy)])
    }
}

impl Diagnostics {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of it is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|found| found.severity == Severity::Error)
    }

    /// Adds what was found.
    pub fn push(&mut self, found: Diagnostic) {
        self.0.push(found);
    }

    /// Adds everything that was found elsewhere.
    pub fn append(&mut self, mut found: Diagnostics) {
        self.0.append(&mut found.0);
    }

    /// In the order of the files and of the places in them.
    pub fn sort(&mut self) {
        let place = |found: &Diagnostic| (found.source.name.clone(), found.span.as_ref().map(|span| span.start));
        self.0.sort_by_key(place);
        self.0.dedup();
    }

    /// Remarks without the lines that they are about: each once, with its places.
    pub fn condensed(&self) -> String {
        let mut told: Vec<(&str, Vec<String>)> = Vec::new();
        for found in &self.0 {
            let (line, column) = found.source.position(found.span.as_ref().map_or(0, |span| span.start));
            let place = format!("{}:{line}:{column}", found.source.name);
            match told.iter_mut().find(|(message, _)| *message == found.message) {
                Some((_, places)) => places.push(place),
                None => told.push((&found.message, vec![place])),
            }
        }
        told.iter().map(|(message, places)| format!("note: {message}\n  --> {}\n", places.join("\n      "))).collect()
    }

    /// All of it as text, with colours if they are wanted.
    pub fn render(&self, renderer: &Renderer) -> String {
        self.0.iter().map(|found| found.render(renderer)).collect::<Vec<_>>().join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(found: Diagnostic) -> Self {
        Self(vec![found])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Diagnostics {}

/// A span that surely lies within the text, on character boundaries.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (span.end.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    start..end.max(start)
}

/// The name that was probably meant.
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (written.chars().count() / 3).max(1);
    let begins = |name: &&&str| {
        name.len() >= 4 && written.starts_with(**name) || written.len() >= 4 && name.starts_with(written)
    };
    let with_distance = known.iter().map(|name| (strsim::damerau_levenshtein(written, name), *name));
    let near = with_distance.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name);
    near.or_else(|| known.iter().find(begins).copied())
}

/// `a`, `b` and `c`.
pub fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["replication-factor", "replicas", "partitions", "name"];
        assert_eq!(nearest("replcas", &known), Some("replicas"));
        assert_eq!(nearest("replication_factor", &known), Some("replication-factor"));
        assert_eq!(nearest("partitions-per-topic", &known), Some("partitions"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn a_message_shows_file_line_column_and_the_line() {
        let source = Source::new("a.toml", "title = \"x\"\nkil = \"broker 1\"\n");
        let found = Diagnostic::error(&source, 12..15, "unknown key `kil`").nearest("kil", ["kill", "stop"]);
        insta::assert_snapshot!(Diagnostics::from(found), @r#"
        error: unknown key `kil`
         --> a.toml:2:1
          |
        2 | kil = "broker 1"
          | ^^^
          |
          = help: did you mean `kill`?
        "#);
    }

    #[test]
    fn a_span_beyond_the_text_does_no_harm() {
        let source = Source::new("a.toml", "ä");
        let found = Diagnostic::error(&source, 1..99, "odd");
        assert!(Diagnostics::from(found).to_string().contains("odd"));
        assert_eq!(source.position(99), (1, 2));
    }
}
