//! The changes that a complete observation makes to the inventory of a scope. This file decides which views are not to
//! be trusted, what is forgotten, and when an image is parked because somebody else keeps reversing our writes. Pure:
//! the result is a list of changes for the store.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{
    FORGET_AFTER, IntentId, Inventory, InventoryEntry, KnownAccount, LAG_MAX, LossAcceptance,
    MemoryUpdate, OpenIntent, OwnedShare, REVERSALS_MAX, Takeover,
};
use crate::model::{ImageId, Permission, Present, ShareState, Timestamp, Uin};
use crate::observation::{Blueprint, Seen};

/// The percentage of our images that may be missing from an observation before it is suspicious.
const LOST_PERCENT_MAX: usize = 25;
/// The smallest number of missing images that is suspicious: a single one is drift, not a wrong view.
const LOST_MIN: usize = 2;

/// The desired state and protection of an image by the manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The desired state; `None` if the two clocks disagree about it.
    pub desired: Option<ShareState>,
    /// Whether a manifest says `protect: true`; `None` if no document says anything about protection, so that an
    /// earlier protection stays.
    pub protected: Option<bool>,
}

/// The changes that a complete observation makes for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryChange {
    pub image: ImageId,
    /// The image's entry from now on; `None` if nothing is worth keeping.
    pub entry: Option<InventoryEntry>,
    /// Open intents whose outcome is now visible, and whether each took effect.
    pub resolved: Vec<(IntentId, bool)>,
    /// A conclusion that the history records for people.
    pub note: Option<InventoryNote>,
}

/// All changes that one observation makes for a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryUpdate {
    /// The account that the scope's own rows belong to, if the account name means another account by now. These rows
    /// are set aside before anything else.
    pub set_aside: Option<Uin>,
    /// The rows that the scope takes over from other account names.
    pub takeover: Takeover,
    /// Changes to single images.
    pub changes: Vec<InventoryChange>,
    /// The owner of the credentials, if the store has a different one.
    pub account: Option<KnownAccount>,
    /// What resolution remembers from now on.
    pub memory: MemoryUpdate,
    /// Acceptances of losses that were applied to the observation.
    pub acceptances: Vec<LossAcceptance>,
}

impl InventoryUpdate {
    /// Whether the update changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Vec<InventoryChange>> for InventoryUpdate {
    fn from(changes: Vec<InventoryChange>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }
}

/// Many of our images are missing, and no write of ours explains that: the account is wrong, a reply was truncated, or
/// somebody else cancels them. Nothing is concluded from such a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedLoss {
    /// The number of our images that are missing.
    pub lost: usize,
    /// The number of our images that should be visible.
    pub of: usize,
}

impl UnexpectedLoss {
    /// From this number of our images on, a loss also holds back new shares. Smaller losses are simply repaired.
    const HOLDS_SHARES_FROM: usize = 10;

    /// Whether the loss also holds back shares, not only cancels.
    pub fn holds_shares(&self) -> bool {
        self.of >= Self::HOLDS_SHARES_FROM
    }
}

/// A conclusion for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryNote {
    /// The image is no longer ours, for this reason.
    Released(String),
    /// The image is left alone from now on, for this reason.
    Parked(String),
}

/// The judgement on an image of ours that an observation does not show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// It is gone if it is still missing after [`FORGET_AFTER`].
    Unconfirmed,
    /// Too many images are missing, so the view is not to be trusted.
    Suspicious,
    /// It is gone, because a person has accepted the loss.
    Accepted,
}

