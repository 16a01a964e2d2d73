//! The effects of observations on an inventory, step by step, in a scene with one image.

mod intents;
mod kept;
mod losses;
mod ownership;
mod protection;
mod reversals;

use super::*;
use crate::inventory::{AcknowledgedWrite, OwnershipState};
use crate::model::fixtures_tests::{at_minute, img_a};
use crate::model::{Permission, Timestamp};

const SHARED: ShareState = ShareState::Shared;
const UNSHARED: ShareState = ShareState::Unshared;
/// How long the API's replies count where reading is denied.
const TRUSTED: TimeDelta = TimeDelta::hours(24);

/// An inventory and a cloud with one image. Methods change both.
#[derive(Default)]
struct Scene {
    inventory: Inventory,
    seen: Seen,
    declared: Option<Declaration>,
    notes: Vec<InventoryNote>,
}

impl Scene {
    /// A manifest asks for `desired`.
    fn wanting(desired: ShareState) -> Self {
        let mut scene = Self::default();
        scene.name(desired, false);
        scene
    }

    fn name(&mut self, desired: ShareState, protected: bool) {
        self.declared = Some(Declaration {
            desired: Some(desired),
            protected: Some(protected),
        });
    }

    /// The image is desired, was shared by us at minute 0 as `lhbp-1`, and was observed at minute 1.
    fn settled() -> Self {
        let mut scene = Self::wanting(SHARED);
        scene.acknowledge(Permission::Share, 0, Some("lhbp-1"));
        scene.shows(Some("lhbp-1"));
        scene.observe(1);
        scene
    }

    fn shows(&mut self, blueprint: Option<&str>) {
        self.seen.shared.clear();
        if let Some(id) = blueprint {
            let (id, state) = (id.to_owned(), "NORMAL".to_owned());
            let name = Default::default();
            self.seen.shared.insert(
                img_a(),
                Blueprint {
                    id: id.into(),
                    state: state.as_str().into(),
                    name,
                },
            );
        }
    }

    fn intend(&mut self, permission: Permission, minute: i64, saw_opposite: bool) {
        let open = OpenIntent {
            intent: IntentId(1),
            permission,
            at: at_minute(minute),
            saw_opposite,
        };
        self.inventory
            .open_intents
            .entry(img_a())
            .or_default()
            .push(open);
    }

    fn acknowledge(&mut self, permission: Permission, minute: i64, blueprint: Option<&str>) {
        let protected = self.declared.and_then(|declared| declared.protected) == Some(true);
        let entry = self.inventory.images.entry(img_a()).or_default();
        entry.record_acknowledged(permission, blueprint, protected, at_minute(minute));
    }

    /// Makes a write, and an observation that shows its effect.
    fn repair(&mut self, permission: Permission, minute: i64, blueprint: &str) {
        let shares = permission == Permission::Share;
        self.acknowledge(permission, minute, shares.then_some(blueprint));
        self.shows(shares.then_some(blueprint));
        self.observe(minute);
        assert_eq!(self.entry().and_then(|entry| entry.parked_since), None);
    }

    /// Applies an observation that began in `minute`, and returns its changes.
    fn observe(&mut self, minute: i64) -> Vec<InventoryChange> {
        let id = img_a();
        let declared = self
            .declared
            .map(|declared| (&id, declared))
            .into_iter()
            .collect();
        let changes = update(
            &self.inventory,
            &self.seen,
            &declared,
            (0, TRUSTED),
            at_minute(minute),
        );
        self.inventory.apply(&changes);
        self.notes
            .extend(changes.iter().filter_map(|change| change.note.clone()));
        changes
    }

    fn resolution(&mut self, minute: i64) -> Option<(IntentId, bool)> {
        self.observe(minute).first()?.resolved.first().copied()
    }

    fn entry(&self) -> Option<&InventoryEntry> {
        self.inventory.images.get(&img_a())
    }

    fn owned(&self) -> Option<&OwnedShare> {
        self.entry()?.owned.as_ref()
    }

    fn ownership(&self) -> Option<OwnershipState> {
        self.owned().map(|owned| owned.ownership)
    }

    fn parked_since(&self) -> Option<Timestamp> {
        self.entry()?.parked_since
    }

    fn protected(&self) -> bool {
        self.entry().is_some_and(|entry| entry.protected)
    }
}
