//! What is asked of each image of a scope, as the planner takes it: entries by id, and what names and policies resolve to.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resolution::{Resolution, ResolvedVerdict, UnresolvedName};
use crate::desired::{Completeness, DesiredImage, DesiredScope};
use crate::model::{ImageId, ImageKey, Scope, Selector, Timestamp};

/// What is asked of images, by id. Borrowed where the documents name images by id alone: there may be a million.
pub type Entries<'a> = Cow<'a, BTreeMap<&'a ImageId, &'a DesiredImage>>;

/// What is asked of the images of one scope, as far as a selector reaches.
#[derive(Clone, Debug)]
pub struct ResolvedScope<'a> {
    /// The images that something is asked of and that the selector picks.
    pub images: Entries<'a>,
    /// Likewise, but not selected: not touched, and not taken for unnamed.
    pub unselected: Entries<'a>,
    /// Images that documents speak of and ask nothing of: left as they are, and not taken for unnamed.
    pub left_alone: BTreeSet<&'a ImageId>,
    /// Images of the selector that a person must settle something about, each with why.
    pub held: BTreeMap<&'a ImageId, &'a ResolvedVerdict>,
    /// Images whose blueprint cannot be relied on, each with why.
    pub broken: BTreeMap<&'a ImageId, &'a Arc<str>>,
    /// Names that mean no image, or several, in selected documents.
    pub unresolved: Vec<&'a UnresolvedName>,
    /// Why nothing is pruned for now, if so.
    pub prune_hold: Option<&'a Arc<str>>,
    /// Why selected policies hold still, by their names.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// When a verdict may change without any other event, by this machine's clock.
    pub next_change_at: Option<Timestamp>,
    /// What is selected; also picks from images that no manifest names.
    pub selector: &'a Selector,
    /// Whether the manifests are all that there are.
    pub completeness: &'a Completeness,
}

impl<'a> ResolvedScope<'a> {
    /// Joins what was resolved with the entries by id. What was resolved speaks of all images of the scope or, where the
    /// documents name images by id alone, of none.
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
            // Of what a name meant last, no document may speak any longer.
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

    /// What entries by id alone ask for.
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

    /// Whether a document speaks of the image here.
    pub fn names(&self, image: &ImageId) -> bool {
        self.get(image).is_some() || self.left_alone.contains(image)
    }

    /// What is asked of the image here, selected or not.
    pub fn get(&self, image: &ImageId) -> Option<&'a DesiredImage> {
        let named = self.images.get(image);
        named.or_else(|| self.unselected.get(image)).copied()
    }

    /// Every image that something is asked of here, selected or not.
    pub fn named(&self) -> impl Iterator<Item = (&'a ImageId, &'a DesiredImage)> {
        let both = self.images.iter().chain(self.unselected.iter());
        both.map(|(&id, &image)| (id, image))
    }
}
