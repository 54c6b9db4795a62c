//! Times, ranges, counts, fractions and seeds: text into numbers.

use std::fmt;

use ackproof_core::types::{Duration, Prng, Ratio};

use crate::document::Value;

/// No time in a scenario is longer than this.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// From .. to, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between<T> {
    /// The least.
    pub low: T,
    /// The most.
    pub high: T,
}

/// A condition on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// At least so many.
    pub at_least: u64,
    /// At most so many.
    pub at_most: u64,
}

impl Between<Duration> {
    /// One of them, drawn from `rng`.
    pub fn draw(self, rng: &mut Prng) -> Duration {
        Duration(rng.between(self.low.0, self.high.0))
    }
}

impl Between<u64> {
    /// One of them, drawn from `rng`.
    pub fn draw(self, rng: &mut Prng) -> u64 {
        rng.between(self.low, self.high)
    }
}

impl Count {
    /// Any number.
    pub const ANY: Count = Count { at_least: 0, at_most: u64::MAX };
    /// At least one.
    pub const SOME: Count = Count { at_least: 1, at_most: u64::MAX };

    /// Whether a number is as wanted.
    pub fn allows(self, number: u64) -> bool {
        (self.at_least..=self.at_most).contains(&number)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (low, high) if low == high => write!(f, "{low}"),
            (0, u64::MAX) => f.write_str("any number"),
            (low, u64::MAX) => write!(f, "at least {low}"),
            (0, high) => write!(f, "at most {high}"),
            (low, high) => write!(f, "{low} to {high}"),
        }
    }
}

/// A length of time with its unit.
pub fn time(text: &str) -> Result<Duration, String> {
    let signed = signed_nanos(text).ok_or_else(|| format!("`{text}` is not a length of time"))?;
    let nanos = u64::try_from(signed).map_err(|_| format!("`{text}` is not a length of time that can pass"))?;
    if nanos > TIME_MAX.0 { Err(format!("`{text}` is longer than a year")) } else { Ok(Duration(nanos)) }
}

/// A length of time with its sign, in milliseconds.
pub fn signed_millis(text: &str) -> Result<i64, String> {
    let nanos = signed_nanos(text).ok_or_else(|| format!("`{text}` is not a length of time"))?;
    if nanos.unsigned_abs() > u128::from(TIME_MAX.0) {
        return Err(format!("`{text}` is longer than a year"));
    }
    i64::try_from(nanos / 1_000_000).map_err(|_| format!("`{text}` is too long"))
}

fn signed_nanos(text: &str) -> Option<i128> {
    text.trim().parse::<jiff::SignedDuration>().ok().map(|length| length.as_nanos())
}

/// A length of time, or two with `..` between them.
pub fn time_or_range(text: &str) -> Result<Between<Duration>, String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    ordered(time(low)?, time(high)?).ok_or_else(|| format!("`{text}` runs backwards"))
}

/// A number, or two with `..` between them.
pub fn number_or_range(value: &Value) -> Result<Between<u64>, String> {
    let not_a_number = || format!("`{value}` is neither a number nor a range like \"1..10\"");
    match value {
        Value::Integer(number) => {
            let number = u64::try_from(*number).map_err(|_| format!("{number} is negative"))?;
            Ok(Between { low: number, high: number })
        }
        Value::Text(text) => {
            let (low, high) = text.split_once("..").unwrap_or((text, text));
            let parse = |part: &str| part.trim().parse().map_err(|_| not_a_number());
            ordered(parse(low)?, parse(high)?).ok_or_else(|| format!("`{text}` runs backwards"))
        }
        Value::Bool(_) | Value::List(_) => Err(not_a_number()),
    }
}

fn ordered<T: PartialOrd>(low: T, high: T) -> Option<Between<T>> {
    (low <= high).then_some(Between { low, high })
}

