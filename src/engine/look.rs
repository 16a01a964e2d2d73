//! One look at one scope, and what follows from it: whose it is, what is seen, what is known, and the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{self, Evidence, Identified, Rival};
use crate::api::{ClientContext, Owner, ReadClient};
use crate::attempts::AttemptLog;
use crate::desired::DesiredScope;
use crate::host::Host;
use crate::inventory::{
    self, AccountIdentity, Declaration, Inventory, InventoryUpdate, KnownAccounts, OwnedShare,
    ScopeRows, UsedNames,
};
use crate::ledger::{LedgerError, LedgerReader};
use crate::listing;
use crate::model::{AccountName, Clocks, ImageId, Monotonic, Present, Scope, Timestamp, Uin};
use crate::observation::{
    Eligibility, Observation, OwnImages, Reading, Seen, SeenAt, Sightings, Unobserved,
};
use crate::plan::{
    ApprovedActions, Inputs, Plan, Policy, ScopeAccount, Verdict, needs_own_images, plan,
    share_candidates,
};
use crate::windows::Windows;

/// A task's part in one scope.
pub(super) struct Job<'a> {
    pub(super) scope: &'a Scope,
    pub(super) wanted: DesiredScope<'a>,
    pub(super) policy: &'a Policy,
    pub(super) windows: Windows,
    pub(super) approved: Option<&'a ApprovedActions>,
    /// The account names that manifests use.
    pub(super) used: UsedNames,
    /// What the scope's document says its account is.
    pub(super) uin: Option<&'a Uin>,
}

/// One look at a scope, and what follows from it.
pub(super) struct Look {
    pub(super) observation: Observation,
    /// How old what was seen of the images is that the plan acts on.
    pub(super) sightings: Sightings,
    /// What is known of earlier, in the light of the observation.
    pub(super) inventory: Inventory,
    /// What the look taught, not kept yet.
    pub(super) update: InventoryUpdate,
    pub(super) plan: Plan,
    /// Whose the images are.
    pub(super) account: ScopeAccount,
    /// Whose credentials it was made with; `None`: there are none.
    pub(super) owner: Option<Owner>,
    /// Earlier names of the account.
    pub(super) aliases: Arc<BTreeSet<AccountName>>,
}

impl Job<'_> {
    fn plan(&self, view: &View<'_>, attempts: &AttemptLog, times: Times) -> Plan {
        plan(&Inputs {
            scope: self.scope,
            wanted: &self.wanted,
            account: view.account,
            observation: view.observation,
            inventory: view.inventory,
            attempts,
            windows: &self.windows,
            policy: self.policy,
            approved: self.approved,
            clocks: times.clocks,
            present: times.present,
            monotonic: times.monotonic,
        })
    }

    /// The plan where nothing is seen: everything holds still.
    pub(super) fn unobserved<H: Host>(
        &self,
        unobserved: Unobserved,
        context: &ClientContext<H>,
    ) -> Plan {
        let view = View {
            account: &self.account(),
            observation: &Observation::Unobserved(unobserved),
            inventory: &Inventory::default(),
        };
        let attempts = AttemptLog::default();
        let times = Times {
            clocks: Clocks::machine_only(context.now()),
            present: context.present(),
            monotonic: context.host.monotonic(),
        };
        self.plan(&view, &attempts, times)
    }

    /// The account as the manifests name it.
    pub(super) fn account(&self) -> ScopeAccount {
        ScopeAccount {
            uin: self.uin.cloned(),
            ..ScopeAccount::default()
        }
    }

    fn named(&self, clocks: Clocks) -> BTreeMap<&ImageId, Declaration> {
        let named = self.wanted.named().map(|(id, image)| {
            let (desired, other) = clocks.ask(|now| image.intent.at(now).0);
            let named = Declaration {
                desired: other.is_none().then_some(desired),
                protected: image.protect,
            };
            (id, named)
        });
        named.collect()
    }
}

/// When a plan is made.
struct Times {
    clocks: Clocks,
    present: Present,
    monotonic: Monotonic,
}

/// What a plan is made from.
struct View<'v> {
    account: &'v ScopeAccount,
    observation: &'v Observation,
    inventory: &'v Inventory,
}

