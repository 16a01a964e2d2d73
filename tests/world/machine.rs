//! Gives one process its clocks, its random numbers and a network on which the checker sees every call.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use sharekeeper::host::{Clock, Reply, Request, Rng, Transport, TransportError};
use sharekeeper::model::{Monotonic, Timestamp};

use super::checker::{Checker, Departure};
use super::perturbation::{EndAfter, Question, View};
use super::scenario::Scenario;
use super::support::Cloud;

/// The clocks of a machine, which exist longer than its processes.
#[derive(Debug, Default)]
pub(crate) struct MachineClocks {
    /// The difference by which the wall clock is ahead of the cloud's clock.
    pub(crate) ahead: Cell<TimeDelta>,
    /// The total time that the machine has slept. The monotonic clock stands still meanwhile.
    slept: Cell<Duration>,
    /// The time at which the machine wakes up, by the cloud's clock.
    wakes: Cell<Monotonic>,
}

impl MachineClocks {
    pub(crate) fn ahead(seconds: i64) -> Rc<Self> {
        let clocks = Self::default();
        clocks.ahead.set(TimeDelta::seconds(seconds));
        Rc::new(clocks)
    }

    /// The machine sleeps from now on for this time.
    pub(crate) fn sleep(&self, now: Monotonic, time: Duration) {
        // A machine that already sleeps is not affected.
        if now < self.wakes.get() {
            return;
        }
        self.slept.set(self.slept.get() + time);
        self.wakes.set(now + time);
    }

    /// The time at which the machine wakes up, or woke up last, by the cloud's clock.
    pub(crate) fn wakes(&self) -> Monotonic {
        self.wakes.get()
    }

    /// The wall clock returns to the difference that it had at the beginning.
    pub(crate) fn is_right_again(&self, scenario: &Scenario, installation: usize) {
        let ahead = scenario.machines.get(installation).copied().unwrap_or(0);
        self.ahead.set(TimeDelta::seconds(ahead));
    }

    /// Moves the wall clock by this many seconds, forward or back.
    pub(crate) fn set(&self, by: i64) {
        self.ahead.set(self.ahead.get() + TimeDelta::seconds(by));
    }
}

pub(crate) struct Machine {
    pub(crate) cloud: Rc<Cloud>,
    pub(crate) clocks: Rc<MachineClocks>,
    /// The value of the monotonic clock at the beginning.
    pub(crate) booted: Duration,
    pub(crate) dice: RefCell<fastrand::Rng>,
    pub(crate) installation: usize,
    /// The number of the process, counted over all installations.
    pub(crate) process: usize,
    pub(crate) checker: Rc<Checker>,
    /// The answers that the process gets where they are not always true.
    pub(crate) view: Option<Rc<View>>,
}

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        self.cloud.now() + self.clocks.ahead.get()
    }

    fn monotonic(&self) -> Monotonic {
        self.cloud.monotonic().back(self.clocks.slept.get()) + self.booted
    }

    async fn sleep_until(&self, at: Monotonic) {
        loop {
            let slept = self.clocks.slept.get();
            self.cloud.sleep_until(at.back(self.booted) + slept).await;
            // If the two differ, the machine has slept meanwhile, and the wait goes on.
            if self.clocks.slept.get() == slept {
                return;
            }
        }
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
            bytes: request.body.clone(),
        };
        let question = self.view.as_ref().map(|_| Question::of(&departure));
        let ticket = self.checker.departed(departure);
        if self.checker.has_violations() {
            // The run is over. A process that calls without end would keep the simulated time from passing.
            std::future::pending::<()>().await;
        }
        let deadline = request.deadline;
        // Requests that were in flight when the deadline passed still reach the cloud.
        let reply = tokio::time::timeout(deadline, self.cloud.send(request)).await;
        let reply = reply.unwrap_or_else(|_| Err(TransportError::Lost("no reply in time".into())));
        let reply = match (&self.view, question) {
            (Some(view), Some(question)) => view.shows(self.process, &question, reply).await,
            _ => reply,
        };
        self.checker.replied(ticket, &reply);
        reply
    }
}

pub(crate) type Life = Pin<Box<dyn Future<Output = ()>>>;

/// A future that can end at any poll, in whatever state it is, and that does nothing while its machine sleeps.
pub(crate) struct Crashable {
    life: Option<Life>,
    end_after: EndAfter,
    cloud: Rc<Cloud>,
    clocks: Rc<MachineClocks>,
    nap: Option<Life>,
}

impl Crashable {
    pub(crate) fn new(
        life: Option<Life>,
        end_after: &EndAfter,
        cloud: &Rc<Cloud>,
        clocks: &Rc<MachineClocks>,
    ) -> Self {
        Self {
            life,
            end_after: Rc::clone(end_after),
            cloud: Rc::clone(cloud),
            clocks: Rc::clone(clocks),
            nap: None,
        }
    }

    /// Whether the machine still sleeps.
    fn is_asleep(&mut self, context: &mut Context<'_>) -> bool {
        let wakes = self.clocks.wakes.get();
        if self.cloud.monotonic() >= wakes {
            self.nap = None;
            return false;
        }
        let cloud = Rc::clone(&self.cloud);
        let nap = self
            .nap
            .get_or_insert_with(|| Box::pin(async move { cloud.sleep_until(wakes).await }));
        nap.as_mut().poll(context).is_pending()
    }
}

impl Future for Crashable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.end_after.get() {
            Some(0) => {
                self.life = None;
                return Poll::Ready(());
            }
            left => self.end_after.set(left.map(|left| left - 1)),
        }
        if self.is_asleep(context) {
            return Poll::Pending;
        }
        match &mut self.life {
            Some(life) => life.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}
