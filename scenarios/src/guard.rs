//! Work that may break, done so that only it does: a world in which the program panics is a finding, and no reason to lose the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work. `Err` is what the program said when it broke.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic).unwrap_or_else(|| "it said nothing".to_owned()))
}

/// What a program said when it broke.
pub(crate) fn said(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}
