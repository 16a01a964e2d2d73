//! One observation of one scope and its plan, from the scope's account, the listing, the inventory and the desired
//! state. It only reads, and must not know how a plan is executed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::{self, Identity, OtherAccount};
use super::refresh::ObservedScope;
use super::region_views::RegionViews;
use super::resolver::Resolver;
use super::scope_task::{Facts, PlanTime, ScopeTask};
use crate::api::{ClientContext, Owner, ReadClient};
use crate::attempts::AttemptLog;
use crate::desired::DesiredImage;
use crate::host::Host;
use crate::inventory::{Inventory, InventoryUpdate, KnownAccounts};
use crate::ledger::LedgerReader;
use crate::listing;
use crate::model::{AccountName, ImageId, Monotonic, Timestamp};
use crate::observation::{
    Eligibility, Instances, Observation, ObservationTimes, ObservedAt, OwnImages, Reading, Seen,
    Unobserved,
};
use crate::plan::{
    Awaiting, Plan, ScopeAccount, Verdict, needs_instances, needs_own_images, share_candidates,
};
use crate::resolve::Resolution;

/// The plan of a scope, whether the scope could be observed or not.
pub(super) struct PlannedScope {
    pub(super) observation: Observation,
    /// When the images of the plan's actions were last seen.
    pub(super) times: ObservationTimes,
    /// The inventory, updated by the observation.
    pub(super) inventory: Inventory,
    /// The changes that the observation makes to the inventory, not persisted yet.
    pub(super) update: InventoryUpdate,
    /// The desired state of each image, if documents name images by more than ids.
    pub(super) resolution: Arc<Resolution>,
    pub(super) plan: Plan,
    /// The account that owns the images.
    pub(super) account: ScopeAccount,
    /// The owner of the credentials that made the observation; `None` if there are none.
    pub(super) owner: Option<Owner>,
    /// Earlier names of the account.
    pub(super) aliases: Arc<BTreeSet<AccountName>>,
}

/// Data from before the observation, which may save calls.
#[derive(Clone, Copy)]
pub(super) struct SeenBefore<'a> {
    /// The account's own images, from a recent observation.
    pub(super) own: &'a OwnImages,
    /// The instances, from a recent observation.
    pub(super) instances: &'a Instances,
    /// Recent observations of each region.
    pub(super) views: &'a RegionViews,
    /// Whether to wait for other regions even if some work does not depend on them.
    pub(super) waits_for_regions: bool,
}

