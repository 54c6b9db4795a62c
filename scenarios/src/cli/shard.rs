//! Which part of the worlds a process takes: said by `--shard`, or by the cluster that runs it.
//!
//! Source: Kubernetes, "Indexed Job" (`JOB_COMPLETION_INDEX`, from 0); Slurm, "Job Array Support" (`SLURM_ARRAY_TASK_ID`,
//! `_MIN`, `_MAX`, `_STEP`, `_COUNT`). Kubernetes does not tell a pod how many there are: `ACKPROOF_SHARDS` or `--shards` does.

use std::num::NonZeroU64;
use std::ops::Range;
use std::str::FromStr;

use clap::Args;

const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const SLURM: &str = "SLURM_ARRAY_TASK_ID";
const SHARDS: &str = "ACKPROOF_SHARDS";

/// Which part of the worlds.
#[derive(Debug, Args)]
pub(super) struct ShardChoice {
    /// Only the I-th of N equal parts of the worlds, counted from 0. If not given, JOB_COMPLETION_INDEX or
    /// SLURM_ARRAY_TASK_ID says which, if one of them is set
    #[arg(long, value_name = "I/N", conflicts_with = "shards", allow_hyphen_values = true)]
    shard: Option<Shard>,
    /// How many parts there are, where JOB_COMPLETION_INDEX says which this is; ACKPROOF_SHARDS if not given
    #[arg(long, value_name = "N", value_parser = super::numbers::some, allow_negative_numbers = true)]
    shards: Option<NonZeroU64>,
}

/// One of several parts, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    part: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        let shard = numbers.map(|(part, of)| Shard { part, of }).filter(|shard| shard.part < shard.of);
        shard.ok_or_else(|| format!("`{text}`: write part/parts, counted from 0, like 0/4 or 3/4"))
    }
}

impl Shard {
    /// Its part of a range; the parts differ by one world at most.
    pub fn of(self, seeds: &Range<u64>) -> Range<u64> {
        let length = u128::from(seeds.end - seeds.start);
        let edge = |part: u64| {
            seeds.start + u64::try_from(length * u128::from(part) / u128::from(self.of)).unwrap_or(u64::MAX)
        };
        edge(self.part)..edge(self.part + 1)
    }
}

/// A shard, and where it was read from, if nobody typed it.
pub(super) type Chosen = (Shard, Option<String>);

