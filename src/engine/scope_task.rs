//! A task's part in one scope, and the only way to make a plan for it. It must not know how the scope is observed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::ClientContext;
use crate::attempts::AttemptLog;
use crate::desired::{Completeness, DesiredScope};
use crate::host::Host;
use crate::inventory::{Inventory, UsedNames};
use crate::model::{Clocks, Monotonic, Present, Region, Scope, Uin};
use crate::observation::{Observation, OwnImages, Unobserved};
use crate::plan::{ApprovedActions, Inputs, Plan, Policy, ScopeAccount, plan};
use crate::resolve::{self, Resolution, ResolvedScope};
use crate::windows::Windows;

/// A task's part in one scope.
pub(super) struct ScopeTask<'a> {
    pub(super) scope: &'a Scope,
    pub(super) desired: DesiredScope<'a>,
    pub(super) policy: &'a Policy,
    pub(super) windows: Windows,
    pub(super) approved: Option<&'a ApprovedActions>,
    /// The account names that the manifests use.
    pub(super) used: Arc<UsedNames>,
    /// The other regions of the account in which documents name images by more than ids.
    pub(super) name_regions: BTreeSet<Region>,
    /// The account's uin from its document.
    pub(super) uin: Option<&'a Uin>,
}

/// The inputs of a plan besides the task.
pub(super) struct Facts<'f> {
    pub(super) account: &'f ScopeAccount,
    pub(super) observation: &'f Observation,
    pub(super) resolution: &'f Resolution,
    pub(super) inventory: &'f Inventory,
}

/// The time at which a plan is made.
pub(super) struct PlanTime {
    clocks: Clocks,
    present: Present,
    monotonic: Monotonic,
}

impl PlanTime {
    /// The current time by the context's clock, with `clocks` as the access point's view of it.
    pub(super) fn now<H: Host>(context: &ClientContext<H>, clocks: Clocks) -> Self {
        Self {
            clocks,
            present: context.present(),
            monotonic: context.host.monotonic(),
        }
    }
}

impl ScopeTask<'_> {
    pub(super) fn plan(&self, facts: &Facts<'_>, attempts: &AttemptLog, time: &PlanTime) -> Plan {
        let desired = ResolvedScope::new(self.scope, &self.desired, facts.resolution);
        plan(&Inputs {
            scope: self.scope,
            desired: &desired,
            account: facts.account,
            observation: facts.observation,
            inventory: facts.inventory,
            attempts,
            windows: &self.windows,
            policy: self.policy,
            approved: self.approved,
            clocks: time.clocks,
            present: time.present,
            monotonic: time.monotonic,
        })
    }

    /// The plan for a scope that is not observed: everything in it holds still.
    pub(super) fn unobserved<H: Host>(
        &self,
        unobserved: Unobserved,
        context: &ClientContext<H>,
    ) -> Plan {
        let time = PlanTime::now(context, Clocks::machine_only(context.now()));
        let (inventory, attempts) = (Inventory::default(), AttemptLog::default());
        let observation = Observation::Unobserved(unobserved);
        let resolution = resolve::resolve(&resolve::Inputs {
            scope: self.scope,
            desired: &self.desired,
            observation: &observation,
            own: &OwnImages::NotAsked,
            elsewhere: &BTreeMap::new(),
            inventory: &inventory,
            attempts: &attempts,
            clocks: time.clocks,
            present: time.present,
            monotonic: time.monotonic,
            is_partial: self.is_partial(),
        });
        let facts = Facts {
            account: &self.account(),
            observation: &observation,
            resolution: &resolution,
            inventory: &inventory,
        };
        self.plan(&facts, &attempts, &time)
    }

    /// Whether documents may be missing.
    pub(super) fn is_partial(&self) -> bool {
        self.policy.shares_only || *self.desired.completeness != Completeness::Whole
    }

    /// The account as the manifests describe it.
    pub(super) fn account(&self) -> ScopeAccount {
        ScopeAccount {
            uin: self.uin.cloned(),
            ..ScopeAccount::default()
        }
    }
}
