//! The inputs of a resolution, and its results for a scope and each of its images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::attempts::AttemptLog;
use crate::desired::{DesiredImage, DesiredScope, LockedImage, Source};
use crate::inventory::{Inventory, MemoryUpdate};
use crate::model::{
    Clocks, ImageId, ImageName, Labels, Monotonic, Present, Region, Scope, Timestamp,
};
use crate::observation::{Blueprint, CvmImages, Observation, OwnImage, OwnImages};
use crate::words::rfc3339;

/// All inputs of a resolution.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub scope: &'a Scope,
    /// Documents of the manifests for the scope.
    pub desired: &'a DesiredScope<'a>,
    pub observation: &'a Observation,
    /// The account's own images. If documents need them and they are unknown, the scope counts as not observed.
    pub own: &'a OwnImages,
    /// The account's other observed regions, as far as policies of this scope cover them.
    pub elsewhere: &'a BTreeMap<Region, RegionView>,
    /// What the store knows about the scope.
    pub inventory: &'a Inventory,
    /// This run's writes and their results.
    pub attempts: &'a AttemptLog,
    /// The clocks for soaks, overlaps, pins and revocations; nothing ends unless both clocks agree.
    pub clocks: Clocks,
    /// Measures the age of events in the memory.
    pub present: Present,
    /// Measures the age of writes of this process.
    pub monotonic: Monotonic,
    /// Whether documents may be missing, so that the memory of others is kept.
    pub is_partial: bool,
}

/// The observation of another region: its own images, and which of them are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionView {
    pub own: BTreeMap<ImageId, OwnImage>,
    pub cvm: CvmImages,
    /// The blueprints of own images that are shared.
    pub shared: BTreeMap<ImageId, Blueprint>,
}

/// The desired state of each image of a scope, according to the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Every image that an entry, a name's last meaning or a policy mentions, each with exactly one verdict. Empty if the
    /// scope's documents name images only by id: then the entries are sufficient.
    pub images: BTreeMap<ImageId, ResolvedImage>,
    /// Names in entries that match no image, or several.
    pub unresolved: Vec<UnresolvedName>,
    /// Images that a name means now, each with the previous image of the name, which is held until the new one is in its
    /// desired state.
    pub was: BTreeMap<ImageId, ImageId>,
    /// Why nothing is pruned in the scope for now, if that is so.
    pub prune_hold: Option<Arc<str>>,
    /// Why single policies are held in the scope, by policy name: a missing pin, unreadable CVM data, a stale lock. A
    /// person must act.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// The selection of each policy by its own rules, without regard to its lock.
    pub selections: BTreeMap<Arc<str>, PolicySelection>,
    /// The changes to the memory.
    pub memory: MemoryUpdate,
    /// The first time, by this machine's clock, at which a verdict may change without any other event.
    pub next_change_at: Option<Timestamp>,
    /// Unobserved regions of the policies on which a verdict here depends.
    pub unseen: BTreeSet<Region>,
    /// Warnings for people, besides the verdicts.
    pub warnings: Vec<String>,
}

impl Resolution {
    /// The desired state of one image, from the resolution or from an entry with its id.
    pub fn desired_image<'r>(
        &'r self,
        desired: &DesiredScope<'r>,
        image: &ImageId,
    ) -> Option<&'r DesiredImage> {
        match desired.needs_own_images() {
            true => self.images.get(image)?.desired.as_ref(),
            false => desired.images.get(image).copied(),
        }
    }
}

/// The images that a policy selects in one region, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySelection {
    pub images: Vec<LockedImage>,
    /// The number of images that the policy matches here, including excluded ones.
    pub candidates: usize,
}

/// The resolution of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// Name of the image, if it is known.
    pub name: Option<ImageName>,
    pub verdict: ResolvedVerdict,
    /// The desired state; `None`: the image is left as it is, and not pruned.
    pub desired: Option<DesiredImage>,
    /// Whether a person must settle something about this image before anything is done to it.
    pub is_held: bool,
    /// The policies that match it, by name, each with its own verdict.
    pub policies: BTreeMap<Arc<str>, ResolvedVerdict>,
    /// The labels of all documents that mention it.
    pub labels: Vec<Arc<Labels>>,
}

