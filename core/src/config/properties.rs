//! Reads Java `.properties` files and remembers where everything stood.
//!
//! ```text
//! # a comment, or ! one
//! acks = all            separators are =, : or just blanks
//! linger.ms:5
//! listeners = PLAIN://a,\
//!             SSL://b    a line that ends in an odd number of backslashes goes on
//! client.id = caf\u00e9  escapes: \t \n \r \f \uXXXX; before anything else the backslash vanishes
//! ```
//!
//! Java: `java.util.Properties.load`. Unlike there the text is UTF-8; Kafka's own loader takes it for Latin-1.

use super::property::{Place, Property, Span};

/// Something in the file that is not a property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", span.line, span.column)]
pub struct PropertiesError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// The properties of a file, in order; a name may come twice.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, Vec<PropertiesError>> {
    let text = std::str::from_utf8(bytes).map_err(|error| vec![not_utf8(bytes, error.valid_up_to())])?;
    let mut reader = Reader { text, at: Cursor { byte: 0, line: 1, column: 1 }, errors: Vec::new() };
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(vec![byte_order_mark()]);
    }
    let mut properties = Vec::new();
    while reader.skip_to_property() {
        properties.extend(reader.property());
    }
    if reader.errors.is_empty() { Ok(properties) } else { Err(reader.errors) }
}

