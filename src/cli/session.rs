use std::collections::BTreeMap;
use std::rc::Rc;

use super::args::{Common, Target};
use super::connect;
use super::output::Failure;
use crate::api::{Connection, Shared};
use crate::desired::Desired;
use crate::host::{
    Clock, Dice, HttpTransport, RandomDice, Reply, Request, SystemClock, Transport, TransportError,
};
use crate::model::{AccountName, Moment, Timestamp};

/// The real world, as one host.
pub(super) struct System {
    clock: SystemClock,
    transport: HttpTransport,
    dice: RandomDice,
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn moment(&self) -> Moment {
        self.clock.moment()
    }

    fn sleep_until(&self, at: Moment) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Transport for System {
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>> {
        self.transport.send(request)
    }
}

impl Dice for System {
    fn unit(&self) -> f64 {
        self.dice.unit()
    }
}

/// What the clients of one command share.
pub(super) fn shared() -> Result<Rc<Shared<System>>, Failure> {
    let transport = HttpTransport::new().map_err(|error| Failure::from_error(&error))?;
    Ok(Shared::new(System {
        clock: SystemClock::start(),
        transport,
        dice: RandomDice,
    }))
}

/// Where to work: connections to the real API, or to a simulator that runs along.
pub(super) struct Session {
    /// One for each account that the manifests name.
    pub connections: BTreeMap<AccountName, Connection>,
}

impl Session {
    pub(super) async fn open(
        target: &Target,
        _common: &Common,
        desired: &Desired,
    ) -> Result<Self, Failure> {
        Ok(Self {
            connections: connect::connections(desired, target)?,
        })
    }

    pub(super) async fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
