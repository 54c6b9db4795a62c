//! A simulated cluster as an async application sees it.

use std::sync::Arc;

use ackproof_core::client::{Call, Completion, NewTopic};
use ackproof_core::fact::Observer;
use ackproof_core::types::NodeId;

use super::host::Shared;
use super::{Admin, Consumer, Producer};
use crate::cluster::ClusterSpec;
use crate::world::{NodeIndex, Outcome, World};

/// A running cluster. Clones are the same cluster.
#[derive(Clone)]
pub struct Cluster {
    shared: Shared,
}

impl Cluster {
    /// Starts a cluster inside the present madsim runtime, and waits until its topics exist and all replicas are in sync.
    ///
    /// Clients of the spec that have no workload are taken by name with [`Cluster::producer`], [`Cluster::consumer`] and
    /// [`Cluster::admin`]. `observer` gets every fact of the run, a judge for example.
    pub async fn start(spec: Arc<ClusterSpec>, observer: Box<dyn Observer + Send>) -> Cluster {
        let shared = Shared::new(World::new(spec), observer);
        let driver = shared.clone();
        // The driver is a task of the node that starts the cluster: the application's nodes can be killed without it.
        tokio::spawn(async move { driver.drive().await });
        shared.until(|world| world.is_ready() || world.outcome() != Outcome::Running).await;
        Cluster { shared }
    }

    fn client(&self, name: &str) -> NodeIndex {
        let found = self.shared.with(|world, _| world.external_client(name));
        found.unwrap_or_else(|| panic!("the cluster's spec has no client `{name}` without a workload"))
    }

    /// Starts the process of a producer. It dies with the handle.
    ///
    /// # Panics
    /// If the spec has no producer of this name without a workload.
    pub fn producer(&self, name: &str) -> Producer {
        let client = self.client(name);
        Producer::start(self.shared.clone(), client)
    }

    /// Starts the process of a consumer. It dies with the handle.
    ///
    /// # Panics
    /// If the spec has no consumer of this name without a workload.
    pub fn consumer(&self, name: &str) -> Consumer {
        let client = self.client(name);
        Consumer::start(self.shared.clone(), client)
    }

    /// Starts the process of an admin client. It dies with the handle.
    ///
    /// # Panics
    /// If the spec has no admin client of this name.
    pub fn admin(&self, name: &str) -> Admin {
        let client = self.client(name);
        Admin::start(self.shared.clone(), client)
    }

    /// Kills a broker with SIGKILL, now.
    pub fn kill_broker(&self, id: i32) {
        self.shared.with(|world, observer| {
            if let Some(node) = world.find(NodeId::Broker(id)) {
                world.kill_process(node, observer);
            }
        });
    }

    /// Starts a broker that does not run.
    pub fn start_broker(&self, id: i32) {
        self.shared.with(|world, observer| {
            if let Some(node) = world.find(NodeId::Broker(id)) {
                world.start_process(node, observer);
            }
        });
    }

    /// The leader of a partition, by the controller's word.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Option<i32> {
        let partition = ackproof_core::types::TopicPartition::of(topic, partition);
        self.shared.with(|world, _| {
            let image = world.controller_image()?;
            image.partitions.get(&partition).map(|state| state.leader).filter(|leader| *leader >= 0)
        })
    }

    /// The seed of everything that happens in it.
    pub fn seed(&self) -> u64 {
        self.shared.look(|world| world.spec().seed)
    }

    /// Looks at the world behind it, as it is.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.look(look)
    }

    /// Lets it run to its end outside of any runtime, for those who want to know how it would have ended although the
    /// application has failed. The observer has heard everything then.
    pub fn run_out(&self) {
        self.shared.run_out();
    }

    /// The application makes no more calls. Waits until the cluster has come to rest (or its time is over) and the disks
    /// have been surveyed; the observer has heard everything then.
    pub async fn finish(self) -> Outcome {
        self.shared.with(|world, _| world.host_is_done());
        self.shared.until(|world| world.outcome() != Outcome::Running).await;
        self.shared.with(|world, _| world.outcome())
    }
}

impl Admin {
    /// Creates a topic and waits for the answer.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(), ackproof_core::protocol::ErrorCode> {
        self.shared().call(self.index(), Call::CreateTopics(vec![topic]));
        self.shared()
            .hear(self.index(), |completion| match completion {
                Completion::TopicsCreated(results) => Some(results.first().map_or(Ok(()), |(_, result)| *result)),
                _ => None,
            })
            .await
    }
}
