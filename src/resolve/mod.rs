//! DECLARED + OBSERVATION + MEMORY + TIME → the desired state of each image. Names become ids here, and policies become
//! one verdict per image. Pure and total: the same arguments always give the same resolution, and neither the order of
//! documents nor that of images matters.
//!
//! This module knows neither guards nor calls: the planner decides whether an action is withheld.
//!
//! # The truth table
//!
//! The first row that applies to an image decides. A policy has an opinion on each image that it matches. If several
//! policies match an image, the opinion that wants it most decides (in the order of the rows), and the image is cancelled
//! only if all policies that do not exclude it agree.
//!
//! | condition | verdict | desired |
//! |---|---|---|
//! | entries mean it and disagree | conflict | nothing, withheld |
//! | a name that is not resolved, or now means another image, matches or matched it | held | nothing, withheld |
//! | an entry says unshared (or its `until` is over), or says shared and protects it | declared | as in the entry |
//! | a policy revokes it; it is not shared, `force`, or the replacement is NORMAL and each policy's `minimum` remains | revoked | unshared |
//! | a policy revokes it, and these conditions are not met yet | revoked: why | nothing, withheld |
//! | an entry says shared | declared | shared |
//! | an active pin names it | pinned | shared |
//! | it holds a place in one of the newest versions | newest | shared |
//! | the same, and its blueprint failed | broken | shared, which the planner reports |
//! | it replaces a revoked image that is shared | kept | shared |
//! | a pin or a lock lacks an image, or CVM cannot be read | held | nothing |
//! | shared, and superseded by too few versions that stand, or needed for `minimum` | kept | nothing |
//! | shared, and superseded for less than `unshareAfter` | overlap | nothing |
//! | not shared, and too young | soaking | nothing |
//! | not shared, and a region of the policy cannot share it yet | waiting | nothing |
//! | not shared, and it cannot be shared | ineligible | nothing |
//! | shared, and superseded | superseded | unshared |
//! | not shared, and superseded | superseded | nothing |
//! | excluded by all policies that match it | excluded | nothing |
//! | no document mentions it | unnamed, foreign | the planner decides |

mod combine;
mod elsewhere;
mod entries;
mod facts;
mod matching;
mod order;
mod policy;
mod resolution;
mod revocations;
mod scope;
mod versions;

use std::sync::Arc;

use crate::inventory::{MemoryUpdate, ResolutionMemory};
use crate::observation::{Observation, OwnImages};

pub use matching::is_matched;
pub use resolution::{
    EntryConflict, Inputs, NameProblem, PolicySelection, RegionView, Resolution, ResolvedImage,
    ResolvedVerdict, UnresolvedName,
};
pub use scope::{Entries, ResolvedScope};

/// Resolves the documents of one scope. The result is empty if they name images only by id.
pub fn resolve(inputs: &Inputs<'_>) -> Resolution {
    if !inputs.desired.needs_own_images() {
        return resolve_ids(inputs);
    }
    match (inputs.observation, inputs.own) {
        (Observation::Seen(_), OwnImages::Known(_)) => combine::resolve_seen(inputs),
        (Observation::ReadDenied(_), OwnImages::Known(_)) => resolve_names(inputs),
        _ => resolve_unseen(inputs),
    }
}

/// The resolution if there is nothing to resolve. The memory of earlier documents is deleted, so that a policy that
/// returns later does not find a clock that nobody has watched in the meantime.
fn resolve_ids(inputs: &Inputs<'_>) -> Resolution {
    let memory = &inputs.inventory.memory;
    let is_kept = inputs.is_partial || !matches!(inputs.observation, Observation::Seen(_));
    Resolution {
        memory: match is_kept {
            true => MemoryUpdate::default(),
            false => memory.update_to(&ResolutionMemory::default()),
        },
        ..Resolution::default()
    }
}

/// Resolves names if the shares cannot be read, so that declared states can be tried. Policies are held, and nothing is
/// remembered.
fn resolve_names(inputs: &Inputs<'_>) -> Resolution {
    let region = facts::Region::new(inputs);
    let entries = entries::Entries::new(inputs, &region);
    let revocations = revocations::Revocations::new(inputs, &region);
    let mut resolution = Resolution {
        unresolved: entries.unresolved,
        was: entries.was,
        warnings: entries.warnings,
        ..Resolution::default()
    };
    for (id, entry) in &entries.by_image {
        let is_revoked = revocations.in_force.contains_key(id);
        let (verdict, desired) = match (entry, entries.held.get(id)) {
            (entries::Entry::Conflict(conflict), _) => {
                (ResolvedVerdict::Conflict(conflict.clone()), None)
            }
            (entries::Entry::Says(_), Some(why)) => (ResolvedVerdict::Held(Arc::clone(why)), None),
            (entries::Entry::Says(image), None)
                if is_revoked && entries::wants_share(image, inputs.clocks) =>
            {
                let why = "the shares cannot be read";
                (ResolvedVerdict::Revoked(Some(why.into())), None)
            }
            (entries::Entry::Says(image), None) => {
                (ResolvedVerdict::Declared, Some((*image).clone()))
            }
        };
        let labels = entries.labels[id].iter();
        let image = ResolvedImage {
            name: desired.as_ref().and_then(|desired| desired.name.clone()),
            is_held: desired.is_none(),
            verdict,
            desired,
            policies: Default::default(),
            labels: labels.map(|it| Arc::clone(&it.document.labels)).collect(),
        };
        resolution.images.insert(id.clone(), image);
    }
    for policy in inputs.desired.policies {
        let why = format!(
            "policy `{}` is held: the shares cannot be read",
            policy.name()
        );
        let holds = &mut resolution.policy_holds;
        holds.insert(Arc::clone(policy.name()), why.into());
    }
    resolution
}

/// Marks everything as not observed. Entries keep the ids that they have or last meant, so that reports contain them.
fn resolve_unseen(inputs: &Inputs<'_>) -> Resolution {
    let mut resolution = Resolution::default();
    let by_id = inputs
        .desired
        .named()
        .map(|(id, image)| (id.clone(), image));
    for (id, image) in by_id {
        resolution.images.insert(id, not_seen(image));
    }
    for (name, image) in inputs.desired.names {
        match inputs.inventory.memory.names.get(name) {
            Some(id) if !resolution.images.contains_key(id) => {
                resolution.images.insert(id.clone(), not_seen(image));
            }
            last_meaning => resolution.unresolved.push(UnresolvedName {
                name: name.clone(),
                entry: image.clone(),
                images: Default::default(),
                last_meaning: last_meaning.cloned(),
                kind: NameProblem::NotSeen,
                problem: "the region was not observed".into(),
            }),
        }
    }
    resolution
}

fn not_seen(image: &crate::desired::DesiredImage) -> ResolvedImage {
    ResolvedImage {
        name: image.name.clone(),
        verdict: ResolvedVerdict::NotSeen,
        desired: Some(image.clone()),
        is_held: false,
        policies: Default::default(),
        labels: vec![Arc::clone(&image.document.labels)],
    }
}
