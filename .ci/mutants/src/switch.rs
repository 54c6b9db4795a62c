//! Which mutant is on. This file is put into the mutated copy of `core`, as `crate::mutant`.

use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const RECORDING: usize = usize::MAX;

/// 0: none; a number: that one; [`RECORDING`]: none, but those that are reached are written down.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static READ: Once = Once::new();
static REACHED: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// Which of `mutants` is on, counted from 1; 0 if none is.
#[inline]
pub fn pick(mutants: &[usize]) -> usize {
    if !READ.is_completed() {
        READ.call_once(read);
    }
    let active = ACTIVE.load(Ordering::Relaxed);
    if active == 0 {
        return 0;
    }
    if active == RECORDING {
        mutants.iter().for_each(|&mutant| reached(mutant));
        return 0;
    }
    mutants.iter().position(|&mutant| mutant == active).map_or(0, |index| index + 1)
}

/// Whether `mutant` is on.
#[inline]
pub fn on(mutant: usize) -> bool {
    pick(&[mutant]) == 1
}

fn read() {
    let active = match std::env::var("ACKPROOF_MUTANT").as_deref() {
        Err(_) | Ok("") => 0,
        Ok("record") => RECORDING,
        Ok(number) => number.parse().expect("ACKPROOF_MUTANT is a number"),
    };
    ACTIVE.store(active, Ordering::Relaxed);
}

#[cold]
fn reached(mutant: usize) {
    let bit = 1 << (mutant % 64);
    if REACHED[mutant / 64].load(Ordering::Relaxed) & bit != 0 {
        return;
    }
    if REACHED[mutant / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        let path = std::env::var("ACKPROOF_REACHED").expect("ACKPROOF_REACHED names a file");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("it can be opened");
        file.write_all(format!("{mutant}\n").as_bytes()).expect("it can be written");
    }
}
