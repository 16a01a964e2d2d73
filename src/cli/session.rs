//! The connections of a command that works through all accounts once and then ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::accounts::{self, Documents};
use super::api_target::ApiTarget;
use super::args::Target;
use super::output::Failure;
use crate::api::{ClientContext, Connection, CredentialError, ReadClient};
use crate::desired::Desired;
use crate::host::{Clock, ProxySettings, System};
use crate::model::{AccountName, Region, Selector};

/// The shared context of one command's clients.
pub(super) fn client_context() -> Result<Rc<ClientContext<System>>, Failure> {
    let proxies = ProxySettings::from_environment();
    let proxies = proxies.map_err(|error| Failure::from_error(&error))?;
    let system = System::start(proxies).map_err(|error| Failure::from_error(&error))?;
    Ok(ClientContext::new(system))
}

/// Connects every account that the manifests name, for a command that reads those that `selector` allows.
pub(super) async fn open_known<'a>(
    target: &'a Target,
    state: &Path,
    desired: &Desired,
    selector: &Selector,
) -> Result<(Session<'a>, BTreeMap<AccountName, ReadClient<System>>), Failure> {
    // Accounts that the flags exclude must be told apart from the others.
    let accounts = accounts::known(desired, &Selector::default());
    let mut session = Session::open(target, state, desired, &accounts).await?;
    let is_worked_on =
        |name: &AccountName| selector.accounts.is_empty() || selector.accounts.contains(name);
    let clients = session.clients(&client_context()?, is_worked_on).await?;
    Ok((session, clients))
}

/// One connection for each account, to the real API or to a simulator in this process.
pub(super) struct Session<'a> {
    pub(super) connections: BTreeMap<AccountName, Connection>,
    api: ApiTarget<'a>,
}

impl<'a> Session<'a> {
    /// Connects `accounts`. `state` is where a simulator keeps its world.
    pub(super) async fn open(
        target: &'a Target,
        state: &Path,
        desired: &Desired,
        accounts: &Documents<'_>,
    ) -> Result<Self, Failure> {
        let api = ApiTarget::open(target, state, false).await?;
        Self::connect(api, desired, accounts)
    }

    /// Connects `accounts` for a command that leaves no trace in the state directory.
    pub(super) async fn open_without_trace(
        target: &'a Target,
        state: &Path,
        desired: &Desired,
        accounts: &Documents<'_>,
    ) -> Result<Self, Failure> {
        let api = ApiTarget::open_without_trace(target, state).await?;
        Self::connect(api, desired, accounts)
    }

    fn connect(
        api: ApiTarget<'a>,
        desired: &Desired,
        accounts: &Documents<'_>,
    ) -> Result<Self, Failure> {
        api.add_images(desired)?;
        let mut connections = BTreeMap::new();
        for (name, &document) in accounts {
            connections.insert(name.clone(), api.connection(name, document)?);
        }
        Ok(Self { connections, api })
    }

    /// Makes one client for each account. Fails if the credentials of an account that `is_worked_on` are wrong on this
    /// machine. An account that waits for STS or for the machine's metadata does not cause a failure: it is one of
    /// many, and its problem is reported with its images.
    pub(super) async fn clients(
        &mut self,
        context: &Rc<ClientContext<System>>,
        is_worked_on: impl Fn(&AccountName) -> bool,
    ) -> Result<BTreeMap<AccountName, ReadClient<System>>, Failure> {
        /// Credentials on this machine are found within milliseconds. An account that takes longer depends on another
        /// machine, and must not delay the others.
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
            match failed.filter(|_| is_worked_on(&name)) {
                Some(error) => Err(Failure::new(format_args!("account `{name}`: {error}"))),
                None => Ok((name, client)),
            }
        });
        join_all(prepared).await.into_iter().collect()
    }

    /// Stops a simulator in this process. Fails if one in another process ended meanwhile, because its last answers are
    /// no result.
    pub(super) async fn close(self) -> Result<(), Failure> {
        self.api.close().await
    }
}
