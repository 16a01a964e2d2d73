use std::collections::{BTreeMap, BTreeSet};

use super::{
    FORGET_AFTER, IntentId, Inventory, InventoryEntry, KnownAccount, LAG_MAX, OpenIntent, Owned,
    REVERSALS_MAX, Takeover,
};
use crate::model::{ImageId, Permission, Present, ShareState, Uin};
use crate::observation::{Blueprint, Seen};

/// A part of what is ours, in percent, that may be missing without a second look.
const LOST_PERCENT_MAX: usize = 25;
/// One image that is missing is drift, not a wrong view.
const LOST_MIN: usize = 2;

/// What the manifests say of an image now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The state asked for; `None`: the clocks disagree about it.
    pub desired: Option<ShareState>,
    /// `protect: true`.
    pub protected: bool,
}

/// What a complete observation taught about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryChange {
    /// Which.
    pub image: ImageId,
    /// Its record from now on; `None`: nothing worth keeping.
    pub record: Option<InventoryEntry>,
    /// Open intents whose outcome shows: whether each took effect.
    pub resolved: Vec<(IntentId, bool)>,
    /// What a person will want to read in the history.
    pub note: Option<InventoryNote>,
}

/// All that one look taught about a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryUpdate {
    /// The account that the scope's own rows are of, where the account name stands for another one by now. They are set
    /// aside before anything else.
    pub set_aside: Option<Uin>,
    /// What the scope takes over from other account names.
    pub takeover: Takeover,
    /// What it taught about single images.
    pub changes: Vec<InventoryChange>,
    /// Whose the credentials are, where the state has it otherwise.
    pub account: Option<KnownAccount>,
}

impl InventoryUpdate {
    /// Whether there is nothing to keep.
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

/// Much of what is ours does not show, and nothing of ours took it away: a wrong account, a reply that was cut, or
/// somebody at work. Nothing is concluded from such a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedLoss {
    /// Images that do not show.
    pub lost: usize,
    /// Of so many.
    pub of: usize,
}

impl UnexpectedLoss {
    /// So many images and more are enough to hold even what is shared anew: fewer are repaired at once.
    const HOLDS_SHARES_FROM: usize = 10;

    /// Whether a person has looked at exactly this.
    pub fn is_accepted(&self, accept_lost: u32) -> bool {
        self.lost == accept_lost as usize
    }

    /// Whether nothing is shared either.
    pub fn holds_shares(&self) -> bool {
        self.of >= Self::HOLDS_SHARES_FROM
    }
}

/// A conclusion that belongs in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryNote {
    /// No longer ours, with the reason.
    Released(String),
    /// Left alone from now on, with the reason.
    Parked(String),
}

/// What an image that is missing is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Gone, if it still is after [`FORGET_AFTER`].
    Perhaps,
    /// One of too many: the view is not to be trusted.
    Suspicious,
    /// Gone: a person has looked.
    Accepted,
}

/// Draws the conclusions of a complete observation that began at `started`. `named` is every image that manifests
/// name here; `accept_lost` is how many shares of ours a person knows to have vanished. Only what changes is in the
/// result, so that a world in which nothing happened causes no write to the store.
pub fn update(
    inventory: &Inventory,
    seen: &Seen,
    named: &BTreeMap<&ImageId, Named>,
    accept_lost: u32,
    started: impl Into<Present>,
) -> Vec<InventoryChange> {
    let loss = inventory.loss(seen, |image| is_wanted(named, image));
    let missing = match loss {
        None => Missing::Perhaps,
        Some(loss) if loss.is_accepted(accept_lost) => Missing::Accepted,
        Some(_) => Missing::Suspicious,
    };
    let update = Update {
        inventory,
        seen,
        named,
        loss,
        missing,
        started: started.into(),
    };
    let protected = named.iter().filter(|(_, named)| named.protected);
    let touched: BTreeSet<_> = inventory
        .images
        .keys()
        .chain(inventory.open.keys())
        .chain(protected.map(|(image, _)| *image))
        .collect();
    let changes = touched.into_iter().filter_map(|image| update.change(image));
    changes.collect()
}

/// What the conclusions about every image of a scope start from.
struct Update<'a> {
    inventory: &'a Inventory,
    seen: &'a Seen,
    named: &'a BTreeMap<&'a ImageId, Named>,
    loss: Option<UnexpectedLoss>,
    missing: Missing,
    started: Present,
}