/// Draws the conclusions of a complete observation that began at `started`. `declared` has every image that manifests
/// name in the scope; `accept_lost` is the number of our shares that a person knows to have vanished, and
/// `trust_acknowledged` how long a reply counts once reading is denied. The result has only what changes, so that an
/// observation without news causes no write to the store.
pub fn update(
    inventory: &Inventory,
    seen: &Seen,
    declared: &BTreeMap<&ImageId, Declaration>,
    (accept_lost, trust_acknowledged): (u32, TimeDelta),
    started: impl Into<Present>,
) -> Vec<InventoryChange> {
    let loss = inventory.unexpected_loss(seen, |image| is_wanted(declared, image));
    let is_accepted = || {
        let missing = inventory.missing(seen, |image| is_wanted(declared, image));
        inventory.is_loss_accepted(&missing, accept_lost)
    };
    let absence = match loss {
        None => Absence::Unconfirmed,
        Some(_) if is_accepted() => Absence::Accepted,
        Some(_) => Absence::Suspicious,
    };
    let update = Update {
        inventory,
        seen,
        declared,
        loss,
        absence,
        trust_acknowledged,
        started: started.into(),
    };
    let protected = declared
        .iter()
        .filter(|(_, declared)| declared.protected == Some(true));
    let touched: BTreeSet<_> = inventory
        .images
        .keys()
        .chain(inventory.open_intents.keys())
        .chain(protected.map(|(image, _)| *image))
        .collect();
    let changes = touched.into_iter().filter_map(|image| update.change(image));
    changes.collect()
}

/// The inputs for the conclusions about each image of a scope.
struct Update<'a> {
    inventory: &'a Inventory,
    seen: &'a Seen,
    declared: &'a BTreeMap<&'a ImageId, Declaration>,
    loss: Option<UnexpectedLoss>,
    absence: Absence,
    trust_acknowledged: TimeDelta,
    started: Present,
}

impl Update<'_> {
    /// The change to one image, if anything changes.
    fn change(&self, image: &ImageId) -> Option<InventoryChange> {
        let before = self.inventory.images.get(image);
        let mut entry = before.cloned().unwrap_or_default();
        let blueprint = self.seen.shared.get(image);
        // A view that is not to be trusted does not count for the images that it does not show.
        let doubtful = self.absence == Absence::Suspicious && blueprint.is_none();
        let (resolved, mut note) = match doubtful {
            true => (Vec::new(), None),
            false => self.observe(image, &mut entry, blueprint),
        };
        let declared = self.declared.get(image);
        if let Some(protected) = declared.and_then(|declared| declared.protected) {
            entry.protected = protected;
        }
        // We may have pruned an image that no manifest names, but we never shared such an image.
        let desired = declared.map_or(Some(ShareState::Unshared), |declared| declared.desired);
        let holds_shares = self.loss.is_some_and(|loss| loss.holds_shares());
        if let Some(desired) = desired
            && (!doubtful || !holds_shares)
        {
            note = note.or(park_if_reversed(
                &mut entry,
                desired,
                blueprint.is_some(),
                self.started,
            ));
        }
        // A denial no longer matters if the image is as desired, because there is nothing to write.
        if !doubtful && desired == Some(state_of(blueprint)) {
            entry.denied_since = None;
        }
        let entry = (!entry.is_expired(self.started, self.trust_acknowledged)).then_some(entry);
        let changed = entry.as_ref() != before || !resolved.is_empty();
        changed.then(|| InventoryChange {
            image: image.clone(),
            entry,
            resolved,
            note,
        })
    }

    /// Updates `entry` with what a trusted view shows of the image. Returns the open intents whose outcome is now
    /// visible, and the conclusion for the history.
    fn observe(
        &self,
        image: &ImageId,
        entry: &mut InventoryEntry,
        blueprint: Option<&Blueprint>,
    ) -> (Vec<(IntentId, bool)>, Option<InventoryNote>) {
        let started = self.started;
        let open = self.inventory.open_intents.get(image).into_iter().flatten();
        let shown = |open| resolve_open_intent(open, entry, blueprint, started);
        let resolved = open.filter_map(shown).collect();
        confirm_last_write(entry, blueprint.is_some(), started);
        drop_outdated_answer(entry, blueprint.is_some(), started);
        let owned = entry.owned.as_ref();
        if owned.is_none_or(|owned| started.is_before(owned.since)) {
            return (resolved, None);
        }
        let absence = match is_wanted(self.declared, image) {
            true => self.absence,
            false => Absence::Unconfirmed,
        };
        (
            resolved,
            update_ownership(entry, blueprint, absence, started),
        )
    }
}

/// Whether it is a loss if the image is gone. It is none if a manifest asks for the image to be unshared.
fn is_wanted(declared: &BTreeMap<&ImageId, Declaration>, image: &ImageId) -> bool {
    declared
        .get(image)
        .is_none_or(|declared| declared.desired != Some(ShareState::Unshared))
}

