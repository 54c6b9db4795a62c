//! Reads single fields of a fact without building the whole of it: a trigger looks at thousands of facts and wants two
//! or three fields of each.

use std::fmt;

use serde::Serialize;
use serde::ser::{Impossible, SerializeStructVariant, Serializer};

use super::Condition;

/// Whether every named field of a fact is there and as wanted. Facts without fields have none.
pub(super) fn all_hold(fact: &impl Serialize, wanted: &[(String, Condition)]) -> bool {
    let holds = |(name, condition): &(String, Condition)| fact.serialize(Reader { name, condition }).is_ok();
    // Numbers first: they tell most facts apart, and are read without building a text.
    let is_number = |(_, condition): &&(String, Condition)| condition.is_about_a_number();
    wanted.iter().filter(is_number).all(holds) && wanted.iter().filter(|field| !is_number(field)).all(holds)
}

/// Why a fact is not what a trigger waits for: no text, since most facts are not.
#[derive(Debug)]
struct NotAsWanted;

impl fmt::Display for NotAsWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fact is not what the trigger waits for")
    }
}

impl std::error::Error for NotAsWanted {}

impl serde::ser::Error for NotAsWanted {
    fn custom<T: fmt::Display>(_: T) -> Self {
        NotAsWanted
    }
}

/// Looks for one field of a fact.
struct Reader<'a> {
    name: &'a str,
    condition: &'a Condition,
}

/// Looks at the fields of one variant.
struct Fields<'a> {
    reader: Reader<'a>,
    holds: bool,
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = NotAsWanted;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NotAsWanted> {
        if let Some(inside) = inside(self.reader.name, name) {
            let found = serde_json::to_value(value).map_err(|_| NotAsWanted)?;
            // `record.number`: a field of a field.
            let found =
                inside.split('.').filter(|part| !part.is_empty()).try_fold(&found, |found, part| found.get(part));
            self.holds = found.is_some_and(|found| self.reader.condition.holds(found));
        }
        Ok(())
    }

    fn end(self) -> Result<(), NotAsWanted> {
        if self.holds { Ok(()) } else { Err(NotAsWanted) }
    }
}

/// What is wanted of the field `name`: nothing more than itself (`""`), or something in it (`.number`).
fn inside<'a>(wanted: &'a str, name: &str) -> Option<&'a str> {
    wanted.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A fact is a variant with fields: whatever else it could be has none that a trigger could want.
macro_rules! refuse {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, NotAsWanted> { Err(NotAsWanted) })*
    };
}

type No = Impossible<(), NotAsWanted>;

impl<'a> Serializer for Reader<'a> {
    type Ok = ();
    type Error = NotAsWanted;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, NotAsWanted> {
        Ok(Fields { reader: self, holds: false })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), NotAsWanted> {
        Err(NotAsWanted)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), NotAsWanted> {
        Err(NotAsWanted)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotAsWanted> {
        Err(NotAsWanted)
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
    }
}
