//! The task of a run, and its division into scopes. Pure: it must not know clients' answers or the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::OtherAccount;
use super::scope_task::ScopeTask;
use crate::api::ReadClient;
use crate::desired::{Completeness, Desired};
use crate::inventory::UsedNames;
use crate::model::{AccountName, Region, Scope, Selector};
use crate::plan::{ApprovedActions, Policy, Prune};

/// The desired state that a run works towards, and the limits for the run.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The content of the manifests.
    pub desired: &'a Desired,
    /// The part of it that this run reconciles.
    pub selector: &'a Selector,
    /// The rules for pruning, and the guards' limits.
    pub policy: &'a Policy,
    /// The approved actions of the saved plan, if the run executes one. Nothing else is done then.
    pub approved_by_scope: Option<&'a BTreeMap<Scope, ApprovedActions>>,
}

/// The approval for a scope that the saved plan does not contain.
static NOTHING_APPROVED: ApprovedActions = ApprovedActions::new();

impl Task<'_> {
    /// The scopes that may have work to do.
    pub(super) fn scopes(&self) -> Vec<ScopeTask<'_>> {
        // The scopes of a region share the names: with many accounts, these are the largest part of a scope's task.
        let mut used = BTreeMap::new();
        let mut used_in = |region| {
            let names = used.entry(region);
            Arc::clone(names.or_insert_with(|| self.used_names(region)))
        };
        let scopes = self.desired.scopes();
        let tasks = scopes.filter_map(|scope| self.scope(scope, &used_in(scope.region)));
        tasks.collect()
    }

    /// The task's part in one scope, or `None` if there cannot be anything to do in it. `used` holds the names of its
    /// region, from [`Task::used_names`].
    pub(super) fn scope<'t>(
        &'t self,
        scope: &'t Scope,
        used: &Arc<UsedNames>,
    ) -> Option<ScopeTask<'t>> {
        let desired = self.desired.desired_scope(scope, self.selector)?;
        if !desired.may_ask() && self.policy.prune == Prune::None {
            return None;
        }
        let approved = self
            .approved_by_scope
            .map(|approved| approved.get(scope).unwrap_or(&NOTHING_APPROVED));
        let account = self.desired.accounts.get(&scope.account);
        Some(ScopeTask {
            scope,
            desired,
            policy: self.policy,
            windows: account
                .map(|account| account.windows.clone())
                .unwrap_or_default(),
            approved,
            used: Arc::clone(used),
            name_regions: self.name_regions(scope),
            uin: account.and_then(|account| account.uin.as_ref()),
        })
    }

    /// The account names that the manifests use, for all scopes of one region.
    pub fn used_names(&self, region: Region) -> Arc<UsedNames> {
        Arc::new(UsedNames {
            here: self.desired.names_in(region),
            anywhere: self.desired.names(),
            // Manifests that were left out or are missing may use any name.
            is_complete: !self.policy.shares_only
                && self.desired.completeness == Completeness::Whole,
        })
    }

    /// The other regions of the scope's account in which documents name images by more than ids.
    fn name_regions(&self, scope: &Scope) -> BTreeSet<Region> {
        let names = regions_of(&scope.account, &self.desired.names);
        let policies = regions_of(&scope.account, &self.desired.policies);
        let regions = names.chain(policies);
        regions.filter(|region| *region != scope.region).collect()
    }

    /// The account names that manifests use, by region. Without a client, it cannot be shown that a name means another
    /// account.
    pub(super) fn accounts_by_region<'a, H>(
        scopes: &'a [ScopeTask<'a>],
        client: impl Fn(&AccountName) -> Option<&'a ReadClient<H>>,
    ) -> BTreeMap<Region, Vec<OtherAccount<'a, H>>> {
        let mut by_region = BTreeMap::new();
        for task in scopes {
            by_region.entry(task.scope.region).or_insert_with(|| {
                let names = task.used.here.iter().map(|(name, uin)| OtherAccount {
                    name,
                    uin: uin.as_ref(),
                    client: client(name).ok_or("it is not connected"),
                });
                names.collect()
            });
        }
        by_region
    }
}

/// The regions of an account among the keys. They are adjacent, which makes this fast; it runs for each scope.
fn regions_of<'m, V>(
    account: &'m AccountName,
    by_scope: &'m BTreeMap<Scope, V>,
) -> impl Iterator<Item = Region> + 'm {
    let first = Scope {
        account: account.clone(),
        region: Region::first(),
    };
    let scopes = by_scope.range(first..).map(|(scope, _)| scope);
    let of_account = scopes.take_while(move |scope| scope.account == *account);
    of_account.map(|scope| scope.region)
}
