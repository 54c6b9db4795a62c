//! The broker: dispatch by API, and nothing else.
