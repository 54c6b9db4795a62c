//! What is simulated: a scenario from a file, from the library, as a text, or put together in code; and what a test adds to it.
//!
//! However it comes, it becomes the text of a scenario file and is read like any other. What a test adds stands behind what was there,
//! so that places in messages are those of the file.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use toml::{Table, Value};

use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::form::Form;
use crate::library::{Place, find};
use crate::scenario::Scenario;

/// A scenario to be simulated.
///
/// * A `&str` or `String` with a line break is the text of a scenario file (`include_str!` gives one); the files that it names are
///   found from the folder of the package.
/// * Any other is what `ackproof run` takes: a path, from the folder of the package, or the name of a scenario of the library.
/// * A [`Stage`] is put together in code.
/// * A [`Form`] is a scenario file as a tree, like those that `ackproof::chaos` draws.
///
/// A scenario without `[expect]` expects that nothing at all goes wrong.
///
/// ```
/// use ackproof::app::Script;
///
/// let text = Script::from("title = \"Nothing happens\"\n\n[cluster]\nbrokers = 1\n");
/// let named = Script::from("durability/acks-1-leader-crash");
/// # let _ = (text, named);
/// ```
#[derive(Clone, Debug)]
pub struct Script(Base);

#[derive(Clone, Debug)]
enum Base {
    Argument(String),
    Text(String),
}

impl From<&str> for Script {
    fn from(script: &str) -> Self {
        Script(if script.contains('\n') { Base::Text(script.to_owned()) } else { Base::Argument(script.to_owned()) })
    }
}

impl From<String> for Script {
    fn from(script: String) -> Self {
        Script::from(script.as_str())
    }
}

impl From<Form> for Script {
    fn from(form: Form) -> Self {
        Script(Base::Text(form.text()))
    }
}

impl From<Stage> for Script {
    fn from(stage: Stage) -> Self {
        Script::from(stage.0)
    }
}

impl Script {
    /// Reads it with what a test adds. A text is called `name`.
    pub(super) fn read(&self, name: &str, additions: &str) -> Result<Scenario, Diagnostics> {
        let (place, mut text) = match &self.0 {
            Base::Text(text) => (Place::Disk(name.into()), text.clone()),
            Base::Argument(argument) => {
                let place = one(argument)?;
                let unreadable = |error: std::io::Error| {
                    let source = Source::new(place.display(), "");
                    Diagnostic::about_file(&source, format!("cannot be read: {error}"))
                };
                let source = Source::from_bytes(place.display(), place.read().map_err(unreadable)?)?;
                (place, source.text.clone())
            }
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(additions);
        if Form::parse(&text).is_some_and(|form| !form.0.contains_key("expect")) {
            text.push_str("\n[expect]\nclean = true\n");
        }
        let source: Arc<Source> = Source::new(place.display(), text);
        Scenario::read(&place, &source)
    }
}

fn one(argument: &str) -> Result<Place, Diagnostics> {
    let mut places = find(argument)?;
    match (places.pop(), places.len()) {
        (Some(place), 0) => Ok(place),
        (_, others) => {
            let message = format!("these are {} scenarios, and a test simulates one", others + 1);
            Err(Diagnostic::about_file(&Source::new(argument, ""), message).remedy("name one of them").into())
        }
    }
}

/// A cluster and its topics, put together in code.
///
/// Names and values are Kafka's; what is wrong with them is said when the simulation runs.
///
/// ```
/// use ackproof::app::Stage;
///
/// let stage = Stage::kafka("3.9")
///     .brokers(3)
///     .broker_config("min.insync.replicas", 2)
///     .latency("500us..2ms")
///     .topic("orders", 4, 3)
///     .topic_config("retention.ms", 3_600_000);
/// ackproof::simulate(stage).producer("shop", [("acks", "all")]).seeds(0..1).run(|cluster| async move {
///     assert!(cluster.leader_of("orders", 3).is_some());
///     cluster.producer("shop").send("orders", None, b"order 1").await.unwrap().await.unwrap();
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Stage(Form);

impl Stage {
    /// Three brokers of this version (`"2.2"`, `"2.8"`, `"3.5"`, `"3.9"`, `"4.0"`, `"4.1"`), without topics.
    pub fn kafka(version: &str) -> Self {
        let cluster = Table::from_iter([
            ("kafka".to_owned(), Value::String(version.to_owned())),
            ("brokers".to_owned(), Value::Integer(3)),
        ]);
        let title = Value::String("A service under test".into());
        Self(Form(Table::from_iter([("title".to_owned(), title), ("cluster".to_owned(), Value::Table(cluster))])))
    }