/// Observes a scope and plans it. If documents use names or policies, the account's own images are listed and names are
/// resolved. Images that may be shared for the first time are asked about before the plan is final, so that no write is
/// spent on an image that cannot be shared. Before a prune, the account's own images are listed, and before a CANCEL,
/// its instances. `on_wait` is called for an observation that takes long.
pub(super) async fn plan_scope<H: Host>(
    client: &ReadClient<H>,
    others: &[OtherAccount<'_, H>],
    ledger: &impl LedgerReader,
    task: &ScopeTask<'_>,
    attempts: &AttemptLog,
    before: SeenBefore<'_>,
    on_wait: &dyn Fn(Reading),
) -> PlannedScope {
    let context = client.context();
    let started = context.present();
    let mut identity = match account::identify(client, others, task).await {
        Ok(identity) => identity,
        Err(named_twice) => return PlannedScope::unobserved(named_twice, task, context),
    };
    let (mut observation, mut times, own) = observe(client, task, before.views, on_wait).await;
    let ended = context.present();
    let (mut inventory, known) = read_ledger(ledger, task, &identity, &mut observation).await;
    let unasked = identity
        .ask_for_prune(client, others, task, &known, attempts)
        .await;
    let observed = ObservedScope {
        observation: &observation,
        own: &own,
        identity: &identity,
        started,
        ended,
        // The observation has shown the access point's time.
        clocks: client.clocks(task.scope.region),
    };
    let mut resolver = Resolver::new(client, task, attempts, &own, before.views);
    let (known, rows) = known.split();
    let mut refreshed = observed.refresh(task, &mut inventory, &known, rows, |inventory| {
        resolver.resolve(&observation, inventory)
    });
    let planner = Planner {
        client,
        task,
        attempts,
        inventory: &inventory,
        account: identity.for_plan(task, attempts, unasked, &refreshed.evidence),
    };
    let (mut plan, mut resolution) = planner
        .plan_whole(
            (&mut observation, &mut times),
            &mut resolver,
            refreshed.resolution,
            before,
        )
        .await;
    times.images.retain(|image, _| acts_on(&plan, image));
    (plan.taken_over, plan.aliases) = (refreshed.names, Arc::new(refreshed.aliases));
    if matches!(observation, Observation::Seen(_)) {
        refreshed.update.memory = std::mem::take(&mut resolution.memory);
    }
    let resolution = Arc::new(resolution);
    plan.resolution = Arc::clone(&resolution);
    let (account, update) = (planner.account, refreshed.update);
    PlannedScope {
        observation,
        times,
        inventory,
        update,
        resolution,
        account,
        owner: identity.owner,
        aliases: Arc::clone(&plan.aliases),
        plan,
    }
}

/// Reads the scope and, if documents depend on them, its own images. If these cannot be listed, the scope counts as
/// unobserved: a name that could not be looked up must not look like a name without an image.
async fn observe<H: Host>(
    client: &ReadClient<H>,
    task: &ScopeTask<'_>,
    views: &RegionViews,
    on_wait: &dyn Fn(Reading),
) -> (Observation, ObservationTimes, OwnImages) {
    let (scope, desired) = (task.scope, &task.desired);
    let needs_own = desired.needs_own_images();
    let _observing = match needs_own {
        true => Some(views.observing(client, scope.region).await),
        false => None,
    };
    let (mut observation, times) = listing::observe_dated(client, scope, on_wait).await;
    if !needs_own {
        return (observation, times, OwnImages::NotAsked);
    }
    let own = match observation {
        Observation::Unobserved(_) => OwnImages::NotAsked,
        // Read each time, because whether an image can be shared changes with its share.
        Observation::Seen(_) | Observation::ReadDenied(_) => {
            listing::own_images(client, scope).await
        }
    };
    if let OwnImages::Unknown(why) = &own {
        let reason = format!("the account's own images cannot be listed: {why}");
        observation = Observation::Unobserved(Unobserved {
            reason,
            ..why.clone()
        });
    }
    match &mut observation {
        Observation::Seen(seen) => {
            seen.own = own.clone();
            if desired.needs_cvm() {
                seen.cvm = listing::cvm_images(client, scope).await;
            }
            views.post(client, scope.region, seen, times.oldest);
        }
        // Other scopes would otherwise read the region again at once, and fail again.
        Observation::ReadDenied(_) | Observation::Unobserved(_) => {
            views.failed(client, scope.region);
        }
    }
    (observation, times, own)
}

/// Reads the inventory. If it cannot be read, the scope counts as unobserved.
async fn read_ledger(
    ledger: &impl LedgerReader,
    task: &ScopeTask<'_>,
    identity: &Identity,
    observation: &mut Observation,
) -> (Inventory, KnownAccounts) {
    let owner = identity.owner.as_ref();
    let uin = owner.and_then(|owner| owner.uin.as_ref());
    let read = ledger.inventory_and_accounts(task.scope, &task.used, uin);
    read.await.unwrap_or_else(|error| {
        let why = format!("the state cannot be read: {error}");
        *observation = Observation::Unobserved(Unobserved::new(why));
        Default::default()
    })
}

/// Makes the plans of one observation: a draft, and another plan once the draft's images were asked about.
struct Planner<'p, H> {
    client: &'p ReadClient<H>,
    task: &'p ScopeTask<'p>,
    attempts: &'p AttemptLog,
    inventory: &'p Inventory,
    account: ScopeAccount,
}

