//! Work that may break, done so that only it does: a world in which the program panics is a finding, and no reason to lose the others.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work. `Err` is what the program said when it broke.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        said.unwrap_or_else(|| "it said nothing".to_owned())
    })
}
