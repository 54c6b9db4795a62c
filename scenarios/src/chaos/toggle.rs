//! A historical fix that is switched off or on in every world of a campaign: whether random worlds find its hole.

use std::fmt;
use std::str::FromStr;

use ackproof_core::config::{KafkaVersion, Toggles};
use toml::Value;

use crate::form::{Form, table, text};

/// A toggle of `[cluster] toggles`, and what it is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toggle {
    name: String,
    value: String,
}

impl Toggle {
    /// Sets it in a scenario.
    pub(super) fn set(&self, form: &mut Form) {
        let value = match (self.value.parse::<bool>(), self.value.parse::<i64>()) {
            (Ok(on), _) => Value::Boolean(on),
            (_, Ok(number)) => Value::Integer(number),
            _ => text(&self.value),
        };
        let cluster = form.0.entry("cluster").or_insert_with(|| Value::Table(table([])));
        let Value::Table(cluster) = cluster else { return };
        let toggles = cluster.entry("toggles").or_insert_with(|| Value::Table(table([])));
        let Value::Table(toggles) = toggles else { return };
        toggles.insert(self.name.clone(), value);
    }
}

impl fmt::Display for Toggle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl FromStr for Toggle {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let (name, value) = written.split_once('=').ok_or("write name=value, like maximal_isr=false")?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        Toggles::of(KafkaVersion::new(4, 1)).set(&name, &value).map_err(|error| error.to_string())?;
        Ok(Toggle { name, value })
    }
}
