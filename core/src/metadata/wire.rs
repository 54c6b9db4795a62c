//! The primitive types of Kafka's flexible message format.
//!
//! Kafka: `ByteUtils`, `ByteBufferAccessor`, KIP-482 (compact arrays and strings are length + 1; tagged fields).
//! Invariant: reading never panics and never reserves more than the input could fill.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use uuid::Uuid;

use crate::types::StrBytes;

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// They end too early.
    #[error("the bytes end in the middle of {0}")]
    Truncated(&'static str),
    /// A number that this place cannot hold.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// A string that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A record type that is not modelled.
    #[error("metadata record type {0} is not modelled")]
    UnknownType(u32),
    /// A version of a record that is not spoken.
    #[error("version {version} of {record} is not supported")]
    UnknownVersion {
        /// The record.
        record: &'static str,
        /// Its version.
        version: u32,
    },
    /// Something follows the last field.
    #[error("{0} byte(s) of garbage after the record")]
    Garbage(usize),
    /// The record batch around the records is not sound.
    #[error("the record batch is not sound: {0}")]
    Batch(String),
}

/// Reads the fields of one message in order.
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, WireError> {
        if length > self.rest.len() {
            return Err(WireError::Truncated(what));
        }
        Ok(self.rest.split_to(length))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let bytes = self.take(N, what)?;
        <[u8; N]>::try_from(&bytes[..]).map_err(|_| WireError::Truncated(what))
    }

    pub(crate) fn bool(&mut self, what: &'static str) -> Result<bool, WireError> {
        Ok(self.i8(what)? != 0)
    }

    pub(crate) fn i8(&mut self, what: &'static str) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i16(&mut self, what: &'static str) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn uuid(&mut self, what: &'static str) -> Result<Uuid, WireError> {
        Ok(Uuid::from_bytes(self.array(what)?))
    }

    /// An unsigned varint of at most 32 bits.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u32, WireError> {
        let mut value: u32 = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array(what)?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(WireError::OutOfRange(what));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::OutOfRange(what))
    }

    /// The length of a compact string or array; `None` is null.
    fn nullable_length(&mut self, what: &'static str) -> Result<Option<usize>, WireError> {
        let length = self.varint(what)?;
        Ok(length.checked_sub(1).map(|length| length as usize))
    }

    pub(crate) fn nullable_string(&mut self, what: &'static str) -> Result<Option<StrBytes>, WireError> {
        let Some(length) = self.nullable_length(what)? else { return Ok(None) };
        let bytes = self.take(length, what)?;
        StrBytes::try_from(bytes).map(Some).map_err(|_| WireError::NotUtf8(what))
    }

    pub(crate) fn string(&mut self, what: &'static str) -> Result<StrBytes, WireError> {
        self.nullable_string(what)?.ok_or(WireError::OutOfRange(what))
    }

    pub(crate) fn nullable_list<T>(
        &mut self,
        what: &'static str,
        mut element: impl FnMut(&mut Reader) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let Some(length) = self.nullable_length(what)? else { return Ok(None) };
        // Every element takes a byte at least, so a longer list is a lie.
        if length > self.rest.len() {
            return Err(WireError::Truncated(what));
        }
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(element(self)?);
        }
        Ok(Some(list))
    }

    pub(crate) fn list<T>(
        &mut self,
        what: &'static str,
        element: impl FnMut(&mut Reader) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_list(what, element)?.ok_or(WireError::OutOfRange(what))
    }

    pub(crate) fn ids(&mut self, what: &'static str) -> Result<Vec<i32>, WireError> {
        self.list(what, |reader| reader.i32(what))
    }

    /// The tagged fields that end a structure: each is given to `field` with its own bytes; what it does not know it
    /// ignores, as the format demands.
    pub(crate) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let count = self.varint("the number of tagged fields")?;
        let mut previous: Option<u32> = None;
        for _ in 0..count {
            let tag = self.varint("a tag")?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(WireError::OutOfRange("a tag"));
            }
            previous = Some(tag);
            let length = self.varint("the length of a tagged field")? as usize;
            let mut value = Reader::new(self.take(length, "a tagged field")?);
            field(tag, &mut value)?;
        }
        Ok(())
    }

    /// Tagged fields of a structure that has none of its own.
    pub(crate) fn no_tagged(&mut self) -> Result<(), WireError> {
        self.tagged(|_, _| Ok(()))
    }
}

/// Writes an unsigned varint.
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_length(out: &mut BytesMut, length: usize) {
    let length = u32::try_from(length).ok().and_then(|length| length.checked_add(1));
    put_varint(out, length.expect("no string or list of a metadata record has 4 Gi elements"));
}

pub(crate) fn put_string(out: &mut BytesMut, value: &str) {
    put_length(out, value.len());
    out.put_slice(value.as_bytes());
}

pub(crate) fn put_nullable_string(out: &mut BytesMut, value: Option<&str>) {
    match value {
        Some(value) => put_string(out, value),
        None => put_varint(out, 0),
    }
}

pub(crate) fn put_list<T>(out: &mut BytesMut, list: &[T], mut element: impl FnMut(&mut BytesMut, &T)) {
    put_length(out, list.len());
    for item in list {
        element(out, item);
    }
}

pub(crate) fn put_ids(out: &mut BytesMut, ids: &[i32]) {
    put_list(out, ids, |out, id| out.put_i32(*id));
}

pub(crate) fn put_uuids(out: &mut BytesMut, ids: &[Uuid]) {
    put_list(out, ids, |out, id| out.put_slice(id.as_bytes()));
}

/// The tagged fields of one structure, added in the order of their tags.
#[derive(Default)]
pub(crate) struct Tagged {
    count: u32,
    bytes: BytesMut,
}

impl Tagged {
    pub(crate) fn field(&mut self, tag: u32, write: impl FnOnce(&mut BytesMut)) {
        let mut value = BytesMut::new();
        write(&mut value);
        self.count += 1;
        put_varint(&mut self.bytes, tag);
        put_varint(&mut self.bytes, u32::try_from(value.len()).expect("a tagged field is small"));
        self.bytes.put_slice(&value);
    }

    pub(crate) fn finish(self, out: &mut BytesMut) {
        put_varint(out, self.count);
        out.put_slice(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_those_of_kafka() {
        for (value, bytes) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(&out[..], bytes, "writing {value}");
            assert_eq!(Reader::new(out.freeze()).varint("it"), Ok(value));
        }
    }

    #[test]
    fn a_varint_of_more_than_32_bits_is_an_error() {
        let too_long = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
        assert_eq!(Reader::new(too_long).varint("it"), Err(WireError::OutOfRange("it")));
        let endless = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
        assert_eq!(Reader::new(endless).varint("it"), Err(WireError::OutOfRange("it")));
    }

    #[test]
    fn a_list_longer_than_its_bytes_is_refused_before_it_is_read() {
        let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1]);
        assert_eq!(Reader::new(lie).ids("replicas"), Err(WireError::Truncated("replicas")));
    }
}