/// What some editors write before the first character of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// `java.util.Properties` takes it for a part of the first name, and Kafka knows no property of such a name.
fn byte_order_mark() -> PropertiesError {
    PropertiesError {
        message: "the file begins with a byte order mark, which Java takes for a part of the first name: that property would not be set; save the file without it".to_owned(),
        span: Span { start: 0, end: BYTE_ORDER_MARK.len_utf8(), line: 1, column: 1 },
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> PropertiesError {
    let text = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
    let mut reader = Reader { text, at: Cursor { byte: 0, line: 1, column: 1 }, errors: Vec::new() };
    while reader.bump().is_some() {}
    PropertiesError {
        message: "this byte is not UTF-8".to_owned(),
        span: Span { start: valid, end: valid + 1, line: reader.at.line, column: reader.at.column },
    }
}

#[derive(Clone, Copy)]
struct Cursor {
    byte: usize,
    line: u32,
    column: u32,
}

impl Cursor {
    fn to(self, end: Cursor) -> Span {
        Span { start: self.byte, end: end.byte, line: self.line, column: self.column }
    }
}

/// What a logical line is made of once escapes are resolved.
enum Item {
    /// A character as it stands.
    Plain(char),
    /// A character that a backslash protects from having a meaning.
    Escaped(char),
    /// The end of the logical line.
    End,
}

struct Reader<'a> {
    text: &'a str,
    at: Cursor,
    errors: Vec<PropertiesError>,
}

impl Reader<'_> {
    /// Moves to the first character of the next property, past blank lines and comments.
    fn skip_to_property(&mut self) -> bool {
        while let Some(next) = self.peek() {
            match next {
                '#' | '!' => while self.peek().is_some_and(|c| !is_newline(c)) && self.bump().is_some() {},
                c if is_blank(c) || is_newline(c) => {
                    self.bump();
                }
                _ => return true,
            }
        }
        false
    }

    /// The property that starts here; none if it is a backslash before the end of the line and nothing else.
    fn property(&mut self) -> Option<Property> {
        let (name, name_span) = self.text_until(|c| is_blank(c) || c == '=' || c == ':');
        self.skip_blanks();
        let separated = self.at_separator();
        if separated {
            self.item();
            self.skip_blanks();
        }
        let (value, value_span) = self.text_until(|_| false);
        let something = separated || !name.is_empty() || !value.is_empty();
        something.then_some(Property { name, value, place: Place { name: name_span, value: value_span } })
    }

    /// Takes characters up to the end of the logical line or a plain character that `stops`.
    fn text_until(&mut self, stops: impl Fn(char) -> bool) -> (String, Span) {
        let mut text = String::new();
        let start = self.at;
        loop {
            let before = self.at;
            match self.item() {
                Item::Plain(c) if stops(c) => {
                    self.at = before;
                    return (text, start.to(before));
                }
                Item::Plain(c) | Item::Escaped(c) => text.push(c),
                // A last backslash is behind us, though not part of the text.
                Item::End => return (text, start.to(before)),
            }
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            let before = self.at;
            match self.item() {
                Item::Plain(c) if is_blank(c) => {}
                // A continuation stays skipped, so that a value begins where it can be seen.
                Item::Plain(c) => {
                    self.at = self.before(c);
                    return;
                }
                Item::Escaped(_) => {
                    self.at = before;
                    return;
                }
                Item::End => return,
            }
        }
    }

    /// The place of the plain character that was just taken.
    fn before(&self, taken: char) -> Cursor {
        Cursor { byte: self.at.byte - taken.len_utf8(), line: self.at.line, column: self.at.column - 1 }
    }

    fn at_separator(&self) -> bool {
        self.peek().is_some_and(|c| c == '=' || c == ':')
    }

    fn item(&mut self) -> Item {
        loop {
            match self.peek() {
                None => return Item::End,
                Some(c) if is_newline(c) => return Item::End,
                Some('\\') => {
                    let start = self.at;
                    self.bump();
                    match self.bump() {
                        None => return Item::End,
                        Some(c) if is_newline(c) => while self.peek().is_some_and(is_blank) && self.bump().is_some() {},
                        Some('u') => return Item::Escaped(self.unicode(start)),
                        Some(c) => return Item::Escaped(unescape(c)),
                    }
                }
                Some(c) => {
                    self.bump();
                    return Item::Plain(c);
                }
            }
        }
    }

    /// The character of `\uXXXX`; `start` is its backslash. Two halves of a surrogate pair are one character.
    fn unicode(&mut self, start: Cursor) -> char {
        let Some(high) = self.hex4() else {
            return self.fail(start, "\\u needs four hexadecimal digits");
        };
        if let Some(c) = char::from_u32(high) {
            return c;
        }
        let low = if self.text[self.at.byte..].starts_with("\\u") {
            self.bump();
            self.bump();
            self.hex4()
        } else {
            None
        };
        match low {
            Some(low @ 0xdc00..=0xdfff) if high < 0xdc00 => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(_) | None => self.fail(start, "this is half a surrogate pair"),
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + self.peek()?.to_digit(16)?;
            self.bump();
        }
        Some(code)
    }

    fn fail(&mut self, start: Cursor, message: &str) -> char {
        self.errors.push(PropertiesError { message: message.to_owned(), span: start.to(self.at) });
        char::REPLACEMENT_CHARACTER
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at.byte..].chars().next()
    }

    /// Takes a character; `\r\n` is one, `\n`.
    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at.byte += c.len_utf8();
        if !is_newline(c) {
            self.at.column += 1;
            return Some(c);
        }
        if c == '\r' && self.peek() == Some('\n') {
            self.at.byte += 1;
        }
        self.at.line += 1;
        self.at.column = 1;
        Some('\n')
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn unescape(c: char) -> char {
    match c {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\x0c',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let properties = parse(text.as_bytes()).expect("a good file");
        properties.into_iter().map(|property| (property.name, property.value)).collect()
    }

    #[test]
    fn files_are_read_as_java_reads_them() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("# one\n  ! two\n\n\t\n", &[]),
            ("acks=all", &[("acks", "all")]),
            ("acks = all\nlinger.ms : 5\r\nretries 3\r", &[("acks", "all"), ("linger.ms", "5"), ("retries", "3")]),
            ("  a\t=\tb  ", &[("a", "b  ")]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("=b", &[("", "b")]),
            ("a==b", &[("a", "=b")]),
            ("a : = b", &[("a", "= b")]),
            ("url=http://x:1/?y=z#w", &[("url", "http://x:1/?y=z#w")]),
            ("a=b\\\n   c", &[("a", "bc")]),
            ("a\\\n  b=c", &[("ab", "c")]),
            ("a \\\n = \\\r\n c", &[("a", "c")]),
            ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
            ("a=b\\\n\nc=d", &[("a", "b"), ("c", "d")]),
            ("a=b\\\n#c", &[("a", "b#c")]),
            ("a=b\\", &[("a", "b")]),
            ("\\", &[]),
            ("\\\n\\\n\na\\\n\n=", &[("a", ""), ("", "")]),
            ("a\\ b\\=c\\:d = e", &[("a b=c:d", "e")]),
            ("a=\\t\\n\\f\\r\\q\\\"", &[("a", "\t\n\x0c\rq\"")]),
            ("a=caf\\u00e9 \\uD83D\\uDE00", &[("a", "café 😀")]),
            ("é=ü", &[("é", "ü")]),
            ("a=1\na=2", &[("a", "1"), ("a", "2")]),
        ];
        for (text, expected) in table {
            let expected: Vec<(String, String)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn everything_has_its_place() {
        let text = "# é\n  acks \\\n   = all\r\né:1";
        let properties = parse(text.as_bytes()).expect("a good file");
        let places: Vec<_> = properties
            .iter()
            .map(|property| {
                let (name, value) = (property.place.name, property.place.value);
                let cut = |span: Span| (&text[span.start..span.end], span.line, span.column);
                (cut(name), cut(value))
            })
            .collect();
        assert_eq!(places, [(("acks", 2, 3), ("all", 3, 6)), (("é", 4, 1), ("1", 4, 3))]);
    }

    #[test]
    fn what_java_refuses_is_an_error_with_its_place() {
        let table = [
            ("a=1\nb=\\u12g4", "line 2, column 3: \\u needs four hexadecimal digits"),
            ("a=\\u12", "line 1, column 3: \\u needs four hexadecimal digits"),
            ("a=\\ud83d!", "line 1, column 3: this is half a surrogate pair"),
            ("a=\\ude00\\ud83d", "line 1, column 3: this is half a surrogate pair"),
        ];
        for (text, message) in table {
            let errors = parse(text.as_bytes()).expect_err("an error");
            assert_eq!(errors[0].to_string(), message, "{text:?}");
        }
        let errors = parse(b"a=1\nb=\xff").expect_err("an error");
        assert_eq!(errors[0].to_string(), "line 2, column 3: this byte is not UTF-8");
        assert_eq!((errors[0].span.start, errors[0].span.end), (6, 7));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn places_lie_within_the_text(text in "[a-c=:# \\\\\nu0d\r\té]{0,60}") {
            if let Ok(properties) = parse(text.as_bytes()) {
                let mut last = 0;
                for property in properties {
                    let Place { name, value } = property.place;
                    prop_assert!(last <= name.start && name.start <= name.end);
                    prop_assert!(name.end <= value.start && value.start <= value.end);
                    prop_assert!(text.get(name.start..name.end).is_some() && text.get(value.start..value.end).is_some());
                    last = value.end;
                }
            }
        }

        #[test]
        fn what_is_escaped_survives(pairs in proptest::collection::vec(("[ -~é\t]{1,8}", "[ -~é\t\n]{0,8}"), 0..5)) {
            let escape = |text: &str| -> String {
                text.chars().map(|c| match c {
                    '\n' => "\\n".to_owned(),
                    c if c.is_alphanumeric() => c.to_string(),
                    c => format!("\\{c}"),
                }).collect()
            };
            let text: String = pairs.iter().map(|(name, value)| format!("{}={}\n", escape(name), escape(value))).collect();
            let read: Vec<(String, String)> =
                parse(text.as_bytes()).expect("a good file").into_iter().map(|p| (p.name, p.value)).collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
