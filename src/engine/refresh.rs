//! Computes the changes that an observation makes to the inventory: the account of its rows, the rows that the scope
//! takes over from other names of its account, and the images that were seen. It must not persist them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::account::{self, Evidence, Identity};
use super::scope_task::ScopeTask;
use crate::api::Owner;
use crate::desired::DesiredShare;
use crate::inventory::{
    self, AccountIdentity, Declaration, Inventory, InventoryChange, InventoryUpdate, KnownAccount,
    KnownAccounts, LossAcceptance, MemoryUpdate, OwnedShare, ResolutionMemory, ScopeRows, Takeover,
    UsedNames,
};
use crate::model::{AccountName, Clocks, ImageId, Present};
use crate::observation::{Observation, OwnImages, Seen};
use crate::resolve::{Resolution, ResolvedScope};

/// An observed scope, before any conclusions.
pub(super) struct ObservedScope<'o> {
    pub(super) observation: &'o Observation,
    pub(super) own: &'o OwnImages,
    pub(super) identity: &'o Identity,
    pub(super) started: Present,
    pub(super) ended: Present,
    pub(super) clocks: Clocks,
}

/// The conclusions of an observation for the inventory.
pub(super) struct Refreshed<'r> {
    /// The update to persist before anything is done about the observation.
    pub(super) update: InventoryUpdate,
    /// Earlier names of the account.
    pub(super) aliases: BTreeSet<AccountName>,
    /// Names whose rows the scope takes over.
    pub(super) names: BTreeSet<AccountName>,
    pub(super) evidence: Evidence<'r>,
    /// The desired state of each image.
    pub(super) resolution: Resolution,
}

/// The identity of a scope that is called without credentials.
const NOBODY: AccountIdentity<'static> = AccountIdentity {
    uin: None,
    key: None,
};

impl ObservedScope<'_> {
    /// Updates the inventory: first the account of its own rows, then the rows that it takes over from `others` (rows
    /// of other account names), then the images that were seen.
    pub(super) fn refresh<'k>(
        &self,
        task: &ScopeTask<'_>,
        inventory: &mut Inventory,
        known: &'k KnownAccounts,
        others: BTreeMap<AccountName, ScopeRows>,
        resolve: impl FnOnce(&Inventory) -> Resolution,
    ) -> Refreshed<'k> {
        let used = self.used_names(task);
        let account_identity = self.account_identity();
        let suspended = inventory.suspensions.iter();
        let suspended = suspended.flat_map(|suspension| &suspension.selector.accounts);
        let suspended = suspended.cloned().collect();
        let aliases = known.aliases(task.scope, &used, account_identity, &suspended);
        inventory.extend_suspensions(task.scope, &aliases);
        let recorded = known.scopes.get(task.scope);
        let set_aside = recorded.filter(|recorded| recorded.is_other_account(account_identity));
        if set_aside.is_some() {
            // The rows belong to the account that the name meant before.
            inventory.images.clear();
            inventory.open_intents.clear();
            inventory.memory = ResolutionMemory::default();
            inventory.acceptances.clear();
        }
        let shows_own = self
            .seen()
            .is_some_and(|seen| inventory.shows_own_blueprint(seen));
        let takeover = self.take_over(task, inventory, known, &used, others);
        let evidence = evidence(known, recorded, &takeover, shows_own);
        let names = takeover.sources().cloned().collect();
        let resolution = resolve(inventory);
        let resolved = ResolvedScope::new(task.scope, &task.desired, &resolution);
        let update = self.update((task, &resolved), inventory, recorded, takeover, shows_own);
        Refreshed {
            update,
            aliases,
            names,
            evidence,
            resolution,
        }
    }

    fn owner(&self) -> Option<&Owner> {
        self.identity.owner.as_ref()
    }

    fn account_identity(&self) -> AccountIdentity<'_> {
        self.owner().map_or(NOBODY, Owner::identity)
    }

    fn seen(&self) -> Option<&Seen> {
        match self.observation {
            Observation::Seen(seen) => Some(seen),
            Observation::ReadDenied(_) | Observation::Unobserved(_) => None,
        }
    }

    /// The names that the manifests use, with the accounts that this observation has identified.
    fn used_names<'t>(&self, task: &'t ScopeTask<'_>) -> Cow<'t, UsedNames> {
        let mut used = Cow::Borrowed(&*task.used);
        for (name, uin) in &self.identity.others {
            let here = &mut used.to_mut().here;
            here.insert(name.clone(), Some(uin.clone()));
        }
        used
    }

    fn take_over(
        &self,
        task: &ScopeTask<'_>,
        inventory: &mut Inventory,
        known: &KnownAccounts,
        used: &UsedNames,
        others: BTreeMap<AccountName, ScopeRows>,
    ) -> Takeover {
        let account_match = |name: &AccountName| match self.owner() {
            Some(owner) => known.account_match(name, task.scope, used, owner.identity()),
            None => inventory::AccountMatch::Excluded,
        };
        let has_name = |image: &_| {
            let own = self.own.get(image);
            own.is_some_and(|own| task.desired.has_name(&own.name))
        };
        let names = |image: &_| task.desired.names(image) || has_name(image);
        let mut takeover = inventory.take_over(others, account_match, self.seen(), names);
        takeover.expected = known.in_region(task.scope.region, takeover.sources());
        takeover
    }

    fn update(
        &self,
        (task, resolved): (&ScopeTask<'_>, &ResolvedScope<'_>),
        inventory: &mut Inventory,
        recorded: Option<&KnownAccount>,
        takeover: Takeover,
        shows_own: bool,
    ) -> InventoryUpdate {
        let set_aside =
            recorded.filter(|recorded| recorded.is_other_account(self.account_identity()));
        let set_aside = set_aside.and_then(|recorded| recorded.uin.clone());
        match (self.observation, self.owner()) {
            (Observation::Seen(seen), Some(owner)) => {
                let (changes, acceptances) = self.changes((task, resolved), inventory, seen);
                InventoryUpdate {
                    set_aside,
                    takeover,
                    changes,
                    account: account::to_record(recorded, owner, shows_own),
                    memory: MemoryUpdate::default(),
                    acceptances,
                }
            }
            // Writes without an observation are recorded under the account that makes them, so that the next
            // observation finds them.
            (Observation::ReadDenied(_), Some(owner)) if set_aside.is_some() => InventoryUpdate {
                set_aside,
                account: account::to_record(recorded, owner, shows_own),
                ..InventoryUpdate::default()
            },
            _ => InventoryUpdate::default(),
        }
    }

    fn changes(
        &self,
        (task, resolved): (&ScopeTask<'_>, &ResolvedScope<'_>),
        inventory: &mut Inventory,
        seen: &Seen,
    ) -> (Vec<InventoryChange>, Vec<LossAcceptance>) {
        let named = declarations(resolved, self.clocks);
        let accept_lost = task.policy.accepted_loss(task.scope);
        let now = self.started.stamp();
        let acceptances = inventory.hold_acceptances(seen, &named, accept_lost, now);
        let terms = (accept_lost, task.policy.trust_acknowledged);
        let mut changes = inventory::update(inventory, seen, &named, terms, self.started);
        for change in &mut changes {
            let entry = change.entry.as_mut();
            if let Some(owned) = entry.and_then(|entry| entry.owned.as_mut()) {
                date_late(owned, self.started, self.ended);
            }
        }
        inventory.apply(&changes);
        (changes, acceptances)
    }
}