    /// So many brokers, with the ids 1, 2, ...
    #[must_use]
    pub fn brokers(mut self, number: u32) -> Self {
        self.cluster().insert("brokers".into(), Value::Integer(number.into()));
        self
    }

    /// A property of every broker and the controller.
    #[must_use]
    pub fn broker_config(mut self, name: &str, value: impl Display) -> Self {
        set(self.cluster(), name, &value);
        self
    }

    /// How long every message takes: a time, or a range that each message draws from, like `"500us..2ms"`. Between 100 and 500
    /// microseconds if not said, as within one rack.
    #[must_use]
    pub fn latency(mut self, time: &str) -> Self {
        let network = Table::from_iter([("latency".to_owned(), Value::String(time.to_owned()))]);
        self.cluster().insert("network".into(), Value::Table(network));
        self
    }

    /// A topic with so many partitions, each with so many replicas. It is there, and all replicas are in sync, before the
    /// test's own code runs.
    #[must_use]
    pub fn topic(mut self, name: &str, partitions: u32, replication_factor: u32) -> Self {
        let topic = Table::from_iter([
            ("name".to_owned(), Value::String(name.to_owned())),
            ("partitions".to_owned(), Value::Integer(partitions.into())),
            ("replication-factor".to_owned(), Value::Integer(replication_factor.into())),
        ]);
        self.0.sections_mut("topic").push(Value::Table(topic));
        self
    }

    /// A property of the topic that was named last.
    ///
    /// # Panics
    /// If no topic was named.
    #[must_use]
    pub fn topic_config(mut self, name: &str, value: impl Display) -> Self {
        match self.0.sections_mut("topic").last_mut() {
            Some(Value::Table(topic)) => set(topic, name, &value),
            _ => panic!("Stage::topic_config(\"{name}\", ..) comes before any Stage::topic(..)"),
        }
        self
    }

    fn cluster(&mut self) -> &mut Table {
        match self.0.0.get_mut("cluster") {
            Some(Value::Table(cluster)) => cluster,
            _ => unreachable!("Stage::kafka has made one"),
        }
    }
}

fn set(owner: &mut Table, name: &str, value: &dyn Display) {
    let config = owner.entry("config").or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(config) = config {
        config.insert(name.to_owned(), Value::String(value.to_string()));
    }
}

/// The properties of a client by Kafka's names: from pairs, or from a file.
///
/// A `&str` is the path of a properties file, from the folder of the package: the one that the service has in production.
///
/// ```
/// use ackproof::app::Properties;
///
/// let pairs = Properties::from([("acks", "all"), ("linger.ms", "5")]);
/// let file = Properties::from("config/producer.properties");
/// let none = Properties::default();
/// # let _ = (pairs, file, none);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Properties {
    file: Option<PathBuf>,
    pairs: Vec<(String, String)>,
}

impl From<&str> for Properties {
    fn from(path: &str) -> Self {
        Self { file: Some(path.into()), pairs: Vec::new() }
    }
}

impl<N: Display, V: Display, const COUNT: usize> From<[(N, V); COUNT]> for Properties {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self { file: None, pairs: pairs.collect() }
    }
}

impl Properties {
    /// With one property more, which wins over the file.
    ///
    /// ```
    /// let careless = ackproof::app::Properties::from("config/producer.properties").with("acks", 1);
    /// # let _ = careless;
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.pairs.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A `[[client]]` as a file has it.
pub(super) fn client(name: &str, kind: &str, properties: &Properties) -> String {
    let mut client = Table::from_iter([
        ("name".to_owned(), Value::String(name.to_owned())),
        ("kind".to_owned(), Value::String(kind.to_owned())),
    ]);
    if let Some(file) = &properties.file {
        // Paths in a scenario count from its folder, those in a test from the package's.
        let path = std::env::current_dir().unwrap_or_default().join(file);
        client.insert("config-file".into(), Value::String(path.display().to_string()));
    }
    for (name, value) in &properties.pairs {
        set(&mut client, name, value);
    }
    Form(Table::from_iter([("client".to_owned(), Value::Array(vec![Value::Table(client)]))])).text()
}

/// A `[[step]]` as a file has it.
pub(super) fn step(text: &str) -> String {
    let mut step = String::from("\n[[step]]\n");
    // What a test indents is no less readable without.
    for line in text.lines() {
        let _ = writeln!(step, "{}", line.trim_start());
    }
    step
}
