//! The known facts about each image of the region: its row, its observed share, and our own writes that the observation
//! may not show yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::resolution::Inputs;
use crate::attempts::LastResult;
use crate::inventory::{LAG, LAG_MAX};
use crate::model::{ImageId, ShareState, Timestamp};
use crate::observation::{
    Blueprint, BlueprintState, CvmImages, Eligibility, Observation, OwnImage, OwnImages,
};

/// The state of an image's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Neither observed nor expected to appear.
    None,
    /// Not observed yet, but a recent SHARE of ours may still appear. Meanwhile, the image's own row calls it
    /// unshareable.
    Appearing,
    Syncing,
    Normal,
    /// Observed, but a recent CANCEL of ours may have ended it.
    Leaving,
    /// No server can be started from its blueprint, or the image has several blueprints; holds the details.
    Broken(Arc<str>),
}

impl Share {
    /// Whether the image is shared, as far as is known.
    pub(super) fn is_any(&self) -> bool {
        *self != Self::None
    }
}

/// The known facts about one image.
#[derive(Clone, Debug)]
pub(super) struct Facts<'a> {
    /// The row of the image; `None` if it is not one of the account's own images.
    pub(super) own: Option<&'a OwnImage>,
    pub(super) share: Share,
    /// Whether it has several blueprints, so that a CANCEL may not end the right one.
    pub(super) is_doubled: bool,
    /// Whether this run has cancelled its share, which must still be reported.
    pub(super) was_cancelled: bool,
    /// Whether this run has shared it, which must still be reported.
    pub(super) was_shared: bool,
}

impl Facts<'_> {
    /// Why the image cannot be shared, according to its row. The row is meaningless for an image that is shared.
    pub(super) fn ineligible(&self) -> Option<Arc<str>> {
        let own = self.own?;
        ineligible(own)
    }

    /// The name of the image, empty if it has none.
    pub(super) fn name(&self) -> &str {
        self.own.map_or("", |own| &own.name)
    }
}

/// Why an unshared image cannot be shared.
pub(super) fn ineligible(own: &OwnImage) -> Option<Arc<str>> {
    match &own.eligibility {
        Eligibility::Shareable => None,
        Eligibility::Absent => Some("there is no such image".into()),
        Eligibility::Unshareable { failed, .. } if !failed.is_empty() => {
            let all: Vec<_> = failed.iter().map(ToString::to_string).collect();
            Some(all.join("; ").into())
        }
        Eligibility::Unshareable { .. } if !matches!(&*own.state, "NORMAL" | "") => Some(
            format!(
                "the image is {}; it can be shared once it is NORMAL",
                own.state
            )
            .into(),
        ),
        Eligibility::Unshareable { reason, .. } if reason.is_empty() => {
            Some("the API says that it cannot be shared".into())
        }
        Eligibility::Unshareable { reason, .. } => Some(reason.as_str().into()),
    }
}

/// All known facts about the region's images.
#[derive(Debug)]
pub(super) struct Region<'a> {
    pub(super) images: BTreeMap<&'a ImageId, Facts<'a>>,
    /// Ids of own images by name.
    pub(super) by_name: BTreeMap<&'a SmolStr, BTreeSet<&'a ImageId>>,
    pub(super) cvm: &'a CvmImages,
}

static NO_BLUEPRINTS: BTreeMap<ImageId, Blueprint> = BTreeMap::new();
static NOT_DOUBLED: BTreeMap<ImageId, Vec<SmolStr>> = BTreeMap::new();
static NO_IMAGES: BTreeMap<ImageId, OwnImage> = BTreeMap::new();
static NOT_ASKED: CvmImages = CvmImages::NotAsked;

