//! gzip, snappy, lz4 and zstd, as Kafka frames them.
//!
//! Snappy comes in the framing of snappy-java (a 16-byte header, then blocks of 32 KiB, each with its length); raw
//! snappy, which librdkafka once wrote, is read too. Decompression never yields more than [`DECOMPRESSED_SIZE_MAX`].
//!
//! Kafka: `CompressionType`, `SnappyCompression`, `Lz4BlockOutputStream`, `CompressionRatioEstimator`.
//! Not modelled: compression levels (KIP-390); lz4 with the broken header checksum of format v0.

use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;

use super::BatchError;

/// The most that the records of one batch may decompress to: more than any `max.message.bytes` in use, little enough
/// that a decompression bomb is harmless.
pub const DECOMPRESSED_SIZE_MAX: usize = 256 << 20;

/// The header of snappy-java: magic, version 1, readable by version 1.
const XERIAL_HEADER: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
/// How much snappy-java puts into a block.
const XERIAL_BLOCK: usize = 32 << 10;
/// No element of a snappy stream yields more than 64 bytes for its 2 to 3: what promises more lies.
const SNAPPY_EXPANSION_MAX: usize = 32;

/// `compression.type` of a batch; the number is that in the batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

impl Compression {
    /// All of them, in the order of their numbers.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The number in the attributes of a batch.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The compression with this number.
    pub fn from_id(id: u8) -> Option<Compression> {
        Compression::ALL.get(usize::from(id)).copied()
    }

