//! Zig-zag varints, as Kafka writes the numbers inside a record.
//!
//! Kafka: `ByteUtils.writeVarint`, `readVarint` and their 64-bit sisters.

/// Appends a 64-bit number; a 32-bit one has the same bytes.
pub(super) fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// How many bytes [`put`] writes.
pub(super) fn size_of(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes a 64-bit number off the front of `input`; `None` if it does not end within 10 bytes or within the input.
pub(super) fn take_i64(input: &mut &[u8]) -> Option<i64> {
    take(input, 10).map(unzigzag)
}

/// Takes a 32-bit number off the front of `input`; `None` if it does not end within 5 bytes or within the input.
/// Bits beyond the 32nd are dropped, as Java's shift drops them.
pub(super) fn take_i32(input: &mut &[u8]) -> Option<i32> {
    take(input, 5).map(|raw| {
        let raw = raw as u32;
        (raw >> 1) as i32 ^ -((raw & 1) as i32)
    })
}

fn take(input: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let mut value = 0u64;
    for (position, &byte) in input.iter().take(bytes_max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_kafka_s_bytes() {
        // The table of Kafka's ByteUtilsTest, in zig-zag form.
        let table: &[(i64, &[u8])] = &[
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (8191, &[0xfe, 0x7f]),
            (8192, &[0x80, 0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ];
        for (value, bytes) in table {
            let mut buffer = Vec::new();
            put(&mut buffer, *value);
            assert_eq!(buffer, *bytes, "{value}");
            assert_eq!(size_of(*value), bytes.len(), "{value}");
        }
    }

    #[test]
    fn an_endless_or_cut_varint_is_none() {
        assert_eq!(take_i32(&mut [0x80; 5].as_slice()), None);
        assert_eq!(take_i64(&mut [0xff; 11].as_slice()), None);
        assert_eq!(take_i64(&mut [0x80].as_slice()), None);
        assert_eq!(take_i64(&mut [].as_slice()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64, small: i32) {
            let mut buffer = Vec::new();
            put(&mut buffer, value);
            prop_assert_eq!(size_of(value), buffer.len());
            put(&mut buffer, i64::from(small));
            let mut input = buffer.as_slice();
            prop_assert_eq!(take_i64(&mut input), Some(value));
            prop_assert_eq!(take_i32(&mut input), Some(small));
            prop_assert!(input.is_empty());
        }
    }
}