impl Update<'_> {
    /// What changes for an image, if anything does.
    fn change(&self, image: &ImageId) -> Option<InventoryChange> {
        let before = self.inventory.images.get(image);
        let mut record = before.cloned().unwrap_or_default();
        let blueprint = self.seen.shared.get(image);
        // From a view that is not to be trusted, nothing follows for what it does not show.
        let doubtful = self.missing == Missing::Suspicious && blueprint.is_none();
        let (resolved, mut note) = match doubtful {
            true => (Vec::new(), None),
            false => self.observe(image, &mut record, blueprint),
        };
        let named = self.named.get(image);
        if let Some(named) = named {
            record.protected = named.protected;
        }
        // What no manifest names we may have pruned, but never shared.
        let desired = named.map_or(Some(ShareState::Unshared), |named| named.desired);
        let holds_shares = self.loss.is_some_and(|loss| loss.holds_shares());
        if let Some(desired) = desired
            && (!doubtful || !holds_shares)
        {
            note = note.or(park(
                &mut record,
                desired,
                blueprint.is_some(),
                self.started,
            ));
        }
        // Where nothing is to be done, nothing can be denied.
        if !doubtful && desired == Some(state_of(blueprint)) {
            record.denied_since = None;
        }
        let record = (!record.is_spent(self.started)).then_some(record);
        let changed = record.as_ref() != before || !resolved.is_empty();
        changed.then(|| InventoryChange {
            image: image.clone(),
            record,
            resolved,
            note,
        })
    }

    /// Takes into `record` what a view that is to be trusted shows of an image. Returns the open intents whose outcome
    /// shows, and what belongs in the history.
    fn observe(
        &self,
        image: &ImageId,
        record: &mut InventoryEntry,
        blueprint: Option<&Blueprint>,
    ) -> (Vec<(IntentId, bool)>, Option<InventoryNote>) {
        let started = self.started;
        let open = self.inventory.open.get(image).into_iter().flatten();
        let shown = |open| resolve(open, record, blueprint, started);
        let resolved = open.filter_map(shown).collect();
        confirm(record, blueprint.is_some(), started);
        outdate(record, blueprint.is_some(), started);
        let owned = record.owned.as_ref();
        if owned.is_none_or(|owned| started.is_before(owned.since)) {
            return (resolved, None);
        }
        let missing = match is_wanted(self.named, image) {
            true => self.missing,
            false => Missing::Perhaps,
        };
        (resolved, ownership(record, blueprint, missing, started))
    }
}

/// An image that a manifest wants unshared is no loss when it is gone. One that it may want shared is.
fn is_wanted(named: &BTreeMap<&ImageId, Named>, image: &ImageId) -> bool {
    named
        .get(image)
        .is_none_or(|named| named.desired != Some(ShareState::Unshared))
}

impl Inventory {
    /// Takes lessons in, as the store does.
    pub fn apply(&mut self, changes: &[InventoryChange]) {
        for change in changes {
            match &change.record {
                Some(record) => {
                    self.images.insert(change.image.clone(), record.clone());
                }
                None => {
                    self.images.remove(&change.image);
                }
            }
            if let Some(open) = self.open.get_mut(&change.image) {
                open.retain(|open| {
                    !change
                        .resolved
                        .iter()
                        .any(|(intent, _)| *intent == open.intent)
                });
                if open.is_empty() {
                    self.open.remove(&change.image);
                }
            }
        }
    }

    /// Whether so much of what is ours does not show that the view is not to be trusted. `wanted` says which of it
    /// should be there.
    pub fn loss(&self, seen: &Seen, wanted: impl Fn(&ImageId) -> bool) -> Option<UnexpectedLoss> {
        let settled = self.images.iter().filter(|(image, record)| {
            let shown = |owned: &Owned| {
                let blueprint = seen.shared.get(*image);
                owned.confirmed || blueprint.is_some_and(|blueprint| owned.may_be(blueprint))
            };
            // A CANCEL that was cut off may be why an image does not show.
            let open = self.open.get(*image).into_iter().flatten();
            let cut_off = open
                .into_iter()
                .any(|open| open.permission == Permission::Cancel);
            let owned = record.owned.as_ref().filter(|owned| !owned.cancelled);
            owned.is_some_and(shown) && !cut_off && wanted(image)
        });
        let (mut lost, mut of) = (0, 0);
        for (image, _) in settled {
            of += 1;
            lost += usize::from(!seen.shared.contains_key(image));
        }
        (lost >= LOST_MIN && lost * 100 > of * LOST_PERCENT_MAX)
            .then_some(UnexpectedLoss { lost, of })
    }
}