impl<'a> Region<'a> {
    pub(super) fn new(inputs: &Inputs<'a>) -> Self {
        let (shared, doubled, cvm) = match inputs.observation {
            Observation::Seen(seen) => (&seen.shared, &seen.doubled, &seen.cvm),
            Observation::ReadDenied(_) | Observation::Unobserved(_) => {
                (&NO_BLUEPRINTS, &NOT_DOUBLED, &NOT_ASKED)
            }
        };
        let own = match inputs.own {
            OwnImages::Known(own) => own,
            OwnImages::NotAsked | OwnImages::Unknown(_) => &NO_IMAGES,
        };
        let ids: BTreeSet<&ImageId> = own.keys().chain(shared.keys()).collect();
        let images = ids.into_iter().map(|id| {
            let is_doubled = doubled.contains_key(id);
            let was_tried = |state| inputs.attempts.tried_towards(id, state).is_some();
            let facts = Facts {
                own: own.get(id),
                share: share(inputs, id, shared.get(id), is_doubled),
                is_doubled,
                was_cancelled: was_tried(ShareState::Unshared),
                was_shared: was_tried(ShareState::Shared),
            };
            (id, facts)
        });
        let mut by_name: BTreeMap<&SmolStr, BTreeSet<&ImageId>> = BTreeMap::new();
        for (id, image) in own {
            by_name.entry(&image.name).or_default().insert(id);
        }
        Self {
            images: images.collect(),
            by_name,
            cvm,
        }
    }

    /// The own images with this name.
    pub(super) fn named(&self, name: &str) -> BTreeSet<&'a ImageId> {
        let ids = self.by_name.get(&SmolStr::from(name));
        ids.cloned().unwrap_or_default()
    }

    /// Whether the image is observed as NORMAL.
    pub(super) fn is_normal(&self, id: &ImageId) -> bool {
        let facts = self.images.get(id);
        facts.is_some_and(|facts| facts.share == Share::Normal)
    }
}

/// The state of an image's share, by the observation and our own recent writes.
fn share(inputs: &Inputs<'_>, id: &ImageId, shown: Option<&Blueprint>, is_doubled: bool) -> Share {
    let written = recent_write(inputs, id);
    match (shown, written) {
        (None, Some(ShareState::Shared)) => Share::Appearing,
        (None, _) => Share::None,
        (Some(_), _) if is_doubled => {
            Share::Broken("several blueprints exist for the image".into())
        }
        (Some(_), Some(ShareState::Unshared)) => Share::Leaving,
        (Some(shown), _) => match &shown.state {
            BlueprintState::Normal => Share::Normal,
            BlueprintState::Syncing => Share::Syncing,
            BlueprintState::Unusable(state) => Share::Broken(state.as_str().into()),
            BlueprintState::Unknown(state) if state.is_empty() => {
                Share::Broken("the blueprint has no state".into())
            }
            BlueprintState::Unknown(state) => Share::Broken(state.as_str().into()),
        },
    }
}

/// The state that our newest write leads to, if the observation may lag behind it.
fn recent_write(inputs: &Inputs<'_>, id: &ImageId) -> Option<ShareState> {
    if let Some(tried) = inputs.attempts.tried.get(id) {
        let is_recent = match &tried.last {
            LastResult::Acknowledged { at, .. } | LastResult::Unclear { at, .. } => {
                inputs.monotonic < *at + LAG
            }
            LastResult::AlreadyShared { .. } => true,
            LastResult::Blocked(_)
            | LastResult::Denied(_)
            | LastResult::Failed(_)
            | LastResult::CutShort(_) => false,
        };
        return is_recent.then_some(tried.towards);
    }
    let is_recent = |at: Timestamp| {
        let age = inputs.present.since(at);
        age < LAG_MAX && age > -LAG_MAX
    };
    let open = inputs.inventory.open_intents.get(id).into_iter().flatten();
    let open = open.rev().find(|open| is_recent(open.at));
    let answered = inputs.inventory.images.get(id).and_then(|entry| {
        let answer = entry.last_answer?;
        is_recent(answer.at).then_some(answer.state)
    });
    open.map(|open| open.permission.leads_to()).or(answered)
}
