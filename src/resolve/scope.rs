//! The desired state of a scope in the form that the planner takes: entries by id, and the results for names and
//! policies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resolution::{Resolution, ResolvedVerdict, UnresolvedName};
use crate::desired::{Completeness, DesiredImage, DesiredScope};
use crate::model::{ImageId, ImageKey, Scope, Selector, Timestamp};

/// Desired states by image id. Borrowed if the documents name images only by id: there may be a million.
pub type Entries<'a> = Cow<'a, BTreeMap<&'a ImageId, &'a DesiredImage>>;

/// The desired state of one scope, restricted to a selector.
#[derive(Clone, Debug)]
pub struct ResolvedScope<'a> {
    /// The images with a desired state that the selector matches.
    pub images: Entries<'a>,
    /// The same for images that the selector does not match: left unchanged, and not counted as unnamed.
    pub unselected: Entries<'a>,
    /// Images that documents mention without a desired state: left unchanged, and not counted as unnamed.
    pub left_alone: BTreeSet<&'a ImageId>,
    /// Selected images that a person must settle something about, each with the reason.
    pub held: BTreeMap<&'a ImageId, &'a ResolvedVerdict>,
    /// Images whose blueprint is not reliable, each with the reason.
    pub broken: BTreeMap<&'a ImageId, &'a Arc<str>>,
    /// Names in selected documents that match no image, or several.
    pub unresolved: Vec<&'a UnresolvedName>,
    /// Why nothing is pruned for now, if that is so.
    pub prune_hold: Option<&'a Arc<str>>,
    /// Why selected policies are held, by policy name.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// When a verdict may change without any other event, by this machine's clock.
    pub next_change_at: Option<Timestamp>,
    /// The selection; it also applies to images that no manifest names.
    pub selector: &'a Selector,
    /// Whether the manifests are complete.
    pub completeness: &'a Completeness,
}

impl<'a> ResolvedScope<'a> {
    /// Combines the resolution with the entries by id. The resolution covers all images of the scope or, if the documents
    /// name images only by id, none.
    pub fn new(scope: &Scope, desired: &'a DesiredScope<'a>, resolution: &'a Resolution) -> Self {
        let (mut images, mut unselected) = (BTreeMap::new(), BTreeMap::new());
        let mut joined = Self {
            unselected: Cow::Borrowed(&desired.unselected),
            prune_hold: resolution.prune_hold.as_ref(),
            next_change_at: resolution.next_change_at,
            ..Self::by_id(
                Cow::Borrowed(&desired.images),
                desired.selector,
                desired.completeness,
            )
        };
        if !desired.needs_own_images() {
            return joined;
        }
        for (image, resolved) in &resolution.images {
            if matches!(
                resolved.verdict,
                ResolvedVerdict::Unnamed | ResolvedVerdict::Foreign
            ) {
                continue;
            }
            let key = ImageKey {
                scope: scope.clone(),
                image: image.clone(),
            };
            let mut labels = resolved.labels.iter();
            let selector = desired.selector;
            // No document may mention the previous image of a name any longer.
            let has_labels =
                selector.labels.is_empty() || labels.any(|labels| selector.matches_labels(labels));
            let is_selected = has_labels && selector.matches_key(&key);
            match &resolved.desired {
                Some(desired) if is_selected => {
                    images.insert(image, desired);
                }
                Some(desired) => {
                    unselected.insert(image, desired);
                }
                None => {
                    joined.left_alone.insert(image);
                }
            }
            if resolved.is_held && is_selected {
                joined.held.insert(image, &resolved.verdict);
            }
            if let ResolvedVerdict::Broken(why) = &resolved.verdict {
                joined.broken.insert(image, why);
            }
        }
        (joined.images, joined.unselected) = (Cow::Owned(images), Cow::Owned(unselected));
        let selects = |name: &&UnresolvedName| {
            let labels = &name.entry.document.labels;
            desired.selector.images.is_empty() && desired.selector.matches_labels(labels)
        };
        joined.unresolved = resolution.unresolved.iter().filter(selects).collect();
        let policies = desired.policies.iter().filter(|policy| {
            let selector = desired.selector;
            selector.images.is_empty() && selector.matches_labels(&policy.document.labels)
        });
        let holds = policies.filter_map(|policy| {
            let why = resolution.policy_holds.get(policy.name())?;
            Some((Arc::clone(policy.name()), Arc::clone(why)))
        });
        joined.policy_holds = holds.collect();
        joined
    }

    /// The desired state of entries that only use ids.
    pub fn by_id(
        images: Entries<'a>,
        selector: &'a Selector,
        completeness: &'a Completeness,
    ) -> Self {
        Self {
            images,
            unselected: Cow::Owned(BTreeMap::new()),
            left_alone: BTreeSet::new(),
            held: BTreeMap::new(),
            broken: BTreeMap::new(),
            unresolved: Vec::new(),
            prune_hold: None,
            policy_holds: BTreeMap::new(),
            next_change_at: None,
            selector,
            completeness,
        }
    }

    /// Whether a document mentions the image here.
    pub fn names(&self, image: &ImageId) -> bool {
        self.get(image).is_some() || self.left_alone.contains(image)
    }

    /// The desired state of the image here, selected or not.
    pub fn get(&self, image: &ImageId) -> Option<&'a DesiredImage> {
        let named = self.images.get(image);
        named.or_else(|| self.unselected.get(image)).copied()
    }

    /// Every image with a desired state here, selected or not.
    pub fn named(&self) -> impl Iterator<Item = (&'a ImageId, &'a DesiredImage)> {
        let both = self.images.iter().chain(self.unselected.iter());
        both.map(|(&id, &image)| (id, image))
    }
}