/// What the observation says of a write whose outcome was open.
fn resolve(
    open: &OpenIntent,
    record: &mut InventoryEntry,
    blueprint: Option<&Blueprint>,
    started: Present,
) -> Option<(IntentId, bool)> {
    // An observation that began before the write says nothing about it.
    if started.is_before(open.at) {
        return None;
    }
    let applied = (open.permission.leads_to() == ShareState::Shared) == blueprint.is_some();
    if !applied {
        // It may still show; once it is old enough, it never took effect.
        return (started.since(open.at) >= FORGET_AFTER).then_some((open.intent, false));
    }
    match blueprint {
        Some(blueprint) if open.is_ours_if_shared() => {
            record.probably_ours(Some(blueprint), started.stamp())
        }
        Some(_) => {}
        None => {
            if let Some(owned) = &mut record.owned {
                owned.cancelled = true;
            }
        }
    }
    Some((open.intent, true))
}

/// An observation that began before a write says nothing about it.
fn confirm(record: &mut InventoryEntry, shared: bool, started: Present) {
    if let Some(last) = record.writes.last_mut()
        && !started.is_before(last.at)
        && (last.towards == ShareState::Shared) == shared
    {
        last.confirmed = true;
    }
}

/// A look that shows the opposite of what an answer said, and began too late to lag behind it, knows better.
fn outdate(record: &mut InventoryEntry, shared: bool, started: Present) {
    let is_outdated = record.word.is_some_and(|word| {
        let age = started.since(word.at);
        // A date in the future is of a clock that has been set back since.
        (word.state == ShareState::Shared) != shared && age.abs() >= LAG_MAX
    });
    if is_outdated {
        record.word = None;
    }
}

/// Whether our last CANCEL is too recent for a look that shows the image to say that it had no effect. One without an
/// answer is not among the writes, and came after the share.
fn may_lag_behind_cancel(record: &InventoryEntry, started: Present) -> bool {
    let mut newest = record.writes.iter().rev();
    let cancel = newest.find(|write| write.towards == ShareState::Unshared);
    let owned_since = record.owned.as_ref().map(|owned| owned.since);
    let at = cancel.map(|write| write.at).or(owned_since);
    at.is_some_and(|at| started.since(at) < LAG_MAX)
}

/// Whether it is still ours.
fn ownership(
    record: &mut InventoryEntry,
    blueprint: Option<&Blueprint>,
    missing: Missing,
    started: Present,
) -> Option<InventoryNote> {
    let may_lag = may_lag_behind_cancel(record, started);
    let owned = record.owned.as_mut()?;
    let why = match blueprint {
        // Known from our SHARE's answer or from an earlier look.
        Some(blueprint) if !owned.may_be(blueprint) => {
            let since = *owned.disputed_since.get_or_insert(started.stamp());
            (started.since(since) >= FORGET_AFTER).then(|| {
                format!(
                    "somebody else has shared it anew: it is blueprint {}, ours was {}",
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
            // The CANCEL had no effect, or somebody has shared it anew: if it vanishes later, that is not our doing.
            owned.cancelled &= may_lag;
            return None;
        }
        None if owned.cancelled => {
            record.owned = None;
            record.protected = false;
            return None;
        }
        // What was never seen cannot have vanished.
        None if missing != Missing::Perhaps && owned.confirmed => match missing {
            Missing::Accepted => "it is no longer shared, and a person has accepted that".into(),
            Missing::Perhaps | Missing::Suspicious => return None,
        },
        None => {
            let since = *owned.missing_since.get_or_insert(started.stamp());
            (started.since(since) >= FORGET_AFTER)
                .then(|| "it is no longer shared, and not by our doing".to_owned())?
        }
    };
    record.owned = None;
    Some(InventoryNote::Released(why))
}

fn state_of(blueprint: Option<&Blueprint>) -> ShareState {
    match blueprint {
        Some(_) => ShareState::Shared,
        None => ShareState::Unshared,
    }
}

fn park(
    record: &mut InventoryEntry,
    desired: ShareState,
    shared: bool,
    started: Present,
) -> Option<InventoryNote> {
    let as_desired = (desired == ShareState::Shared) == shared;
    if as_desired || record.parked_since.is_some() {
        return None;
    }
    let reversals = record.reversals(desired, started);
    if reversals < REVERSALS_MAX {
        return None;
    }
    record.parked_since = Some(started.clock());
    Some(InventoryNote::Parked(format!(
        "somebody else reversed us {reversals} times within an hour"
    )))
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
