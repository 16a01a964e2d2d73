//! What a resolution is made from, and what it says of a scope and of each of its images.

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

/// Everything that a resolution follows from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub scope: &'a Scope,
    /// What the manifests say of the scope.
    pub desired: &'a DesiredScope<'a>,
    pub observation: &'a Observation,
    /// The account's own images. Where documents need them and they are not known, the scope counts as not seen.
    pub own: &'a OwnImages,
    /// The other regions of the account that were seen, as far as policies of this scope are about them.
    pub elsewhere: &'a BTreeMap<Region, RegionView>,
    /// What the store knows of the scope.
    pub inventory: &'a Inventory,
    /// What this run wrote, and how it ended.
    pub attempts: &'a AttemptLog,
    /// Soaks, overlaps, pins and revocations depend on the time; nothing ends unless both clocks say so.
    pub clocks: Clocks,
    /// Measures how long ago something was that the memory has.
    pub present: Present,
    /// Measures how long ago writes of this process were.
    pub monotonic: Monotonic,
    /// Whether documents may be missing, so that what is remembered of others is kept.
    pub is_partial: bool,
}

/// What was seen of another region: its own images, and which of them are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionView {
    pub own: BTreeMap<ImageId, OwnImage>,
    pub cvm: CvmImages,
    /// The blueprints of those own images that are shared.
    pub shared: BTreeMap<ImageId, Blueprint>,
}

/// What the documents ask of each image of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Every image that an entry, a name's last meaning or a policy speaks of, with exactly one verdict each. Empty where
    /// the scope's documents name images by id alone: then the entries say it all.
    pub images: BTreeMap<ImageId, ResolvedImage>,
    /// Names of entries that mean no image, or several.
    pub unresolved: Vec<UnresolvedName>,
    /// Images that a name means now, each with the one that the name meant before, which is held until the new one is as
    /// desired.
    pub was: BTreeMap<ImageId, ImageId>,
    /// Why nothing is pruned in the scope for now, if so.
    pub prune_hold: Option<Arc<str>>,
    /// Why single policies hold still in the scope, by their names: a pin that is missing, CVM that cannot be read, a lock
    /// that is stale. A person must act.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// What each policy selects here by its own rules, whatever its lock says.
    pub selections: BTreeMap<Arc<str>, PolicySelection>,
    /// What is remembered from now on.
    pub memory: MemoryUpdate,
    /// The first time, by this machine's clock, at which a verdict may change without any other event.
    pub next_change_at: Option<Timestamp>,
    /// Regions of the policies that were not seen and on which a verdict here depends.
    pub unseen: BTreeSet<Region>,
    /// What people should be told, besides the verdicts.
    pub warnings: Vec<String>,
}

impl Resolution {
    /// What is asked of one image, by what was resolved or by an entry with its id.
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

/// What a policy selects in one region, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySelection {
    pub images: Vec<LockedImage>,
    /// The number of images that the policy matches here, excluded ones included.
    pub candidates: usize,
}

/// What the documents ask of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// Its name, where it is known.
    pub name: Option<ImageName>,
    pub verdict: ResolvedVerdict,
    /// What is to be brought about; `None`: the image is left as it is, and not pruned.
    pub desired: Option<DesiredImage>,
    /// Whether a person must settle something about this image before anything is done to it.
    pub is_held: bool,
    /// The policies that match it, by name, with their own verdicts.
    pub policies: BTreeMap<Arc<str>, ResolvedVerdict>,
    /// The labels of all documents that speak of it.
    pub labels: Vec<Arc<Labels>>,
}

/// Why an image is wanted, taken back or left alone. An image has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedVerdict {
    /// An entry of an `ImageShare` says what is asked for.
    Declared,
    /// Two entries mean the image and disagree.
    Conflict(Box<EntryConflict>),
    /// Nothing is done to it until a person has settled something: why.
    Held(Arc<str>),
    /// A policy takes it back for good. Holds why it is not taken back yet, if so.
    Revoked(Option<Arc<str>>),
    /// A pin wants it.
    Pinned,
    /// It is of one of the newest versions.
    Newest,
    /// It is superseded or would be, and stays: why.
    Kept(Arc<str>),
    /// It is superseded and lives on until then.
    Overlap(Timestamp),
    /// Its blueprint is in a state from which no server can be started, or it has several.
    Broken(Arc<str>),
    /// It cannot be shared: why.
    Ineligible(Arc<str>),
    /// Its version is too young to be shared.
    Soaking(Timestamp),
    /// It is shared once all regions of the policy can: which one cannot yet, or was not seen.
    Waiting(Arc<str>),
    /// The policy leaves it alone: why.
    Excluded(Arc<str>),
    /// Newer versions have its place.
    Superseded,
    /// No document speaks of it.
    Unnamed,
    /// A blueprint whose image is not the account's own.
    Foreign,
    /// The scope was not seen.
    NotSeen,
}

/// Two entries that mean one image and disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryConflict {
    /// Where they stand, the first one first.
    pub places: [Source; 2],
    /// What each asks for, in words.
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
    /// The word that JSON and tables use.
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

    /// Why, in words, where there is more to say than the word.
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

    /// When it passes by itself, if a time is known.
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

/// A name of an entry that means no image, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedName {
    pub name: ImageName,
    /// The entry, for what it asks and where it stands.
    pub entry: DesiredImage,
    /// The images that have the name: none, or several.
    pub images: BTreeSet<ImageId>,
    /// What the name last meant, if that is known.
    pub last_meaning: Option<ImageId>,
    pub kind: NameProblem,
    /// One line for a person: what is wrong, and the nearest names or the regions that have it.
    pub problem: String,
}

/// Why a name is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// No image has it.
    Missing,
    /// Several images have it.
    Ambiguous,
    /// The scope was not seen.
    NotSeen,
}