impl Inventory {
    /// Applies changes in memory, as the store does on disk.
    pub fn apply(&mut self, changes: &[InventoryChange]) {
        for change in changes {
            match &change.entry {
                Some(entry) => {
                    self.images.insert(change.image.clone(), entry.clone());
                }
                None => {
                    self.images.remove(&change.image);
                }
            }
            if let Some(open) = self.open_intents.get_mut(&change.image) {
                open.retain(|open| {
                    !change
                        .resolved
                        .iter()
                        .any(|(intent, _)| *intent == open.intent)
                });
                if open.is_empty() {
                    self.open_intents.remove(&change.image);
                }
            }
        }
    }

    /// Applies the acceptances to a complete observation, before any other conclusions. Returns the changed ones: an
    /// acceptance that is now bound to images, and those of whose images some were seen again.
    pub fn hold_acceptances(
        &mut self,
        seen: &Seen,
        declared: &BTreeMap<&ImageId, Declaration>,
        accept_lost: u32,
        now: Timestamp,
    ) -> Vec<LossAcceptance> {
        let wanted = |image: &ImageId| is_wanted(declared, image);
        let loss = self.unexpected_loss(seen, wanted);
        let missing = loss.map(|_| self.missing(seen, wanted));
        self.bind_acceptances(seen, missing.as_ref(), accept_lost, now)
    }

    /// The loss in `seen`, if so many of our images are missing that the view is not to be trusted. `wanted` decides
    /// which images should be there.
    pub fn unexpected_loss(
        &self,
        seen: &Seen,
        wanted: impl Fn(&ImageId) -> bool,
    ) -> Option<UnexpectedLoss> {
        let (mut lost, mut of) = (0, 0);
        for image in self.settled(seen, wanted) {
            of += 1;
            lost += usize::from(!seen.shared.contains_key(image));
        }
        (lost >= LOST_MIN && lost * 100 > of * LOST_PERCENT_MAX)
            .then_some(UnexpectedLoss { lost, of })
    }

    /// The images that [`UnexpectedLoss::lost`] counts.
    pub fn missing(&self, seen: &Seen, wanted: impl Fn(&ImageId) -> bool) -> BTreeSet<ImageId> {
        let settled = self.settled(seen, wanted);
        let missing = settled.filter(|image| !seen.shared.contains_key(*image));
        missing.cloned().collect()
    }

    /// Images that are ours and should be visible, without those whose absence a CANCEL of ours explains.
    fn settled<'i>(
        &'i self,
        seen: &'i Seen,
        wanted: impl Fn(&ImageId) -> bool + 'i,
    ) -> impl Iterator<Item = &'i ImageId> {
        let settled = self.images.iter().filter(move |(image, entry)| {
            let shown = |owned: &OwnedShare| {
                let blueprint = seen.shared.get(*image);
                owned.confirmed || blueprint.is_some_and(|blueprint| owned.matches(blueprint))
            };
            // A CANCEL whose reply was lost may be the reason why an image is missing.
            let open = self.open_intents.get(*image).into_iter().flatten();
            let cut_off = open
                .into_iter()
                .any(|open| open.permission == Permission::Cancel);
            let owned = entry.owned.as_ref().filter(|owned| !owned.cancelled);
            owned.is_some_and(shown) && !cut_off && wanted(image)
        });
        settled.map(|(image, _)| image)
    }
}

/// Whether the write of an open intent took effect; `None` if the observation does not show it.
fn resolve_open_intent(
    open: &OpenIntent,
    entry: &mut InventoryEntry,
    blueprint: Option<&Blueprint>,
    started: Present,
) -> Option<(IntentId, bool)> {
    // An observation that began before the write does not show its effect.
    if started.is_before(open.at) {
        return None;
    }
    let applied = (open.permission.leads_to() == ShareState::Shared) == blueprint.is_some();
    if !applied {
        // The effect may still become visible later. If it is not visible by now, the write never took effect.
        return (started.since(open.at) >= FORGET_AFTER).then_some((open.intent, false));
    }
    match blueprint {
        Some(blueprint) if open.is_ours_if_shared() => {
            entry.mark_probable(Some(blueprint), started.stamp())
        }
        Some(_) => {}
        None => {
            if let Some(owned) = &mut entry.owned {
                owned.cancelled = true;
            }
        }
    }
    Some((open.intent, true))
}

