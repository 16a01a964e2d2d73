//! An `ImageSharePolicy` document: which images it is about, how many of them it keeps shared, and what it takes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;

use super::image_match::ImageMatch;
use super::{DocumentMetadata, Source};
use crate::model::{AccountName, ImageId, ImageName, Region, Timestamp};

/// An `ImageSharePolicy` document. It answers for all images that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `metadata` of the document.
    pub document: Arc<DocumentMetadata>,
    pub account: AccountName,
    pub regions: BTreeSet<Region>,
    pub matches: ImageMatch,
    /// Whether deprecated images hold no place.
    pub retires_deprecated: bool,
    pub exclude: Vec<Exclusion>,
    pub order: Order,
    /// How old a version must be before it is first shared.
    pub min_age: TimeDelta,
    pub availability: Availability,
    pub keep: Keep,
    pub pins: Vec<Pin>,
    pub revocations: Vec<Revocation>,
    pub lock: LockMode,
    /// Where the document's name is.
    pub source: Source,
    /// Hex digest of the spec's meaning: two specs that mean the same have the same one.
    pub digest: Arc<str>,
}

/// Images that a policy leaves alone, though it matches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// This image alone; `None`: all for which `matches` holds.
    pub id: Option<ImageId>,
    /// Conditions that must hold besides.
    pub matches: ImageMatch,
    pub reason: Option<Arc<str>>,
}

/// What makes one version newer than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Created,
    /// Its semantic version; a version outside the range is left alone.
    Semver(Option<semver::VersionReq>),
    /// Its text, in which runs of digits are numbers.
    Name,
}

/// When a version may first be shared in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Each region by itself.
    Each,
    /// Once it can be shared in every region of the policy.
    All,
}

/// How many versions stay shared, and how the others go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Versions that are wanted, at least 1.
    pub newest: u32,
    /// Versions with a NORMAL share that retention and unforced revocations leave, from 0 to `newest`.
    pub minimum: u32,
    /// How long a superseded share lives on.
    pub unshare_after: TimeDelta,
    /// Whether a share that instances use is cancelled all the same.
    pub cancels_in_use: bool,
    /// The most CANCELs of one cause that may be due in one region.
    pub max_cancels: u32,
    /// Whether only shares of our own are retired.
    pub owned: bool,
}

/// Images that are shared in place of the newest ones for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// `None`: in every region of the policy.
    pub regions: Option<BTreeSet<Region>>,
    pub names: BTreeSet<ImageName>,
    pub reason: Option<Arc<str>>,
    /// From then on the pin is as if it were not there.
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

/// An image whose share is taken back for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub image: ImageRef,
    pub reason: Option<Arc<str>>,
    /// Before then it says nothing, except that the replacement is wanted.
    pub at: Option<Timestamp>,
    /// What must be NORMAL before the share goes.
    pub replacement: Option<ImageName>,
    /// Whether it waits for nothing.
    pub force: bool,
    pub source: Source,
}

/// Whether a policy writes only what the lock file resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    Optional,
    Required,
}

/// What `sharekeeper.lock.yaml` holds of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLock {
    /// [`Policy::digest`] when the lock was written.
    pub digest: Arc<str>,
    /// The images that take the part of the newest ones, by region.
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

    /// Whether it asks for what only CVM's DescribeImages tells.
    pub fn needs_cvm(&self) -> bool {
        let mut exclude = self.exclude.iter();
        self.matches.needs_cvm()
            || self.retires_deprecated
            || exclude.any(|exclusion| exclusion.matches.needs_cvm())
    }
}
