//! One record inside a batch, and the iterator over all of them.
//!
//! ```text
//! length varint │ attributes i8 │ timestamp delta varlong │ offset delta varint │ key length varint, key
//!               │ value length varint, value │ header count varint │ (name length, name, value length, value)*
//! ```
//!
//! A length of -1 is null. Offset deltas may leave gaps (compaction) and header names may repeat: both survive.
//!
//! Kafka: `DefaultRecord`.

use bytes::Bytes;

use super::batch::{BATCH_OVERHEAD, BatchError, RecordBatch};
use super::{compression, varint};
use crate::config::TimestampType;
use crate::types::{Offset, StrBytes, Timestamp};

/// A header of a record: its name, and its value or null.
pub type Header = (StrBytes, Option<Bytes>);

/// What a record takes at most besides its key, value and headers.
const RECORD_OVERHEAD_MAX: usize = 21;

/// A record as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Its own timestamp, or that of the append.
    pub timestamp: Timestamp,
    /// Its key; none is null.
    pub key: Option<Bytes>,
    /// Its value; none is null, a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order, repeated names included. Names that are not UTF-8 have U+FFFD in them, as in Java.
    pub headers: Vec<Header>,
}

/// Iterates over the records of one batch.
#[derive(Clone, Debug)]
pub struct Records {
    /// All records, uncompressed.
    data: Bytes,
    /// Where the next one starts.
    position: usize,
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
    count: i32,
    index: i32,
    /// Said before anything else.
    failure: Option<BatchError>,
}

impl Records {
    pub(super) fn of(batch: &RecordBatch) -> Records {
        let count = batch.records_count();
        let log_append_time = match batch.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(batch.max_timestamp().0),
        };
        let (data, failure) = match records_bytes(batch, count) {
            Ok(data) => (data, None),
            Err(error) => (Bytes::new(), Some(error)),
        };
        Records {
            data,
            position: 0,
            base_offset: batch.base_offset().0,
            base_timestamp: batch.base_timestamp().0,
            log_append_time,
            count: if failure.is_some() { 0 } else { count },
            index: 0,
            failure,
        }
    }

    /// The next record; only where there is one.
    fn read(&mut self) -> Result<Record, &'static str> {
        let mut input = &self.data[self.position..];
        let size = varint::take_i32(&mut input).ok_or("its length is not a varint")?;
        let size = usize::try_from(size).map_err(|_| "its length is negative")?;
        let body = input.get(..size).ok_or("it is longer than what is left of the batch")?;

        let mut fields = Fields { data: &self.data, rest: body };
        fields.attributes()?;
        let timestamp_delta = varint::take_i64(&mut fields.rest).ok_or("its timestamp is not a varint")?;
        let offset_delta = varint::take_i32(&mut fields.rest).ok_or("its offset is not a varint")?;
        let record = Record {
            offset: Offset(self.base_offset.wrapping_add(i64::from(offset_delta))),
            timestamp: Timestamp(
                self.log_append_time.unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta)),
            ),
            key: fields.nullable_bytes("its key")?,
            value: fields.nullable_bytes("its value")?,
            headers: fields.headers()?,
        };
        if !fields.rest.is_empty() {
            return Err("its length does not fit its fields");
        }
        self.position = self.data.len() - input.len() + size;
        Ok(record)
    }

    fn fail(&mut self, error: BatchError) -> Option<Result<Record, BatchError>> {
        self.count = 0;
        self.index = 0;
        self.position = self.data.len();
        Some(Err(error))
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failure.take() {
            return self.fail(error);
        }
        if self.index >= self.count {
            // A batch without records may still have bytes: Kafka looks at them only after a last record.
            let left = self.data.len() - self.position;
            return if left == 0 || self.count == 0 { None } else { self.fail(BatchError::TrailingBytes(left)) };
        }
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(reason) => self.fail(BatchError::BadRecord { index: self.index, reason }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // No more than the bytes can hold: the count is what a stranger wrote. One more for an error.
        let left = usize::try_from(self.count - self.index).unwrap_or(0);
        (0, Some(left.min(self.data.len() - self.position) + 1))
    }
}

