//! What a stop has left of files that were being deleted or compacted.
//!
//! Kafka: `LogLoader.removeTempFilesAndCollectSwapFiles`, and the passes over `.swap` files in `LogLoader.load`.

use std::io;

use super::batch_scanner::{BatchScanner, Scanned};
use super::cleaner::{CLEANED_SUFFIX, SWAP_SUFFIX};
use super::producer_snapshot::offset_in;
use super::retention::DELETED_SUFFIX;
use super::segment::{LOG_SUFFIX, path as segment_path};
use crate::storage::{OpenMode, Storage};
use crate::types::Offset;

/// What was deleted before the stop goes now, whatever its delay, and so does a copy that the cleaner had not finished.
pub(super) fn remove_leftovers(directory: &str, storage: &mut dyn Storage) -> io::Result<()> {
    for name in storage.list(directory)? {
        if name.ends_with(DELETED_SUFFIX) || name.ends_with(CLEANED_SUFFIX) {
            storage.remove(&format!("{directory}/{name}"))?;
        }
    }
    Ok(())
}

/// A copy of the cleaner that was finished takes the place of the originals: what lies between its base offset and its end
/// goes.
pub(super) fn finish_swaps(directory: &str, storage: &mut dyn Storage) -> io::Result<()> {
    let names = storage.list(directory)?;
    let swapped = |name: &String| name.strip_suffix(SWAP_SUFFIX).map(str::to_owned);
    let mut replaced: Option<(Offset, Offset)> = None;
    for base in names.iter().filter_map(swapped).filter_map(|name| offset_in(&name, LOG_SUFFIX)) {
        let path = format!("{}{SWAP_SUFFIX}", segment_path(directory, base, LOG_SUFFIX));
        let end = end_of_file(&path, base, storage)?;
        replaced = Some(replaced.map_or((base, end), |(first, last)| (first.min(base), last.max(end))));
    }
    for name in &names {
        let base = name.get(..20).and_then(|digits| digits.parse().ok()).map(Offset);
        if let (Some((first, end)), Some(base)) = (replaced, base)
            && !name.ends_with(SWAP_SUFFIX)
            && (first..end).contains(&base)
        {
            storage.remove(&format!("{directory}/{name}"))?;
        }
    }
    for name in names.iter().filter_map(swapped) {
        storage.rename(&format!("{directory}/{name}{SWAP_SUFFIX}"), &format!("{directory}/{name}"))?;
    }
    Ok(())
}

/// The offset after the last batch of a file.
fn end_of_file(path: &str, base: Offset, storage: &mut dyn Storage) -> io::Result<Offset> {
    let file = storage.open(path, OpenMode::Existing)?;
    let mut scanner = BatchScanner::new(file, 0, storage.len(file)?);
    let mut end = base;
    while let Scanned::Batch { batch, .. } = scanner.next(storage)? {
        end = batch.next_offset();
    }
    storage.close(file);
    Ok(end)
}
