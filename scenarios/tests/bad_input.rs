//! What is wrong with a file is said with its place, the line and a remedy; and nothing makes the reader panic.

use ackproof::diagnostics::Source;
use ackproof::library::Place;
use ackproof::scenario::Scenario;
use proptest::prelude::*;

/// A scenario that is right; each case changes something in it.
const GOOD: &str = r#"title = "a scenario"
[cluster]
kafka = "3.9"
brokers = 3
config = { "min.insync.replicas" = 2 }
[[topic]]
name = "orders"
partitions = 2
replication-factor = 3
[[producer]]
name = "p1"
topic = "orders"
config = { acks = "all" }
records = 10
every = "10ms"
key = "k{n%5}"
[[consumer]]
name = "c1"
topic = "orders"
partitions = [0, 1]
[[step]]
name = "the leader dies"
when = { fact = "appended", partition = "orders-0", role = "leader", last-offset = ">= 2" }
kill = "leader of orders-0"
as = "old leader"
[[step]]
after = "the leader dies"
wait = "1s..2s"
start = "old leader"
[expect]
clean = true
"#;

/// Name of the case, what is replaced in the good scenario, and by what.
const CASES: &[(&str, &str, &str)] = &[
    ("unknown key", "partitions = 2", "partitons = 2"),
    ("unknown key at the top", "title =", "titel = 1\ntitle ="),
    ("unknown section", "[expect]\n", "[expectations]\n"),
    ("wrong type", "records = 10", "records = \"ten\""),
    ("negative number", "records = 10", "records = -10"),
    ("not a list of tables", "[[topic]]", "[topic]"),
    ("syntax", "brokers = 3", "brokers = = 3"),
    ("huge number", "records = 10", "records = 99999999999999999999"),
    ("too many records", "records = 10", "records = 9000000000000"),
    ("too many brokers", "brokers = 3", "brokers = 4000000000"),
    ("no brokers", "brokers = 3", ""),
    ("impossible replication factor", "replication-factor = 3", "replication-factor = 5"),
    ("zero replicas", "replication-factor = 3", "replication-factor = 0"),
    ("impossible assignment", "partitions = 2\nreplication-factor = 3", "replicas = [[1, 2, 4], [1, 1]]"),
    ("dangling topic", "topic = \"orders\"\nconfig", "topic = \"order\"\nconfig"),
    ("dangling step", "after = \"the leader dies\"", "after = \"the leader died\""),
    ("dangling partition", "kill = \"leader of orders-0\"", "kill = \"leader of orders-2\""),
    ("dangling name", "start = \"old leader\"", "start = \"old leder\""),
    ("dangling broker", "start = \"old leader\"", "start = \"broker 4\""),
    ("two clients of one name", "name = \"c1\"", "name = \"p1\""),
    ("two actions", "kill = \"leader of orders-0\"", "kill = \"leader of orders-0\"\npause = \"broker 2\""),
    ("no action", "kill = \"leader of orders-0\"\nas = \"old leader\"", ""),
    ("no trigger", "after = \"the leader dies\"", ""),
    ("two triggers", "after = \"the leader dies\"", "after = \"the leader dies\"\nat = \"1s\""),
    ("unknown action", "kill =", "killl ="),
    ("unknown fact", "\"appended\"", "\"append\""),
    ("unknown field", "last-offset", "last_ofset"),
    ("impossible value of a field", "role = \"leader\"", "role = \"leder\""),
    ("comparing what is no number", "role = \"leader\"", "role = \">= 3\""),
    ("no unit", "every = \"10ms\"", "every = \"10\""),
    ("backward range", "wait = \"1s..2s\"", "wait = \"2s..1s\""),
    ("an end that does not exist", "start = \"old leader\"", "start = \"old leader\"\nfor = \"1s\""),
    ("bad template", "k{n%5}", "k{m}"),
    ("unknown version", "\"3.9\"", "\"9.3\""),
    ("unknown anomaly", "clean = true", "[[expect.anomaly]]\nkind = \"lost-writes\"\ncause = \"unclean-elections\""),
    ("clean and not", "clean = true", "clean = true\n[[expect.anomaly]]\nkind = \"lost-write\""),
    ("missing expectation", "[expect]\nclean = true\n", ""),
    ("unknown property", "min.insync.replicas", "min.insync.replica"),
    ("impossible property", "acks = \"all\"", "acks = \"some\""),
    ("missing config file", "config = { acks = \"all\" }", "config-file = \"no-such.properties\""),
    ("a fix that does not exist", "title =", "mutation = { toggle = \"maximal_isrs\" }\ntitle ="),
    ("a fix that is no different", "title =", "mutation = { toggle = \"maximal_isr\", off = true }\ntitle ="),
    ("client of an unknown kind", "[[step]]", "[[client]]\nname = \"shop\"\nkind = \"produser\"\n[[step]]"),
    ("client with the name of another", "[[step]]", "[[client]]\nname = \"p1\"\nkind = \"producer\"\n[[step]]"),
    ("client with a program", "[[step]]", "[[client]]\nname = \"shop\"\nkind = \"producer\"\nrecords = 5\n[[step]]"),
    (
        "client with an impossible property",
        "[[step]]",
        "[[client]]\nname = \"shop\"\nkind = \"producer\"\nconfig = { acks = \"some\" }\n[[step]]",
    ),
    (
        "admin client with properties",
        "[[step]]",
        "[[client]]\nname = \"ops\"\nkind = \"admin\"\nconfig = { \"request.timeout.ms\" = 5 }\n[[step]]",
    ),
    ("newer format", "title =", "format = 2\ntitle ="),
    ("several at once", "[cluster]", "[clusterr]\n[[step]]\nat = 5\n[[step]]\nkil = 1\n[cluster]"),
    ("several meanings at once", "partitions = 2\nreplication-factor = 3", "partitions = 0\nreplication-factor = 9"),
];

