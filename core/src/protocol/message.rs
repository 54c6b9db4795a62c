//! The requests and responses that are modelled, in one enum each.

/// Where the messages below come from: Kafka's schemas, and one of ours.
mod kafka {
    pub use kafka_protocol::messages::*;

    pub use crate::store::{StoreRequest, StoreResponse};
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($request:ident, $response:ident)),* $(,)?) => {
        /// A request, boxed: messages move through queues more often than they are read.
        #[derive(Clone, Debug)]
        pub enum Request {
            $($(#[$doc])* $name(Box<kafka::$request>)),*
        }

        /// A response to the request of the same name.
        #[derive(Clone, Debug)]
        pub enum Response {
            $($(#[$doc])* $name(Box<kafka::$response>)),*
        }

        /// The names of the modelled APIs, as in Kafka's `ApiKeys`.
        pub const APIS: &[&str] = &[$(stringify!($name)),*];

        impl Request {
            /// The name of the API, as in Kafka's `ApiKeys`.
            pub fn name(&self) -> &'static str {
                match self { $(Request::$name(_) => stringify!($name)),* }
            }
        }

        impl Response {
            /// The name of the API, as in Kafka's `ApiKeys`.
            pub fn name(&self) -> &'static str {
                match self { $(Response::$name(_) => stringify!($name)),* }
            }
        }

        $(
            impl From<kafka::$request> for Request {
                fn from(request: kafka::$request) -> Self { Request::$name(Box::new(request)) }
            }
            impl From<kafka::$response> for Response {
                fn from(response: kafka::$response) -> Self { Response::$name(Box::new(response)) }
            }
        )*
    };
}

impl Response {
    /// For how long the sender of the request is to be silent, in milliseconds (`AbstractResponse.throttleTimeMs`). Only
    /// answers of APIs that have limits say so here.
    pub fn throttle_time_ms(&self) -> i32 {
        match self {
            Response::Produce(response) => response.throttle_time_ms,
            Response::Fetch(response) => response.throttle_time_ms,
            _ => 0,
        }
    }
}

messages! {
    /// Key 0: append record batches.
    Produce(ProduceRequest, ProduceResponse),
    /// Key 1: read record batches; by consumers, followers and metadata observers.
    Fetch(FetchRequest, FetchResponse),
    /// Key 2: offsets by timestamp, earliest or latest.
    ListOffsets(ListOffsetsRequest, ListOffsetsResponse),
    /// Key 3: brokers, topics, leaders.
    Metadata(MetadataRequest, MetadataResponse),
    /// Key 8: how far a group has come.
    OffsetCommit(OffsetCommitRequest, OffsetCommitResponse),
    /// Key 9: how far a group had come.
    OffsetFetch(OffsetFetchRequest, OffsetFetchResponse),
    /// Key 10: who coordinates a group.
    FindCoordinator(FindCoordinatorRequest, FindCoordinatorResponse),
    /// Key 11: become a member of a group.
    JoinGroup(JoinGroupRequest, JoinGroupResponse),
    /// Key 12: stay a member of a group.
    Heartbeat(HeartbeatRequest, HeartbeatResponse),
    /// Key 13: be no member any more.
    LeaveGroup(LeaveGroupRequest, LeaveGroupResponse),
    /// Key 14: get, or as the leader give, assignments.
    SyncGroup(SyncGroupRequest, SyncGroupResponse),
    /// Key 18: what a broker can do.
    ApiVersions(ApiVersionsRequest, ApiVersionsResponse),
    /// Key 19: create topics.
    CreateTopics(CreateTopicsRequest, CreateTopicsResponse),
    /// Key 20: delete topics.
    DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse),
    /// Key 21: forget the records below an offset (KIP-107).
    DeleteRecords(DeleteRecordsRequest, DeleteRecordsResponse),
    /// Key 22: a producer id and epoch (KIP-98).
    InitProducerId(InitProducerIdRequest, InitProducerIdResponse),
    /// Key 23: where a leader epoch ends (KIP-101, KIP-279).
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse),
    /// Key 37: more partitions for a topic.
    CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse),
    /// Key 43: elect the preferred or, uncleanly, any leader (KIP-460).
    ElectLeaders(ElectLeadersRequest, ElectLeadersResponse),
    /// Key 44: change properties of topics and brokers (KIP-339).
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
    /// Key 45: other replicas for partitions, or the old ones after all (KIP-455).
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse),
    /// Key 49: limits on what clients send and read (KIP-546).
    AlterClientQuotas(AlterClientQuotasRequest, AlterClientQuotasResponse),
    /// Key 56: a leader proposes an ISR (KIP-497).
    AlterPartition(AlterPartitionRequest, AlterPartitionResponse),
    /// Key 62: a broker joins (KIP-631).
    BrokerRegistration(BrokerRegistrationRequest, BrokerRegistrationResponse),
    /// Key 63: a broker is alive (KIP-631).
    BrokerHeartbeat(BrokerHeartbeatRequest, BrokerHeartbeatResponse),
    /// Key 68: be, stay or cease to be a member of a group, and hear what is to be read (KIP-848).
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse),
    /// Key 76: be, stay or cease to be a member of a share group, and hear what is to be read (KIP-932).
    ShareGroupHeartbeat(ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse),
    /// Key 78: records for a member of a share group (KIP-932).
    ShareFetch(ShareFetchRequest, ShareFetchResponse),
    /// Key 79: what a member of a share group has done with records (KIP-932).
    ShareAcknowledge(ShareAcknowledgeRequest, ShareAcknowledgeResponse),
    /// Key 84: what is kept of a share-partition, for its leader (KIP-932).
    ReadShareGroupState(ReadShareGroupStateRequest, ReadShareGroupStateResponse),
    /// Key 85: what the leader of a share-partition wants kept (KIP-932).
    WriteShareGroupState(WriteShareGroupStateRequest, WriteShareGroupStateResponse),
    /// Key 73: in which log directories a broker's replicas lie (KIP-858).
    AssignReplicasToDirs(AssignReplicasToDirsRequest, AssignReplicasToDirsResponse),
    /// Key 67: a block of producer ids for a broker (KIP-730).
    AllocateProducerIds(AllocateProducerIdsRequest, AllocateProducerIdsResponse),
    /// None of Kafka's: a program reads or writes in its store.
    Store(StoreRequest, StoreResponse),
}
