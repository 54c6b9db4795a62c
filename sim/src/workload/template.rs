//! Texts with a number in them: `order {n}`, `k{n%5}`.

use bytes::Bytes;

/// A text with places for the number of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    pad_to: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number,
    NumberModulo(u64),
}

/// A place that is neither `{n}` nor `{n%5}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{{0}}}` is not a place for the record's number; write {{n}} or {{n%5}}, with a number above 0 after the %")]
pub struct TemplateError(pub String);

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            let (place, behind) = after.split_once('}').ok_or_else(|| TemplateError(after.to_owned()))?;
            parts.push(match place.split_once('%') {
                None if place == "n" => Part::Number,
                Some(("n", modulus)) => match modulus.parse() {
                    Ok(modulus) if modulus > 0 => Part::NumberModulo(modulus),
                    Ok(_) | Err(_) => return Err(TemplateError(place.to_owned())),
                },
                None | Some(_) => return Err(TemplateError(place.to_owned())),
            });
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self { parts, pad_to: 0 })
    }

    /// Fills every text up to so many bytes with dots.
    #[must_use]
    pub fn padded_to(mut self, bytes: usize) -> Self {
        self.pad_to = bytes;
        self
    }

    /// The text for record `n`.
    pub fn render(&self, n: u64) -> Bytes {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.pad_to.max(24));
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Number => write!(text, "{n}").expect("writing to a string succeeds"),
                Part::NumberModulo(modulus) => write!(text, "{}", n % modulus).expect("writing to a string succeeds"),
            }
        }
        let mut text = text.into_bytes();
        if text.len() < self.pad_to {
            text.resize(self.pad_to, b'.');
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let render = |text: &str, n| Template::parse(text).map(|template| template.render(n));
        assert_eq!(render("order {n}", 42).as_deref(), Ok(&b"order 42"[..]));
        assert_eq!(render("k{n%5}", 42).as_deref(), Ok(&b"k2"[..]));
        assert_eq!(render("plain", 1).as_deref(), Ok(&b"plain"[..]));
        assert_eq!(Template::parse("x{n}").map(|t| t.padded_to(5).render(7)).as_deref(), Ok(&b"x7..."[..]));
    }

    #[test]
    fn other_places_are_errors() {
        for text in ["{m}", "{n%0}", "{n%x}", "{n", "{}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
