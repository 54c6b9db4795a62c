//! What a world may have to survive: so many faults of each class, `--survive "1 process crash"`.
//!
//! Numbers are totals of one world, not of one moment.

use std::collections::BTreeMap;
use std::fmt;

use crate::diagnostics::nearest;

/// A class of faults, as an operator would name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A broker's process is killed; its page cache stays.
    ProcessCrash,
    /// A broker is shut down cleanly and started again.
    Restart,
    /// A client's process is killed.
    ClientCrash,
    /// A process stands still for a while: a long garbage collection, a suspended machine.
    Pause,
    /// One machine loses its power.
    MachinePowerLoss,
    /// All machines of a rack lose their power at one instant.
    RackPowerLoss,
    /// All machines lose their power at one instant.
    TotalPowerLoss,
    /// Links carry nothing, in one direction or both.
    Partition,
    /// Messages are lost, late, repeated, or their connections are reset.
    MessageFault,
    /// A link is slow, lossy or narrow.
    SlowLink,
    /// A disk is slow or does not answer.
    SlowDisk,
    /// A disk is full, or says that it failed.
    DiskError,
    /// A wall clock jumps or runs at the wrong speed.
    ClockJump,
    /// An operator moves replicas, asks for elections, adds partitions.
    Operation,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 14] = [
        Class::ProcessCrash,
        Class::Restart,
        Class::ClientCrash,
        Class::Pause,
        Class::MachinePowerLoss,
        Class::RackPowerLoss,
        Class::TotalPowerLoss,
        Class::Partition,
        Class::MessageFault,
        Class::SlowLink,
        Class::SlowDisk,
        Class::DiskError,
        Class::ClockJump,
        Class::Operation,
    ];

    /// Its name, in the singular.
    pub fn name(self) -> &'static str {
        match self {
            Class::ProcessCrash => "process crash",
            Class::Restart => "restart",
            Class::ClientCrash => "client crash",
            Class::Pause => "pause",
            Class::MachinePowerLoss => "machine power loss",
            Class::RackPowerLoss => "rack power loss",
            Class::TotalPowerLoss => "total power loss",
            Class::Partition => "partition",
            Class::MessageFault => "message fault",
            Class::SlowLink => "slow link",
            Class::SlowDisk => "slow disk",
            Class::DiskError => "disk error",
            Class::ClockJump => "clock jump",
            Class::Operation => "operation",
        }
    }

    /// Other words for it.
    fn aliases(self) -> &'static [&'static str] {
        match self {
            Class::ProcessCrash => &["crash", "broker crash", "kill"],
            Class::RackPowerLoss => &["rack"],
            Class::TotalPowerLoss => &["all machines lose power"],
            Class::MachinePowerLoss => &["power loss", "machine"],
            Class::Partition => &["network partition"],
            Class::ClientCrash => &["consumer crash", "producer crash"],
            _ => &[],
        }
    }

    /// By its name, singular or plural.
    pub fn by_name(text: &str) -> Option<Class> {
        let wanted = text.trim().to_ascii_lowercase();
        let is = |name: &str| wanted == name || wanted == plural(name);
        Class::ALL.into_iter().find(|class| is(class.name()) || class.aliases().iter().any(|alias| is(alias)))
    }
}

fn plural(name: &str) -> String {
    if name.ends_with("ss") || name.ends_with("sh") { format!("{name}es") } else { format!("{name}s") }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many faults of each class one world may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget(pub BTreeMap<Class, u32>);

/// No world has more faults of one class.
const MAX: u32 = 20;

impl Budget {
    /// One entry: `1 process crash`, `2 pauses`, `all machines lose power`.
    pub fn parse(text: &str) -> Result<(Class, u32), String> {
        let text = text.trim();
        let (number, name) = match text.split_once(' ') {
            Some((number, name)) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                let number = number.parse().ok().filter(|number| (1..=MAX).contains(number));
                (number.ok_or_else(|| format!("`{text}`: from 1 to {MAX} faults of a class"))?, name)
            }
            _ => (1, text),
        };
        let class = Class::by_name(name).ok_or_else(|| {
            let names: Vec<&str> = Class::ALL.map(Class::name).to_vec();
            match nearest(name, &names) {
                Some(name) => format!("`{text}`: did you mean `{name}`?"),
                None => format!("`{text}` is no class of faults; there are {}", names.join(", ")),
            }
        })?;
        Ok((class, number))
    }

    /// Whether racks lose their power.
    pub fn has_racks(&self) -> bool {
        self.0.contains_key(&Class::RackPowerLoss)
    }

    /// Its entries, as they are written.
    pub fn entries(&self) -> Vec<String> {
        let entries = self.0.iter().map(|(class, number)| match number {
            1 => format!("1 {class}"),
            _ => format!("{number} {}", plural(class.name())),
        });
        entries.collect()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no fault");
        }
        f.write_str(&self.entries().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_written_as_people_speak() {
        assert_eq!(Budget::parse("1 process crash"), Ok((Class::ProcessCrash, 1)));
        assert_eq!(Budget::parse("3 machine power losses"), Ok((Class::MachinePowerLoss, 3)));
        assert_eq!(Budget::parse("all machines lose power"), Ok((Class::TotalPowerLoss, 1)));
        assert_eq!(Budget::parse("1 rack"), Ok((Class::RackPowerLoss, 1)));
        assert_eq!(Budget::parse("2 crashes"), Ok((Class::ProcessCrash, 2)));
        assert!(Budget::parse("1 proces crash").is_err_and(|error| error.contains("`process crash`")));
        assert!(Budget::parse("0 pauses").is_err());
        assert!(Budget::parse("99999999999 pauses").is_err());
        for class in Class::ALL {
            let budget = Budget([(class, 2)].into());
            assert_eq!(Budget::parse(&budget.to_string()), Ok((class, 2)));
        }
    }
}
