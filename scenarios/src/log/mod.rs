//! The log: facts and the application's own `tracing` events, with virtual time and node instead of the wall clock.
//!
//! A run keeps no log of its own: [`FactLog`] is an observer that turns facts into `tracing` events, and [`VirtualTime`] a
//! layer that writes them. What is written follows from the facts and never the other way round: the digest of a run is
//! the same at every level.
//!
//! A test of an async application installs the layer as well, and sees its own events between the cluster's:
//!
//! ```
//! use ackproof::log::{LogFormat, VirtualTime};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! // In an application inside madsim add `.clock(ackproof_sim::app::elapsed)`.
//! let layer = VirtualTime::new(LogFormat::Human, std::io::stderr());
//! let subscriber = tracing_subscriber::registry().with(layer);
//! tracing::subscriber::with_default(subscriber, || {
//!     tracing::info!("the shop opens");
//! });
//! ```
//!
//! Not modelled: spans are written with the events inside them, not when they begin and end.

mod facts;
mod filter;
mod layer;

pub use facts::FactLog;
pub use filter::{LogFilter, TARGETS};
pub use layer::{LogFormat, VirtualTime};
