//! Whether somebody has asked this process to end: Ctrl-C, or the signal that clusters send before they kill.
//!
//! Searches end at the next world and keep what they have. Where nobody watches for signals, as in tests of one's own, nothing asks.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals, with the exit code that shells give a process that one of them ended.
const SIGNALS: [(i32, u8); 2] = [(SIGINT, 130), (SIGTERM, 143)];

/// The exit code of the signal that came last; 0 before.
static ASKED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Watches for signals from now on. The first one asks; a second one ends the process at once.
pub(crate) fn watch() -> io::Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    let once = Arc::new(AtomicBool::new(false));
    for (signal, code) in SIGNALS {
        // In this order: what ends the process looks before it is told.
        flag::register_conditional_shutdown(signal, code.into(), Arc::clone(&once))?;
        flag::register(signal, Arc::clone(&once))?;
        flag::register_usize(signal, Arc::clone(asked), code.into())?;
    }
    Ok(())
}

/// The exit code of the signal, if one came.
pub(crate) fn code() -> Option<u8> {
    let code = ASKED.get().map_or(0, |asked| asked.load(Ordering::Relaxed));
    u8::try_from(code).ok().filter(|code| *code != 0)
}

/// Whether the process was asked to end.
pub(crate) fn is_asked() -> bool {
    code().is_some()
}
