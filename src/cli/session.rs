use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::args::Target;
use super::connect;
use super::output::Failure;
use super::simulated::Simulated;
use crate::api::{ClientContext, Connection, CredentialError, ReadClient};
use crate::desired::{Account, Desired};
use crate::host::{
    Clock, HttpTransport, Reply, Request, Rng, SystemClock, SystemRng, Transport, TransportError,
};
use crate::model::{AccountName, Monotonic, Region, Timestamp};

/// The real world, as one host.
pub(super) struct System {
    clock: SystemClock,
    transport: HttpTransport,
    rng: SystemRng,
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Transport for System {
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>> {
        self.transport.send(request)
    }
}

impl Rng for System {
    fn next_f64(&self) -> f64 {
        self.rng.next_f64()
    }
}

/// What the clients of one command share.
pub(super) fn context() -> Result<Rc<ClientContext<System>>, Failure> {
    let transport = HttpTransport::new().map_err(|error| Failure::from_error(&error))?;
    Ok(ClientContext::new(System {
        clock: SystemClock::start(),
        transport,
        rng: SystemRng,
    }))
}

/// Where to work: connections to the real API, or to a simulator that runs along.
pub(super) struct Session {
    /// One for each account that is worked on.
    pub connections: BTreeMap<AccountName, Connection>,
    simulated: Option<Simulated>,
}

impl Session {
    /// Connects `accounts`. `state` is where a simulator keeps its world.
    pub(super) async fn open(
        target: &Target,
        state: &Path,
        desired: &Desired,
        accounts: &BTreeMap<AccountName, Option<&Account>>,
    ) -> Result<Self, Failure> {
        if !target.sim {
            let connections = connect::connections(accounts, target, &connect::provider_cache());
            return Ok(Self {
                connections,
                simulated: None,
            });
        }
        let simulated = Simulated::start(state).await?;
        simulated.add(desired);
        let mut connections = BTreeMap::new();
        for (name, &document) in accounts {
            let connection = simulated.connection(name, document);
            let connection = connection.map_err(|error| Failure::from_error(&error))?;
            connections.insert(name.clone(), connection);
        }
        Ok(Self {
            connections,
            simulated: Some(simulated),
        })
    }

    /// One client for each account. What is wrong on this machine with the credentials of those that are `worked_on` is
    /// told now; whom STS or the machine's metadata keep waiting is one account of many, and is told of with its images.
    pub(super) async fn clients(
        &mut self,
        context: &Rc<ClientContext<System>>,
        worked_on: impl Fn(&AccountName) -> bool,
    ) -> Result<BTreeMap<AccountName, ReadClient<System>>, Failure> {
        /// What is on this machine is found within milliseconds. Whoever waits for longer waits for somebody else, and
        /// must not hold up the other accounts.
        const PATIENCE: Duration = Duration::from_secs(1);
        let connections = std::mem::take(&mut self.connections).into_iter();
        let prepared = connections.map(async |(name, connection)| {
            let client = ReadClient::new(Rc::clone(context), connection);
            let host = &context.host;
            let late = Box::pin(host.sleep_until(host.monotonic() + PATIENCE));
            let prepared = select(Box::pin(client.prepare(Region::first())), late);
            let failed = match prepared.await {
                Either::Left((prepared, _)) => prepared.err().filter(CredentialError::is_local),
                Either::Right(_) => None,
            };
            match failed.filter(|_| worked_on(&name)) {
                Some(error) => Err(Failure::new(format_args!("account `{name}`: {error}"))),
                None => Ok((name, client)),
            }
        });
        join_all(prepared).await.into_iter().collect()
    }

    /// Leaves no trace: what a simulator's world became is forgotten.
    pub(super) async fn discard(self) {
        if let Some(simulated) = self.simulated {
            simulated.discard().await;
        }
    }

    pub(super) async fn close(self) -> Result<(), Failure> {
        match self.simulated {
            Some(simulated) => simulated.stop().await,
            None => Ok(()),
        }
    }
}
