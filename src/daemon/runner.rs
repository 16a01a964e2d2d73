//! Two kinds of passes over a scope: a reconciler writes; an observer has no client that could write.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{Either, select};

use crate::api::error::Refusal;
use crate::api::{ClientContext, Connection, ReadClient, WriteClient};
use crate::attempts::AttemptLog;
use crate::engine::{
    self, Engine, Event, Listener, OtherAccount, ProbeBudget, RegionAccounts, RegionViews,
    ScopeOutcome, Stop, Task,
};
use crate::host::Host;
use crate::inventory::{Suspension, UsedNames};
use crate::ledger::{Ledger, LedgerError, LedgerReader};
use crate::model::Scope;
use crate::observation::Unobserved;

/// Runs passes over scopes.
pub trait PassRunner<H> {
    /// The client that a pass needs to call an account.
    type Client: 'static;

    /// Makes a client for one account and key.
    fn client(&self, context: Rc<ClientContext<H>>, connection: Connection) -> Self::Client;

    /// The reading part of a client.
    fn read<'c>(&self, client: &'c Self::Client) -> &'c ReadClient<H>;

    /// Why no call can succeed with this client, if that is known.
    fn broken(client: &Self::Client) -> Option<Refusal>;

    /// Returns once nothing can be recorded any longer. Nothing may be done until that has ended.
    fn until_failure(&self) -> impl Future<Output = String> {
        std::future::pending()
    }

    /// Returns once results can be recorded again.
    fn until_recovery(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// The suspensions that no person has ended, or why they cannot be read.
    fn suspensions(&self) -> impl Future<Output = Result<Vec<Suspension>, LedgerError>>;

    /// Runs one pass. `None` if there cannot be anything to do.
    fn pass(
        &self,
        client: &Self::Client,
        region: &RegionClients<Self::Client>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        control: PassControl<'_>,
    ) -> impl Future<Output = Option<ScopeOutcome>>;
}

/// The limits of a pass, and the listener for its events.
#[derive(Clone, Copy)]
pub struct PassControl<'a> {
    /// Asks the pass to end.
    pub stop: &'a Stop,
    /// How long the pass may take.
    pub timeout: std::time::Duration,
    /// Receives the events of the pass.
    pub listener: &'a dyn Listener,
    /// The probe budget that all scopes called with this key share.
    pub probe_budget: &'a Rc<ProbeBudget>,
    /// Recent observations of each region.
    pub views: &'a RegionViews,
}

/// Brings scopes into their desired state.
pub struct Reconciler<'a, L> {
    /// Records intents, outcomes and the inventory.
    pub ledger: &'a L,
}

/// Observes and plans. It has no means to write, neither to the cloud nor to the state.
pub struct Observer<'a, R> {
    /// Reads what earlier runs did.
    pub ledger: &'a R,
}

impl<H: Host + 'static, L: Ledger> PassRunner<H> for Reconciler<'_, L> {
    type Client = WriteClient<H>;

    fn client(&self, context: Rc<ClientContext<H>>, connection: Connection) -> WriteClient<H> {
        WriteClient::new(ReadClient::new(context, connection))
    }

    fn read<'c>(&self, client: &'c WriteClient<H>) -> &'c ReadClient<H> {
        client.read()
    }

    fn broken(client: &WriteClient<H>) -> Option<Refusal> {
        client.broken()
    }

    async fn until_failure(&self) -> String {
        self.ledger.until_failure().await.to_string()
    }

    async fn until_recovery(&self) {
        self.ledger.until_recovery().await;
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        self.ledger.suspensions().await
    }

    async fn pass(
        &self,
        client: &WriteClient<H>,
        region: &RegionClients<WriteClient<H>>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        control: PassControl<'_>,
    ) -> Option<ScopeOutcome> {
        let engine = Engine {
            ledger: self.ledger,
            listener: control.listener,
            stop: control.stop,
            views: control.views,
        };
        engine
            .pass(
                client,
                &region.as_read(WriteClient::read),
                task,
                scope,
                (attempts, control.probe_budget),
                control.timeout,
            )
            .await
    }
}

impl<H: Host + 'static, R: LedgerReader> PassRunner<H> for Observer<'_, R> {
    type Client = ReadClient<H>;

    fn client(&self, context: Rc<ClientContext<H>>, connection: Connection) -> ReadClient<H> {
        ReadClient::new(context, connection)
    }

    fn read<'c>(&self, client: &'c ReadClient<H>) -> &'c ReadClient<H> {
        client
    }

    fn broken(client: &ReadClient<H>) -> Option<Refusal> {
        client.broken()
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        self.ledger.suspensions().await
    }

    async fn pass(
        &self,
        client: &ReadClient<H>,
        region: &RegionClients<ReadClient<H>>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        control: PassControl<'_>,
    ) -> Option<ScopeOutcome> {
        let attempts_before = attempts.clone();
        let accounts = region.as_read(|client| client);
        let preview = std::pin::pin!(engine::preview_scope(
            client,
            &accounts,
            self.ledger,
            task,
            scope,
            (attempts, control.views)
        ));
        let stopped = std::pin::pin!(control.stop.tripped());
        let Either::Left((outcome, _)) = select(preview, stopped).await else {
            let unobserved = Unobserved::stopped();
            let plan =
                engine::unobserved_plan(task, scope, &region.used, unobserved, client.context())?;
            return Some(ScopeOutcome {
                plan,
                attempts: attempts_before,
            });
        };
        let outcome = outcome?;
        control.listener.event(Event::Planned {
            plan: &outcome.plan,
            first: true,
        });
        Some(outcome)
    }
}

/// The account names that manifests use in a region, with their clients. Made once for all scopes of the region.
pub struct RegionClients<C> {
    /// The account names that manifests use.
    pub used: Arc<UsedNames>,
    /// The client, or why there is none, for each name of [`UsedNames::here`], in the same order.
    pub clients: Vec<Result<Rc<C>, String>>,
}

impl<C> RegionClients<C> {
    fn as_read<'a, H>(
        &'a self,
        read: impl Fn(&'a C) -> &'a ReadClient<H>,
    ) -> RegionAccounts<'a, H> {
        let names = self.used.here.iter().zip(&self.clients);
        let accounts = names.map(|((name, uin), client)| OtherAccount {
            name,
            uin: uin.as_ref(),
            client: match client {
                Ok(client) => Ok(read(client)),
                Err(why) => Err(why.as_str()),
            },
        });
        RegionAccounts {
            used: Arc::clone(&self.used),
            accounts: accounts.collect(),
        }
    }
}
