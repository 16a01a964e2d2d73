//! Refuses a run as a whole if two account names of one region are one account, as manifests with an error are refused. It
//! must not observe anything but whose the accounts are.

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

/// Why nothing may be written under the account names of the task, if two of them that share a region are one account.
pub async fn refusal<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    task: &Task<'_>,
) -> Option<Unobserved> {
    let refusals = refusals(&task.scopes(), |name| accounts.get(name)).await;
    refusals.into_iter().flatten().next()
}

/// For each scope, in order, why its account name is refused, if it is.
pub(super) async fn refusals<'a, H: Host + 'a>(
    scopes: &'a [ScopeTask<'a>],
    client: impl Fn(&AccountName) -> Option<&'a ReadClient<H>> + Copy,
) -> Vec<Option<Unobserved>> {
    let accounts = Task::accounts_by_region(scopes, client);
    let told_apart = scopes.iter().map(async |scope_task| {
        let here = &accounts[&scope_task.scope.region];
        // With one account name there is nothing to find out.
        match client(&scope_task.scope.account) {
            Some(own) if here.len() > 1 => account::identify(own, here, scope_task).await.err(),
            _ => None,
        }
    });
    join_all(told_apart).await
}

/// The outcomes of a run in which a scope is refused. Scopes that are not refused themselves name the one that is.
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
