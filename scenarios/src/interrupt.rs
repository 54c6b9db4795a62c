//! Whether somebody has asked this process to end: Ctrl-C, or the signal that clusters send before they kill.
//!
//! Searches end at the next world and keep what they have. Where nobody watches for signals, as in tests of one's own, nothing asks.
//! Not modelled: Windows, where Ctrl-C ends the process at once.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// The exit code of the signal that came; 0 before.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// So that a command watches once.
static WATCHED: OnceLock<()> = OnceLock::new();

/// Watches for signals from now on. The first one asks; a second one ends the process at once.
pub(crate) fn watch() -> io::Result<()> {
    if WATCHED.set(()).is_ok() { listen() } else { Ok(()) }
}

#[cfg(unix)]
fn listen() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// `timeout` sends its signal to the process and to its group: what comes so soon after the first one is the same.
    const ONE: std::time::Duration = std::time::Duration::from_millis(300);

    // As shells say it of a process that a signal ended.
    let code = |signal: i32| u8::try_from(128 + signal).unwrap_or(u8::MAX);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(first) = signals.forever().next() {
            ASKED.store(code(first), Ordering::Relaxed);
        }
        #[expect(clippy::disallowed_methods, reason = "it waits for people, not for a world")]
        std::thread::sleep(ONE);
        signals.pending().for_each(drop);
        if let Some(second) = signals.forever().next() {
            std::process::exit(code(second).into());
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn listen() -> io::Result<()> {
    Ok(())
}

/// The exit code of the signal, if one came.
pub(crate) fn code() -> Option<u8> {
    Some(ASKED.load(Ordering::Relaxed)).filter(|code| *code != 0)
}

/// Whether the process was asked to end.
pub(crate) fn is_asked() -> bool {
    code().is_some()
}
