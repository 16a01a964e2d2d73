//! Entries of `ImageShare` documents: which image each one means, and which images they hold until a person settles
//! something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::Region;
use super::resolution::{EntryConflict, Inputs, NameProblem, UnresolvedName};
use crate::desired::{DesiredImage, DesiredShare};
use crate::model::{Clocks, ImageId, ImageName, ShareState};
use crate::observation::Observation;
use crate::words::rfc3339;

/// The most similar names that a message lists.
const NEAREST_MAX: usize = 3;
/// Minimum similarity of two names to be called similar, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.7;

/// The combined entries for one image.
#[derive(Clone, Debug)]
pub(super) enum Entry<'a> {
    /// The entries agree; holds the first one in order of their places.
    Says(&'a DesiredImage),
    /// The entries disagree; holds two of their places.
    Conflict(Box<EntryConflict>),
}

/// The results of a scope's entries.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    pub(super) by_image: BTreeMap<ImageId, Entry<'a>>,
    /// Images that must not change, because of a name that means or meant them.
    pub(super) held: BTreeMap<ImageId, Arc<str>>,
    pub(super) unresolved: Vec<UnresolvedName>,
    /// Images that names mean now, each with the previous image of its name.
    pub(super) was: BTreeMap<ImageId, ImageId>,
    /// Why nothing may be pruned.
    pub(super) prune_holds: BTreeSet<String>,
    /// The image of each name from now on.
    pub(super) names: BTreeMap<ImageName, ImageId>,
    /// Labels of the documents, by image.
    pub(super) labels: BTreeMap<ImageId, Vec<&'a DesiredImage>>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(inputs: &Inputs<'a>, region: &Region<'a>) -> Self {
        let mut entries = Self::default();
        let mut meant: BTreeMap<ImageId, Vec<&'a DesiredImage>> = BTreeMap::new();
        for (id, image) in inputs.desired.named() {
            meant.entry(id.clone()).or_default().push(image);
        }
        for (name, image) in inputs.desired.names {
            if let Some(id) = entries.resolve_name(inputs, region, name, image) {
                meant.entry(id).or_default().push(image);
            }
        }
        for (id, mut images) in meant {
            images.sort_by(|a, b| a.source.cmp(&b.source));
            let first = images[0];
            let differs = |other: &&&DesiredImage| {
                other.share != first.share || other.protect != first.protect
            };
            let entry = match images.iter().find(differs) {
                Some(other) => Entry::Conflict(conflict(first, other).into()),
                None => Entry::Says(first),
            };
            entries.by_image.insert(id.clone(), entry);
            entries.labels.insert(id, images);
        }
        entries
    }

    /// The image that a name means, if it means exactly one. Otherwise records what is held and remembered.
    fn resolve_name(
        &mut self,
        inputs: &Inputs<'a>,
        region: &Region<'a>,
        name: &ImageName,
        image: &DesiredImage,
    ) -> Option<ImageId> {
        let before = inputs.inventory.memory.names.get(name);
        let ids = region.named(name.as_str());
        if ids.len() != 1 {
            self.hold_unresolved(inputs, region, (name, image), before, &ids);
            self.names
                .extend(before.map(|before| (name.clone(), before.clone())));
            return None;
        }
        let id = ids.into_iter().next()?;
        let shares = wants_share(image, inputs.clocks) || is_to_come(image, inputs.clocks);
        let is_as_desired = match shares {
            true => region.is_normal(id),
            // Nothing has to be awaited.
            false => true,
        };
        let is_seen = matches!(inputs.observation, Observation::Seen(_));
        match before {
            Some(before) if before == id => {}
            Some(before) if !is_as_desired || !is_seen => {
                let why = format!(
                    "the name `{name}` of {} means {id} now, but meant this image before; this one is left alone until {id} is \
                     shared and NORMAL",
                    image.source
                );
                self.held.insert(before.clone(), why.into());
                self.was.insert(id.clone(), before.clone());
                let was = format!("`{name}`: {id} was {before}");
                self.warnings.push(was);
                self.names.insert(name.clone(), before.clone());
                return Some(id.clone());
            }
            Some(before) => {
                let is = format!("`{name}` means {id} from now on; it was {before}");
                self.warnings.push(is);
            }
            None => {
                let unknown = format!(
                    "the previous image of `{name}` ({}) is not known",
                    image.source
                );
                self.prune_holds.insert(match is_as_desired && is_seen {
                    true => format!("{unknown}, so this run prunes nothing; the next run does"),
                    false => {
                        format!("{unknown}, so nothing is pruned until its image is in the declared state")
                    }
                });
            }
        }
        if before.is_some() || (is_as_desired && is_seen) {
            self.names.insert(name.clone(), id.clone());
        }
        Some(id.clone())
    }

    /// Holds the images that a name may have meant, if it matches no image, or several.
    fn hold_unresolved(
        &mut self,
        inputs: &Inputs<'_>,
        region: &Region<'_>,
        (name, image): (&ImageName, &DesiredImage),
        before: Option<&ImageId>,
        ids: &BTreeSet<&ImageId>,
    ) {
        let place = &image.source;
        let (kind, problem) = match ids.len() {
            0 => (NameProblem::Missing, missing(inputs, region, name)),
            _ => {
                let all: Vec<_> = ids.iter().map(ToString::to_string).collect();
                let problem = format!(
                    "several images have the name `{name}`: {}; names are unique in a region, so rename all but one, or name one \
                     by its id",
                    all.join(", ")
                );
                (NameProblem::Ambiguous, problem)
            }
        };
        for held in ids.iter().copied().chain(before) {
            let why = format!(
                "the name `{name}` of {place} is not resolved, and this image has or had it"
            );
            self.held.insert(held.clone(), why.into());
        }
        self.prune_holds.insert(format!(
            "nothing is pruned while the name `{name}` of {place} is not resolved"
        ));
        self.unresolved.push(UnresolvedName {
            name: name.clone(),
            entry: image.clone(),
            images: ids.iter().map(|&id| id.clone()).collect(),
            last_meaning: before.cloned(),
            kind,
            problem,
        });
    }
}

