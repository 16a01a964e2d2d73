//! Refuses a whole run if two account names in one region mean the same account, just as manifests with an error are
//! refused. It must not observe anything but the owners of the accounts.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::ScopeOutcome;
use super::account;
use super::scope_task::ScopeTask;
use super::task::Task;
use crate::api::{ClientContext, ReadClient};
use crate::attempts::AttemptLog;
use crate::host::Host;
use crate::model::AccountName;
use crate::observation::Unobserved;

/// Why nothing may be written under the account names of the task, if two of them in one region mean the same account.
pub async fn refusal<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    task: &Task<'_>,
) -> Option<Unobserved> {
    let refusals = refusals(&task.scopes(), |name| accounts.get(name)).await;
    refusals.into_iter().flatten().next()
}

/// Why the account name of each scope is refused, if it is, in order.
pub(super) async fn refusals<'a, H: Host + 'a>(
    scopes: &'a [ScopeTask<'a>],
    client: impl Fn(&AccountName) -> Option<&'a ReadClient<H>> + Copy,
) -> Vec<Option<Unobserved>> {
    let accounts = Task::accounts_by_region(scopes, client);
    let told_apart = scopes.iter().map(async |scope_task| {
        let here = &accounts[&scope_task.scope.region];
        // With only one account name, no confusion is possible.
        match client(&scope_task.scope.account) {
            Some(own) if here.len() > 1 => account::identify(own, here, scope_task).await.err(),
            _ => None,
        }
    });
    join_all(told_apart).await
}

/// The outcomes of a run in which a scope is refused. The other scopes name the one that is refused.
pub(super) fn refused_run<H: Host>(
    scopes: &[ScopeTask<'_>],
    refusals: &[Option<Unobserved>],
    context: &ClientContext<H>,
) -> Option<Vec<ScopeOutcome>> {
    let mut each = scopes.iter().zip(refusals);
    let (culprit, cause) =
        each.find_map(|(task, refusal)| Some((task.scope, refusal.as_ref()?)))?;
    let bystander = Unobserved {
        reason: format!("nothing is done in this run because of {culprit}, which says why"),
        ..cause.clone()
    };
    let outcomes = scopes
        .iter()
        .zip(refusals)
        .map(|(task, refusal)| ScopeOutcome {
            plan: task.unobserved(refusal.as_ref().unwrap_or(&bystander).clone(), context),
            attempts: AttemptLog::default(),
        });
    Some(outcomes.collect())
}