    /// The name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// The compression of this name.
    pub fn from_name(name: &str) -> Option<Compression> {
        Compression::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// Whether this build can read and write it: zstd is a cargo feature.
    pub fn is_supported(self) -> bool {
        self != Compression::Zstd || cfg!(feature = "zstd")
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a topic's batches have compressed to lately, in bytes per 1000, for each compression. A producer keeps one per
/// topic: it rises at once with a batch that compresses badly and falls slowly with those that compress well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionRatioEstimator {
    permille: [u32; 5],
}

impl CompressionRatioEstimator {
    const IMPROVING_STEP: u32 = 5;
    const DETERIORATING_STEP: u32 = 50;

    /// The present guess.
    pub fn permille(&self, compression: Compression) -> u32 {
        self.permille[usize::from(compression.id())]
    }

    /// Takes a batch into account: the bytes of its records before and after compression, without the header.
    pub fn update(&mut self, compression: Compression, uncompressed: usize, compressed: usize) {
        let Some(observed) = (compressed as u64 * 1000).checked_div(uncompressed as u64) else { return };
        let observed = u32::try_from(observed).unwrap_or(u32::MAX);
        let guess = &mut self.permille[usize::from(compression.id())];
        *guess = if observed > *guess {
            observed.max(*guess + Self::DETERIORATING_STEP)
        } else {
            observed.max(guess.saturating_sub(Self::IMPROVING_STEP))
        };
    }
}

impl Default for CompressionRatioEstimator {
    fn default() -> Self {
        Self { permille: [1000; 5] }
    }
}

/// Compresses; the result has `room` zero bytes in front, for the header.
pub(super) fn compress(compression: Compression, data: &[u8], room: usize) -> Result<Vec<u8>, BatchError> {
    let mut output = Vec::with_capacity(room + data.len() / 2);
    output.resize(room, 0);
    match compression {
        Compression::None => {
            output.extend_from_slice(data);
            Ok(output)
        }
        Compression::Gzip => compress_gzip(data, output),
        Compression::Snappy => compress_snappy(data, output),
        Compression::Lz4 => compress_lz4(data, output),
        Compression::Zstd => return compress_zstd(data, output),
    }
    // The other compressors write into memory, which does not fail.
    .map_err(|_: io::Error| BatchError::UnsupportedCompression(compression))
}

fn compress_gzip(data: &[u8], output: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
    encoder.write_all(data)?;
    encoder.finish()
}

fn compress_snappy(data: &[u8], mut output: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    output.extend_from_slice(XERIAL_HEADER);
    for block in data.chunks(XERIAL_BLOCK) {
        let compressed = encoder.compress_vec(block)?;
        output.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        output.extend_from_slice(&compressed);
    }
    Ok(output)
}

fn compress_lz4(data: &[u8], output: Vec<u8>) -> io::Result<Vec<u8>> {
    // Kafka's: independent blocks of 64 KiB, no checksums.
    let frame = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, output);
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}

#[cfg(feature = "zstd")]
fn compress_zstd(data: &[u8], mut output: Vec<u8>) -> Result<Vec<u8>, BatchError> {
    // Level 3 is Kafka's default, and zstd's.
    let compressed =
        zstd::bulk::compress(data, 3).map_err(|_| BatchError::UnsupportedCompression(Compression::Zstd))?;
    output.extend_from_slice(&compressed);
    Ok(output)
}

#[cfg(not(feature = "zstd"))]
fn compress_zstd(_: &[u8], _: Vec<u8>) -> Result<Vec<u8>, BatchError> {
    Err(BatchError::UnsupportedCompression(Compression::Zstd))
}

/// Decompresses; without compression it is the same bytes.
pub(super) fn decompress(compression: Compression, data: Bytes) -> Result<Bytes, BatchError> {
    decompress_up_to(compression, data, DECOMPRESSED_SIZE_MAX)
}

fn decompress_up_to(compression: Compression, data: Bytes, limit: usize) -> Result<Bytes, BatchError> {
    match compression {
        Compression::None => Ok(data),
        Compression::Gzip => read_up_to(flate2::read::GzDecoder::new(&data[..]), limit, compression),
        Compression::Snappy => decompress_snappy(&data, limit),
        Compression::Lz4 => read_up_to(lz4_flex::frame::FrameDecoder::new(&data[..]), limit, compression),
        Compression::Zstd => decompress_zstd(&data, limit),
    }
}

#[cfg(feature = "zstd")]
fn decompress_zstd(data: &[u8], limit: usize) -> Result<Bytes, BatchError> {
    let decoder =
        zstd::stream::read::Decoder::with_buffer(data).map_err(|_| BatchError::BadCompression(Compression::Zstd))?;
    read_up_to(decoder, limit, Compression::Zstd)
}

#[cfg(not(feature = "zstd"))]
fn decompress_zstd(_: &[u8], _: usize) -> Result<Bytes, BatchError> {
    Err(BatchError::UnsupportedCompression(Compression::Zstd))
}

fn read_up_to(reader: impl Read, limit: usize, compression: Compression) -> Result<Bytes, BatchError> {
    let mut output = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut output).map_err(|_| BatchError::BadCompression(compression))?;
    if output.len() > limit { Err(BatchError::TooLarge { limit }) } else { Ok(output.into()) }
}

fn decompress_snappy(data: &[u8], limit: usize) -> Result<Bytes, BatchError> {
    const BAD: BatchError = BatchError::BadCompression(Compression::Snappy);
    let mut output = Vec::new();
    let Some(mut rest) = data.strip_prefix(XERIAL_HEADER) else {
        append_snappy_block(data, &mut output, limit)?;
        return Ok(output.into());
    };
    while let Some((length, blocks)) = rest.split_first_chunk::<4>() {
        let (block, next) = blocks.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(BAD)?;
        append_snappy_block(block, &mut output, limit)?;
        rest = next;
    }
    if rest.is_empty() { Ok(output.into()) } else { Err(BAD) }
}

