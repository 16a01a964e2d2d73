//! Resolves the documents of one scope with one observation of it and the views of the other regions that its policies
//! span. It must not know the rules of resolution.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::region_views::RegionViews;
use super::scope_task::ScopeTask;
use crate::api::ReadClient;
use crate::attempts::AttemptLog;
use crate::host::Host;
use crate::inventory::Inventory;
use crate::model::{Region, Scope};
use crate::observation::{Observation, OwnImages};
use crate::resolve::{self, NameProblem, RegionView, Resolution};

/// How long to wait for the other regions of policies. A region that hangs counts as unobserved in this pass.
const ELSEWHERE_MAX: Duration = Duration::from_secs(60);
/// How long to wait for regions that may have an image whose name no image here has. Only a message depends on them.
const NAMES_MAX: Duration = Duration::from_secs(5);

/// The inputs of a resolution besides the observation.
pub(super) struct Resolver<'r, H> {
    client: &'r ReadClient<H>,
    task: &'r ScopeTask<'r>,
    attempts: &'r AttemptLog,
    own: &'r OwnImages,
    views: &'r RegionViews,
    elsewhere: BTreeMap<Region, RegionView>,
    /// Whether the missing regions were already waited for.
    has_waited: bool,
}

impl<'r, H: Host> Resolver<'r, H> {
    /// Starts with the known views of the other regions.
    pub(super) fn new(
        client: &'r ReadClient<H>,
        task: &'r ScopeTask<'r>,
        attempts: &'r AttemptLog,
        own: &'r OwnImages,
        views: &'r RegionViews,
    ) -> Self {
        let mut resolver = Self {
            client,
            task,
            attempts,
            own,
            views,
            elsewhere: BTreeMap::new(),
            has_waited: false,
        };
        let of_names = task.name_regions.iter().map(|&region| (region, false));
        for (region, needs_cvm) in of_names.chain(resolver.other_regions()) {
            if let Some(view) = views.recent(client, region, needs_cvm) {
                resolver.elsewhere.insert(region, (*view).clone());
            }
        }
        resolver
    }

    /// Whether a region that `resolution` lacks may still be waited for.
    pub(super) fn may_wait(&self, resolution: &Resolution) -> bool {
        let mut unseen = resolution.unseen.iter();
        let may = |region: &Region| !self.views.has_failed(self.client, *region);
        !self.has_waited && unseen.any(may)
    }

    /// The other regions of the scope's policies, and whether CVM must be asked there.
    fn other_regions(&self) -> BTreeMap<Region, bool> {
        let mut regions = BTreeMap::new();
        for policy in self.task.desired.policies {
            for &region in &policy.regions {
                if region != self.task.scope.region {
                    *regions.entry(region).or_default() |= policy.needs_cvm();
                }
            }
        }
        regions
    }

    pub(super) fn resolve(&self, observation: &Observation, inventory: &Inventory) -> Resolution {
        let context = self.client.context();
        resolve::resolve(&resolve::Inputs {
            scope: self.task.scope,
            desired: &self.task.desired,
            observation,
            own: self.own,
            elsewhere: &self.elsewhere,
            inventory,
            attempts: self.attempts,
            clocks: self.client.clocks(self.task.scope.region),
            present: context.present(),
            monotonic: context.host.monotonic(),
            is_partial: self.task.is_partial(),
        })
    }

    /// Waits for the regions that `resolution` lacks. Returns whether any was observed.
    pub(super) async fn wait_for_regions(&mut self, resolution: &Resolution) -> bool {
        let mut missing: BTreeMap<Region, Duration> = BTreeMap::new();
        let mut unresolved = resolution.unresolved.iter();
        if unresolved.any(|name| name.kind == NameProblem::Missing) {
            let regions = self.task.name_regions.iter();
            let unseen = regions.filter(|region| !self.elsewhere.contains_key(region));
            missing.extend(unseen.map(|&region| (region, NAMES_MAX)));
        }
        let of_policies = resolution.unseen.iter();
        missing.extend(of_policies.map(|&region| (region, ELSEWHERE_MAX)));
        missing.retain(|region, _| !self.views.has_failed(self.client, *region));
        if missing.is_empty() || self.has_waited {
            return false;
        }
        self.has_waited = true;
        let needs_cvm = self.other_regions();
        let reads = missing.into_iter().map(async |(region, most)| {
            let scope = Scope {
                account: self.task.scope.account.clone(),
                region,
            };
            let asks_cvm = needs_cvm.get(&region).copied().unwrap_or_default();
            let host = &self.client.context().host;
            let read = std::pin::pin!(self.views.read(self.client, &scope, asks_cvm));
            let wait = std::pin::pin!(host.sleep_until(host.monotonic() + most));
            match select(read, wait).await {
                Either::Left((view, _)) => Some((region, view?)),
                Either::Right(_) => {
                    self.views.failed(self.client, region);
                    None
                }
            }
        });
        let seen: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
        let is_any = !seen.is_empty();
        let seen = seen.into_iter();
        self.elsewhere
            .extend(seen.map(|(region, view)| (region, (*view).clone())));
        is_any
    }
}
