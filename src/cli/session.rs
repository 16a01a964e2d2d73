use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::args::{Common, Target};
use super::connect;
use super::output::Failure;
use super::simulated::Simulated;
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
    simulated: Option<Simulated>,
}

impl Session {
    pub(super) async fn open(
        target: &Target,
        common: &Common,
        desired: &Desired,
    ) -> Result<Self, Failure> {
        if !target.sim {
            let connections = connect::connections(desired, target)?;
            return Ok(Self {
                connections,
                simulated: None,
            });
        }
        let state_dir = state_dir(common)?;
        let (simulated, connections) =
            Simulated::start(&state_dir, target.sim_reset, desired).await?;
        Ok(Self {
            connections,
            simulated: Some(simulated),
        })
    }

    pub(super) async fn close(self) -> Result<(), Failure> {
        match self.simulated {
            Some(simulated) => simulated.stop().await,
            None => Ok(()),
        }
    }
}

/// `--state-dir`, else the XDG state directory.
fn state_dir(common: &Common) -> Result<PathBuf, Failure> {
    if let Some(given) = &common.state_dir {
        return Ok(given.clone());
    }
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    base.map(|base| base.join("sharekeeper"))
        .ok_or_else(|| Failure::new("neither XDG_STATE_HOME nor HOME is set; give --state-dir"))
}
