//! The JSON Schema of scenario files, for editors. `scenarios/scenario.schema.json` is its checked-in copy.

use serde_json::{Value, json};

use crate::document::Document;
use crate::facts::facts;

/// The schema as a JSON value.
pub fn schema() -> Value {
    let mut schema =
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>();
    schema.insert("title".into(), "Ackproof scenario".into());
    schema.insert("required".into(), json!(["title", "cluster", "expect"]));
    let mut schema = schema.to_value();
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.insert("FactPattern".into(), fact_pattern());
    }
    schema
}

/// The schema as the text of its file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// One fact: its name, and the fields that this fact has.
fn fact_pattern() -> Value {
    let facts = facts();
    let names: Vec<&str> = facts.keys().copied().collect();
    let fields_by_fact: Vec<Value> = facts
        .iter()
        .map(|(fact, fields)| {
            let mut keys: Vec<String> = fields.iter().map(|field| field.replace('_', "-")).collect();
            keys.extend(["fact", "node", "times"].map(String::from));
            json!({
                "if": { "properties": { "fact": { "const": fact } } },
                "then": { "propertyNames": { "enum": keys } }
            })
        })
        .collect();
    json!({
        "type": "object",
        "description": "A fact that is waited for. Every other key is a field of the fact; its value a literal or a condition \
            such as \">= 6\", \"!= NONE\", \"contains 2\", \"without 2\", \"length 1\".",
        "required": ["fact"],
        "properties": {
            "fact": { "enum": names },
            "node": { "$ref": "#/$defs/Nodes" },
            "times": { "$ref": "#/$defs/NumberOrRange" }
        },
        "allOf": fields_by_fact
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenario.schema.json");
        if std::env::var_os("ACKPROOF_UPDATE_SCHEMA").is_some() {
            std::fs::write(path, schema_text()).expect("the schema file can be written");
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            checked_in == schema_text(),
            "scenarios/scenario.schema.json is out of date; run\n  ACKPROOF_UPDATE_SCHEMA=1 cargo test -p ackproof schema"
        );
    }
}
