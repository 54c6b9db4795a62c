//! Reads single fields of a fact without building the whole of it: a trigger looks at thousands of facts and wants two
//! or three fields of each.

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStructVariant, Serializer};
use serde_json::Error;

use super::Condition;

/// Whether every named field of a fact is there and as wanted. Facts without fields have none.
pub(super) fn all_hold(fact: &impl Serialize, wanted: &[(String, Condition)]) -> bool {
    wanted.is_empty() || fact.serialize(Reader { wanted }).is_ok()
}

struct Reader<'a> {
    wanted: &'a [(String, Condition)],
}

/// Looks at the fields of one variant; an error stops at the first that is not as wanted.
struct Fields<'a> {
    wanted: &'a [(String, Condition)],
    held: usize,
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        for (wanted, condition) in self.wanted {
            let Some(inside) = inside(wanted, name) else { continue };
            let found = serde_json::to_value(value)?;
            // `record.number`: a field of a field.
            let found =
                inside.split('.').filter(|part| !part.is_empty()).try_fold(&found, |found, part| found.get(part));
            if !found.is_some_and(|found| condition.holds(found)) {
                return Err(Error::custom("not as wanted"));
            }
            self.held += 1;
        }
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        if self.held == self.wanted.len() { Ok(()) } else { Err(Error::custom("a field is missing")) }
    }
}

/// What is wanted of the field `name`: nothing more than itself (`""`), or something in it (`.number`).
fn inside<'a>(wanted: &'a str, name: &str) -> Option<&'a str> {
    wanted.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

macro_rules! refuse {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, Error> { Err(Error::custom("a fact is a variant with fields")) })*
    };
}

type No = Impossible<(), Error>;

impl<'a> Serializer for Reader<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Fields<'a>, Error> {
        Ok(Fields { wanted: self.wanted, held: 0 })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Error> {
        Err(Error::custom("a fact is a variant with fields"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Error> {
        Err(Error::custom("a fact is a variant with fields"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::custom("a fact is a variant with fields"))
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
