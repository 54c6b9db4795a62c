//! Results as JUnit XML, as CI systems read it: suites of cases, each passed, failed or broken.
//!
//! Source: the schema of Jenkins' xUnit plugin (`junit-10.xsd`), which GitLab, Jenkins, Azure and the rest agree on.
//! XML 1.0 has no way to write most control characters: they stand as `\u001B` would in JSON.
//! Not modelled: properties, `system-out`, skipped cases.

use std::fmt::Write as _;

use ackproof_core::types::Duration;

/// Cases that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// What they are about.
    pub name: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The group that it is shown in.
    pub class: String,
    /// What it is called.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// How it ended.
    pub end: CaseEnd,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseEnd {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed(Detail),
    /// So that nothing can be said: it tested nothing, or the program broke.
    Broken(Detail),
}

/// What is said of a case that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The kind of failure, a word.
    pub kind: String,
    /// A line.
    pub message: String,
    /// The whole story.
    pub text: String,
}

impl Suite {
    /// The document of this one suite.
    pub fn document(&self) -> String {
        let count = |is: fn(&CaseEnd) -> bool| self.cases.iter().filter(|case| is(&case.end)).count();
        let (failures, errors) =
            (count(|end| matches!(end, CaseEnd::Failed(_))), count(|end| matches!(end, CaseEnd::Broken(_))));
        let time = self.cases.iter().fold(0, |sum: u64, case| sum.saturating_add(case.time.0));
        let counts = format!(
            "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"",
            self.cases.len(),
            seconds(Duration(time))
        );
        let name = attribute(&self.name);
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ackproof\" {counts}>\n  <testsuite name=\"{name}\" {counts} skipped=\"0\">\n"
        );
        self.cases.iter().for_each(|case| case.write(&mut out));
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }
}

impl Case {
    fn write(&self, out: &mut String) {
        let Case { class, name, time, end } = self;
        let (class, name) = (attribute(class), attribute(name));
        let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{}\"", seconds(*time));
        let (element, Detail { kind, message, text }) = match end {
            CaseEnd::Passed => return out.push_str("/>\n"),
            CaseEnd::Failed(detail) => ("failure", detail),
            CaseEnd::Broken(detail) => ("error", detail),
        };
        let (kind, message, text) = (attribute(kind), attribute(message), escaped(text));
        let _ = writeln!(
            out,
            ">\n      <{element} type=\"{kind}\" message=\"{message}\">{text}</{element}>\n    </testcase>"
        );
    }
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.0 / 1_000_000_000, time.0 / 1_000_000 % 1_000)
}

/// Text between tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` must not stand in text.
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            // Readers would make a line break of it.
            '\r' => out.push_str("&#13;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Text in an attribute, where line breaks would become spaces.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document() {
        let detail =
            |text: &str| Detail { kind: "lost-write".into(), message: "a \"b\"\n<c>".into(), text: text.into() };
        let case =
            |name: &str, end| Case { class: "chaos".into(), name: name.into(), time: Duration(1_234_567_890), end };
        let suite = Suite {
            name: "a & b".into(),
            cases: vec![
                case("held", CaseEnd::Passed),
                case("lost", CaseEnd::Failed(detail("one\n\ttwo ]]> \u{1b}[31m \u{0} \u{ffff} é\r"))),
                case("panic", CaseEnd::Broken(detail(""))),
            ],
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="ackproof" tests="3" failures="1" errors="1" time="3.703">
  <testsuite name="a &amp; b" tests="3" failures="1" errors="1" time="3.703" skipped="0">
    <testcase classname="chaos" name="held" time="1.234"/>
    <testcase classname="chaos" name="lost" time="1.234">
      <failure type="lost-write" message="a &quot;b&quot;&#10;&lt;c&gt;">one
	two ]]&gt; \u001B[31m \u0000 \uFFFF é&#13;</failure>
    </testcase>
    <testcase classname="chaos" name="panic" time="1.234">
      <error type="lost-write" message="a &quot;b&quot;&#10;&lt;c&gt;"></error>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(suite.document(), expected);
    }
}
