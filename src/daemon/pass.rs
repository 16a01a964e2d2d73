//! One pass over one scope, whoever makes it: one that writes, or one that cannot.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::{Settings, StatusPublisher};
use crate::api::error::Refusal;
use crate::api::protocol::wire::Action;
use crate::api::{ClientContext, Connection, ReadClient, WriteClient};
use crate::attempts::AttemptLog;
use crate::engine::{
    self, Engine, Event, Listener, OtherAccount, ProbeBudget, ScopeOutcome, Stop, StopReason, Task,
};
use crate::host::Host;
use crate::ledger::{Ledger, LedgerReader};
use crate::model::{AccountName, Monotonic, Region, Scope};
use crate::observation::Unobserved;
use crate::plan::{Plan, Policy, Verdict};
use crate::source::Generation;
use crate::status::{PassResult, WriteBucket};

/// How passes are made.
pub trait Work<H> {
    /// What one needs to call an account.
    type Client: 'static;

    /// A client for one account and key.
    fn client(&self, context: Rc<ClientContext<H>>, connection: Connection) -> Self::Client;

    /// Its part that reads.
    fn read<'c>(&self, client: &'c Self::Client) -> &'c ReadClient<H>;

    /// Why nothing, or nothing of what a pass does, can be called with it, if that is known.
    fn broken(client: &Self::Client) -> Option<Refusal>;

    /// Returns once nothing can be recorded any longer until the process starts anew, and so nothing be done.
    fn until_lost(&self) -> impl Future<Output = String> {
        std::future::pending()
    }

    /// One pass. `rivals` are the other account names of the scope's region, each with its client or why it has none.
    /// `None` where there can be nothing to do.
    fn pass(
        &self,
        client: &Self::Client,
        rivals: &Rivals<Self::Client>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        bounds: Bounds<'_>,
    ) -> impl Future<Output = Option<ScopeOutcome>>;
}

/// What ends a pass, and who hears of it.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Asks for its end.
    pub stop: &'a Stop,
    /// It may take so long.
    pub timeout: std::time::Duration,
    /// Hears what it does.
    pub listener: &'a dyn Listener,
    /// What is known of denials under the same key.
    pub denials: &'a Rc<ProbeBudget>,
}

/// Brings scopes into their desired state.
pub struct Reconciling<'a, L> {
    /// Intents, outcomes, and what is ours.
    pub ledger: &'a L,
}

/// Looks, and has nothing to write with, neither to the cloud nor to the state.
pub struct Observing<'a, R> {
    /// What was done before.
    pub ledger: &'a R,
}

impl<H: Host + 'static, L: Ledger> Work<H> for Reconciling<'_, L> {
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

    async fn until_lost(&self) -> String {
        self.ledger.until_lost().await.to_string()
    }

    async fn pass(
        &self,
        client: &WriteClient<H>,
        rivals: &Rivals<WriteClient<H>>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        bounds: Bounds<'_>,
    ) -> Option<ScopeOutcome> {
        let engine = Engine {
            ledger: self.ledger,
            listener: bounds.listener,
            stop: bounds.stop,
        };
        engine
            .pass(
                client,
                as_read(rivals, task, WriteClient::read),
                task,
                scope,
                (attempts, bounds.denials),
                bounds.timeout,
            )
            .await
    }
}

impl<H: Host + 'static, R: LedgerReader> Work<H> for Observing<'_, R> {
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

    async fn pass(
        &self,
        client: &ReadClient<H>,
        rivals: &Rivals<ReadClient<H>>,
        task: &Task<'_>,
        scope: &Scope,
        attempts: AttemptLog,
        bounds: Bounds<'_>,
    ) -> Option<ScopeOutcome> {
        let kept = attempts.clone();
        let rivals = as_read(rivals, task, |client| client);
        let look = std::pin::pin!(engine::preview_scope(
            client,
            &rivals,
            self.ledger,
            task,
            scope,
            attempts
        ));
        let stopped = std::pin::pin!(bounds.stop.tripped());
        let Either::Left((outcome, _)) = select(look, stopped).await else {
            let unobserved = Unobserved::new("stopped before the scope was read");
            let plan = engine::unobserved_plan(task, scope, unobserved, client.context())?;
            return Some(ScopeOutcome {
                plan,
                attempts: kept,
            });
        };
        let outcome = outcome?;
        bounds.listener.event(Event::Planned {
            plan: &outcome.plan,
            first: true,
        });
        Some(outcome)
    }
}

/// Other account names of a region, each with its client or why it has none.
pub type Rivals<C> = Vec<(AccountName, Result<Rc<C>, String>)>;

