//! A node: a machine with a disk and clocks, a process that runs on it, and the program that uses it.
//!
//! The process is the pure state machine from `core`. Killing it drops the value; starting it makes a new one, which
//! finds its disk as the last life left it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ackproof_core::broker::Broker;
use ackproof_core::client::{AdminClient, Call, Completion, LegacyProducer, Producer, producer::Abandoned};
use ackproof_core::config::BrokerConfig;
use ackproof_core::controller::Controller;
use ackproof_core::store::Store;
use ackproof_core::types::{Duration, Instant, NodeId, Prng};
use ackproof_core::{Context, Effect, Input, Machine};

use super::{ConsumingProcess, NodeClock, NodeIndex, SimDisk};
use crate::cluster::ClientKind;
use crate::workload::{ConsumerApp, ProducerApp};

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The machine has no power.
    PowerOff,
    /// The machine is up, the process is not.
    Down,
    /// It runs.
    Running,
    /// It is stopped in its tracks; its sockets stay.
    Paused,
}

/// A process of the system under test.
#[derive(Clone, Debug)]
pub enum SimMachine {
    /// A controller.
    Controller(Box<Controller>),
    /// A broker.
    Broker(Box<Broker>),
    /// A producer.
    Producer(Box<Producer>),
    /// A producer of 0.8.
    LegacyProducer(Box<LegacyProducer>),
    /// A consumer, with what its process has beside it.
    Consumer(Box<ConsumingProcess>),
    /// An admin client.
    Admin(Box<AdminClient>),
    /// A store outside Kafka.
    Store(Box<Store>),
}

/// How a new life of a process is made.
#[derive(Clone, Debug)]
pub enum Blueprint {
    /// A controller.
    Controller(Arc<BrokerConfig>),
    /// A broker.
    Broker(Arc<BrokerConfig>),
    /// A client.
    Client(ClientKind),
}

/// The program that uses a client.
#[derive(Clone, Debug)]
pub enum App {
    /// None: servers.
    None,
    /// It sends.
    Producer(ProducerApp),
    /// It reads.
    Consumer(Box<ConsumerApp>),
    /// It lives outside the world, which keeps for it what its client says.
    External(VecDeque<Completion>),
}

/// What happened to a node while it was paused, in order.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The fact that led to it.
    pub cause: u64,
    /// The input.
    pub input: Input,
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Who it is.
    pub id: NodeId,
    /// Its name in reports.
    pub name: String,
    /// What its process is doing.
    pub process: Process,
    /// How often it has been started.
    pub life: u32,
    /// When its last life ended.
    pub died_at: Instant,
    /// The process.
    pub machine: Option<SimMachine>,
    /// The program.
    pub app: App,
    /// How many records and calls the program's earlier lives made.
    pub app_progress: (u64, u64),
    /// Its disk.
    pub disk: SimDisk,
    /// What was said after a call that its disk has not answered yet, with the device time before it and its cause.
    pub stalled: Vec<(Duration, u64, Effect)>,
    /// Its clocks.
    pub clock: NodeClock,
    /// Its stream of random numbers.
    pub rng: Prng,
    /// When the world will look at its deadline; never later than the deadline.
    pub wakes_at: Option<Instant>,
    /// It is to start again as soon as it has stopped.
    pub starts_again: bool,
    /// A start is on its way that no step of the plan knows of.
    pub is_coming_back: bool,
    /// The steps in force under which its program cannot process anything.
    pub outages: Vec<usize>,
    /// What waits for the end of a pause.
    pub deferred: VecDeque<Deferred>,
    /// How a new life is made.
    pub blueprint: Blueprint,
}

impl SimMachine {
    fn as_machine(&mut self) -> &mut dyn Machine {
        match self {
            SimMachine::Controller(machine) => &mut **machine,
            SimMachine::Broker(machine) => &mut **machine,
            SimMachine::Producer(machine) => &mut **machine,
            SimMachine::LegacyProducer(machine) => &mut **machine,
            SimMachine::Consumer(machine) => &mut **machine,
            SimMachine::Admin(machine) => &mut **machine,
            SimMachine::Store(machine) => &mut **machine,
        }
    }

