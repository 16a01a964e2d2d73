use std::collections::{BTreeMap, BTreeSet};

use super::{FORGET_AFTER, Holdings, IntentId, OpenIntent, Owned, REVERSALS_MAX, Record};
use crate::model::{ImageId, ShareState, Timestamp};
use crate::observed::{Blueprint, Seen};

/// What the manifests say of an image now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The state asked for.
    pub desired: ShareState,
    /// `protect: true`.
    pub protected: bool,
}

/// What a complete observation taught about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Which.
    pub image: ImageId,
    /// Its record from now on; `None`: nothing worth keeping.
    pub record: Option<Record>,
    /// An open intent whose outcome shows: whether it took effect.
    pub resolved: Option<(IntentId, bool)>,
    /// What a person will want to read in the history.
    pub note: Option<Note>,
}

/// A conclusion that belongs in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// No longer ours, with the reason.
    Released(String),
    /// Left alone from now on, with the reason.
    Parked(String),
}

/// Draws the conclusions of a complete observation that began at `started`. Only what changes is in the result, so
/// that a world in which nothing happened causes no write to the store.
pub fn learn(
    holdings: &Holdings,
    seen: &Seen,
    named: &BTreeMap<&ImageId, Named>,
    started: Timestamp,
) -> Vec<Lesson> {
    let touched: BTreeSet<_> = holdings.images.keys().chain(holdings.open.keys()).collect();
    let lessons = touched.into_iter().filter_map(|image| {
        let before = holdings.images.get(image);
        let mut record = before.cloned().unwrap_or_default();
        let blueprint = seen.shared.get(image);
        let (resolved, mut note) = (
            holdings
                .open
                .get(image)
                .and_then(|open| resolve(open, &mut record, blueprint, started)),
            None,
        );
        confirm(&mut record, blueprint.is_some(), started);
        if record
            .owned
            .as_ref()
            .is_some_and(|owned| owned.since <= started)
        {
            note = ownership(&mut record, blueprint, started);
        }
        let named = named.get(image);
        if let (Some(named), Some(owned)) = (named, &mut record.owned) {
            owned.protected = named.protected;
        }
        // What no manifest names we may have pruned, but never shared.
        let desired = named.map_or(ShareState::Unshared, |named| named.desired);
        note = note.or(park(&mut record, desired, blueprint.is_some(), started));
        let record = (!record.is_spent(started)).then_some(record);
        let changed = record.as_ref() != before || resolved.is_some();
        changed.then(|| Lesson {
            image: image.clone(),
            record,
            resolved,
            note,
        })
    });
    lessons.collect()
}

impl Holdings {
    /// Takes lessons in, as the store does.
    pub fn apply(&mut self, lessons: &[Lesson]) {
        for lesson in lessons {
            match &lesson.record {
                Some(record) => {
                    self.images.insert(lesson.image.clone(), record.clone());
                }
                None => {
                    self.images.remove(&lesson.image);
                }
            }
            if lesson.resolved.is_some() {
                self.open.remove(&lesson.image);
            }
        }
    }

    /// Images of ours that were seen once, and are not now, though nothing of ours took them away. `wanted` says
    /// which of them should be there: one that a manifest wants unshared is no loss.
    pub fn lost<'a>(
        &'a self,
        seen: &'a Seen,
        wanted: impl Fn(&ImageId) -> bool + 'a,
    ) -> impl Iterator<Item = &'a ImageId> {
        self.settled().filter_map(move |(image, _)| {
            (!seen.shared.contains_key(image) && wanted(image)).then_some(image)
        })
    }

    /// Images of ours that an observation has shown, and that we have not cancelled.
    pub fn settled(&self) -> impl Iterator<Item = (&ImageId, &Owned)> {
        self.images.iter().filter_map(|(image, record)| {
            let owned = record.owned.as_ref()?;
            (owned.confirmed && !owned.cancelled).then_some((image, owned))
        })
    }
}

/// What the observation says of a write whose outcome was open.
fn resolve(
    open: &OpenIntent,
    record: &mut Record,
    blueprint: Option<&Blueprint>,
    started: Timestamp,
) -> Option<(IntentId, bool)> {
    // An observation that began before the write says nothing about it.
    if started < open.at {
        return None;
    }
    let applied = (open.permission.leads_to() == ShareState::Shared) == blueprint.is_some();
    if !applied {
        // It may still show; once it is old enough, it never took effect.
        return (started - open.at >= FORGET_AFTER).then_some((open.intent, false));
    }
    match blueprint {
        Some(blueprint) if open.is_ours_if_shared() => {
            record.probably_ours(Some(blueprint), started)
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
fn confirm(record: &mut Record, shared: bool, started: Timestamp) {
    if let Some(last) = record.writes.last_mut()
        && last.at <= started
        && (last.towards == ShareState::Shared) == shared
    {
        last.confirmed = true;
    }
}

/// Whether it is still ours.
fn ownership(
    record: &mut Record,
    blueprint: Option<&Blueprint>,
    started: Timestamp,
) -> Option<Note> {
    let owned = record.owned.as_mut()?;
    match blueprint {
        Some(blueprint) => {
            // Known from our SHARE's answer or from an earlier look: whatever lay between, this is not that share.
            if let Some(ours) = owned.blueprint.take_if(|ours| *ours != blueprint.id) {
                let note = format!(
                    "somebody else has shared it anew: it is blueprint {}, ours was {ours}",
                    blueprint.id
                );
                record.owned = None;
                return Some(Note::Released(note));
            }
            owned.blueprint = Some(blueprint.id.clone());
            owned.confirmed = true;
            owned.missing_since = None;
            None
        }
        None if owned.cancelled => {
            record.owned = None;
            None
        }
        None => match owned.missing_since {
            None => {
                owned.missing_since = Some(started);
                None
            }
            Some(since) if started - since >= FORGET_AFTER => {
                record.owned = None;
                Some(Note::Released(
                    "it is no longer shared, and not by our doing".into(),
                ))
            }
            Some(_) => None,
        },
    }
}

fn park(
    record: &mut Record,
    desired: ShareState,
    shared: bool,
    started: Timestamp,
) -> Option<Note> {
    let as_desired = (desired == ShareState::Shared) == shared;
    if as_desired || record.parked_since.is_some() {
        return None;
    }
    let reversals = record.reversals(desired, started);
    if reversals < REVERSALS_MAX {
        return None;
    }
    record.parked_since = Some(started);
    Some(Note::Parked(format!(
        "somebody else reversed us {reversals} times within an hour"
    )))
}

#[cfg(test)]
#[path = "learn_tests.rs"]
mod tests;
