//! Who leads, who is in sync.