/// One look and the plan that follows from it. Images about to be shared for the first time are asked about before the
/// plan is final, so that no write is spent on what cannot be shared; and before anything is pruned, the account's own
/// images are asked for, so that none is spent on what is not the account's. `own` are those of a look not long ago, and
/// `tell` hears of a look that takes long.
pub(super) async fn look<H: Host>(
    client: &ReadClient<H>,
    rivals: &[Rival<'_, H>],
    ledger: &impl LedgerReader,
    job: &Job<'_>,
    attempts: &AttemptLog,
    own: &OwnImages,
    tell: &dyn Fn(Reading),
) -> Look {
    let context = client.context();
    let started = context.present();
    let mut identified = match account::identify(client, rivals, job).await {
        Ok(identified) => identified,
        Err(named_twice) => return Look::unobserved(named_twice, job, context),
    };
    let (mut observation, mut sightings) = listing::observe_dated(client, job.scope, tell).await;
    let ended = context.present();
    let uin = identified
        .owner
        .as_ref()
        .and_then(|owner| owner.uin.clone());
    let (mut inventory, known) = match recall_scope(ledger, job, uin.as_ref()).await {
        Ok(recalled) => recalled,
        Err(error) => {
            observation = Observation::Unobserved(Unobserved::new(format!(
                "the state cannot be read: {error}"
            )));
            Default::default()
        }
    };
    let unasked = identified
        .ask_for_prune(client, rivals, job, &known, attempts)
        .await;
    // The look has told the access point's time.
    let clocks = || client.clocks(job.scope.region);
    let looked = Looked {
        observation: &observation,
        identified: &identified,
        started,
        ended,
        clocks: clocks(),
    };
    let (known, others) = known.split();
    let learnt = looked.update(job, &mut inventory, &known, others);
    let account = identified.for_plan(job, attempts, unasked, &learnt.evidence);
    let draft = |observation: &Observation| {
        let view = View {
            account: &account,
            observation,
            inventory: &inventory,
        };
        let times = Times {
            clocks: clocks(),
            present: context.present(),
            monotonic: context.host.monotonic(),
        };
        job.plan(&view, attempts, times)
    };
    let mut plan = draft(&observation);
    let candidates = share_candidates(&plan, attempts);
    let asks_for_own = needs_own_images(&plan);
    if (!candidates.is_empty() || asks_for_own)
        && let Observation::Seen(seen) = &mut observation
    {
        if !candidates.is_empty() {
            for (image, (eligibility, asked)) in
                listing::eligibility(client, job.scope, &candidates).await
            {
                // What can be shared is not shared: it was seen once more.
                if eligibility == Eligibility::Shareable {
                    sightings.images.insert(image.clone(), asked);
                }
                seen.eligibility.insert(image, eligibility);
            }
        }
        if asks_for_own {
            seen.own = match own {
                OwnImages::Known(_) => own.clone(),
                OwnImages::NotAsked | OwnImages::Unknown(_) => {
                    listing::own_images(client, job.scope).await
                }
            };
        }
        plan = draft(&observation);
    }
    let is_acted_on = |image: &ImageId| {
        let decision = plan.decisions.get(image);
        decision.is_some_and(|decision| decision.verdict == Verdict::Act)
    };
    sightings.images.retain(|image, _| is_acted_on(image));
    plan.taken_over = learnt.names;
    Look {
        observation,
        sightings,
        inventory,
        update: learnt.update,
        plan,
        account,
        owner: identified.owner,
        aliases: Arc::new(learnt.aliases),
    }
}

async fn recall_scope(
    ledger: &impl LedgerReader,
    job: &Job<'_>,
    uin: Option<&Uin>,
) -> Result<(Inventory, KnownAccounts), LedgerError> {
    let inventory = ledger.inventory(job.scope).await?;
    let known = ledger.accounts(job.scope, &job.used, uin).await?;
    Ok((inventory, known))
}

/// What a look found, before anything follows from it.
struct Looked<'l> {
    observation: &'l Observation,
    identified: &'l Identified,
    started: Present,
    ended: Present,
    clocks: Clocks,
}

/// What follows from a look for what is known.
struct Learnt<'l> {
    /// To be kept.
    update: InventoryUpdate,
    /// Earlier names of the account.
    aliases: BTreeSet<AccountName>,
    /// Names whose rows the scope takes over.
    names: BTreeSet<AccountName>,
    evidence: Evidence<'l>,
}

