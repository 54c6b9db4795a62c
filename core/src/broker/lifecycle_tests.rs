//! Tests of `lifecycle.rs`.

use kafka_protocol::messages::{BrokerHeartbeatResponse, BrokerRegistrationResponse};

use super::super::testing::{CONTROLLER, config, opened, sent};
use super::*;
use crate::client::testing::Bench;
use crate::protocol::{ErrorCode, Request};
use crate::types::{ConnectionId, CorrelationId};

struct Rig {
    bench: Bench,
    lifecycle: BrokerLifecycleManager,
    /// The request that waits for an answer.
    asked: Option<(ConnectionId, CorrelationId, Request)>,
}

impl Rig {
    fn started() -> Self {
        let mut bench = Bench::default();
        let mut lifecycle = BrokerLifecycleManager::new(config(1), vec![CONTROLLER]);
        lifecycle.start(BrokerEpoch(-1), &mut bench.context());
        let [(connection, _)] = opened(&mut bench)[..] else { panic!("it connects to its controller") };
        lifecycle.channel().on_connected(connection, &mut bench.context());
        let asked = sent(&mut bench);
        Self { bench, lifecycle, asked }
    }

    fn running() -> Self {
        let mut rig = Self::started();
        rig.registers();
        rig.answers_heartbeat(true, true, false);
        rig.lifecycle.set_ready_to_unfence(&rig.bench.context());
        rig.wait(Duration::ZERO);
        rig.answers_heartbeat(true, false, false);
        assert_eq!(rig.lifecycle.state(), BrokerState::Running);
        rig
    }

    fn answer(&mut self, response: Response) {
        let (connection, id, _) = self.asked.take().expect("there is a request to answer");
        self.lifecycle.channel().on_response(connection, id, response, &mut self.bench.context());
        self.poll();
    }

    fn registers(&mut self) {
        let Some((_, _, Request::BrokerRegistration(_))) = &self.asked else { panic!("{:?}", self.asked) };
        self.answer(BrokerRegistrationResponse::default().with_broker_epoch(7).into());
    }

    fn answers_heartbeat(&mut self, is_caught_up: bool, is_fenced: bool, should_shut_down: bool) {
        self.heartbeat();
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(is_caught_up)
            .with_is_fenced(is_fenced)
            .with_should_shut_down(should_shut_down);
        self.answer(response.into());
    }

    fn heartbeat(&self) -> &BrokerHeartbeatRequest {
        match &self.asked {
            Some((_, _, Request::BrokerHeartbeat(request))) => request,
            other => panic!("no heartbeat: {other:?}"),
        }
    }

    fn wait(&mut self, length: Duration) {
        self.bench.advance(length);
        self.lifecycle.channel().on_deadline(&mut self.bench.context());
        self.poll();
    }

    fn poll(&mut self) {
        self.lifecycle.poll(Offset(42), &mut self.bench.context());
        if let Some(request) = sent(&mut self.bench) {
            self.asked = Some(request);
        }
    }
}

#[test]
fn it_registers_catches_up_and_is_unfenced() {
    let mut rig = Rig::started();
    rig.registers();
    assert_eq!(rig.lifecycle.broker_epoch(), Some(BrokerEpoch(7)));
    assert!(rig.heartbeat().want_fence, "the first heartbeat comes at once");
    assert_eq!((rig.heartbeat().broker_epoch, rig.heartbeat().current_metadata_offset), (7, 42));
    rig.answers_heartbeat(false, true, false);
    assert_eq!(rig.lifecycle.state(), BrokerState::Starting);
    rig.wait(Duration::from_millis(10));
    rig.answers_heartbeat(true, true, false);
    assert_eq!(rig.lifecycle.state(), BrokerState::Recovery);
    rig.lifecycle.set_ready_to_unfence(&rig.bench.context());
    rig.wait(Duration::ZERO);
    assert!(!rig.heartbeat().want_fence);
    rig.answers_heartbeat(true, false, false);
    assert_eq!(rig.lifecycle.state(), BrokerState::Running);
}

#[test]
fn heartbeats_come_at_their_interval_and_keep_the_epoch_whatever_the_controller_says() {
    let mut rig = Rig::running();
    rig.wait(Duration::from_millis(1_999));
    assert!(rig.asked.is_none());
    rig.wait(Duration::from_millis(1));
    rig.heartbeat();
    rig.answer(BrokerHeartbeatResponse::default().with_error_code(ErrorCode::STALE_BROKER_EPOCH.0).into());
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.heartbeat().broker_epoch, 7, "no new registration");
    rig.answers_heartbeat(true, true, false);
    assert_eq!(rig.lifecycle.state(), BrokerState::Running, "fenced meanwhile, it keeps serving");
}

#[test]
fn a_refused_registration_is_tried_again_until_a_minute_has_passed() {
    let mut rig = Rig::started();
    let refusal = BrokerRegistrationResponse::default().with_error_code(ErrorCode::DUPLICATE_BROKER_REGISTRATION.0);
    let Some((_, _, Request::BrokerRegistration(first))) = rig.asked.clone() else { panic!("{:?}", rig.asked) };
    for _ in 0..3 {
        rig.answer(refusal.clone().into());
        assert!(rig.asked.is_none(), "not at once");
        rig.wait(Duration::from_secs(9));
        let Some((_, _, Request::BrokerRegistration(again))) = &rig.asked else { panic!("{:?}", rig.asked) };
        assert_eq!(again.incarnation_id, first.incarnation_id);
    }
    rig.wait(Duration::from_secs(32));
    assert_ne!(rig.lifecycle.state(), BrokerState::ShuttingDown);
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.lifecycle.state(), BrokerState::ShuttingDown);
}

#[test]
fn a_controlled_shutdown_waits_for_the_controllers_leave() {
    let mut rig = Rig::running();
    rig.lifecycle.begin_controlled_shutdown(&rig.bench.context());
    rig.poll();
    assert!(rig.heartbeat().want_shut_down);
    rig.answers_heartbeat(true, false, false);
    rig.wait(Duration::from_millis(50));
    rig.answers_heartbeat(true, false, false);
    assert_eq!(rig.lifecycle.state(), BrokerState::PendingControlledShutdown);
    rig.wait(Duration::from_secs(2));
    rig.answers_heartbeat(true, false, true);
    assert_eq!(rig.lifecycle.state(), BrokerState::ShuttingDown);
    assert_eq!(rig.lifecycle.next_deadline(), None);
}

#[test]
fn without_the_controllers_leave_it_goes_after_five_minutes() {
    let mut rig = Rig::running();
    rig.lifecycle.begin_controlled_shutdown(&rig.bench.context());
    rig.poll();
    for _ in 0..299 {
        rig.wait(Duration::from_secs(1));
    }
    assert_eq!(rig.lifecycle.state(), BrokerState::PendingControlledShutdown);
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.lifecycle.state(), BrokerState::ShuttingDown);
}

#[test]
fn stopped_before_it_runs_it_asks_nobody() {
    let mut rig = Rig::started();
    rig.lifecycle.begin_controlled_shutdown(&rig.bench.context());
    assert_eq!(rig.lifecycle.state(), BrokerState::ShuttingDown);
}
