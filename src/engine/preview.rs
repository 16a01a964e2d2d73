//! Plans scopes with clients that cannot write, neither to the cloud nor to the ledger. It must not know [`WriteClient`].
//!
//! [`WriteClient`]: crate::api::WriteClient

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::account::{OtherAccount, RegionAccounts};
use super::plan_scope::{SeenBefore, plan_scope};
use super::refusal::{refusals, refused_run};
use super::region_views::RegionViews;
use super::scope_task::ScopeTask;
use super::task::Task;
use super::{ScopeOutcome, client_of};
use crate::api::{ClientContext, ReadClient};
use crate::attempts::AttemptLog;
use crate::host::Host;
use crate::inventory::UsedNames;
use crate::ledger::LedgerReader;
use crate::model::{AccountName, Scope};
use crate::observation::{Instances, OwnImages, Unobserved};
use crate::plan::Plan;

/// Plans every scope of the task. Each account that is named must have a client.
pub async fn preview<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    ledger: &impl LedgerReader,
    task: &Task<'_>,
) -> Vec<ScopeOutcome> {
    let Some(first) = accounts.values().next() else {
        return Vec::new();
    };
    let (scopes, views) = (task.scopes(), RegionViews::default());
    let read = |name: &AccountName| accounts.get(name);
    let refusals = refusals(&scopes, read).await;
    if let Some(outcomes) = refused_run(&scopes, &refusals, first.context()) {
        return outcomes;
    }
    let by_region = Task::accounts_by_region(&scopes, read);
    let plans = scopes.iter().map(async |scope_task| {
        let client = client_of(accounts, scope_task.scope);
        let others = &by_region[&scope_task.scope.region];
        observe_once(
            client,
            others,
            ledger,
            scope_task,
            AttemptLog::default(),
            &views,
        )
        .await
    });
    join_all(plans).await
}

/// [`preview`] of one scope. `None` if there cannot be anything to do in it. `attempts` is what earlier previews left
/// behind: since when something has been missing, which separates loss from lag.
pub async fn preview_scope<H: Host>(
    client: &ReadClient<H>,
    region: &RegionAccounts<'_, H>,
    ledger: &impl LedgerReader,
    task: &Task<'_>,
    scope: &Scope,
    (attempts, views): (AttemptLog, &RegionViews),
) -> Option<ScopeOutcome> {
    let scope_task = task.scope(scope, &region.used)?;
    let others = &region.accounts;
    Some(observe_once(client, others, ledger, &scope_task, attempts, views).await)
}

/// The plan for a scope that cannot be observed: everything in it holds still. `None` if there cannot be anything to do
/// in it. Only this machine's clock decides about times. `used` holds the account names that the manifests use.
pub fn unobserved_plan<H: Host>(
    task: &Task<'_>,
    scope: &Scope,
    used: &Arc<UsedNames>,
    unobserved: Unobserved,
    context: &ClientContext<H>,
) -> Option<Plan> {
    let scope_task = task.scope(scope, used)?;
    Some(scope_task.unobserved(unobserved, context))
}

async fn observe_once<H: Host>(
    client: &ReadClient<H>,
    others: &[OtherAccount<'_, H>],
    ledger: &impl LedgerReader,
    task: &ScopeTask<'_>,
    mut attempts: AttemptLog,
    views: &RegionViews,
) -> ScopeOutcome {
    let on_wait = |reading| {
        let scope = task.scope;
        tracing::info!(%scope, "waiting for a permit to read: {reading}");
    };
    let before = SeenBefore {
        own: &OwnImages::NotAsked,
        instances: &Instances::NotAsked,
        views,
        waits_for_regions: true,
    };
    let planned = plan_scope(client, others, ledger, task, &attempts, before, &on_wait).await;
    planned.date_doubts(&mut attempts, client.context().host.monotonic());
    ScopeOutcome {
        plan: planned.plan,
        attempts,
    }
}
