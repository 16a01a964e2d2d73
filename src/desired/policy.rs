//! An `ImageSharePolicy` document: the images that it matches, how many of them stay shared, and which shares it
//! revokes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;

use super::image_match::ImageMatch;
use super::{DocumentMetadata, Source};
use crate::model::{AccountName, ImageId, ImageName, Region, Timestamp};

/// An `ImageSharePolicy` document. It decides about all images that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The `metadata` of the document.
    pub document: Arc<DocumentMetadata>,
    pub account: AccountName,
    pub regions: BTreeSet<Region>,
    pub matches: ImageMatch,
    /// Whether deprecated images are skipped when the newest versions are counted.
    pub retires_deprecated: bool,
    pub exclude: Vec<Exclusion>,
    pub order: Order,
    /// The minimum age of a version before it is first shared.
    pub min_age: TimeDelta,
    pub availability: Availability,
    pub keep: Keep,
    pub pins: Vec<Pin>,
    pub revocations: Vec<Revocation>,
    pub lock: LockMode,
    /// The place of the document's name.
    pub source: Source,
    /// A hex digest of the spec's meaning: two specs with the same meaning have the same digest.
    pub digest: Arc<str>,
}

/// Images that a policy leaves alone although it matches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Only this image; `None`: all images for which `matches` holds.
    pub id: Option<ImageId>,
    /// Conditions that must hold as well.
    pub matches: ImageMatch,
    pub reason: Option<Arc<str>>,
}

/// The criterion by which one version is newer than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Created,
    /// By semantic version; a version outside the range is left alone.
    Semver(Option<semver::VersionReq>),
    /// By text, in which runs of digits compare as numbers.
    Name,
}

/// When a version may first be shared in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// In each region independently.
    Each,
    /// Once it can be shared in all regions of the policy.
    All,
}

/// How many versions stay shared, and how the others are retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The number of versions to share, at least 1.
    pub newest: u32,
    /// The number of versions with a NORMAL share that retention and unforced revocations must leave, from 0 to
    /// `newest`.
    pub minimum: u32,
    /// How long a superseded version stays shared.
    pub unshare_after: TimeDelta,
    /// Whether a share is cancelled even if instances use it.
    pub cancels_in_use: bool,
    /// The greatest number of CANCELs of one cause that may be due in one region.
    pub max_cancels: u32,
    /// Whether only shares of our own are retired.
    pub owned: bool,
}

/// Images that are shared instead of the newest ones for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The regions in which the pin holds. `None`: in every region of the policy.
    pub regions: Option<BTreeSet<Region>>,
    pub names: BTreeSet<ImageName>,
    pub reason: Option<Arc<str>>,
    /// The end of the pin. From then on it has no effect.
    pub until: Option<Timestamp>,
    pub source: Source,
}

/// An image by name, in any region, or by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageRef {
    Name(ImageName),
    Id(ImageId),
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// An image whose share is permanently withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub image: ImageRef,
    pub reason: Option<Arc<str>>,
    /// The start of the revocation. Before it, the only effect is that the replacement is shared.
    pub at: Option<Timestamp>,
    /// The image whose share must be NORMAL before this one is cancelled.
    pub replacement: Option<ImageName>,
    /// Whether the revocation waits for no condition.
    pub force: bool,
    pub source: Source,
}

/// Whether a policy writes only the images in the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    Optional,
    Required,
}

/// The entry of one policy in `sharekeeper.lock.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLock {
    /// [`Policy::digest`] when the lock was written.
    pub digest: Arc<str>,
    /// The images that replace the newest ones, by region.
    pub regions: BTreeMap<Region, Vec<LockedImage>>,
    pub source: Source,
}

/// An image that a policy resolved to when it was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedImage {
    pub id: ImageId,
    pub name: ImageName,
    pub created: Option<Timestamp>,
}

impl Policy {
    pub fn name(&self) -> &Arc<str> {
        &self.document.name
    }

    /// Whether the policy needs properties that only CVM's DescribeImages shows.
    pub fn needs_cvm(&self) -> bool {
        let mut exclude = self.exclude.iter();
        self.matches.needs_cvm()
            || self.retires_deprecated
            || exclude.any(|exclusion| exclusion.matches.needs_cvm())
    }
}