/// The records of a batch, decompressed.
fn records_bytes(batch: &RecordBatch, count: i32) -> Result<Bytes, BatchError> {
    if count < 0 {
        return Err(BatchError::BadRecordsCount(count));
    }
    if count == 0 {
        return Ok(Bytes::new());
    }
    compression::decompress(batch.compression()?, batch.bytes().slice(BATCH_OVERHEAD..))
}

/// Takes the fields of one record off the front of its body.
struct Fields<'a> {
    /// The owner of the bytes, of which keys and values become slices.
    data: &'a Bytes,
    rest: &'a [u8],
}

impl Fields<'_> {
    fn attributes(&mut self) -> Result<u8, &'static str> {
        let (&attributes, rest) = self.rest.split_first().ok_or("it is empty")?;
        self.rest = rest;
        Ok(attributes)
    }

    fn nullable_bytes(&mut self, what: &'static str) -> Result<Option<Bytes>, &'static str> {
        let size = varint::take_i32(&mut self.rest).ok_or(what)?;
        // Any negative length is null, as in Java's `Utils.readBytes`.
        let Ok(size) = usize::try_from(size) else { return Ok(None) };
        let bytes = self.rest.get(..size).ok_or(what)?;
        self.rest = &self.rest[size..];
        Ok(Some(self.data.slice_ref(bytes)))
    }

    fn headers(&mut self) -> Result<Vec<Header>, &'static str> {
        let count = varint::take_i32(&mut self.rest).ok_or("its number of headers is not a varint")?;
        let count = usize::try_from(count).map_err(|_| "its number of headers is negative")?;
        if count > self.rest.len() {
            return Err("it has more headers than bytes");
        }
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = self.nullable_bytes("a header's name")?.ok_or("a header's name is null")?;
            let name = StrBytes::from_utf8(name.clone())
                .unwrap_or_else(|_| StrBytes::from_string(String::from_utf8_lossy(&name).into_owned()));
            headers.push((name, self.nullable_bytes("a header's value")?));
        }
        Ok(headers)
    }
}

/// Appends one record to `buffer`.
pub(super) fn put(
    buffer: &mut Vec<u8>,
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) {
    let body = size_of_body(offset_delta, timestamp_delta, key, value, headers);
    buffer.reserve(varint::size_of(body as i64) + body);
    varint::put(buffer, body as i64);
    buffer.push(0); // attributes: none are defined
    varint::put(buffer, timestamp_delta);
    varint::put(buffer, i64::from(offset_delta));
    put_nullable(buffer, key);
    put_nullable(buffer, value);
    varint::put(buffer, headers.len() as i64);
    for (name, value) in headers {
        put_nullable(buffer, Some(name.as_bytes()));
        put_nullable(buffer, value.as_deref());
    }
}

/// How many bytes [`put`] writes.
pub(super) fn size_of(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) -> usize {
    let body = size_of_body(offset_delta, timestamp_delta, key, value, headers);
    varint::size_of(body as i64) + body
}

/// No record with this key, value and headers is larger, wherever it stands in its batch.
pub(super) fn size_upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    RECORD_OVERHEAD_MAX + size_of_content(key, value, headers)
}

fn size_of_body(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) -> usize {
    1 + varint::size_of(timestamp_delta)
        + varint::size_of(i64::from(offset_delta))
        + size_of_content(key, value, headers)
}

fn size_of_content(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    let headers_size: usize = headers
        .iter()
        .map(|(name, value)| size_of_nullable(Some(name.as_bytes())) + size_of_nullable(value.as_deref()))
        .sum();
    size_of_nullable(key) + size_of_nullable(value) + varint::size_of(headers.len() as i64) + headers_size
}

fn size_of_nullable(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size_of(bytes.len() as i64) + bytes.len())
}

fn put_nullable(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(buffer, -1),
        Some(bytes) => {
            varint::put(buffer, bytes.len() as i64);
            buffer.extend_from_slice(bytes);
        }
    }
}