impl Looked<'_> {
    /// Brings what is known of a scope up to date: first whose its own rows are, then what it takes over from other names
    /// of its account, then what was seen.
    fn update<'k>(
        &self,
        job: &Job<'_>,
        inventory: &mut Inventory,
        known: &'k KnownAccounts,
        others: BTreeMap<AccountName, ScopeRows>,
    ) -> Learnt<'k> {
        let owner = self.identified.owner.as_ref();
        let identity = owner.map_or(NOBODY, Owner::identity);
        let mut used = job.used.clone();
        for (name, uin) in &self.identified.rivals {
            used.here.insert(name.clone(), Some(uin.clone()));
        }
        let suspended = inventory.suspensions.iter();
        let suspended = suspended.flat_map(|suspension| &suspension.selector.accounts);
        let suspended = suspended.cloned().collect();
        let aliases = known.aliases(job.scope, &used, identity, &suspended);
        inventory.extend_suspensions(job.scope, &aliases);
        let seen = match self.observation {
            Observation::Seen(seen) => Some(seen),
            Observation::ReadDenied(_) | Observation::Unobserved(_) => None,
        };
        let own = known.scopes.get(job.scope);
        let set_aside = own.filter(|own| own.is_other_account(identity));
        if set_aside.is_some() {
            // They are of the account that the name stood for.
            inventory.images.clear();
            inventory.open_intents.clear();
        }
        let shows_own = seen.is_some_and(|seen| inventory.shows_own_blueprint(seen));
        let account_match = |name: &AccountName| match owner {
            Some(_) => known.account_match(name, job.scope, &used, identity),
            None => inventory::AccountMatch::Excluded,
        };
        let mut takeover =
            inventory.take_over(others, account_match, seen, |image| job.wanted.names(image));
        takeover.expected = known.in_region(job.scope.region, takeover.sources());
        let succeeded_by = own.and_then(|own| own.succeeded_by.clone());
        let taken_back = takeover
            .sources()
            .find(|from| succeeded_by.as_ref() == Some(*from));
        let proven = takeover.rows.iter().filter(|taken| taken.proves_the_name());
        let evidence = Evidence {
            known,
            shows_own,
            proven: proven.map(|taken| taken.from.clone()).collect(),
            taken_back: taken_back.cloned(),
        };
        let names = takeover.sources().cloned().collect();
        let aside = set_aside.and_then(|own| own.uin.clone());
        let update = match (self.observation, owner) {
            (Observation::Seen(seen), Some(owner)) => InventoryUpdate {
                set_aside: aside,
                takeover,
                changes: self.changes(job, inventory, seen),
                account: account::to_record(own, owner, shows_own),
            },
            // What is written without seeing is kept under the account that it is of, or the next look would not find it.
            (Observation::ReadDenied(_), Some(owner)) if aside.is_some() => InventoryUpdate {
                set_aside: aside,
                account: account::to_record(own, owner, shows_own),
                ..InventoryUpdate::default()
            },
            _ => InventoryUpdate::default(),
        };
        Learnt {
            update,
            aliases,
            names,
            evidence,
        }
    }

    fn changes(
        &self,
        job: &Job<'_>,
        inventory: &mut Inventory,
        seen: &Seen,
    ) -> Vec<inventory::InventoryChange> {
        let named = job.named(self.clocks);
        let accept_lost = job.policy.accept_lost;
        let mut changes = inventory::update(inventory, seen, &named, accept_lost, self.started);
        for change in &mut changes {
            if let Some(owned) = change
                .entry
                .as_mut()
                .and_then(|record| record.owned.as_mut())
            {
                date_late(owned, self.started, self.ended);
            }
        }
        inventory.apply(&changes);
        changes
    }
}

/// What a look did not show may have been seen as late as at its end: that is what it is dated with, because the next look
/// is dated by its beginning. The pages of a large scope may leave minutes apart.
fn date_late(owned: &mut OwnedShare, began: Present, ended: Present) {
    for since in [&mut owned.missing_since, &mut owned.disputed_since] {
        if *since == Some(began.stamp()) {
            *since = Some(ended.stamp());
        }
    }
}

/// Whoever calls without credentials.
const NOBODY: AccountIdentity<'static> = AccountIdentity {
    uin: None,
    key: None,
};

impl Look {
    /// When a write of the image was last denied, if that is all that is known.
    pub(super) fn denied_since(&self, image: &ImageId) -> Option<Timestamp> {
        let record = self.inventory.images.get(image);
        record.and_then(|record| record.denied_since)
    }

    /// A look that may not be made.
    fn unobserved<H: Host>(
        unobserved: Unobserved,
        job: &Job<'_>,
        context: &ClientContext<H>,
    ) -> Self {
        Self {
            plan: job.unobserved(unobserved.clone(), context),
            observation: Observation::Unobserved(unobserved),
            sightings: Sightings::at(SeenAt::new(context.host.monotonic(), context.host.now())),
            inventory: Inventory::default(),
            update: InventoryUpdate::default(),
            account: job.account(),
            owner: None,
            aliases: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn c8_s11_what_a_long_look_did_not_show_is_dated_with_its_end() {
        let at =
            |seconds: i64| Timestamp::from_timestamp(1_790_000_000 + seconds, 0).expect("a date");
        let mut owned = OwnedShare::adopted("lhbp-1", at(-1_000));
        let (began, ended) = (Present::from(at(0)), Present::from(at(300)));
        date_late(&mut owned, began, ended);
        assert_eq!((owned.missing_since, owned.disputed_since), (None, None));
        owned.missing_since = Some(at(0));
        owned.disputed_since = Some(at(-60));
        date_late(&mut owned, began, ended);
        assert_eq!(owned.missing_since, Some(at(300)), "new with this look");
        assert_eq!(owned.disputed_since, Some(at(-60)), "known before");
    }
}
