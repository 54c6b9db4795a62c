//! How far the offsets went in what recovery cuts off.

use std::io;

use super::batch_scanner::Scanned;
use super::segment::LogSegment;
use super::validator::offsets_follow;
use crate::storage::Storage;
use crate::types::Offset;

/// How far the offsets went from a bad batch on, as far as headers can still be read: what explanations call the end of
/// the log before the cut. All of it is hearsay, so only headers that continue the offsets count.
pub(super) fn readable_end(segment: &LogSegment, from: u64, storage: &mut dyn Storage) -> io::Result<Offset> {
    let mut end = segment.next_offset();
    let mut torn_at = from;
    let mut scanner = segment.scanner(from);
    while let Scanned::Batch { position, batch } = scanner.next(storage)? {
        if batch.base_offset() != end || !offsets_follow(&batch, end) {
            return Ok(end);
        }
        end = batch.next_offset();
        torn_at = position + batch.size_in_bytes() as u64;
    }
    let torn = segment.bytes_at(torn_at, TORN_HEADER_BYTES, storage)?;
    Ok(end_in_torn_header(&torn, end).unwrap_or(end))
}

/// Enough of a header to know the offsets of a batch.
const TORN_HEADER_BYTES: usize = 27;

/// The end of a batch that begins at `begin` and is not all there.
fn end_in_torn_header(header: &[u8], begin: Offset) -> Option<Offset> {
    let base = i64::from_be_bytes(*header.first_chunk()?);
    let delta = i32::from_be_bytes(*header.get(23..)?.first_chunk()?);
    let plausible = base == begin.0 && header[16] == 2 && delta >= 0;
    if plausible { base.checked_add(i64::from(delta) + 1).map(Offset) } else { None }
}