/// A condition on a number.
pub fn count(value: &Value) -> Result<Count, String> {
    let text = match value {
        Value::Integer(_) => return number_or_range(value).map(|it| Count { at_least: it.low, at_most: it.high }),
        Value::Text(text) => text.trim(),
        Value::Bool(_) | Value::List(_) => "",
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let condition = if let Some(rest) = text.strip_prefix(">=") {
        number(rest).map(|low| Count { at_least: low, at_most: u64::MAX })
    } else if let Some(rest) = text.strip_prefix("<=") {
        number(rest).map(|high| Count { at_least: 0, at_most: high })
    } else if let Some(rest) = text.strip_prefix('>') {
        number(rest).and_then(|low| low.checked_add(1)).map(|low| Count { at_least: low, at_most: u64::MAX })
    } else if let Some(rest) = text.strip_prefix('<') {
        number(rest).and_then(|high| high.checked_sub(1)).map(|high| Count { at_least: 0, at_most: high })
    } else {
        let range = number_or_range(&Value::Text(text.trim_start_matches('=').to_owned())).ok();
        range.map(|it| Count { at_least: it.low, at_most: it.high })
    };
    condition.ok_or_else(|| format!("`{value}` is not a condition on a number"))
}

/// A probability.
pub fn fraction(text: &str) -> Result<Ratio, String> {
    let parts = text
        .split_once('/')
        .and_then(|(numerator, denominator)| Some((numerator.trim().parse().ok()?, denominator.trim().parse().ok()?)));
    match parts {
        Some((numerator, denominator)) if denominator > 0 && numerator <= denominator => {
            Ok(Ratio::new(numerator, denominator))
        }
        Some(_) | None => Err(format!("`{text}` is not a fraction between 0/1 and 1/1")),
    }
}

/// One seed, or seeds from .. up to but without the last.
pub fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parse = |part: &str| {
        part.trim()
            .parse::<u64>()
            .map_err(|_| format!("`{part}` is not a seed; seeds are whole numbers up to {}", u64::MAX))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => parse(from)?..parse(to)?,
        None => {
            let seed = parse(text)?;
            seed..seed.checked_add(1).ok_or_else(|| format!("a range cannot end after the seed {seed}; use --seed"))?
        }
    };
    if range.is_empty() { Err(format!("there is no seed in `{text}`: the end is not included")) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("200us"), Ok(Duration::from_micros(200)));
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        for wrong in ["5", "", "-5s", "soon", "99999999999999h", "400d", "9000h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(signed_millis("-1h"), Ok(-3_600_000));
        assert_eq!(signed_millis("+5s"), Ok(5_000));
    }

    #[test]
    fn ranges_do_not_run_backwards() {
        let range = Between { low: Duration::from_secs(1), high: Duration::from_secs(3) };
        assert_eq!(time_or_range("1s..3s"), Ok(range));
        assert!(time_or_range("3s..1s").is_err());
        assert_eq!(number_or_range(&Value::Text("1..100".into())), Ok(Between { low: 1, high: 100 }));
        assert!(number_or_range(&Value::Integer(-1)).is_err());
    }

    #[test]
    fn counts_are_conditions() {
        let says = |text: &str| count(&Value::Text(text.into())).map(|count| count.to_string());
        assert_eq!(says(">= 1").as_deref(), Ok("at least 1"));
        assert_eq!(says("> 1").as_deref(), Ok("at least 2"));
        assert_eq!(says("<5").as_deref(), Ok("at most 4"));
        assert_eq!(says("= 5").as_deref(), Ok("5"));
        assert_eq!(says("1..10").as_deref(), Ok("1 to 10"));
        assert_eq!(says(">= 0").as_deref(), Ok("any number"));
        for wrong in ["", "some", "< 0", ">= -1", "3..1"] {
            assert!(says(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seeds_reach_to_the_largest_number() {
        assert_eq!(seeds("0..4"), Ok(0..4));
        assert_eq!(seeds("7"), Ok(7..8));
        assert_eq!(seeds("18446744073709551614"), Ok(u64::MAX - 1..u64::MAX));
        for wrong in ["4..4", "x", "-1", "99999999999999999999"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
