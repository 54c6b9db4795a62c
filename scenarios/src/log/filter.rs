//! Which events are written: `info`, `debug,ackproof::client=warn`.

use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::diagnostics::nearest;

/// The targets of facts.
pub const TARGETS: [&str; 5] =
    ["ackproof", "ackproof::world", "ackproof::controller", "ackproof::broker", "ackproof::client"];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level for everything, levels for targets, or both, with commas between them.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

impl LogFilter {
    /// Whether nothing passes it.
    pub fn is_off(&self) -> bool {
        self.0.iter().all(|(_, level)| level == LevelFilter::OFF)
            && self.0.default_level().is_none_or(|level| level == LevelFilter::OFF)
    }

    /// As a filter of `tracing_subscriber`. The span that names a run always passes.
    pub fn targets(self) -> Targets {
        self.0.with_target("ackproof::run", LevelFilter::ERROR)
    }
}

impl FromStr for LogFilter {
    type Err = String;

    /// A word that is no level would be a target to `tracing`, and show nothing without a word; here it is an error.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(Targets::new()));
        }
        let mut targets = Targets::new();
        for directive in text.split(',').map(str::trim) {
            match directive.split_once('=') {
                Some((target, level)) if TARGETS.contains(&target) => {
                    targets = targets.with_target(target, parse_level(level)?);
                }
                Some((target, _)) => return Err(unknown("target", target, &TARGETS)),
                None if TARGETS.contains(&directive) => {
                    targets = targets.with_target(directive, LevelFilter::TRACE);
                }
                None => targets = targets.with_default(parse_level(directive)?),
            }
        }
        Ok(Self(targets))
    }
}

fn parse_level(text: &str) -> Result<LevelFilter, String> {
    let is_name = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    text.parse().ok().filter(|_| is_name).ok_or_else(|| unknown("level", text, &LEVELS))
}

fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("`{word}` is no {what}; did you mean `{near}`?"),
        None => format!("`{word}` is no {what}; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_read() {
        let read = |text: &str| text.parse::<LogFilter>().map(|filter| filter.0.to_string());
        assert_eq!(read("debug").as_deref(), Ok("debug"));
        assert_eq!(read("WARN, ackproof::controller=trace").as_deref(), Ok("ackproof::controller=trace,warn"));
        assert_eq!(read("ackproof::client").as_deref(), Ok("ackproof::client=trace"));
        let is_off = |text: &str| text.parse::<LogFilter>().is_ok_and(|filter| filter.is_off());
        assert!(is_off("off") && is_off("") && is_off("off,ackproof::client=off"));
        assert!(!is_off("off,ackproof::client=info") && !is_off("error"));
    }

    #[test]
    fn a_word_that_would_show_nothing_is_an_error() {
        let wrong = |text: &str| text.parse::<LogFilter>().expect_err("it is wrong");
        assert_eq!(wrong("debgu"), "`debgu` is no level; did you mean `debug`?");
        assert_eq!(
            wrong("info,ackproof::brokr=debug"),
            "`ackproof::brokr` is no target; did you mean `ackproof::broker`?"
        );
        assert_eq!(wrong("ackproof::broker=7"), "`7` is no level; there are off, error, warn, info, debug, trace");
        assert!(wrong("info,").contains("is no level"));
    }
}