/// The disagreement of two entries that mean one image.
fn conflict(first: &DesiredImage, second: &DesiredImage) -> EntryConflict {
    let asked = [first, second].map(|image| {
        let share = match image.share {
            DesiredShare::Unshared => "`unshared`".to_owned(),
            DesiredShare::Shared { from, until } => {
                let from = from.map(|from| format!(" from {}", rfc3339(from)));
                let until = until.map(|until| format!(" until {}", rfc3339(until)));
                let times = from.into_iter().chain(until).collect::<String>();
                format!("`shared`{times}")
            }
            DesiredShare::ByPolicy { state, .. } => format!("`{}`", state.as_str()),
        };
        match image.protect {
            true => format!("{share} and protected"),
            false => share,
        }
    });
    EntryConflict {
        places: [first.source.clone(), second.source.clone()],
        asked,
    }
}

/// Whether the entry wants a share now, by either clock.
pub(super) fn wants_share(image: &DesiredImage, clocks: Clocks) -> bool {
    clocks.any(|now| image.share.at(now).0 == ShareState::Shared)
}

/// Whether the entry wants no share now, by either clock.
pub(super) fn wants_no_share(image: &DesiredImage, clocks: Clocks) -> bool {
    clocks.any(|now| image.share.at(now).0 == ShareState::Unshared)
}

/// Whether the desired share has not begun yet, by either clock. Until then, the entry does not count if a policy
/// decides.
pub(super) fn is_to_come(image: &DesiredImage, clocks: Clocks) -> bool {
    match image.share {
        DesiredShare::Shared {
            from: Some(from), ..
        } => clocks.any(|now| now < from),
        DesiredShare::Shared { from: None, .. }
        | DesiredShare::Unshared
        | DesiredShare::ByPolicy { .. } => false,
    }
}

/// The message for a name without an image: the most similar names, and the regions that have it.
fn missing(inputs: &Inputs<'_>, region: &Region<'_>, name: &ImageName) -> String {
    let mut text = format!("no image here has the name `{name}`");
    let near = region.by_name.keys();
    let mut near: Vec<_> = near
        .filter(|other| !other.is_empty())
        .map(|other| (strsim::jaro_winkler(other, name.as_str()), other.as_str()))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.truncate(NEAREST_MAX);
    if !near.is_empty() {
        let near: Vec<_> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
        text.push_str(&format!("; similar names: {}", near.join(", ")));
    }
    let elsewhere = inputs.elsewhere.iter().filter(|(_, view)| {
        let mut own = view.own.values();
        own.any(|own| own.name == name.as_str())
    });
    let regions: Vec<_> = elsewhere.map(|(region, _)| region.to_string()).collect();
    if regions.is_empty() {
        text.push_str("; check the name, the region and the account, or copy the image here");
    } else {
        text.push_str(&format!(
            "; {} has it: copy it with CVM's SyncImages, or leave this region out",
            regions.join(", ")
        ));
    }
    text
}
