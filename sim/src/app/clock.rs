//! Virtual time for those who only want to tell it: a log's layer, for example.

use ackproof_core::types::Duration;

/// How long the present madsim runtime has run in virtual time; nothing outside of one.
///
/// A cluster that is started at once has the same zero.
pub fn elapsed() -> Option<Duration> {
    let elapsed = madsim::time::TimeHandle::try_current()?.elapsed();
    Some(Duration(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)))
}