/// Confirms the last write if the observation began after it and shows its effect.
fn confirm_last_write(entry: &mut InventoryEntry, shared: bool, started: Present) {
    if let Some(last) = entry.writes.last_mut()
        && !started.is_before(last.at)
        && (last.towards == ShareState::Shared) == shared
    {
        last.confirmed = true;
    }
}

/// Drops the state from the last reply if the observation shows the opposite and began too late to lag behind the
/// reply.
fn drop_outdated_answer(entry: &mut InventoryEntry, shared: bool, started: Present) {
    let is_outdated = entry.last_answer.is_some_and(|word| {
        let age = started.since(word.at);
        // A date in the future comes from a clock that has been set back since then.
        (word.state == ShareState::Shared) != shared && age.abs() >= LAG_MAX
    });
    if is_outdated {
        entry.last_answer = None;
    }
}

/// Whether our last CANCEL is so recent that an observation which shows the image does not prove that the CANCEL
/// failed. A CANCEL without a reply is not among the writes; it came after the share.
fn may_lag_behind_cancel(entry: &InventoryEntry, started: Present) -> bool {
    let mut newest = entry.writes.iter().rev();
    let cancel = newest.find(|write| write.towards == ShareState::Unshared);
    let owned_since = entry.owned.as_ref().map(|owned| owned.since);
    let at = cancel.map(|write| write.at).or(owned_since);
    at.is_some_and(|at| started.since(at) < LAG_MAX)
}

/// Updates whether the share is still ours. Returns the reason if it no longer is.
fn update_ownership(
    entry: &mut InventoryEntry,
    blueprint: Option<&Blueprint>,
    absence: Absence,
    started: Present,
) -> Option<InventoryNote> {
    let may_lag = may_lag_behind_cancel(entry, started);
    let owned = entry.owned.as_mut()?;
    let why = match blueprint {
        // Our blueprint is known from the reply to our SHARE or from an earlier observation.
        Some(blueprint) if !owned.matches(blueprint) => {
            let since = *owned.disputed_since.get_or_insert(started.stamp());
            (started.since(since) >= FORGET_AFTER).then(|| {
                format!(
                    "somebody else has shared it again: it is blueprint {} now, ours was {}",
                    blueprint.id,
                    owned.blueprint.as_deref().unwrap_or_default()
                )
            })?
        }
        Some(blueprint) => {
            owned.blueprint = Some(blueprint.id.to_string());
            owned.confirmed = true;
            owned.missing_since = None;
            owned.disputed_since = None;
            // The CANCEL had no effect, or somebody has shared the image again. If it vanishes later, it is not because
            // of us.
            owned.cancelled &= may_lag;
            return None;
        }
        None if owned.cancelled => {
            entry.owned = None;
            entry.protected = false;
            return None;
        }
        // A share that was never observed cannot have vanished.
        None if absence != Absence::Unconfirmed && owned.confirmed => match absence {
            Absence::Accepted => "it is no longer shared, and a person has accepted that".into(),
            Absence::Unconfirmed | Absence::Suspicious => return None,
        },
        None => {
            let since = *owned.missing_since.get_or_insert(started.stamp());
            (started.since(since) >= FORGET_AFTER)
                .then(|| "it is no longer shared, and sharekeeper did not cancel it".to_owned())?
        }
    };
    entry.owned = None;
    Some(InventoryNote::Released(why))
}

fn state_of(blueprint: Option<&Blueprint>) -> ShareState {
    match blueprint {
        Some(_) => ShareState::Shared,
        None => ShareState::Unshared,
    }
}

/// Parks the image if somebody else has reversed our writes too often.
fn park_if_reversed(
    entry: &mut InventoryEntry,
    desired: ShareState,
    shared: bool,
    started: Present,
) -> Option<InventoryNote> {
    let as_desired = (desired == ShareState::Shared) == shared;
    if as_desired || entry.parked_since.is_some() {
        return None;
    }
    let reversals = entry.reversals(desired, started);
    if reversals < REVERSALS_MAX {
        return None;
    }
    entry.parked_since = Some(started.clock());
    Some(InventoryNote::Parked(format!(
        "somebody else reversed our writes {reversals} times within an hour"
    )))
}

#[cfg(test)]
#[path = "update_tests/mod.rs"]
mod tests;
