//! Numbers of the command line, and what is wrong with them in words.

use std::num::{NonZeroU64, NonZeroUsize};

/// No more threads than this: nobody has so many processors.
const JOBS_MAX: u64 = 1_024;

/// A whole number.
pub(super) fn whole(text: &str) -> Result<u64, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| match text.strip_prefix('-') {
        Some(rest) if digits(rest) => "a whole number is needed, from 0 on".to_owned(),
        None if digits(text) => format!("that is too much; the most is {}", u64::MAX),
        Some(_) | None => "a whole number is needed, like 17".to_owned(),
    })
}

/// A seed that is not the last of all, which no range has in it.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let seed = whole(text)?;
    if seed < u64::MAX { Ok(seed) } else { Err(format!("that is too much; the last seed is {}", u64::MAX - 1)) }
}

/// A whole number that is not zero.
pub(super) fn some(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(whole(text)?).ok_or_else(|| "at least 1 is needed".to_owned())
}

/// A whole number that is not zero, as it is counted with.
pub(super) fn some_of(text: &str) -> Result<u64, String> {
    some(text).map(NonZeroU64::get)
}

/// How many worlds there are.
pub(super) fn worlds(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::try_from(some(text)?).map_err(|_| format!("that is too much; the most is {}", usize::MAX))
}

/// How many worlds are run at a time.
pub(super) fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    match whole(text) {
        Ok(number @ 1..=JOBS_MAX) => worlds(&number.to_string()),
        Ok(_) => Err(format!("from 1 to {JOBS_MAX}; there is no use in more than the machine has processors")),
        Err(error) if text.starts_with(|first: char| first.is_ascii_digit()) && error.contains("too much") => {
            Err(format!("from 1 to {JOBS_MAX}; there is no use in more than the machine has processors"))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_in_words() {
        assert_eq!(whole("17"), Ok(17));
        for (text, says) in
            [("-1", "from 0 on"), ("x", "like 17"), ("", "like 17"), ("99999999999999999999", "too much")]
        {
            assert!(whole(text).is_err_and(|error| error.contains(says)), "{text}");
        }
        for text in ["0", "1025", "99999999999", "99999999999999999999"] {
            assert!(jobs(text).is_err_and(|error| error.contains("from 1 to 1024")), "{text}");
        }
        assert_eq!(jobs("1024").map(NonZeroUsize::get), Ok(1024));
        assert!(some("0").is_err_and(|error| error.contains("at least 1")));
        assert!(seed("18446744073709551615").is_err());
    }
}
