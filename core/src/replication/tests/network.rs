//! What goes on between the brokers of a [`Cluster`]: effects carried out, requests served, proposals decided.

use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset as EpochEnd, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::cluster::{Cluster, Controller, Event, ReplyTo, orders};
use crate::machine::{Context, Effect, Effects};
use crate::protocol::{ErrorCode, Request, Response};
use crate::replication::{
    Completed, FetchParams, FetchPartition, IsolationLevel, IsrProposal, LeaderAndIsr, ListOffsetsQuery, ReplicaManager,
};
use crate::types::{
    BrokerEpoch, ConnectionId, Duration, LeaderEpoch, NodeId, Offset, PartitionEpoch, Timestamp, TopicPartition,
};

impl Cluster {
    /// Lets everything happen that needs no time.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(event) = self.events.pop_front() else { return };
            self.deliver(event);
        }
        panic!("it does not come to rest: {:#?}", &self.transcript[self.transcript.len().saturating_sub(20)..]);
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Connected(to, connection) => {
                if self.connections.contains_key(&connection) {
                    self.call(to, |replicas, ctx| assert!(replicas.on_connected(connection, ctx)));
                }
            }
            Event::Disconnected(to, connection) => {
                if self.nodes[&to].alive {
                    self.call(to, |replicas, ctx| assert!(replicas.on_disconnected(connection, ctx)));
                }
            }
            Event::Request { to, connection, correlation_id, request } => {
                if self.connections.contains_key(&connection) {
                    self.serve(to, (connection, correlation_id), request);
                }
            }
            Event::Response { to, connection, correlation_id, response } => {
                if self.connections.contains_key(&connection) {
                    self.call(to, |replicas, ctx| {
                        assert!(replicas.on_response(connection, correlation_id, response, ctx).is_none());
                    });
                }
            }
        }
    }

    pub(super) fn call(&mut self, id: i32, call: impl FnOnce(&mut ReplicaManager, &mut Context<'_>)) {
        let mut effects = Effects { next_connection: self.next_connection, ..Effects::default() };
        let node = self.nodes.get_mut(&id).expect("a broker");
        let disk = self.disks.get_mut(&id).expect("a disk");
        let wall_clock = Timestamp((self.now.0 / 1_000_000) as i64);
        call(&mut node.replicas, &mut Context::new(self.now, wall_clock, &mut self.rng, disk, &mut effects));
        let mut completed = Vec::new();
        while let Some(done) = node.replicas.next_completed() {
            completed.push(done);
        }
        let proposals = node.replicas.take_isr_proposals();
        self.next_connection = effects.next_connection;
        for (_, effect) in effects.said {
            self.carry_out(id, effect);
        }
        for done in completed {
            self.complete(id, done);
        }
        for proposal in proposals {
            self.propose(id, proposal);
        }
    }

    fn carry_out(&mut self, id: i32, effect: Effect) {
        match effect {
            Effect::Connect { connection, to } => {
                let NodeId::Broker(to) = to else { panic!("followers talk to brokers") };
                let open = self.nodes.get(&to).is_some_and(|node| node.alive)
                    && !self.cut.contains(&to)
                    && !self.cut.contains(&id);
                if open {
                    self.connections.insert(connection, (id, to));
                    self.events.push_back(Event::Connected(id, connection));
                } else {
                    self.events.push_back(Event::Disconnected(id, connection));
                }
            }
            Effect::Send { connection, correlation_id, request } => {
                let to = self.connections[&connection].1;
                self.events.push_back(Event::Request { to, connection, correlation_id, request });
            }
            Effect::Close(connection) => {
                self.connections.remove(&connection);
            }
            Effect::Fact(fact) => self.note(id, &fact),
            Effect::Exit => {
                self.transcript.push(format!("{id}: exits"));
                self.nodes.get_mut(&id).expect("a broker").alive = false;
            }
            Effect::Reply { .. } | Effect::Complete(_) | Effect::Because(_) => {
                panic!("replicas do not answer themselves")
            }
        }
    }

    pub(super) fn break_connections(&mut self, id: i32) {
        let broken: Vec<(ConnectionId, i32)> = self
            .connections
            .iter()
            .filter(|(_, (from, to))| *from == id || *to == id)
            .map(|(connection, (from, _))| (*connection, *from))
            .collect();
        for (connection, from) in broken {
            self.connections.remove(&connection);
            self.events.push_back(Event::Disconnected(from, connection));
        }
    }

    fn propose(&mut self, id: i32, proposal: IsrProposal) {
        match self.controller {
            Controller::Accepts => self.decide(id, &proposal, None),
            Controller::Holds => self.held.push((id, proposal)),
            Controller::Answers(error) => {
                self.controller = Controller::Accepts;
                self.decide(id, &proposal, Some(error));
            }
        }
    }

    pub(super) fn decide(&mut self, id: i32, proposal: &IsrProposal, error: Option<ErrorCode>) {
        let partition = self.image.partitions.get_mut(&orders()).expect("orders-0");
        let result = match error {
            Some(error) => Err(error),
            None if proposal.leader_epoch != partition.leader_epoch => Err(ErrorCode::FENCED_LEADER_EPOCH),
            None if proposal.partition_epoch != partition.partition_epoch => Err(ErrorCode::INVALID_UPDATE_VERSION),
            None => {
                partition.isr = proposal.new_isr.iter().map(|(id, _)| *id).collect();
                partition.partition_epoch = PartitionEpoch(partition.partition_epoch.0 + 1);
                Ok(LeaderAndIsr {
                    leader: partition.leader,
                    leader_epoch: partition.leader_epoch,
                    isr: partition.isr.clone(),
                    partition_epoch: partition.partition_epoch,
                })
            }
        };
        self.call(id, |replicas, ctx| replicas.on_alter_partition_result(proposal, result, ctx));
    }

    fn complete(&mut self, id: i32, done: Completed) {
        match done {
            Completed::Produce(done) => {
                self.produced.insert(done.token, done.results[0].1);
            }
            Completed::DeleteRecords(done) => {
                self.deleted.insert(done.token, done.results[0].1);
            }
            Completed::Fetch(done) => {
                let Some(reply_to) = self.fetches.remove(&done.token) else {
                    self.consumed.insert(done.token, done.results.into_iter().map(|(_, result)| result).collect());
                    return;
                };
                let topics = done.results.into_iter().map(|(partition, result)| {
                    let mut data = PartitionData::default()
                        .with_partition_index(partition.partition)
                        .with_error_code(result.error.0)
                        .with_high_watermark(result.high_watermark.0)
                        .with_log_start_offset(result.log_start_offset.0)
                        .with_records(Some(result.records));
                    if let Some((epoch, end)) = result.diverging {
                        data.diverging_epoch = EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end.0);
                    }
                    FetchableTopicResponse::default().with_topic(partition.topic).with_partitions(vec![data])
                });
                self.reply(id, reply_to, FetchResponse::default().with_responses(topics.collect()).into());
            }
        }
    }

    fn reply(&mut self, _from: i32, (connection, correlation_id): ReplyTo, response: Response) {
        if let Some(&(to, _)) = self.connections.get(&connection) {
            self.events.push_back(Event::Response { to, connection, correlation_id, response });
        }
    }

    fn serve(&mut self, id: i32, reply_to: ReplyTo, request: Request) {
        match request {
            Request::Fetch(request) => self.serve_fetch(id, reply_to, *request),
            Request::OffsetForLeaderEpoch(request) => self.serve_epochs(id, reply_to, *request),
            Request::ListOffsets(request) => self.serve_offsets(id, reply_to, *request),
            other => panic!("followers do not ask for {}", other.name()),
        }
    }

    fn serve_fetch(&mut self, id: i32, reply_to: ReplyTo, request: FetchRequest) {
        let token = self.next_token;
        self.next_token += 1;
        self.fetches.insert(token, reply_to);
        let state = &request.replica_state;
        let by_state = request.replica_id.0 < 0;
        let params = FetchParams {
            token,
            replica_id: if by_state { state.replica_id.0 } else { request.replica_id.0 },
            replica_epoch: BrokerEpoch(if by_state { state.replica_epoch } else { -1 }),
            max_wait: Duration::from_millis(request.max_wait_ms as u64),
            min_bytes: request.min_bytes,
            max_bytes: request.max_bytes,
            isolation: IsolationLevel::ReadUncommitted,
            client_rack: crate::types::StrBytes::default(),
        };
        let known = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
        let mut partitions = Vec::new();
        for topic in &request.topics {
            for ask in &topic.partitions {
                let ask_for = FetchPartition {
                    fetch_offset: Offset(ask.fetch_offset),
                    current_leader_epoch: known(ask.current_leader_epoch),
                    last_fetched_epoch: known(ask.last_fetched_epoch),
                    log_start_offset: Offset(ask.log_start_offset),
                    max_bytes: ask.partition_max_bytes,
                };
                partitions.push((TopicPartition::new(topic.topic.clone(), ask.partition), ask_for));
            }
        }
        self.call(id, |replicas, ctx| replicas.fetch(params, partitions, ctx));
    }

    fn serve_epochs(&mut self, id: i32, reply_to: ReplyTo, request: OffsetForLeaderEpochRequest) {
        let asked = &request.topics[0].partitions[0];
        let current = LeaderEpoch(asked.current_leader_epoch);
        let replicas = &self.nodes[&id].replicas;
        let found = replicas.offset_for_leader_epoch(&orders(), Some(current), LeaderEpoch(asked.leader_epoch));
        let mut end = EpochEnd::default().with_partition(asked.partition);
        match found {
            Ok(Some((epoch, offset))) => end = end.with_leader_epoch(epoch.0).with_end_offset(offset.0),
            Ok(None) => {}
            Err(error) => end = end.with_error_code(error.0),
        }
        self.transcript.push(format!(
            "{id}: asked about epoch {} answers {}:{}",
            asked.leader_epoch, end.leader_epoch, end.end_offset
        ));
        let topic = OffsetForLeaderTopicResult::default().with_topic(orders().topic).with_partitions(vec![end]);
        self.reply(id, reply_to, OffsetForLeaderEpochResponse::default().with_topics(vec![topic]).into());
    }

    fn serve_offsets(&mut self, id: i32, reply_to: ReplyTo, request: ListOffsetsRequest) {
        let asked = &request.topics[0].partitions[0];
        let query = ListOffsetsQuery {
            timestamp: asked.timestamp,
            isolation: None,
            current_leader_epoch: Some(LeaderEpoch(asked.current_leader_epoch)),
        };
        let mut found = Ok(None);
        self.call(id, |replicas, ctx| found = replicas.list_offsets(&orders(), query, ctx));
        let mut answer = ListOffsetsPartitionResponse::default();
        match found {
            Ok(listed) => answer = answer.with_offset(listed.map_or(-1, |listed| listed.offset.0)),
            Err(error) => answer = answer.with_error_code(error.0),
        }
        let topic = ListOffsetsTopicResponse::default().with_name(orders().topic).with_partitions(vec![answer]);
        self.reply(id, reply_to, ListOffsetsResponse::default().with_topics(vec![topic]).into());
    }
}
