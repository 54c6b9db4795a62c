//! Trace files: what is written is read, and what is no trace is an error with its place.

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, NodeId};
use ackproof_reports::render::describe::describe;
use ackproof_reports::render::text::{self, PlainText};
use ackproof_reports::trace::{Header, TraceReader, TraceWriter};
use ackproof_reports::{Digest, Judge, explain};
use proptest::prelude::*;
use serde_json::Value;

use crate::facts;
use crate::run::{acks, names};

fn header() -> Header {
    let mut header = Header::new("acks-1-leader-crash", u64::MAX, "ackproof run acks-1-leader-crash --seed 7");
    header.contract = acks(1);
    header.nodes = names();
    header
}

fn events() -> Vec<Event> {
    (1..)
        .zip(facts::all())
        .map(|(sequence, fact)| Event {
            sequence,
            time: Instant(sequence * 7),
            node: NodeId::Broker(1),
            cause: sequence - 1,
            fact,
        })
        .collect()
}

fn written(events: &[Event]) -> String {
    let mut writer = TraceWriter::new(Vec::new(), &header()).expect("memory can be written");
    events.iter().for_each(|event| writer.observe(event));
    String::from_utf8(writer.finish().expect("memory can be written")).expect("JSON is UTF-8")
}

fn error(bytes: &[u8]) -> String {
    match TraceReader::open(bytes) {
        Err(error) => error.to_string(),
        Ok(reader) => match reader.read_all() {
            Err(error) => error.to_string(),
            Ok((_, events)) => panic!("it was read: {} events", events.len()),
        },
    }
}

#[test]
fn what_is_written_is_read() {
    let text = written(&events());
    let (read, found) = TraceReader::open(text.as_bytes()).and_then(TraceReader::read_all).expect("it is a trace");
    assert_eq!((read, found), (header(), events()));
    insta::assert_snapshot!("trace", text.lines().take(4).collect::<Vec<_>>().join("\n"));
}

#[test]
fn fields_of_a_newer_writer_are_ignored() {
    let text = written(&events()[..1])
        .replace("\"version\":1", "\"version\":1,\"weather\":\"fine\"")
        .replace("\"t\":7", "\"t\":7,\"mood\":null");
    let (_, found) = TraceReader::open(text.as_bytes()).and_then(TraceReader::read_all).expect("it is a trace");
    assert_eq!(found, events()[..1]);
}

#[test]
fn what_is_no_trace_says_where_and_what_to_do() {
    let text = written(&events());
    let lines: Vec<&str> = text.lines().collect();
    let first = lines[0];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("binary", vec![0, 159, 146, 150]),
        ("another json", b"{\"hello\":1}\n".to_vec()),
        ("another format", first.replace("ackproof-trace", "pcap").into_bytes()),
        ("newer", first.replace("\"version\":1", "\"version\":2").into_bytes()),
        ("seed as a number", first.replace("\"18446744073709551615\"", "7").into_bytes()),
        ("no header", lines[1].as_bytes().to_vec()),
        ("cut off", text.as_bytes()[..text.len() - 9].to_vec()),
        ("binary line", [first.as_bytes(), b"\n\xff\xfe\n"].concat()),
        ("empty line", [first.as_bytes(), b"\n\n"].concat()),
        ("unknown fact", [first, "\n", &lines[2].replace("node-started", "node-melted"), "\n"].concat().into_bytes()),
        ("backwards", [first, lines[2], lines[1]].join("\n").into_bytes()),
        ("own cause", [first, &lines[2].replace("\"cause\":1", "\"cause\":2")].join("\n").into_bytes()),
        ("deep", [first.as_bytes(), b"\n", "[".repeat(100_000).as_bytes()].concat()),
        ("not a partition", [first, &lines[12].replace("orders-0", "orders")].join("\n").into_bytes()),
    ];
    let said: Vec<String> = cases.iter().map(|(name, bytes)| format!("[{name}]\n{}", error(bytes))).collect();
    insta::assert_snapshot!("trace_errors", said.join("\n\n"));
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let mut bytes = header_line();
    bytes.resize(bytes.len() + ackproof_reports::trace::MAX_LINE + 2, b' ');
    assert!(error(&bytes).contains("line 2"), "{}", error(&bytes));
}

fn header_line() -> Vec<u8> {
    written(&[]).into_bytes()
}

/// Judges, explains, describes and digests whatever it is given.
fn judge_everything(events: &[Event]) {
    let contract = acks(1);
    let mut judge = Judge::new(contract.clone());
    let mut digest = Digest::new();
    for event in events {
        judge.observe(event);
        digest.observe(event);
        assert!(!describe(event, &names()).is_empty());
    }
    let mut judgement = judge.finish();
    let explanation = explain(&mut judgement, events, &contract);
    let text = text::explanation(&explanation, &names(), &PlainText);
    assert_eq!(text.is_empty(), judgement.anomalies.is_empty());
    ackproof_reports::render::topics::topics(&judgement);
}

#[test]
fn one_fact_of_every_kind_can_be_judged() {
    judge_everything(&events());
}

/// A fact with numbers as a forger would choose them.
fn hostile_fact() -> impl Strategy<Value = Option<Fact>> {
    let extremes = prop::sample::select(vec![
        Value::from(0),
        Value::from(1),
        Value::from(2),
        Value::from(-1),
        Value::from(i64::MAX),
        Value::from(i64::MIN),
        Value::from(u64::MAX),
        Value::from(i32::MAX),
        Value::from(i32::MIN),
    ]);
    (0..facts::all().len(), prop::collection::vec(extremes, 16)).prop_map(|(index, numbers)| {
        let fact = &facts::all()[index];
        let mut json = serde_json::to_value(fact).ok()?;
        let mut numbers = numbers.into_iter();
        replace_numbers(&mut json, &mut numbers);
        // Numbers that do not fit their field make no fact; then the sample itself will do.
        Some(serde_json::from_value(json).unwrap_or_else(|_| fact.clone()))
    })
}

fn replace_numbers(value: &mut Value, numbers: &mut impl Iterator<Item = Value>) {
    match value {
        Value::Number(_) => {
            if let Some(number) = numbers.next() {
                *value = number;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_numbers(item, numbers)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace_numbers(field, numbers)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let reader = TraceReader::open(bytes.as_slice());
        prop_assert!(reader.is_err());
    }

    #[test]
    fn a_damaged_trace_never_panics(at in 0usize..12_000, bytes in prop::collection::vec(any::<u8>(), 1..6)) {
        let mut trace = written(&events()).into_bytes();
        let at = at % trace.len();
        let end = (at + bytes.len()).min(trace.len());
        trace.splice(at..end, bytes);
        if let Ok(reader) = TraceReader::open(trace.as_slice()) {
            let read: Vec<Event> = reader.map_while(Result::ok).collect();
            prop_assert!(read.len() <= events().len() + 1);
            judge_everything(&read);
        }
    }

    #[test]
    fn hostile_facts_never_panic(
        facts in prop::collection::vec((hostile_fact(), 0u64..60, any::<bool>()), 0..60),
    ) {
        let events: Vec<Event> = (1u64..)
            .zip(facts)
            .filter_map(|(sequence, (fact, cause, is_client))| {
                let node = if is_client { NodeId::Client(1) } else { NodeId::Broker(1) };
                Some(Event { sequence, time: Instant(sequence), node, cause: cause % sequence, fact: fact? })
            })
            .collect();
        judge_everything(&events);
    }
}
