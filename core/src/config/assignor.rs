//! `partition.assignment.strategy`: how a group divides its partitions.

/// An assignor, by the name in `JoinGroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Per topic, in ranges.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// As before, evened out; everybody gives up everything meanwhile.
    Sticky,
    /// As before, evened out; only what changes hands is given up (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// By its class in `partition.assignment.strategy`, with or without the package.
    pub fn by_class(class: &str) -> Option<Assignor> {
        match class.rsplit('.').next()? {
            "RangeAssignor" => Some(Assignor::Range),
            "RoundRobinAssignor" => Some(Assignor::RoundRobin),
            "StickyAssignor" => Some(Assignor::Sticky),
            "CooperativeStickyAssignor" => Some(Assignor::CooperativeSticky),
            _ => None,
        }
    }

    /// By its name in `JoinGroup`.
    pub fn by_name(name: &str) -> Option<Assignor> {
        [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// Its name in `JoinGroup`.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep what they have while they join.
    pub fn is_cooperative(self) -> bool {
        match self {
            Assignor::Range | Assignor::RoundRobin | Assignor::Sticky => false,
            Assignor::CooperativeSticky => true,
        }
    }
}

/// Who divides partitions among the members of a group of the consumer protocol, at the coordinator (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerAssignor {
    /// As before, evened out.
    Uniform,
    /// Per topic, in ranges.
    Range,
}

impl ServerAssignor {
    /// By its class or its name in `group.consumer.assignors`.
    pub fn by_class(class: &str) -> Option<ServerAssignor> {
        match class.rsplit('.').next()? {
            "UniformAssignor" => Some(ServerAssignor::Uniform),
            "RangeAssignor" => Some(ServerAssignor::Range),
            name => ServerAssignor::by_name(name),
        }
    }

    /// By its name in `group.remote.assignor`.
    pub fn by_name(name: &str) -> Option<ServerAssignor> {
        [ServerAssignor::Uniform, ServerAssignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Its name in a heartbeat.
    pub fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }
}
