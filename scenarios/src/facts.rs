//! The names of facts and of their fields, asked of [`Fact`]'s own `Deserialize`.
//!
//! So the list cannot fall behind the enum, and a literal in a trigger is checked by the type of the very field.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ackproof_core::Fact;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};

/// The fields of every fact, by its name.
pub fn facts() -> BTreeMap<&'static str, &'static [&'static str]> {
    let names = RefCell::new(&[][..]);
    // The probe only listens; what it returns is an error by design.
    let _ = Fact::deserialize(Probe { names: &names, ask: None });
    let names = *names.borrow();
    names.iter().map(|name| (*name, fields_of(name))).collect()
}

fn fields_of(fact: &'static str) -> &'static [&'static str] {
    let fields = RefCell::new(&[][..]);
    let _ = Fact::deserialize(Probe { names: &fields, ask: Some(fact) });
    *fields.borrow()
}

/// Says what is wrong if `value` can never be in this field of this fact; `record.number` is a field of a field.
pub fn check_field(fact: &str, field: &str, value: &serde_json::Value) -> Result<(), String> {
    let inside = |value, name: &str| serde_json::json!({ name: value });
    let alone = inside(field.rsplit('.').fold(value.clone(), inside), fact);
    match serde_json::from_value::<Fact>(alone) {
        Ok(_) => Ok(()),
        // The field was read; only its siblings are not there.
        Err(error) if error.to_string().starts_with("missing field") => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a field of a field exists: one that does not is passed over, one that does minds nonsense.
pub fn has_field(fact: &str, field: &str) -> bool {
    check_field(fact, field, &serde_json::json!({ "": [] })).is_err()
}

/// Pretends to contain a fact, to hear which variants and fields are asked for.
struct Probe<'a> {
    names: &'a RefCell<&'static [&'static str]>,
    ask: Option<&'static str>,
}

fn heard() -> Error {
    de::Error::custom("heard enough")
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(heard())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.ask.is_none() {
            *self.names.borrow_mut() = variants;
            return Err(heard());
        }
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Probe<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = self.ask.ok_or_else(heard)?;
        Ok((seed.deserialize(StrDeserializer::new(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Err(heard())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(heard())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(heard())
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        *self.names.borrow_mut() = fields;
        Err(heard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_fact_has_its_fields() {
        let facts = facts();
        assert_eq!(facts["node-killed"], &[] as &[&str]);
        assert_eq!(facts["high-watermark-advanced"], &["partition", "role", "from", "to"]);
        assert!(facts.len() > 40, "{}", facts.len());
    }

    #[test]
    fn a_value_that_a_field_can_never_have_is_found() {
        assert_eq!(check_field("appended", "role", &json!("leader")), Ok(()));
        assert_eq!(check_field("appended", "last_offset", &json!(6)), Ok(()));
        assert!(check_field("appended", "role", &json!("leder")).unwrap_err().contains("leader"));
        assert!(check_field("appended", "last_offset", &json!("six")).is_err());
        assert_eq!(check_field("broker-fenced", "broker", &json!(2)), Ok(()));
        assert_eq!(check_field("record-acknowledged", "record.number", &json!(2)), Ok(()));
        assert!(check_field("record-acknowledged", "record.number", &json!("two")).is_err());
    }

    #[test]
    fn a_field_of_a_field_is_found_by_its_type() {
        assert!(has_field("record-acknowledged", "record.number"));
        assert!(!has_field("record-acknowledged", "record.numbers"));
        assert!(has_field("produce-answered", "to.client"));
    }
}
