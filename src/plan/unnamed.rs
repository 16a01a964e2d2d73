//! Images that no manifest names: which of them a plan includes, and which of them it prunes.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::Inputs;
use super::policy::Prune;
use super::recent_writes;
use super::result::Stray;
use super::sorted_lookup::SortedLookup;
use crate::attempts::ImageAttempts;
use crate::model::{ImageId, ImageKey, Labels, ShareState};
use crate::observation::Observation;

impl Inputs<'_> {
    /// The images that no manifest names but that the plan must include: those that are visible as shared, those that
    /// this run has cancelled, those that may still appear because of a recent SHARE and, without an observation, those
    /// of the saved plan.
    pub(super) fn unnamed(&self) -> BTreeSet<&ImageId> {
        let cancelled = |(image, tried): (_, &ImageAttempts)| {
            (tried.towards == ShareState::Unshared).then_some(image)
        };
        let cancelled = self.attempts.tried.iter().filter_map(cancelled);
        let mut images: BTreeSet<_> = cancelled
            .filter(|image| !self.desired.names(image))
            .collect();
        let mut named = SortedLookup::new(&self.desired.images);
        let mut is_unnamed = |image: &&ImageId| {
            named.find(*image).is_none()
                && !self.desired.unselected.contains_key(*image)
                && !self.desired.left_alone.contains(*image)
        };
        match self.observation {
            Observation::Seen(seen) => {
                images.extend(seen.shared.keys().filter(&mut is_unnamed));
                let written = self
                    .inventory
                    .images
                    .keys()
                    .chain(self.inventory.open_intents.keys());
                let may_show = |image: &&ImageId| {
                    recent_writes::may_still_appear(self, image)
                        && !self.desired.names(image)
                        && self.prunes(image)
                };
                images.extend(written.filter(may_show));
            }
            Observation::ReadDenied(_) | Observation::Unobserved(_) => {
                let approved = self.approved.into_iter().flat_map(BTreeMap::keys);
                images.extend(approved.filter(&mut is_unnamed));
            }
        }
        images
    }

    /// Whether an image that no manifest names is due for pruning, before the guards.
    pub(super) fn prunes(&self, image: &ImageId) -> bool {
        let mode = match self.policy.prune {
            Prune::None => false,
            // An image that this run has cancelled is no longer owned, but must still be reported.
            Prune::Owned => {
                let cancelled = self.attempts.tried_towards(image, ShareState::Unshared);
                self.owns(image) || cancelled.is_some()
            }
            Prune::Exclusive => true,
        };
        // An image that this run has tried to cancel must still be reported.
        let tried = self.attempts.tried_towards(image, ShareState::Unshared);
        if tried.is_none() && self.stray(image).is_some() {
            return false;
        }
        let key = || ImageKey {
            scope: self.scope.clone(),
            image: image.clone(),
        };
        mode && self.desired.selector.matches(&key(), &Labels::new())
    }

    /// The blueprint of an image that is known not to belong to the account.
    pub(super) fn stray(&self, image: &ImageId) -> Option<Stray> {
        let shown = self.shown().get(image)?;
        self.own_images().lack(image).then(|| Stray {
            blueprint: shown.id.clone(),
            ours: self.owns(image),
        })
    }
}