fn message(text: &[u8]) -> String {
    let place = Place::Library("case.toml".into());
    let read = Source::from_bytes("case.toml", text.to_vec()).and_then(|source| Scenario::read(&place, &source));
    match read {
        Ok(scenario) => format!("it was accepted: {}", scenario.title),
        Err(found) => found.to_string(),
    }
}

#[test]
fn the_good_scenario_is_good() {
    assert_eq!(message(GOOD.as_bytes()), "it was accepted: a scenario");
}

#[test]
fn the_documented_example_is_good() {
    let text = include_str!("../../docs/scenario-format.md");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has an example");
    assert!(message(example.as_bytes()).starts_with("it was accepted"), "{}", message(example.as_bytes()));
}

#[test]
fn every_mistake_is_told() {
    let mut told = String::new();
    for (name, from, to) in CASES {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{name}: nothing was replaced");
        let message = message(text.as_bytes());
        assert!(!message.starts_with("it was accepted"), "{name} was accepted");
        told.push_str(&format!("## {name}\n\n{message}\n\n"));
    }
    for (name, bytes) in [
        ("empty file", &b""[..]),
        ("blank file", b" \n\n"),
        ("binary file", b"\x7fELF\x00\x01\x02"),
        ("not UTF-8", b"title = \"caf\xe9\""),
        ("not TOML at all", b"<scenario/>"),
    ] {
        told.push_str(&format!("## {name}\n\n{}\n\n", message(bytes)));
    }
    insta::assert_snapshot!("mistakes", told);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = message(&bytes);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[{1,2}(cluster|topic|step|expect)\\]{1,2}\n|[a-z-]{1,8} = [0-9\"a-z.{}%, =\\[\\]-]{0,20}\n){0,12}") {
        let _ = message(text.as_bytes());
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_reader_panic(
        changes in proptest::collection::vec((0..GOOD.len(), 0..12_usize, prop_oneof![
            Just("".to_owned()), Just("99999999999".to_owned()), Just("-1".to_owned()), Just("\"".to_owned()), Just("é".to_owned()),
            Just("..".to_owned()), Just("[[step]]\n".to_owned()), Just(" except ".to_owned()), "[ -~]{0,4}",
        ]), 1..4)
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, length, instead) in changes {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, instead.chars());
        }
        let _ = message(text.into_iter().collect::<String>().as_bytes());
    }
}