fn append_snappy_block(block: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<(), BatchError> {
    let bad = |_: snap::Error| BatchError::BadCompression(Compression::Snappy);
    let start = output.len();
    let size = snap::raw::decompress_len(block).map_err(bad)?;
    if size > block.len().saturating_mul(SNAPPY_EXPANSION_MAX) {
        return Err(BatchError::BadCompression(Compression::Snappy));
    }
    if size > limit.saturating_sub(start) {
        return Err(BatchError::TooLarge { limit });
    }
    output.resize(start + size, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut output[start..]).map_err(bad)?;
    output.truncate(start + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn supported() -> impl Iterator<Item = Compression> {
        Compression::ALL.into_iter().filter(|compression| compression.is_supported())
    }

    fn round_trip(compression: Compression, data: &[u8]) -> Result<Bytes, BatchError> {
        let compressed = Bytes::from(compress(compression, data, 3)?);
        assert_eq!(compressed[..3], [0; 3], "the room for the header is in front");
        decompress(compression, compressed.slice(3..))
    }

    #[test]
    fn many_blocks_survive() {
        let data: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x1f).collect();
        for compression in supported() {
            assert_eq!(round_trip(compression, &data).as_deref(), Ok(&data[..]), "{compression}");
        }
    }

    #[test]
    fn raw_snappy_is_read_too() {
        let raw = snap::raw::Encoder::new().compress_vec(b"no header of snappy-java in front of this").unwrap();
        let read = decompress(Compression::Snappy, raw.into());
        assert_eq!(read.as_deref(), Ok(&b"no header of snappy-java in front of this"[..]));
    }

    #[test]
    fn snappy_written_by_kafka_is_read() {
        // The records of a batch with one record, value "sdfdsf", from a broker.
        let bytes: &[u8] =
            b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x0f\x0d\x30\x18\x00\x00\x00\x01\x0csdfdsf\x00";
        let read = decompress(Compression::Snappy, Bytes::from_static(bytes));
        assert_eq!(read.as_deref(), Ok(&b"\x18\x00\x00\x00\x01\x0csdfdsf\x00"[..]));
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = vec![0; 100_000];
        for compression in supported().filter(|compression| *compression != Compression::None) {
            let compressed: Bytes = compress(compression, &bomb, 0).unwrap().into();
            let read = decompress_up_to(compression, compressed.clone(), 99_999);
            assert_eq!(read, Err(BatchError::TooLarge { limit: 99_999 }), "{compression}");
            assert!(decompress_up_to(compression, compressed, 100_000).is_ok(), "{compression}");
        }
    }

    #[test]
    fn a_lie_about_the_size_allocates_nothing() {
        // Raw snappy that announces 256 MiB and has three bytes.
        let lie = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x01, 0, 0, 0]);
        assert_eq!(decompress(Compression::Snappy, lie), Err(BatchError::BadCompression(Compression::Snappy)));
    }

    #[test]
    fn names_and_numbers_are_kafka_s() {
        let table: Vec<(u8, &str)> = Compression::ALL.iter().map(|c| (c.id(), c.name())).collect();
        assert_eq!(table, [(0, "none"), (1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")]);
        assert_eq!(Compression::from_id(5), None);
        assert_eq!(Compression::from_name("Snappy"), None);
    }

    #[test]
    fn the_estimate_rises_at_once_and_falls_slowly() {
        let mut estimator = CompressionRatioEstimator::default();
        estimator.update(Compression::Lz4, 1000, 400);
        assert_eq!(estimator.permille(Compression::Lz4), 995);
        estimator.update(Compression::Lz4, 1000, 997);
        assert_eq!(estimator.permille(Compression::Lz4), 1045, "by 50 at least");
        estimator.update(Compression::Lz4, 1000, 2000);
        assert_eq!(estimator.permille(Compression::Lz4), 2000);
        estimator.update(Compression::Lz4, 0, 20);
        assert_eq!(estimator.permille(Compression::Lz4), 2000, "an empty batch says nothing");
        assert_eq!(estimator.permille(Compression::Gzip), 1000);
    }

    proptest! {
        #[test]
        fn data_survives(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for compression in supported() {
                prop_assert_eq!(round_trip(compression, &data), Ok(Bytes::from(data.clone())));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..200), framed: bool) {
            let mut framed_data = if framed { XERIAL_HEADER.to_vec() } else { Vec::new() };
            framed_data.extend_from_slice(&data);
            for compression in supported() {
                let read = decompress_up_to(compression, framed_data.clone().into(), 1 << 20);
                prop_assert!(read.map_or(true, |output| output.len() <= 1 << 20));
            }
        }
    }
}