    /// Hands it an input.
    pub fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        self.as_machine().handle(input, ctx);
    }

    /// When it wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self {
            SimMachine::Controller(machine) => machine.next_deadline(),
            SimMachine::Broker(machine) => machine.next_deadline(),
            SimMachine::Producer(machine) => machine.next_deadline(),
            SimMachine::LegacyProducer(machine) => machine.next_deadline(),
            SimMachine::Consumer(machine) => machine.next_deadline(),
            SimMachine::Admin(machine) => machine.next_deadline(),
            SimMachine::Store(machine) => machine.next_deadline(),
        }
    }

    /// Whether it takes connections. A broker opens its listeners when it is in (`enableRequestProcessing`): before, its
    /// kernel refuses.
    pub fn is_listening(&self) -> bool {
        match self {
            SimMachine::Broker(machine) => machine.state().is_serving(),
            SimMachine::Controller(_)
            | SimMachine::Producer(_)
            | SimMachine::LegacyProducer(_)
            | SimMachine::Consumer(_)
            | SimMachine::Admin(_)
            | SimMachine::Store(_) => true,
        }
    }

    /// Records that its memory holds.
    pub fn abandoned(&self) -> Vec<Abandoned> {
        match self {
            SimMachine::Producer(machine) => machine.abandoned(),
            SimMachine::LegacyProducer(machine) => machine.abandoned(),
            SimMachine::Consumer(machine) => machine.producer.as_ref().map(Producer::abandoned).unwrap_or_default(),
            SimMachine::Controller(_) | SimMachine::Broker(_) | SimMachine::Admin(_) | SimMachine::Store(_) => {
                Vec::new()
            }
        }
    }
}

impl Blueprint {
    /// Whether its program lives outside the world.
    pub fn is_external(&self) -> bool {
        match self {
            Blueprint::Controller(_) | Blueprint::Broker(_) => false,
            Blueprint::Client(kind) => kind.is_external(),
        }
    }

    /// The log directories, where there are several.
    pub fn devices(&self) -> Vec<String> {
        match self {
            Blueprint::Broker(config) if config.log_dirs.len() > 1 => config.log_directory_roots(),
            Blueprint::Broker(_) | Blueprint::Controller(_) | Blueprint::Client(_) => Vec::new(),
        }
    }

    /// Where the log directory of this name lies on its disk.
    pub fn root_of(&self, directory: &str) -> Option<String> {
        let (Blueprint::Broker(config) | Blueprint::Controller(config)) = self else { return None };
        let place = config.log_dirs.iter().position(|name| name == directory)?;
        config.log_directory_roots().into_iter().nth(place)
    }

    /// A new process of this kind, and the program that uses it.
    pub fn build(&self, id: NodeId, servers: &Servers, now: Instant, progress: (u64, u64)) -> (SimMachine, App) {
        let client = match id {
            NodeId::Client(number) => number,
            NodeId::Controller(_) | NodeId::Broker(_) => 0,
        };
        let bootstrap = || servers.brokers.clone();
        let program = |workload: &Option<Arc<crate::workload::ProducerWorkload>>| match workload {
            Some(workload) => App::Producer(ProducerApp::new(workload.clone(), client, now, progress.0, progress.1)),
            None => App::External(VecDeque::new()),
        };
        match self {
            Blueprint::Controller(config) => {
                (SimMachine::Controller(Box::new(Controller::new(config.broker_id, config.clone()))), App::None)
            }
            Blueprint::Broker(config) => {
                let broker = Broker::new(config.clone(), servers.controllers.clone());
                (SimMachine::Broker(Box::new(broker.with_client_ids(servers.client_ids.clone()))), App::None)
            }
            Blueprint::Client(ClientKind::Producer(config, workload)) => {
                let machine = Producer::new(config.clone(), bootstrap(), client);
                (SimMachine::Producer(Box::new(machine)), program(workload))
            }
            Blueprint::Client(ClientKind::LegacyProducer(config, workload)) => {
                let machine = LegacyProducer::new(config.clone(), bootstrap(), client);
                (SimMachine::LegacyProducer(Box::new(machine)), program(workload))
            }
            Blueprint::Client(ClientKind::Consumer(config, workload)) => {
                let mut machine = ConsumingProcess::new(config.clone(), &servers.brokers, client);
                if let Some(workload) = workload {
                    machine = machine.with(workload, &servers.brokers, client);
                }
                let app = match workload {
                    Some(workload) => {
                        App::Consumer(Box::new(ConsumerApp::new(workload.clone(), client, now, progress.1)))
                    }
                    None => App::External(VecDeque::new()),
                };
                (SimMachine::Consumer(Box::new(machine)), app)
            }
            Blueprint::Client(ClientKind::Admin) => {
                (SimMachine::Admin(Box::new(AdminClient::new(bootstrap()))), App::External(VecDeque::new()))
            }
            Blueprint::Client(ClientKind::Store(config)) => {
                (SimMachine::Store(Box::new(Store::new(config.clone()))), App::None)
            }
        }
    }
}

