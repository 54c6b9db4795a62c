//! How large a scenario is, in what a reader has to keep in mind.

use std::fmt;

use serde::Serialize;
use toml::Value;

use super::tree;
use crate::form::Form;

/// Numbers of what a scenario consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Steps.
    pub steps: usize,
    /// Brokers.
    pub nodes: usize,
    /// Producers and consumers.
    pub clients: usize,
    /// Records that all producers together send.
    pub records: u64,
    /// Properties, toggles and limits that are set for the cluster, topics and clients.
    pub config_keys: usize,
}

impl Size {
    /// That of a form.
    pub fn of(form: &Form) -> Size {
        let records = form.sections("producer").filter_map(|producer| producer.get("records")?.as_integer());
        let is_config = |name: &str| matches!(name, "config" | "toggles" | "network" | "disk" | "requests");
        let tables = tree::values(form).into_iter().filter(|(path, value)| {
            is_config(tree::name(path))
                && value.is_table()
                && !tree::has_key(path, "step")
                && !tree::has_key(path, "fix")
        });
        Size {
            steps: form.sections("step").count(),
            nodes: brokers(form),
            clients: form.sections("producer").count() + form.sections("consumer").count(),
            records: records.filter_map(|records| u64::try_from(records).ok()).fold(0, u64::saturating_add),
            config_keys: tables.filter_map(|(_, value)| value.as_table().map(toml::Table::len)).sum(),
        }
    }
}

fn brokers(form: &Form) -> usize {
    let Some(cluster) = form.0.get("cluster").and_then(Value::as_table) else { return 0 };
    let number = cluster.get("brokers").and_then(Value::as_integer).and_then(|number| usize::try_from(number).ok());
    number.or(cluster.get("broker").and_then(Value::as_array).map(Vec::len)).unwrap_or(0)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |number: u64, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let parts = [
            counted(number(self.steps), "step", "steps"),
            counted(number(self.nodes), "broker", "brokers"),
            counted(number(self.clients), "client", "clients"),
            counted(self.records, "record", "records"),
            counted(number(self.config_keys), "config key", "config keys"),
        ];
        f.write_str(&parts.join(", "))
    }
}
