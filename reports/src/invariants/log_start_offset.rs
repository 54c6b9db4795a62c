//! `LogStartOffset`: a log begins where it did or later, and nothing is removed before it is committed.
//!
//! Source: failure-catalog.md section 4 (e); KAFKA-5634 (retention is bounded by the high watermark). A log that is cut to before
//! its beginning begins anew there; that is a truncation and not meant here.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let Change::LogStart(broker, before) = scene.change else { return None };
    let log = &scene.partition.replica(*broker)?.log;
    if log.start < *before {
        return Some(format!("the log of broker {broker} began at {before} and begins at {} now", log.start));
    }
    let committed = scene.partition.committed.high_watermark;
    (log.start > committed && log.start > *before).then(|| {
        format!(
            "broker {broker} removed everything below {}, and committed is only what lies below {committed}",
            log.start
        )
    })
}