/// The servers of a world, for those who must know where to begin.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `controller.quorum.voters`.
    pub controllers: Vec<NodeId>,
    /// `bootstrap.servers`.
    pub brokers: Vec<NodeId>,
    /// What each client calls itself.
    pub client_ids: Arc<BTreeMap<NodeId, String>>,
}

impl Node {
    /// Whether its kernel answers: the machine has power.
    pub fn has_power(&self) -> bool {
        self.process != Process::PowerOff
    }

    /// Whether its process is alive, running or paused.
    pub fn is_alive(&self) -> bool {
        matches!(self.process, Process::Running | Process::Paused)
    }
}

impl App {
    /// When it wants to go on.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self {
            App::None | App::External(_) => None,
            App::Producer(app) => app.next_deadline(),
            App::Consumer(app) => app.next_deadline(),
        }
    }

    /// What it calls next, if anything.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        match self {
            App::None | App::External(_) => None,
            App::Producer(app) => app.next_call(now),
            App::Consumer(app) => app.next_call(now),
        }
    }

    /// Hears from its client.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        match self {
            App::None => {}
            App::Producer(app) => app.completed(completion, now),
            App::Consumer(app) => app.completed(completion, now),
            App::External(kept) => kept.push_back(completion),
        }
    }

    /// The program is told to stop. False if nothing catches that.
    pub fn stop(&mut self) -> bool {
        match self {
            App::Consumer(app) => app.stop(),
            App::None | App::Producer(_) | App::External(_) => false,
        }
    }

    /// How many records and calls there have been, for the next life of the process.
    pub fn progress(&self) -> Option<(u64, u64)> {
        match self {
            App::Producer(app) => Some(app.progress()),
            App::Consumer(app) => Some(app.progress()),
            App::None | App::External(_) => None,
        }
    }

    /// What the program works with goes away, or comes back.
    pub fn cut_off(&mut self, is_cut_off: bool) {
        if let App::Consumer(app) = self {
            app.cut_off(is_cut_off);
        }
    }

    /// After how long somebody starts the program again that has ended by itself.
    pub fn restarts_after(&self) -> Option<Duration> {
        match self {
            App::Consumer(app) => app.restarts_after(),
            App::None | App::Producer(_) | App::External(_) => None,
        }
    }

    /// Whether its process should end now.
    pub fn wants_exit(&self) -> bool {
        match self {
            App::Producer(app) => app.wants_exit(),
            App::Consumer(app) => app.wants_exit(),
            App::None | App::External(_) => false,
        }
    }

    /// Whether it will do nothing more by itself. A consumer polls for ever: only what it has in hand holds up the end of a
    /// run.
    pub fn is_done(&self) -> bool {
        match self {
            App::Producer(app) => app.is_done(),
            App::Consumer(app) => !app.is_processing(),
            App::None | App::External(_) => true,
        }
    }
}

impl From<u32> for NodeIndex {
    fn from(number: u32) -> Self {
        NodeIndex(number)
    }
}