impl ShardChoice {
    /// The part, if not all is meant. `variable` is the environment.
    pub fn choose(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Chosen>, String> {
        if let Some(shard) = self.shard {
            return Ok(Some((shard, None)));
        }
        let of = match (self.shards, variable(SHARDS)) {
            (Some(shards), _) => Some((shards.get(), format!("--shards {shards}"))),
            (None, Some(text)) => {
                let shards = number(SHARDS, &text)?;
                Some((shards, format!("{SHARDS}={shards}")))
            }
            (None, None) => None,
        };
        let found = match (variable(KUBERNETES), variable(SLURM)) {
            (Some(_), Some(_)) => {
                return Err(format!("both {KUBERNETES} and {SLURM} are set; say which part is meant with --shard I/N"));
            }
            (Some(index), None) => {
                let Some((of, says)) = of else {
                    return Err(format!(
                        "{KUBERNETES} is {index}, and nothing says how many parts there are: set {SHARDS} to the job's `completions`, or give --shards N or --shard I/N"
                    ));
                };
                (number(KUBERNETES, &index)?, of, format!("{KUBERNETES}={index}, {says}"))
            }
            (None, Some(id)) => slurm(&id, of, variable)?,
            (None, None) => {
                return match of {
                    None => Ok(None),
                    Some((_, says)) => Err(format!(
                        "{says} says how many parts there are, and neither {KUBERNETES} nor {SLURM} says which this is; --shard I/N says both"
                    )),
                };
            }
        };
        let (part, of, says) = found;
        if part >= of {
            return Err(format!("there is no part {part} of {of} ({says}): parts are counted from 0"));
        }
        Ok(Some((Shard { part, of }, Some(format!("part {part} of {of}, counted from 0 ({says})")))))
    }
}

/// The part of a task of a job array, whose numbers may begin anywhere and go up by any step.
fn slurm(
    id: &str,
    of: Option<(u64, String)>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(u64, u64, String), String> {
    let read = |name: &str, default: Option<u64>| match (variable(name), default) {
        (Some(text), _) => number(name, &text),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(format!("{SLURM} is set and {name} is not; --shard I/N says which part is meant")),
    };
    let task = number(SLURM, id)?;
    let first = read("SLURM_ARRAY_TASK_MIN", Some(0))?;
    let step = read("SLURM_ARRAY_TASK_STEP", Some(1))?.max(1);
    let (of, says) = match of {
        Some(known) => known,
        None => {
            let count = read("SLURM_ARRAY_TASK_COUNT", None)?;
            (count, format!("SLURM_ARRAY_TASK_COUNT={count}"))
        }
    };
    let says = format!("{SLURM}={id}, SLURM_ARRAY_TASK_MIN={first}, {says}");
    let last = read("SLURM_ARRAY_TASK_MAX", Some(task))?;
    let place = |task: u64| task.checked_sub(first).filter(|far| far % step == 0).map(|far| far / step);
    match (place(task), place(last)) {
        (Some(part), Some(last)) if part < of && last < of => Ok((part, of, says)),
        _ => Err(format!(
            "{SLURM} is {id}, which is no part of {of} ({says}): write the array as one range, like 0-{}",
            of.saturating_sub(1)
        )),
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{name} is `{text}`, and must be a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(shard: Option<&str>, shards: Option<u64>, variables: &[(&str, &str)]) -> Result<Option<Chosen>, String> {
        let choice = ShardChoice {
            shard: shard.map(|shard| shard.parse().expect("it is one")),
            shards: shards.and_then(NonZeroU64::new),
        };
        choice.choose(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[track_caller]
    fn check(shards: Option<u64>, variables: &[(&str, &str)], part: u64, of: u64) {
        let (shard, says) = choose(None, shards, variables).expect("it is right").expect("it is a part");
        assert_eq!(shard, Shard { part, of });
        let says = says.expect("it was in the environment");
        assert!(says.contains(variables[0].0), "{says}");
    }

    #[track_caller]
    fn refused(shards: Option<u64>, variables: &[(&str, &str)], names: &str) {
        let message = choose(None, shards, variables).expect_err("it is wrong");
        assert!(message.contains(names), "{message}");
    }

    #[test]
    fn clusters_say_which_part() {
        check(None, &[("JOB_COMPLETION_INDEX", "3"), ("ACKPROOF_SHARDS", "8")], 3, 8);
        check(Some(4), &[("JOB_COMPLETION_INDEX", "3"), ("ACKPROOF_SHARDS", "8")], 3, 4);
        let slurm = |id, count, min, max, step| {
            let names = ["ID", "COUNT", "MIN", "MAX", "STEP"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
            names.into_iter().zip([id, count, min, max, step]).collect::<Vec<(String, &str)>>()
        };
        for (variables, part, of) in [
            (slurm("0", "8", "0", "7", "1"), 0, 8),
            (slurm("8", "8", "1", "8", "1"), 7, 8),
            (slurm("14", "4", "10", "16", "2"), 2, 4),
        ] {
            let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            check(None, &variables, part, of);
        }
        let typed = choose(Some("1/2"), None, &[("JOB_COMPLETION_INDEX", "x"), ("SLURM_ARRAY_TASK_ID", "y")]);
        assert_eq!(typed, Ok(Some((Shard { part: 1, of: 2 }, None))));
        assert_eq!(choose(None, None, &[]), Ok(None));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        refused(None, &[("JOB_COMPLETION_INDEX", "3")], "ACKPROOF_SHARDS");
        refused(None, &[("JOB_COMPLETION_INDEX", "x"), ("ACKPROOF_SHARDS", "8")], "JOB_COMPLETION_INDEX is `x`");
        refused(None, &[("JOB_COMPLETION_INDEX", "8"), ("ACKPROOF_SHARDS", "8")], "JOB_COMPLETION_INDEX=8");
        refused(None, &[("JOB_COMPLETION_INDEX", "0"), ("ACKPROOF_SHARDS", "-1")], "ACKPROOF_SHARDS is `-1`");
        refused(None, &[("JOB_COMPLETION_INDEX", "0"), ("ACKPROOF_SHARDS", "0")], "ACKPROOF_SHARDS=0");
        refused(None, &[("ACKPROOF_SHARDS", "8")], "ACKPROOF_SHARDS=8");
        refused(Some(2), &[], "--shards 2");
        refused(None, &[("SLURM_ARRAY_TASK_ID", "1")], "SLURM_ARRAY_TASK_COUNT");
        refused(None, &[("SLURM_ARRAY_TASK_ID", ""), ("SLURM_ARRAY_TASK_COUNT", "3")], "SLURM_ARRAY_TASK_ID is ``");
        let list = [("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "1")];
        let list = [&list[..], &[("SLURM_ARRAY_TASK_MAX", "9")]].concat();
        refused(None, &list, "one range");
        refused(None, &[("JOB_COMPLETION_INDEX", "0"), ("SLURM_ARRAY_TASK_ID", "0")], "SLURM_ARRAY_TASK_ID");
    }

    #[test]
    fn shards_share_all_worlds_out() {
        for of in 1..9 {
            let all: Vec<u64> = (0..of).flat_map(|part| Shard { part, of }.of(&(3..103))).collect();
            assert_eq!(all, (3..103).collect::<Vec<_>>(), "{of}");
        }
        assert_eq!(Shard { part: 1, of: 2 }.of(&(0..u64::MAX)).end, u64::MAX);
        for wrong in ["4/4", "1", "a/b", "0/0", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
