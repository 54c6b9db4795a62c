//! A `tracing` layer that writes virtual time and node where others write the wall clock.
//!
//! A fact carries both as fields. Any other event - an application's, inside madsim - gets its time from
//! [`VirtualTime::clock`] and its node from the span that madsim keeps around the tasks of a node.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use ackproof_core::types::{Duration, Instant};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Time, level, node and sentence
    #[default]
    Human,
    /// One JSON object per line, with all fields
    Json,
}

/// Writes events with virtual time and node.
pub struct VirtualTime<W> {
    format: LogFormat,
    colours: bool,
    clock: fn() -> Option<Duration>,
    out: Mutex<W>,
}

impl<W: Write> VirtualTime<W> {
    /// Writes to `out`. If that fails there is nobody left to tell.
    pub fn new(format: LogFormat, out: W) -> Self {
        Self { format, colours: false, clock: || None, out: Mutex::new(out) }
    }

    /// Where the time of events comes from that are no facts: the virtual time since the run began.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> Option<Duration>) -> Self {
        self.clock = clock;
        self
    }

    /// Levels in colour, times and targets dimmed.
    #[must_use]
    pub fn colours(mut self, colours: bool) -> Self {
        self.colours = colours;
        self
    }
}

/// The fields of a span or an event, in order.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(place).1)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.retain(|(known, _)| *known != field.name());
        self.0.push((field.name(), value.into()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// One line, taken apart.
struct Line {
    time: Option<u64>,
    level: Level,
    target: String,
    node: Option<String>,
    message: String,
    fields: Fields,
    /// The spans around it from the outside in, without madsim's own.
    spans: Vec<(&'static str, Vec<(&'static str, Value)>)>,
}

impl<W> VirtualTime<W> {
    fn line<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Line
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut line = Line {
            time: fields.take("time_ns").and_then(|time| time.as_u64()).or_else(|| (self.clock)().map(|time| time.0)),
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            node: fields.take("node").map(text),
            message: fields.take("message").map(text).unwrap_or_default(),
            fields,
            spans: Vec::new(),
        };
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            line.enter(&span);
        }
        line
    }

    fn human(&self, line: &Line) -> String {
        let is_fact = line.target.starts_with("ackproof::");
        let time = line.time.map_or_else(|| "-".to_owned(), |time| seconds(Instant(time)));
        let mut out = String::new();
        let _ = write!(out, "{} {} ", self.paint("2", &format!("{time:>13}")), self.level(line.level));
        if let Some(node) = &line.node {
            let _ = write!(out, "{node}: ");
        }
        if !is_fact {
            let _ = write!(out, "{} ", self.paint("2", &line.target));
        }
        out.push_str(&line.message);
        // What a fact's other fields say stands in its sentence.
        let fields: &[(&'static str, Value)] = if is_fact { &[] } else { &line.fields.0[..] };
        for (name, value) in fields.iter().chain(line.spans.iter().flat_map(|(_, fields)| fields)) {
            let _ = match value {
                Value::String(text) => write!(out, " {name}={text}"),
                other => write!(out, " {name}={other}"),
            };
        }
        out
    }

    fn level(&self, level: Level) -> String {
        let colour = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            Level::DEBUG => "34",
            Level::TRACE => "35",
        };
        self.paint(colour, &format!("{level:<5}"))
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Line {
    fn enter<S: for<'a> LookupSpan<'a>>(&mut self, span: &SpanRef<'_, S>) {
        let extensions = span.extensions();
        let Some(fields) = extensions.get::<Fields>() else { return };
        if !span.metadata().target().starts_with("madsim") {
            self.spans.push((span.name(), fields.0.clone()));
        } else if span.name() == "node" && self.node.is_none() {
            let name = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
            self.node = match (name, fields.get("id")) {
                (Some(name), _) => Some(name.to_owned()),
                (None, Some(id)) => Some(format!("node {}", id.as_str().unwrap_or_default())),
                (None, None) => None,
            };
        }
    }

    fn json(self) -> String {
        let mut object = Map::new();
        object.insert("time_ns".to_owned(), self.time.into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("target".to_owned(), self.target.into());
        object.insert("node".to_owned(), self.node.into());
        object.insert("message".to_owned(), self.message.into());
        object.extend(self.fields.0.into_iter().map(|(name, value)| (name.to_owned(), value)));
        for (span, fields) in self.spans {
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            object.insert(span.to_owned(), Value::Object(fields.collect()));
        }
        Value::Object(object).to_string()
    }
}

/// Microseconds: in a log the order of things is in their times.
fn seconds(time: Instant) -> String {
    format!("{}.{:06}s", time.0 / 1_000_000_000, time.0 / 1_000 % 1_000_000)
}

impl<S, W> Layer<S> for VirtualTime<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let line = self.line(event, &context);
        let mut text = match self.format {
            LogFormat::Human => self.human(&line),
            LogFormat::Json => line.json(),
        };
        text.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(text.as_bytes());
    }
}
