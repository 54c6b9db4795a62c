//! What the environment says about a test: madsim's variables, and one of ours.

use std::num::NonZeroUsize;
use std::str::FromStr;

const SEED: &str = "MADSIM_TEST_SEED";
const NUM: &str = "MADSIM_TEST_NUM";
const JOBS: &str = "MADSIM_TEST_JOBS";
const CHECK: &str = "MADSIM_TEST_CHECK_DETERMINISM";
const TIME_LIMIT: &str = "MADSIM_TEST_TIME_LIMIT";
const REGRESSIONS: &str = "ACKPROOF_REGRESSIONS";

/// What it says. What it does not say is left to the test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub seed: Option<u64>,
    pub number: Option<u64>,
    pub jobs: Option<NonZeroUsize>,
    pub check_determinism: bool,
    pub no_regressions: bool,
}

impl Environment {
    /// Reads the process's own. The error names the variable and what it may be.
    pub fn read() -> Result<Self, String> {
        Self::from(&|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn from(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(limit) = variable(TIME_LIMIT)
            && !limit.parse::<f64>().is_ok_and(|seconds| std::time::Duration::try_from_secs_f64(seconds).is_ok())
        {
            // madsim reads it; it is only asked for a better message.
            return Err(wrong(TIME_LIMIT, &limit, "a number of seconds"));
        }
        let seed = number(variable, SEED, "a whole number from 0")?;
        let number_of_seeds: Option<u64> = number(variable, NUM, "a whole number from 1")?;
        if number_of_seeds == Some(0) {
            return Err(wrong(NUM, "0", "a whole number from 1"));
        }
        Ok(Self {
            seed,
            number: number_of_seeds,
            jobs: number(variable, JOBS, "a whole number from 1")?,
            check_determinism: variable(CHECK).is_some(),
            no_regressions: match variable(REGRESSIONS).as_deref() {
                None | Some("on" | "") => false,
                Some("off") => true,
                Some(other) => return Err(wrong(REGRESSIONS, other, "on or off")),
            },
        })
    }

    /// The seeds that it asks for, where those of the test begin with `first`; nothing if it leaves them to the test.
    pub fn seeds(&self, first: u64) -> Result<Option<std::ops::Range<u64>>, String> {
        let (from, number) = match (self.seed, self.number) {
            (None, None) => return Ok(None),
            (Some(seed), number) => (seed, number.unwrap_or(1)),
            (None, Some(number)) => (first, number),
        };
        match from.checked_add(number) {
            Some(end) => Ok(Some(from..end)),
            None => Err(format!("{SEED}={from} and {NUM}={number}: seeds are at most {}", u64::MAX - 1)),
        }
    }
}

fn number<T: FromStr>(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    let read = |text: String| text.trim().parse().map_err(|_| wrong(name, &text, expected));
    variable(name).map(read).transpose()
}

fn wrong(name: &str, value: &str, expected: &str) -> String {
    format!("{name}={value}: this environment variable must be {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Environment, String> {
        let find = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Environment::from(&find)
    }

    #[test]
    fn an_empty_environment_leaves_everything_to_the_test() {
        let environment = of(&[]).expect("nothing is wrong");
        assert_eq!(environment, Environment::default());
        assert_eq!(environment.seeds(3), Ok(None));
    }

    #[test]
    fn the_variables_are_madsims() {
        let seeds = |pairs: &[(&str, &str)]| of(pairs).and_then(|environment| environment.seeds(3));
        assert_eq!(seeds(&[(SEED, "17")]), Ok(Some(17..18)));
        assert_eq!(seeds(&[(SEED, "17"), (NUM, "5")]), Ok(Some(17..22)));
        assert_eq!(seeds(&[(NUM, "5")]), Ok(Some(3..8)), "from the first seed of the test");
        let rest = of(&[(JOBS, "4"), (CHECK, ""), (REGRESSIONS, "off"), (TIME_LIMIT, "1.5")]).expect("all are right");
        assert_eq!(rest.jobs.map(NonZeroUsize::get), Some(4));
        assert!(rest.check_determinism, "set is enough");
        assert!(rest.no_regressions);
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        for (name, value) in [
            (SEED, "seven"),
            (SEED, "-1"),
            (SEED, "18446744073709551616"),
            (NUM, "0"),
            (NUM, "many"),
            (JOBS, "0"),
            (JOBS, ""),
            (TIME_LIMIT, "soon"),
            (TIME_LIMIT, "-1"),
            (REGRESSIONS, "maybe"),
        ] {
            let message = of(&[(name, value)]).expect_err(name);
            assert!(message.starts_with(&format!("{name}={value}: ")), "{message}");
        }
        let last = of(&[(SEED, "18446744073709551615")]).expect("it is a number").seeds(0);
        assert!(last.expect_err("there is none behind it").contains(SEED));
    }
}