/// Why an image is wanted, cancelled or left alone. Each image has exactly one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedVerdict {
    /// An `ImageShare` entry declares its state.
    Declared,
    /// Two entries mean the image and disagree.
    Conflict(Box<EntryConflict>),
    /// Nothing is done to it until a person settles something; holds the reason.
    Held(Arc<str>),
    /// A policy revokes it for good. Holds the reason if it is not cancelled yet.
    Revoked(Option<Arc<str>>),
    /// A pin wants it shared.
    Pinned,
    /// It belongs to one of the newest versions.
    Newest,
    /// It is superseded, or would be, but stays; holds the reason.
    Kept(Arc<str>),
    /// It is superseded, but stays until this time.
    Overlap(Timestamp),
    /// No server can be started from its blueprint, or it has several blueprints.
    Broken(Arc<str>),
    /// It cannot be shared; holds the reason.
    Ineligible(Arc<str>),
    /// Its version is too young to be shared before this time.
    Soaking(Timestamp),
    /// It is shared once all regions of the policy can share it; names the regions that cannot yet or were not observed.
    Waiting(Arc<str>),
    /// The policy excludes it; holds the reason.
    Excluded(Arc<str>),
    /// Newer versions take its place.
    Superseded,
    /// No document mentions it.
    Unnamed,
    /// The image of a blueprint is not the account's own.
    Foreign,
    /// The scope was not observed.
    NotSeen,
}

/// Two entries that mean one image and disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryConflict {
    /// Places of the entries, in order.
    pub places: [Source; 2],
    /// The state that each entry declares, as text.
    pub asked: [String; 2],
}

impl fmt::Display for EntryConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([first, second], [one, other]) = (&self.places, &self.asked);
        write!(
            f,
            "one entry asks for {one} ({first}), and another for {other} ({second}); keep one of the two"
        )
    }
}

impl ResolvedVerdict {
    /// The word for JSON and tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Conflict(_) => "conflict",
            Self::Held(_) => "held",
            Self::Revoked(_) => "revoked",
            Self::Pinned => "pinned",
            Self::Newest => "newest",
            Self::Kept(_) => "kept",
            Self::Overlap(_) => "overlap",
            Self::Broken(_) => "broken",
            Self::Ineligible(_) => "ineligible",
            Self::Soaking(_) => "soaking",
            Self::Waiting(_) => "waiting",
            Self::Excluded(_) => "excluded",
            Self::Superseded => "superseded",
            Self::Unnamed => "unnamed",
            Self::Foreign => "foreign",
            Self::NotSeen => "not seen",
        }
    }

    /// The reason as text, if there is more to say than the word.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Conflict(conflict) => Some(conflict.to_string()),
            Self::Held(why)
            | Self::Kept(why)
            | Self::Broken(why)
            | Self::Ineligible(why)
            | Self::Waiting(why)
            | Self::Excluded(why) => Some(why.to_string()),
            Self::Revoked(why) => why.as_ref().map(ToString::to_string),
            Self::Overlap(until) | Self::Soaking(until) => {
                Some(format!("until {}", rfc3339(*until)))
            }
            Self::Declared
            | Self::Pinned
            | Self::Newest
            | Self::Superseded
            | Self::Unnamed
            | Self::Foreign
            | Self::NotSeen => None,
        }
    }

    /// When the verdict ends by itself, if a time is known.
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Overlap(until) | Self::Soaking(until) => Some(*until),
            _ => None,
        }
    }
}

impl fmt::Display for ResolvedVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match (self, self.detail()) {
            (Self::Overlap(_) | Self::Soaking(_), Some(detail)) => write!(f, " {detail}"),
            (_, Some(detail)) => write!(f, ": {detail}"),
            (_, None) => Ok(()),
        }
    }
}

/// A name in an entry that matches no image, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedName {
    pub name: ImageName,
    /// The entry, with its desired state and its place.
    pub entry: DesiredImage,
    /// The images with the name: none, or several.
    pub images: BTreeSet<ImageId>,
    /// The previous image of the name, if it is known.
    pub last_meaning: Option<ImageId>,
    pub kind: NameProblem,
    /// One line for a person: the problem, and the most similar names or the regions that have the name.
    pub problem: String,
}

/// Why a name is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// No image has the name.
    Missing,
    /// Several images have the name.
    Ambiguous,
    /// The scope was not observed.
    NotSeen,
}
