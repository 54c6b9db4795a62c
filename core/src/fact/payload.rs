//! Keys and values, and the text that stands for them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A key or value. In JSON it is its text, or `hex:` and its bytes where it is not UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(pub Bytes);

impl Payload {
    /// The text that stands for it in JSON and in reports.
    pub fn to_text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with("hex:") => text.to_owned(),
            Ok(_) | Err(_) => {
                let mut hex = String::with_capacity(4 + 2 * self.0.len());
                hex.push_str("hex:");
                for byte in &self.0 {
                    hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
                    hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
                }
                hex
            }
        }
    }

    /// The inverse of [`Payload::to_text`]; `None` if what follows `hex:` is not hexadecimal.
    pub fn from_text(text: &str) -> Option<Payload> {
        let Some(hex) = text.strip_prefix("hex:") else {
            return Some(Payload(Bytes::copy_from_slice(text.as_bytes())));
        };
        if hex.len() % 2 != 0 {
            return None;
        }
        let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        Some(Payload(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into()))
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Payload::from_text(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not hexadecimal after `hex:`")))
    }
}
