//! Results as workflow commands of GitHub Actions, which become annotations of files, and as a summary in Markdown.
//!
//! Source: GitHub's "Workflow commands for GitHub Actions"; how they are escaped is in `actions/toolkit`, `core/src/command.ts`.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It fails the job.
    Error,
    /// It needs a look.
    Warning,
}

/// A remark about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// How bad it is.
    pub level: Level,
    /// The file, if there is one.
    pub file: Option<String>,
    /// A line.
    pub title: String,
    /// The whole story.
    pub message: String,
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Error => "::error ",
            Level::Warning => "::warning ",
        })?;
        if let Some(file) = &self.file {
            write!(f, "file={},line=1,", property(file))?;
        }
        write!(f, "title={}::{}", property(&self.title), data(&self.message))
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A table in Markdown.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(header.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out
}

/// Text that is text in a table, whatever it has in it.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_the_runner_is_escaped() {
        let annotation = Annotation {
            level: Level::Error,
            file: Some("a,b:c%.toml".into()),
            title: "lost-write: 100%\n::stop".into(),
            message: "one, two: 3%\r\n::set-output::".into(),
        };
        assert_eq!(
            annotation.to_string(),
            "::error file=a%2Cb%3Ac%25.toml,line=1,title=lost-write%3A 100%25%0A%3A%3Astop::one, two: 3%25%0D%0A::set-output::"
        );
    }

    #[test]
    fn a_table_stays_a_table() {
        let rows = [vec!["a|b\nc".to_owned(), "<img>".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "| x | y |\n|---|---|\n| a\\|b c | \\<img\\> |\n");
    }
}
