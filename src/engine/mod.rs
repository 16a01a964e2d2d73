//! The order of the steps, and nothing else: for each scope, rounds of *observe → plan → execute* until nothing is left to
//! do. All scopes run side by side on one thread, and none waits for another except for a permit of a shared rate bucket.
//! A one-shot run and the daemon use the same engine. [`preview()`] is its first half, with clients that cannot write.
//!
//! # The life of one write
//!
//! 1. `pass` begins a round, and `plan_scope` observes the scope and plans it: `account` finds its account, `listing` reads
//!    it, `refresh` computes what that changes in the inventory.
//! 2. `persist` has the ledger record those changes. Only then may the plan be carried out.
//! 3. The plan's writes enter the [`Executor`](crate::execute::Executor), which says which one is next and when.
//! 4. `write` carries each one out, top to bottom: take the next write, record its intent, wait for the permit to call, check
//!    once more what may have changed (`last_checks`), send, record the outcome (`write_outcome`). Meanwhile `freshness`
//!    rechecks images that were seen too long ago, and `probe_budget` limits denied calls to an account.
//! 5. The executor handles the reply: the write settles, is repeated after a backoff, or is unclear. An unclear write is never
//!    repeated at once.
//! 6. Once all writes have settled, `pass` records their results in the [`AttemptLog`] and begins the next round, whose
//!    observation shows their real results.

mod account;
mod context;
mod event;
mod freshness;
mod last_checks;
mod pass;
mod persist;
mod plan_scope;
mod preview;
mod probe_budget;
mod refresh;
mod refusal;
mod region_views;
mod resolver;
mod scope_task;
mod stop;
mod task;
mod write;
mod write_outcome;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use crate::api::WriteClient;
use crate::attempts::AttemptLog;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::model::{AccountName, Scope};
use crate::plan::Plan;
use pass::ScopePass;
use refusal::{refusals, refused_run};

pub use account::{ACCOUNT_NAMED_TWICE, OtherAccount, RegionAccounts};
pub use event::{Event, Listener};
pub use preview::{preview, preview_scope, unobserved_plan};
pub use probe_budget::ProbeBudget;
pub use refusal::refusal;
pub use region_views::RegionViews;
pub use stop::{Stop, StopReason};
pub use task::Task;

/// The outcome of one scope.
#[derive(Clone, Debug)]
pub struct ScopeOutcome {
    /// The last plan: what is in sync, blocked, withheld, and still to do.
    pub plan: Plan,
    /// The writes of this run.
    pub attempts: AttemptLog,
}

/// The dependencies of a run.
pub struct Engine<'a, L> {
    /// Records intents, outcomes and ownership.
    pub ledger: &'a L,
    /// Receives an event for each step.
    pub listener: &'a dyn Listener,
    /// Carries the request to stop.
    pub stop: &'a Stop,
    /// Recent observations of each region.
    pub views: &'a RegionViews,
}

impl<L: Ledger> Engine<'_, L> {
    /// Brings every scope of the task into its desired state, as far as possible within `timeout` and before a stop.
    /// Each scope has exactly one outcome, in order. Each account that is named must have a client.
    pub async fn reconcile<H: Host>(
        &self,
        accounts: &BTreeMap<AccountName, WriteClient<H>>,
        task: &Task<'_>,
        timeout: Duration,
    ) -> Vec<ScopeOutcome> {
        let Some(first) = accounts.values().next() else {
            return Vec::new();
        };
        let scopes = task.scopes();
        let read = |name: &AccountName| accounts.get(name).map(WriteClient::read);
        let host = &first.read().context().host;
        let work = async {
            let refusals = std::pin::pin!(refusals(&scopes, read));
            let refusals = match select(refusals, std::pin::pin!(self.stop.tripped())).await {
                Either::Left((refusals, _)) => refusals,
                // Each scope reports that it was stopped before it was read.
                Either::Right(_) => Vec::new(),
            };
            if let Some(outcomes) = refused_run(&scopes, &refusals, first.read().context()) {
                return outcomes;
            }
            let mut budgets: BTreeMap<_, Rc<ProbeBudget>> = BTreeMap::new();
            let by_region = Task::accounts_by_region(&scopes, read);
            // All passes join their budget first, so that each has its first call before any makes a second one.
            let passes: Vec<_> = scopes
                .iter()
                .map(|scope_task| {
                    let client = client_of(accounts, scope_task.scope);
                    let others = &by_region[&scope_task.scope.region];
                    let budget = budgets.entry(client.read().caller_id()).or_default();
                    let attempts = AttemptLog::default();
                    ScopePass::new(self, client, others, scope_task, attempts, budget)
                })
                .collect();
            join_all(passes.into_iter().map(ScopePass::converge)).await
        };
        let timer = host.sleep_until(host.monotonic() + timeout);
        self.within(timer, work).await
    }

    /// Brings one scope of the task into its desired state, before a stop and within `timeout`, counted from the end of
    /// its first observation: an observation that is cut short would start again in each pass, forever. `region` holds
    /// the account names that manifests use in its region, `attempts` is what earlier passes of this process left
    /// behind, and `budget` is shared by the passes under the same key. `None` if there cannot be anything to do.
    pub async fn pass<H: Host>(
        &self,
        client: &WriteClient<H>,
        region: &RegionAccounts<'_, H>,
        task: &Task<'_>,
        scope: &Scope,
        (attempts, budget): (AttemptLog, &Rc<ProbeBudget>),
        timeout: Duration,
    ) -> Option<ScopeOutcome> {
        let scope_task = task.scope(scope, &region.used)?;
        let accounts = &region.accounts;
        let pass = ScopePass::new(self, client, accounts, &scope_task, attempts, budget);
        let host = &client.read().context().host;
        let observed = Rc::clone(&pass.observed);
        let timer = async {
            observed.notified().await;
            host.sleep_until(host.monotonic() + timeout).await;
        };
        Some(self.within(timer, pass.converge()).await)
    }

    /// Requests a stop when `timer` is over, and then waits until everything in flight has settled.
    async fn within<T>(&self, timer: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
        let (work, timer) = (std::pin::pin!(work), std::pin::pin!(timer));
        match select(work, timer).await {
            Either::Left((done, _)) => done,
            Either::Right(((), work)) => {
                self.stop.trip(StopReason::TimedOut);
                work.await
            }
        }
    }
}

/// The client of the scope's account. The caller connects each account that its manifests name, because a scope that
/// was left out for lack of a client would look like one in sync.
fn client_of<'a, C>(accounts: &'a BTreeMap<AccountName, C>, scope: &Scope) -> &'a C {
    accounts
        .get(&scope.account)
        .expect("each account that is named has a client")
}
