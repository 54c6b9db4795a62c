//! What is known of a property: its type, its range, its default in each version, what it does.

use super::KafkaVersion;

/// Before any version there is a profile of.
const FIRST: KafkaVersion = KafkaVersion::new(0, 0);

/// One property. A table of these is the schema of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Kafka's name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// One sentence.
    pub doc: &'static str,
    /// The first version that knows it.
    pub since: KafkaVersion,
    /// The first version that does not know it any more.
    pub until: Option<KafkaVersion>,
    /// The default at first; none is null.
    default: Option<&'static str>,
    /// The defaults of later versions, oldest first.
    later: &'static [(KafkaVersion, &'static str)],
    /// A version that raised the minimum, and to what.
    raised: Option<(KafkaVersion, i64)>,
    /// Where Kafka takes any number, the least that can be simulated.
    floor: Option<i64>,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number {
        /// Kafka's name of the type: SHORT, INT, LONG.
        of: &'static str,
        /// The least.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, separated by commas.
    List(&'static [&'static str]),
    /// A number from 0 to 1 with decimals, kept in millionths.
    Ratio,
    /// Any text.
    Text,
}

impl Kind {
    /// Any 32-bit number from `min`.
    pub(super) const fn int(min: i64) -> Kind {
        Kind::Number { of: "INT", min, max: i32::MAX as i64 }
    }
    /// A 32-bit number from `min` to `max`.
    pub(super) const fn between(min: i64, max: i64) -> Kind {
        Kind::Number { of: "INT", min, max }
    }
    /// Any 64-bit number from `min`.
    pub(super) const fn long(min: i64) -> Kind {
        Kind::Number { of: "LONG", min, max: i64::MAX }
    }
    /// Any 32-bit number.
    pub(super) const INT: Kind = Kind::int(i32::MIN as i64);
    /// Any 64-bit number.
    pub(super) const LONG: Kind = Kind::long(i64::MIN);

    /// Kafka's name of the type.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::Number { of, .. } => of,
            Kind::Choice(_) | Kind::Text => "STRING",
            Kind::List(_) => "LIST",
            Kind::Ratio => "DOUBLE",
        }
    }

    /// The values that are valid, in the notation of Kafka's documentation; empty is any.
    pub fn valid(self) -> String {
        match self {
            Kind::Boolean => "[true, false]".to_owned(),
            Kind::Choice(words) | Kind::List(words) => format!("[{}]", words.join(", ")),
            Kind::Ratio => "[0,...,1]".to_owned(),
            Kind::Number { min, .. } if min <= i64::from(i32::MIN) => String::new(),
            Kind::Number { of: "LONG", min, max: i64::MAX } => format!("[{min},...]"),
            Kind::Number { min, max, .. } => format!("[{min},...,{max}]"),
            Kind::Text => String::new(),
        }
    }
}

/// A value that has passed its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Boolean(bool),
    Number(i64),
    Text(String),
}

impl Definition {
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Definition {
        Definition { name, kind, doc, since: FIRST, until: None, default, later: &[], raised: None, floor: None }
    }

    /// It has another default from a version on.
    pub(super) const fn later(self, later: &'static [(KafkaVersion, &'static str)]) -> Definition {
        Definition { later, ..self }
    }

    /// It came with this version.
    pub(super) const fn since(self, major: u16, minor: u16) -> Definition {
        Definition { since: KafkaVersion::new(major, minor), ..self }
    }

    /// It went with this version.
    pub(super) const fn until(self, major: u16, minor: u16) -> Definition {
        Definition { until: Some(KafkaVersion::new(major, minor)), ..self }
    }

    /// From this version on it must be at least so much.
    pub(super) const fn raised(self, version: KafkaVersion, min: i64) -> Definition {
        Definition { raised: Some((version, min)), ..self }
    }

    /// Kafka has no range for it; less than this cannot be simulated.
    pub(super) const fn floor(self, min: i64) -> Definition {
        Definition { floor: Some(min), ..self }
    }

    /// The default in a version; none is null.
    pub fn default(&self, version: KafkaVersion) -> Option<&'static str> {
        let later = self.later.iter().rev().find(|(since, _)| version >= *since);
        later.map(|(_, value)| *value).or(self.default)
    }

    /// What its value may be in a version.
    pub fn kind(&self, version: KafkaVersion) -> Kind {
        match (self.kind, self.raised) {
            (Kind::Number { of, max, .. }, Some((since, min))) if version >= since => Kind::Number { of, min, max },
            (kind, _) => kind,
        }
    }

    /// Why a version does not know it.
    pub(super) fn unknown_to(&self, version: KafkaVersion) -> Option<String> {
        if version < self.since {
            return Some(format!("Kafka {version} does not know it yet: it came with {}", self.since));
        }
        let until = self.until.filter(|until| version >= *until)?;
        Some(format!("Kafka {version} does not know it any more: it went with {until}"))
    }

    /// Reads a value, or says in Kafka's words why not.
    pub(super) fn read(&self, version: KafkaVersion, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self.kind(version) {
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err("Expected value to be either true or false".to_owned()),
            Kind::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => Err(format!("String must be one of: {}", words.join(", "))),
            Kind::List(words) => read_list(text, words),
            Kind::Ratio => read_ratio(text),
            Kind::Number { of, min, max } => self.read_number(text, of, min, max).map(Value::Number),
        }
    }

    fn read_number(&self, text: &str, of: &str, min: i64, max: i64) -> Result<i64, String> {
        let type_min = match of {
            "SHORT" => i64::from(i16::MIN),
            "INT" => i64::from(i32::MIN),
            _ => i64::MIN,
        };
        let number: i64 =
            text.parse().map_err(|_| format!("Not a number of type {of}{}", range(min, max, type_min)))?;
        if number > max || number < type_min {
            return Err(format!("Not a number of type {of}{}", range(min, max, type_min)));
        }
        if number < min {
            return Err(format!("Value must be at least {min}"));
        }
        match self.floor {
            Some(floor) if number < floor => Err(format!("Kafka takes it, but less than {floor} cannot be simulated")),
            Some(_) | None => Ok(number),
        }
    }
}

/// The words of a list, without the blanks between them.
fn read_list(text: &str, words: &[&str]) -> Result<Value, String> {
    let found: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    match found.iter().find(|word| !words.contains(word)) {
        Some(_) => Err(format!("String must be one of: {}", words.join(", "))),
        None => Ok(Value::Text(found.join(","))),
    }
}

/// Decimals beyond the sixth are cut off: nobody tells a cleaner about millionths.
fn read_ratio(text: &str) -> Result<Value, String> {
    let wrong = || "Not a number from 0 to 1, such as 0.5".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || (whole.is_empty() && decimals.is_empty()) {
        return Err(wrong());
    }
    let millionths: String = decimals.chars().chain("000000".chars()).take(6).collect();
    let millionths: i64 = millionths.parse().map_err(|_| wrong())?;
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let value = whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(millionths)).ok_or_else(wrong)?;
    if value > 1_000_000 { Err(wrong()) } else { Ok(Value::Number(value)) }
}

fn range(min: i64, max: i64, type_min: i64) -> String {
    format!(", valid are [{},...,{max}]", min.max(type_min))
}
