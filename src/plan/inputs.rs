//! What a plan for one scope is made from. It must not know any verdict.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::account::ScopeAccount;
use super::policy::{ApprovedActions, Policy};
use crate::attempts::AttemptLog;
use crate::inventory::Inventory;
use crate::model::{Clocks, ImageId, Monotonic, Present, Scope};
use crate::observation::{Blueprint, Instances, Observation, OwnImages};
use crate::resolve::ResolvedScope;
use crate::windows::Windows;

/// Everything that a plan for one scope follows from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub scope: &'a Scope,
    /// What the manifests ask of the scope.
    pub desired: &'a ResolvedScope<'a>,
    /// Whose the images are.
    pub account: &'a ScopeAccount,
    pub observation: &'a Observation,
    /// What the store knows of the scope: owned images, suspensions, open writes.
    pub inventory: &'a Inventory,
    /// What this run wrote, and how it ended.
    pub attempts: &'a AttemptLog,
    /// The change windows of the account.
    pub windows: &'a Windows,
    /// What may be pruned.
    pub policy: &'a Policy,
    /// The saved plan that is carried out, if one is.
    pub approved: Option<&'a ApprovedActions>,
    /// The clocks that `from`, `until`, windows and suspensions are evaluated by. A change that depends on the time is made
    /// only if both clocks agree.
    pub clocks: Clocks,
    /// Measures how long ago writes were that the store knows of.
    pub present: Present,
    /// Measures how long ago writes of this process were.
    pub monotonic: Monotonic,
}

impl Inputs<'_> {
    /// The images that the observation shows as shared.
    pub(super) fn shown(&self) -> &BTreeMap<ImageId, Blueprint> {
        static NOTHING: BTreeMap<ImageId, Blueprint> = BTreeMap::new();
        match self.observation {
            Observation::Seen(seen) => &seen.shared,
            Observation::ReadDenied(_) | Observation::Unobserved(_) => &NOTHING,
        }
    }

    pub(super) fn own_images(&self) -> &OwnImages {
        match self.observation {
            Observation::Seen(seen) => &seen.own,
            Observation::ReadDenied(_) | Observation::Unobserved(_) => &OwnImages::NotAsked,
        }
    }

    pub(super) fn instances(&self) -> &Instances {
        match self.observation {
            Observation::Seen(seen) => &seen.instances,
            Observation::ReadDenied(_) | Observation::Unobserved(_) => &Instances::NotAsked,
        }
    }

    /// The instances that use the image's blueprint; `None` if there are none, or it is not known.
    pub(super) fn users_of(&self, image: &ImageId) -> Option<Vec<SmolStr>> {
        let Instances::Known(by_blueprint) = self.instances() else {
            return None;
        };
        let shown = &self.shown().get(image)?.id;
        let all = match self.observation {
            Observation::Seen(seen) => seen.doubled.get(image),
            Observation::ReadDenied(_) | Observation::Unobserved(_) => None,
        };
        let all = all.map_or(std::slice::from_ref(shown), Vec::as_slice);
        let users = all.iter().filter_map(|id| by_blueprint.get(id)).flatten();
        let users: Vec<_> = users.cloned().collect();
        (!users.is_empty()).then_some(users)
    }

    pub(super) fn owns(&self, image: &ImageId) -> bool {
        self.inventory
            .images
            .get(image)
            .is_some_and(|entry| entry.owned.is_some())
    }
}
