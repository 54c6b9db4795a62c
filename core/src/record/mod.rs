//! The bytes that must survive: record batches, format v2.

/// `compression.type` of a batch; the number is that in the batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// None.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// snappy, in the xerial framing of the Java client.
    Snappy = 2,
    /// lz4, in its frame format.
    Lz4 = 3,
    /// zstd (KIP-110, 2.1).
    Zstd = 4,
}
