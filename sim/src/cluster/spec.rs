//! What a world is made of: everything that the plan of a scenario has decided.

use std::sync::Arc;

use ackproof_core::client::NewTopic;
use ackproof_core::config::{BrokerConfig, ConsumerConfig, LegacyProducerConfig, ProducerConfig};
use ackproof_core::store::StoreConfig;
use ackproof_core::types::Duration;

use crate::faults::Step;
use crate::workload::{ConsumerWorkload, ProducerWorkload};
use crate::world::{DiskSpec, LinkSpec};

/// A whole run, decided.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The seed; every stream of random numbers is a fork of it.
    pub seed: u64,
    /// The configuration of the controller; its `broker_id` is the controller's `node.id`.
    pub controller: Arc<BrokerConfig>,
    /// The brokers.
    pub brokers: Vec<Arc<BrokerConfig>>,
    /// How all links behave.
    pub network: LinkSpec,
    /// How all disks behave.
    pub disk: DiskSpec,
    /// Topics created before the clients start.
    pub topics: Vec<NewTopic>,
    /// What is set for groups before the clients start.
    pub groups: Vec<(String, Vec<(String, String)>)>,
    /// Producers and consumers.
    pub clients: Vec<ClientSpec>,
    /// What is done to the cluster.
    pub steps: Vec<Step>,
    /// How long programs may go on and faults may come, counted from the moment when the cluster is ready. What is over by then has
    /// [`ClusterSpec::settle_limit`] to come to rest.
    pub time_limit: Duration,
    /// How long after the last send, the last fault and the last healing the cluster may take to come to rest.
    pub settle_limit: Duration,
}

/// A client process.
#[derive(Clone, Debug)]
pub struct ClientSpec {
    /// Its name in the scenario.
    pub name: String,
    /// What it is.
    pub kind: ClientKind,
    /// When it starts, counted from the moment when the cluster is ready.
    pub starts_after: Duration,
}

/// The kinds of client, each with the program that uses it. Without a program the host of the world makes the calls.
#[derive(Clone, Debug)]
pub enum ClientKind {
    /// The Java producer.
    Producer(Arc<ProducerConfig>, Option<Arc<ProducerWorkload>>),
    /// The Scala producer of 0.8.
    LegacyProducer(Arc<LegacyProducerConfig>, Option<Arc<ProducerWorkload>>),
    /// The Java consumer, manually assigned.
    Consumer(Arc<ConsumerConfig>, Option<Arc<ConsumerWorkload>>),
    /// An admin client, for a host's calls.
    Admin,
    /// A store outside Kafka, in which consuming programs keep how far they have come.
    Store(Arc<StoreConfig>),
}

impl ClientSpec {
    /// What it calls itself in the header of its requests: `client.id`.
    pub fn client_id(&self) -> String {
        match &self.kind {
            ClientKind::Producer(config, _) => config.client_id.clone(),
            ClientKind::LegacyProducer(config, _) => config.client_id.clone(),
            ClientKind::Consumer(config, _) => config.client_id.clone(),
            ClientKind::Admin | ClientKind::Store(_) => self.name.clone(),
        }
    }
}

impl ClientKind {
    /// Whether its program lives outside the world.
    pub fn is_external(&self) -> bool {
        match self {
            ClientKind::Producer(_, workload) | ClientKind::LegacyProducer(_, workload) => workload.is_none(),
            ClientKind::Consumer(_, workload) => workload.is_none(),
            ClientKind::Admin => true,
            ClientKind::Store(_) => false,
        }
    }
}

impl ClusterSpec {
    /// Servers without topics, clients or faults; limits of ten and two minutes.
    pub fn new(seed: u64, controller: Arc<BrokerConfig>, brokers: Vec<Arc<BrokerConfig>>) -> Self {
        Self {
            seed,
            controller,
            brokers,
            network: LinkSpec::default(),
            disk: DiskSpec::default(),
            topics: Vec::new(),
            groups: Vec::new(),
            clients: Vec::new(),
            steps: Vec::new(),
            time_limit: Duration::from_secs(600),
            settle_limit: Duration::from_secs(120),
        }
    }
}