fn as_read<'a, H, C>(
    rivals: &'a Rivals<C>,
    task: &Task<'a>,
    read: impl Fn(&'a C) -> &'a ReadClient<H>,
) -> Vec<OtherAccount<'a, H>> {
    let rivals = rivals.iter().map(|(name, client)| {
        let account = task.desired.accounts.get(name);
        OtherAccount {
            name,
            uin: account.and_then(|account| account.uin.as_ref()),
            client: match client {
                Ok(client) => Ok(read(client)),
                Err(why) => Err(why.as_str()),
            },
        }
    });
    rivals.collect()
}

/// A pass that is about to run.
pub(super) struct Pass<'a, H, W: Work<H>> {
    pub(super) context: Rc<ClientContext<H>>,
    pub(super) work: &'a W,
    pub(super) settings: Rc<Settings>,
    pub(super) publisher: Rc<StatusPublisher<H>>,
    pub(super) generation: Rc<Generation>,
    pub(super) scope: Scope,
    /// The account's client, or why there is none.
    pub(super) client: Result<Rc<W::Client>, String>,
    pub(super) rivals: Rivals<W::Client>,
    pub(super) denials: Rc<ProbeBudget>,
    pub(super) stop: Rc<Stop>,
    pub(super) began: Monotonic,
}

/// A pass that has ended.
pub(super) struct Ended<C> {
    pub(super) scope: Scope,
    pub(super) client: Option<Rc<C>>,
    pub(super) stop: Rc<Stop>,
    pub(super) began: Monotonic,
    /// What it came to; why it broke off, if that is sharekeeper's own fault.
    pub(super) outcome: Result<Option<ScopeOutcome>, String>,
}

impl<H: Host, W: Work<H>> Pass<'_, H, W> {
    /// A panic ends this pass and no other: nothing that is shared is left half changed between two awaits, and what
    /// was sent is resolved by looking, as after a crash.
    pub(super) async fn run(self, attempts: AttemptLog) -> Ended<W::Client> {
        let outcome = AssertUnwindSafe(self.work(attempts)).catch_unwind().await;
        // The panic's own words may quote anything; the hook has told where it was.
        let outcome = outcome.map_err(|_| {
            "a fault in sharekeeper: the log says where; restart it, and please report it"
                .to_owned()
        });
        Ended {
            scope: self.scope,
            client: self.client.ok(),
            stop: self.stop,
            began: self.began,
            outcome,
        }
    }

    async fn work(&self, attempts: AttemptLog) -> Option<ScopeOutcome> {
        let policy = Policy {
            // Some manifests were left out: nothing may be cancelled on the strength of the rest.
            shares_only: !self.generation.problems.is_empty(),
            // The schedule comes back for what is not ready yet.
            no_wait: true,
            ..self.settings.policy
        };
        let task = Task {
            desired: &self.generation.desired,
            selector: &self.settings.selector,
            policy: &policy,
            approved_by_scope: None,
        };
        let publisher: &StatusPublisher<H> = &self.publisher;
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => {
                let unobserved = Unobserved {
                    account_broken: true,
                    ..Unobserved::new(why.as_str())
                };
                let plan = engine::unobserved_plan(&task, &self.scope, unobserved, &self.context)?;
                publisher.event(Event::Planned {
                    plan: &plan,
                    first: true,
                });
                return Some(ScopeOutcome { plan, attempts });
            }
        };
        let bounds = Bounds {
            stop: &self.stop,
            timeout: self.settings.timeout,
            listener: publisher,
            denials: &self.denials,
        };
        let outcome = self
            .work
            .pass(client, &self.rivals, &task, &self.scope, attempts, bounds)
            .await;
        self.publisher
            .lane(&self.scope, lane(self.work.read(client), self.scope.region));
        outcome
    }
}

/// Where a scope's writes leave, and how fast.
pub(super) fn lane<H: Host>(client: &ReadClient<H>, region: Region) -> WriteBucket {
    let bucket = client.bucket(Action::ModifyImageSharePermission, region);
    let rate = client.context().pacer.rate(&bucket);
    WriteBucket {
        host: bucket.host.to_string(),
        per_second: rate.unwrap_or(client.rate().into()),
    }
}

/// How a pass is counted.
pub(super) fn result(plan: &Plan, stopped: Option<StopReason>) -> PassResult {
    let in_sync = |verdict: &Verdict| *verdict == Verdict::InSync;
    let mut verdicts = plan.decisions.values().map(|decision| &decision.verdict);
    match stopped {
        Some(
            StopReason::Superseded
            | StopReason::Interrupted
            | StopReason::Terminated
            | StopReason::HungUp,
        ) => PassResult::Stopped,
        Some(StopReason::TimedOut) | None if plan.unobserved().is_some() => PassResult::Unobserved,
        Some(StopReason::TimedOut) => PassResult::Incomplete,
        None if verdicts.all(in_sync) && plan.loss.is_none() => PassResult::Synced,
        None => PassResult::Incomplete,
    }
}
