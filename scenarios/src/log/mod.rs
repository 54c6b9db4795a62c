//! The log: facts and the application's own `tracing` events, with virtual time and node instead of the wall clock.
//!
//! A run keeps no log of its own: [`FactLog`] is an observer that turns facts into `tracing` events, and [`VirtualTime`] a
//! layer that writes them. What is written follows from the facts and never the other way round: the digest of a run is
//! the same at every level.
//!
//! A test of an async application installs the layer as well, and sees its own events between the cluster's:
//!
//! ```
//! use ackproof::log::{LogFormat, VirtualTime, tell};
//!
//! // In an application inside madsim add `.clock(ackproof_sim::app::elapsed)`.
//! let layer = VirtualTime::new(LogFormat::Human, std::io::stderr());
//! tell(layer, || tracing::info!("the shop opens"));
//! ```
//!
//! Not modelled: spans are written with the events inside them, not when they begin and end.

mod facts;
mod filter;
mod layer;

pub use facts::FactLog;
pub use filter::{LogFilter, TARGETS};
pub use layer::{LogFormat, VirtualTime};

use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};

/// Runs something, and tells `layer` what happens in it on this thread.
///
/// Tests of one process run side by side. While there is one subscriber only, `tracing` asks the thread that comes to an
/// event first whether anybody wants it, and where that thread has no subscriber the answer is no, for all threads. So
/// there is a second one here, for the whole process, that hears everything and says nothing.
pub fn tell<R>(layer: impl Layer<Registry> + Send + Sync, run: impl FnOnce() -> R) -> R {
    // Fails where there is one already, and that will do.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run)
}
