//! One process's view of the world: its own clocks and dice, and the network, on which the checker looks on.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use sharekeeper::host::{Clock, Reply, Request, Rng, Transport, TransportError};
use sharekeeper::model::{Monotonic, Timestamp};

use super::checker::{Checker, Departure};
use super::perturbation::{Question, View};
use super::support::Cloud;

pub(crate) struct Machine {
    pub(crate) cloud: Rc<Cloud>,
    /// How far the wall clock is ahead of the cloud's.
    pub(crate) ahead: TimeDelta,
    /// What the monotonic clock showed at the beginning.
    pub(crate) booted: Duration,
    pub(crate) dice: RefCell<fastrand::Rng>,
    pub(crate) installation: usize,
    /// Counts the processes of all installations.
    pub(crate) process: usize,
    pub(crate) checker: Rc<Checker>,
    /// What processes get to see, where that is not always the truth.
    pub(crate) view: Option<Rc<View>>,
}

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        self.cloud.now() + self.ahead
    }

    fn monotonic(&self) -> Monotonic {
        self.cloud.monotonic() + self.booted
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.cloud.sleep_until(at.back(self.booted))
    }
}

impl Rng for Machine {
    fn next_f64(&self) -> f64 {
        self.dice.borrow_mut().f64()
    }
}

impl Transport for Machine {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let header = |name| {
            let header = request.headers.iter().find(|h| h.name == name);
            header.expect("is sent").value.clone()
        };
        let signed = header("authorization");
        let departure = Departure {
            at: self.cloud.monotonic(),
            wall: self.now(),
            installation: self.installation,
            process: self.process,
            key: signed
                .split(['=', '/'])
                .nth(1)
                .unwrap_or_default()
                .to_owned(),
            host: header("host"),
            region: header("x-tc-region"),
            action: header("x-tc-action"),
            body: serde_json::from_slice::<Value>(&request.body).expect("JSON"),
        };
        let question = self.view.as_ref().map(|_| Question::of(&departure));
        let ticket = self.checker.departed(departure);
        let deadline = request.deadline;
        // What was under way by then arrives all the same.
        let reply = tokio::time::timeout(deadline, self.cloud.send(request)).await;
        let reply = reply.unwrap_or_else(|_| Err(TransportError::Lost("no reply in time".into())));
        let reply = match (&self.view, question) {
            (Some(view), Some(question)) => {
                view.shows((self.process, ticket), &question, reply).await
            }
            _ => reply,
        };
        self.checker.replied(ticket, &reply);
        reply
    }
}
