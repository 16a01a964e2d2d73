//! The copies of each version in a policy's other regions: how old they are, and whether they can be shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::ineligible;
use super::matching::{self, Fit};
use super::resolution::{Inputs, RegionView};
use crate::desired::Policy;
use crate::model::{ImageId, Region, Timestamp};
use crate::observation::{BlueprintState, CvmImages};

/// Versions in the other regions of one policy.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    seen: BTreeMap<Region, BTreeMap<Arc<str>, VersionThere>>,
    /// Regions that were not observed, or with an image that cannot be checked.
    pub(super) unseen: BTreeSet<Region>,
}

/// A version in another region.
#[derive(Clone, Copy, Debug, Default)]
struct VersionThere {
    /// The earliest `CreatedTime` of its images.
    created: Option<Timestamp>,
    /// Whether one of its images is shared or can be shared.
    can: bool,
}

impl Elsewhere {
    pub(super) fn new(inputs: &Inputs<'_>, policy: &Policy) -> Self {
        let mut all = Self::default();
        for &region in &policy.regions {
            if region == inputs.scope.region {
                continue;
            }
            let view = inputs.elsewhere.get(&region);
            let view = view.filter(|view| is_readable(policy, view));
            match view.and_then(|view| versions(policy, view)) {
                Some(versions) => {
                    all.seen.insert(region, versions);
                }
                None => {
                    all.unseen.insert(region);
                }
            }
        }
        all
    }

    /// The `CreatedTime` of each copy of a version.
    pub(super) fn created(&self, version: &str) -> impl Iterator<Item = Timestamp> {
        let there = self
            .seen
            .values()
            .filter_map(move |versions| versions.get(version));
        there.filter_map(|there| there.created)
    }

    /// Why a version cannot be shared in every region yet, if that is so.
    pub(super) fn lacks(&self, version: &str) -> Option<Arc<str>> {
        let cannot = self.seen.iter().filter(|(_, versions)| {
            let there = versions.get(version);
            !there.is_some_and(|there| there.can)
        });
        let cannot: Vec<_> = cannot.map(|(region, _)| region.to_string()).collect();
        let unseen: Vec<_> = self.unseen.iter().map(ToString::to_string).collect();
        match (cannot.is_empty(), unseen.is_empty()) {
            (true, true) => None,
            (false, _) => Some(format!("{} cannot share it yet", cannot.join(", ")).into()),
            (true, false) => Some(format!("{} was not observed", unseen.join(", ")).into()),
        }
    }
}

fn is_readable(policy: &Policy, view: &RegionView) -> bool {
    !policy.needs_cvm() || matches!(view.cvm, CvmImages::Known(_))
}

/// The versions of a region; `None` if one of its images cannot be checked, because it may be an older copy of any
/// version.
fn versions(policy: &Policy, view: &RegionView) -> Option<BTreeMap<Arc<str>, VersionThere>> {
    let mut versions: BTreeMap<Arc<str>, VersionThere> = BTreeMap::new();
    for (id, own) in &view.own {
        match matching::matches(policy, id, own, &view.cvm) {
            Fit::Fits => {}
            Fit::Differs => continue,
            Fit::Unreadable => return None,
        }
        let there = versions
            .entry(matching::version_of(policy, &own.name).into())
            .or_default();
        let created = there.created.into_iter().chain(own.created);
        there.created = created.min();
        there.can |= can_share(view, id);
    }
    Some(versions)
}

/// Whether an image of another region is shared or can be shared.
fn can_share(view: &RegionView, id: &ImageId) -> bool {
    match view.shared.get(id) {
        Some(blueprint) => {
            matches!(
                blueprint.state,
                BlueprintState::Normal | BlueprintState::Syncing
            )
        }
        None => view
            .own
            .get(id)
            .is_some_and(|own| ineligible(own).is_none()),
    }
}
