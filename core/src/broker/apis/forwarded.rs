//! Requests that a broker hands on to the controller: CreateTopics (key 19), DeleteTopics (20), CreatePartitions (37),
//! ElectLeaders (43), IncrementalAlterConfigs (44), AlterPartitionReassignments (45), AlterClientQuotas (49), and its own.
//!
//! Kafka: `ForwardingManager` (KIP-590), `AutoTopicCreationManager`, the `NodeToControllerChannelManager` named
//! "forwarding", which the requests for producer ids use too.
//! Not modelled: envelopes, and principals in them. In versions before 2.8 clients speak with the ZooKeeper controller
//! themselves; here any broker hands their requests on.

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, ElectLeadersRequest, ElectLeadersResponse};

use super::super::broker::Broker;
use super::super::controller_channel::Outcome;
use super::super::socket_server::ReplyTo;
use crate::machine::Context;
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::TopicName;

/// What a request in the forwarding channel is for.
#[derive(Clone, Debug)]
pub(in super::super) enum Forwarded {
    /// A client's request, and what to answer if the controller cannot be reached; none: its connection is closed, which
    /// tells it as much.
    Client(ReplyTo, Option<Response>),
    /// Topics that a Metadata request asked for.
    AutoCreation(Vec<TopicName>),
    /// A block of producer ids.
    ProducerIds,
}

impl Broker {
    pub(in super::super) fn forward_create_topics(
        &mut self,
        reply_to: ReplyTo,
        request: CreateTopicsRequest,
        ctx: &mut Context<'_>,
    ) {
        let timed_out = |name: &TopicName| {
            CreatableTopicResult::default().with_name(name.clone()).with_error_code(ErrorCode::REQUEST_TIMED_OUT.0)
        };
        let topics = request.topics.iter().map(|topic| timed_out(&topic.name)).collect();
        let on_timeout = CreateTopicsResponse::default().with_topics(topics).into();
        self.forwarding.send(Forwarded::Client(reply_to, Some(on_timeout)), request, ctx);
    }

    pub(in super::super) fn forward_elect_leaders(
        &mut self,
        reply_to: ReplyTo,
        request: ElectLeadersRequest,
        ctx: &mut Context<'_>,
    ) {
        let error = ErrorCode::REQUEST_TIMED_OUT.0;
        let timed_out = |index: &i32| PartitionResult::default().with_partition_id(*index).with_error_code(error);
        let topics = request.topic_partitions.iter().flatten().map(|topic| {
            ReplicaElectionResult::default()
                .with_topic(topic.topic.clone())
                .with_partition_result(topic.partitions.iter().map(timed_out).collect())
        });
        let on_timeout =
            ElectLeadersResponse::default().with_error_code(error).with_replica_election_results(topics.collect());
        self.forwarding.send(Forwarded::Client(reply_to, Some(on_timeout.into())), request, ctx);
    }

    pub(in super::super) fn forward_to_controller(
        &mut self,
        reply_to: ReplyTo,
        request: Request,
        ctx: &mut Context<'_>,
    ) {
        self.forwarding.send(Forwarded::Client(reply_to, None), request, ctx);
    }

    /// The controller answered, or could not be reached in time.
    pub(in super::super) fn on_forwarded(&mut self, purpose: Forwarded, outcome: Outcome, ctx: &mut Context<'_>) {
        match (purpose, outcome) {
            (Forwarded::Client(reply_to, _), Outcome::Answered(response))
            | (Forwarded::Client(reply_to, Some(response)), Outcome::TimedOut) => self.reply(reply_to, response, ctx),
            (Forwarded::Client(reply_to, None), Outcome::TimedOut) => {
                self.close_connection(reply_to.connection, ctx);
            }
            (Forwarded::AutoCreation(topics), Outcome::Answered(_) | Outcome::TimedOut) => {
                for topic in topics {
                    self.being_created.remove(&topic);
                }
            }
            (Forwarded::ProducerIds, Outcome::Answered(Response::AllocateProducerIds(response)))
                if response.error_code == 0 =>
            {
                let start = response.producer_id_start.0;
                let end = start.checked_add(i64::from(response.producer_id_len));
                self.producer_ids.on_block(end.map(|end| start..end), ctx.now());
            }
            (Forwarded::ProducerIds, Outcome::Answered(_) | Outcome::TimedOut) => {
                self.producer_ids.on_block(None, ctx.now());
            }
        }
    }
}
