//! Rounder times: `2317ms` is `2s` if that shows the same.

use toml::Value;

use super::search::{Search, Wanted};
use super::tree;
use crate::form::Form;
use crate::scenario::parse_time_range;

/// Keys whose values are times.
const TIMES: &[&str] = &[
    "at",
    "wait",
    "for",
    "by",
    "every",
    "starts-after",
    "first-after",
    "close-timeout",
    "exit-after",
    "time-limit",
    "settle-limit",
    "poll-timeout",
    "processing",
    "processing-each",
    "write",
    "sync",
    "writeback",
    "writeback-interval",
    "time",
    "slow",
];

/// The units, in nanoseconds, from the largest.
const UNITS: [(u64, &str); 6] = [
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

pub(super) fn run(search: &mut Search<'_>) {
    search.try_all(Wanted::NoRarer, |search| {
        let places = tree::values(&search.best).into_iter().filter(|(path, _)| is_time(path));
        let mut candidates = Vec::new();
        for (path, value) in places {
            let Some(nanos) = value.as_str().and_then(fixed) else { continue };
            let rounder = rounder(nanos).into_iter().map(|nanos| Value::String(text(nanos)));
            candidates.extend(rounder.map(|value| tree::with(&search.best, &path, value)));
        }
        candidates
    });
}

pub(super) fn is_time(path: &[tree::Part]) -> bool {
    TIMES.contains(&tree::name(path)) && !tree::has_key(path, "config") && !tree::has_key(path, "when")
}

/// Nanoseconds of a text that is one time and no range.
pub(super) fn fixed(text: &str) -> Option<u64> {
    let range = parse_time_range(text).ok()?;
    (range.low == range.high).then_some(range.low.0)
}

/// A time in the largest unit that has it whole.
pub(super) fn text(nanos: u64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit)).unwrap_or((1, "ns"));
    format!("{}{name}", nanos / unit)
}

/// Times and ranges of times, one after the other.
pub(super) fn sum<'a>(lengths: impl Iterator<Item = &'a str>) -> String {
    let (mut low, mut high) = (0u64, 0u64);
    for range in lengths.filter_map(|length| parse_time_range(length).ok()) {
        low = low.saturating_add(range.low.0);
        high = high.saturating_add(range.high.0);
    }
    if low == high { text(low) } else { format!("{}..{}", text(low), text(high)) }
}

/// How many digits a reader has to look at.
fn digits(nanos: u64) -> usize {
    text(nanos).trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end_matches('0').len()
}

/// Rounder times near this one, the roundest first.
fn rounder(nanos: u64) -> Vec<u64> {
    let mut found = Vec::new();
    for kept in 1..digits(nanos) {
        let unit = UNITS.into_iter().map(|(unit, _)| unit).find(|unit| nanos >= *unit).unwrap_or(1);
        let mut step = unit;
        while nanos / step >= 10u64.pow(u32::try_from(kept).unwrap_or(1)) {
            step = step.saturating_mul(10);
        }
        while step > 1 && nanos / step < 10u64.pow(u32::try_from(kept - 1).unwrap_or(0)) {
            step /= 10;
        }
        let down = nanos / step * step;
        let (near, far) = if nanos - down <= step / 2 { (down, down + step) } else { (down + step, down) };
        found.extend([near, far].into_iter().filter(|time| *time > 0 && digits(*time) < digits(nanos)));
    }
    found.dedup();
    found
}

/// The same form with every time of a key replaced.
pub(super) fn mapped(form: &Form, keys: &[&str], change: impl Fn(u64) -> u64) -> Form {
    let mut changed = form.clone();
    for (path, value) in tree::values(form) {
        let nanos = value.as_str().and_then(fixed).filter(|_| is_time(&path) && keys.contains(&tree::name(&path)));
        if let (Some(nanos), Some(place)) = (nanos, tree::at(&mut changed, &path)) {
            *place = Value::String(text(change(nanos)));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_largest_unit_that_has_them_whole() {
        for written in ["0s", "1ns", "1500ms", "2s", "90s", "2m", "1h", "123us"] {
            assert_eq!(text(fixed(written).expect(written)), written);
        }
        assert_eq!(sum(["1s", "500ms"].into_iter()), "1500ms");
        assert_eq!(sum(["1s..2s", "500ms"].into_iter()), "1500ms..2500ms");
        assert_eq!(fixed("1s..2s"), None);
    }

    #[test]
    fn rounder_is_near_and_has_fewer_digits() {
        let rounded = |text: &str| rounder(fixed(text).expect(text)).into_iter().map(self::text).collect::<Vec<_>>();
        assert_eq!(rounded("2317800us"), ["2s", "3s", "2300ms", "2400ms", "2320ms", "2310ms", "2318ms", "2317ms"]);
        assert_eq!(rounded("2s"), [""; 0]);
        assert_eq!(rounded("90s"), [""; 0]);
        assert_eq!(rounded("27ms"), ["30ms", "20ms"]);
    }
}
