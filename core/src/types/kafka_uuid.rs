//! Ids as Kafka writes them.
//!
//! Kafka: `org.apache.kafka.common.Uuid`.

use uuid::Uuid;

use super::{Prng, StrBytes};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A new id as a word, such as a member of a group has (`Uuid.randomUuid().toString()`). One that begins with a dash, which
/// command lines would take for an option, is drawn again.
pub fn random(rng: &mut Prng) -> StrBytes {
    loop {
        let id = encode(Uuid::from_u64_pair(rng.next_u64(), rng.next_u64()));
        if !id.starts_with('-') {
            return StrBytes::from_string(id);
        }
    }
}

/// Base64 as in URLs, without padding: 22 characters.
pub fn encode(id: Uuid) -> String {
    let number = id.as_u128();
    // 128 bits are 21 times six and two more, which come last and are filled up with zeros.
    let sixes = (0..21).map(|index| (number >> (122 - 6 * index)) & 63).chain([(number & 3) << 4]);
    sixes.map(|six| char::from(ALPHABET[six as usize])).collect()
}

/// Reads it.
pub fn decode(text: &str) -> Option<Uuid> {
    let text = text.trim();
    if text.len() != 22 {
        return None;
    }
    let mut number: u128 = 0;
    for (index, byte) in text.bytes().enumerate() {
        let six = ALPHABET.iter().position(|known| *known == byte)? as u128;
        number = if index < 21 { number << 6 | six } else { number << 2 | six >> 4 };
    }
    Some(Uuid::from_u128(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        // `Uuid.METADATA_TOPIC_ID` is `new Uuid(0L, 1L)`.
        assert_eq!(encode(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        for id in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(decode(&encode(Uuid::from_u128(id))), Some(Uuid::from_u128(id)));
        }
        assert_eq!(decode("AAAA"), None);
    }
}
