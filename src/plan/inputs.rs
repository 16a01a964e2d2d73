//! The inputs of a plan for one scope. This file must not know any verdict.

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

/// All inputs of a plan for one scope.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub scope: &'a Scope,
    /// Desired state of the scope according to the manifests.
    pub desired: &'a ResolvedScope<'a>,
    /// Account that the images belong to.
    pub account: &'a ScopeAccount,
    pub observation: &'a Observation,
    /// What the store knows about the scope: owned images, suspensions, open writes.
    pub inventory: &'a Inventory,
    /// This run's writes and their results.
    pub attempts: &'a AttemptLog,
    /// The change windows of the account.
    pub windows: &'a Windows,
    /// Bounds on what may be pruned.
    pub policy: &'a Policy,
    /// Actions of the saved plan that is carried out, if there is one.
    pub approved: Option<&'a ApprovedActions>,
    /// The clocks by which `from`, `until`, windows and suspensions are evaluated. A change that depends on the time is
    /// made only if both clocks agree.
    pub clocks: Clocks,
    /// Measures the age of writes in the store.
    pub present: Present,
    /// Measures the age of writes of this process.
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

    /// The instances that use the image's blueprint; `None` if there are none or their use is not known.
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