impl<H: Host> Planner<'_, H> {
    fn plan(&self, observation: &Observation, resolution: &Resolution) -> Plan {
        let facts = Facts {
            account: &self.account,
            observation,
            resolution,
            inventory: self.inventory,
        };
        let clocks = self.client.clocks(self.task.scope.region);
        let time = PlanTime::now(self.client.context(), clocks);
        self.task.plan(&facts, self.attempts, &time)
    }

    /// Makes the plan of an observation, and requests the data that its drafts depend on.
    async fn plan_whole(
        &self,
        (observation, times): (&mut Observation, &mut ObservationTimes),
        resolver: &mut Resolver<'_, H>,
        mut resolution: Resolution,
        before: SeenBefore<'_>,
    ) -> (Plan, Resolution) {
        let mut plan = self
            .completed((observation, times), &resolution, before)
            .await;
        // Work that does not depend on other regions goes first, because it must not wait for a region that hangs.
        let is_only_by_policy = !plan
            .actions()
            .any(|(.., decision)| !decision.is_by_policy());
        let may_wait = before.waits_for_regions || is_only_by_policy;
        if may_wait && resolver.wait_for_regions(&resolution).await {
            resolution = resolver.resolve(observation, self.inventory);
            plan = self
                .completed((observation, times), &resolution, before)
                .await;
        } else if !may_wait && resolver.may_wait(&resolution) {
            // A copy that arrived late looks like a new build until the other regions were observed.
            plan.await_regions(self.client.context().host.monotonic());
        }
        (plan, resolution)
    }

    /// The plan of a resolution, once the data that its drafts depend on was requested.
    async fn completed(
        &self,
        (observation, times): (&mut Observation, &mut ObservationTimes),
        resolution: &Resolution,
        before: SeenBefore<'_>,
    ) -> Plan {
        let mut plan = self.plan(observation, resolution);
        if let Observation::Seen(seen) = observation
            && self.complete(&plan, seen, times, before).await
        {
            plan = self.plan(observation, resolution);
        }
        // Only now is it known which CANCELs no other guard withholds.
        if let Observation::Seen(seen) = observation
            && seen.instances == Instances::NotAsked
            && needs_instances(&plan)
        {
            seen.instances = match before.instances {
                Instances::Known(_) => before.instances.clone(),
                Instances::NotAsked | Instances::Unknown(_) => {
                    listing::instances(self.client, self.task.scope).await
                }
            };
            plan = self.plan(observation, resolution);
        }
        plan
    }

    /// Requests the data that `draft` depends on and the listing lacks. Returns whether there was any.
    async fn complete(
        &self,
        draft: &Plan,
        seen: &mut Seen,
        times: &mut ObservationTimes,
        before: SeenBefore<'_>,
    ) -> bool {
        let (scope, own) = (self.task.scope, before.own);
        let mut candidates = share_candidates(draft, self.attempts);
        let has_candidates = !candidates.is_empty();
        // Own images that were listed with the scope already show it.
        candidates.retain(|image| match seen.own.get(image) {
            Some(own) => {
                let eligibility = own.eligibility.clone();
                seen.eligibility.insert(image.clone(), eligibility);
                false
            }
            None => true,
        });
        let asks_for_own = needs_own_images(draft) && !matches!(seen.own, OwnImages::Known(_));
        if !candidates.is_empty() {
            let asked = listing::eligibility(self.client, scope, &candidates).await;
            for (image, (eligibility, at)) in asked {
                // An image that can be shared is not shared, so this counts as another sighting of it.
                if eligibility == Eligibility::Shareable {
                    times.images.insert(image.clone(), at);
                }
                seen.eligibility.insert(image, eligibility);
            }
        }
        if asks_for_own {
            seen.own = match own {
                OwnImages::Known(_) => own.clone(),
                OwnImages::NotAsked | OwnImages::Unknown(_) => {
                    listing::own_images(self.client, scope).await
                }
            };
        }
        has_candidates || asks_for_own
    }
}

fn acts_on(plan: &Plan, image: &ImageId) -> bool {
    let decision = plan.decisions.get(image);
    decision.is_some_and(|decision| decision.verdict == Verdict::Act)
}

impl PlannedScope {
    /// The desired state of one image.
    pub(super) fn desired_image<'p>(
        &'p self,
        task: &'p ScopeTask<'_>,
        image: &ImageId,
    ) -> Option<&'p DesiredImage> {
        self.resolution.desired_image(&task.desired, image)
    }

    /// When a write of the image was last denied, if nothing newer is known about it.
    pub(super) fn denied_since(&self, image: &ImageId) -> Option<Timestamp> {
        let entry = self.inventory.images.get(image);
        entry.and_then(|entry| entry.denied_since)
    }

    /// Notes in `attempts` since when the planner waits for something to show.
    pub(super) fn date_doubts(&self, attempts: &mut AttemptLog, now: Monotonic) {
        for (image, decision) in &self.plan.decisions {
            if let Verdict::Await { reason, .. } = &decision.verdict
                && matches!(**reason, Awaiting::Doubt(_))
            {
                let since = attempts.unshareable_since.entry(image.clone());
                since.or_insert(now);
            }
        }
        let since = attempts.unexpected_loss_since.unwrap_or(now);
        attempts.unexpected_loss_since = self.plan.loss.map(|_| since);
    }

    /// The plan of a scope that must not be observed.
    fn unobserved<H: Host>(
        unobserved: Unobserved,
        task: &ScopeTask<'_>,
        context: &ClientContext<H>,
    ) -> Self {
        Self {
            plan: task.unobserved(unobserved.clone(), context),
            observation: Observation::Unobserved(unobserved),
            times: ObservationTimes::at(ObservedAt::new(
                context.host.monotonic(),
                context.host.now(),
            )),
            inventory: Inventory::default(),
            update: InventoryUpdate::default(),
            resolution: Arc::default(),
            account: task.account(),
            owner: None,
            aliases: Arc::default(),
        }
    }
}