/// The images that documents mention, each with its desired state if both clocks agree about it.
fn declarations<'r>(
    resolved: &ResolvedScope<'r>,
    clocks: Clocks,
) -> BTreeMap<&'r ImageId, Declaration> {
    let named = resolved.named().map(|(id, image)| {
        let (desired, other) = clocks.ask(|now| image.share.at(now).0);
        let is_entry = !matches!(image.share, DesiredShare::ByPolicy { .. });
        let declared = Declaration {
            desired: other.is_none().then_some(desired),
            protected: is_entry.then_some(image.protect),
        };
        (id, declared)
    });
    let left_alone = resolved.left_alone.iter().map(|&id| {
        let declared = Declaration {
            desired: None,
            protected: None,
        };
        (id, declared)
    });
    named.chain(left_alone).collect()
}

/// The evidence about the account from the observation and the takeover.
fn evidence<'k>(
    known: &'k KnownAccounts,
    recorded: Option<&KnownAccount>,
    takeover: &Takeover,
    shows_own: bool,
) -> Evidence<'k> {
    let succeeded_by = recorded.and_then(|recorded| recorded.succeeded_by.as_ref());
    let mut sources = takeover.sources();
    let taken_back = sources.find(|from| succeeded_by == Some(*from));
    let proven = takeover.rows.iter().filter(|taken| taken.proves_the_name());
    Evidence {
        known,
        shows_own,
        proven: proven.map(|taken| taken.from.clone()).collect(),
        taken_back: taken_back.cloned(),
    }
}

/// Dates missing images with the end of the observation, because they may have been there until then, and the next
/// observation is dated by its start. The pages of a large scope may be read minutes apart.
fn date_late(owned: &mut OwnedShare, began: Present, ended: Present) {
    for since in [&mut owned.missing_since, &mut owned.disputed_since] {
        if *since == Some(began.stamp()) {
            *since = Some(ended.stamp());
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
