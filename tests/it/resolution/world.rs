//! The input of the reference model: a small account with a few regions, its documents, and what the store remembers.
//! Times are seconds, regions are numbers, and region 0 is the region whose documents are resolved.

use std::collections::BTreeMap;

/// One hour, in seconds.
pub(crate) const HOUR: i64 = 3_600;

/// The state of the blueprint of a shared image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Normal,
    Syncing,
    Failed,
    /// The image has two blueprints.
    Doubled,
}

/// An image that the account owns in one region.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    /// The creation time, or `None` if `CreatedTime` cannot be read.
    pub(crate) created: Option<i64>,
    /// Whether an image that is not shared can be shared.
    pub(crate) eligible: bool,
    pub(crate) share: Option<Share>,
    /// Whether the image has the family that policies ask for. Only CVM knows this.
    pub(crate) in_family: bool,
    /// Whether the image is deprecated. Only CVM knows this.
    pub(crate) deprecated: bool,
}

impl Image {
    /// An image of the family that can be shared.
    pub(crate) fn new(id: u8, name: &'static str, created: i64) -> Self {
        Self {
            id,
            name,
            created: Some(created),
            eligible: true,
            share: None,
            in_family: true,
            deprecated: false,
        }
    }
}

/// The observation of one region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Region {
    pub(crate) images: Vec<Image>,
    pub(crate) cvm_fails: bool,
}

/// How an entry names its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Id(u8),
    Name(&'static str),
}

/// The state that an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Shared,
    Unshared,
    SharedUntil(i64),
}

/// An entry of an `ImageShare` document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) by: By,
    pub(crate) ask: Ask,
    pub(crate) protect: bool,
}

/// A pin in all regions of its policy.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) names: Vec<&'static str>,
    pub(crate) until: Option<i64>,
}

/// A revocation by a policy, which names the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revoke {
    pub(crate) name: &'static str,
    pub(crate) at: Option<i64>,
    pub(crate) replacement: Option<&'static str>,
    pub(crate) force: bool,
}

/// A policy for all regions of the world, which orders images by `created`.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// The policy matches the names that contain this letter.
    pub(crate) letter: char,
    /// Whether the policy also asks for the family.
    pub(crate) asks_family: bool,
    pub(crate) retires_deprecated: bool,
    /// Whether the version is the part of the name before `+`.
    pub(crate) grouped: bool,
    pub(crate) excluded: Vec<u8>,
    pub(crate) min_age: i64,
    pub(crate) available_everywhere: bool,
    pub(crate) newest: usize,
    pub(crate) minimum: usize,
    pub(crate) unshare_after: i64,
    pub(crate) pins: Vec<Pin>,
    pub(crate) revokes: Vec<Revoke>,
}

impl Policy {
    /// A policy that keeps the `newest` newest versions and has no other conditions.
    pub(crate) fn new(name: &'static str, letter: char, newest: usize, minimum: usize) -> Self {
        Self {
            name,
            letter,
            asks_family: false,
            retires_deprecated: false,
            grouped: false,
            excluded: Vec::new(),
            min_age: 0,
            available_everywhere: false,
            newest,
            minimum,
            unshare_after: 0,
            pins: Vec::new(),
            revokes: Vec::new(),
        }
    }

    /// Whether the policy needs the CVM listing.
    pub(crate) fn needs_cvm(&self) -> bool {
        self.asks_family || self.retires_deprecated
    }
}

/// What the store remembers of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) age: Option<i64>,
    pub(crate) stands_since: Option<i64>,
}

/// What the store remembers of names and versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) names: BTreeMap<&'static str, u8>,
    /// The clocks by policy and version.
    pub(crate) versions: BTreeMap<(&'static str, String), Clock>,
}

/// All inputs of a resolution.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    /// How far the clock of the access point is ahead of this machine's clock. If it is not zero, no clock is
    /// trusted.
    pub(crate) api_ahead: i64,
    /// The observations. `None` means that the region could not be observed.
    pub(crate) regions: Vec<Option<Region>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) memory: Remembered,
}

impl World {
    /// A world at the given time with one empty region.
    pub(crate) fn new(now: i64) -> Self {
        Self {
            now,
            api_ahead: 0,
            regions: vec![Some(Region::default())],
            entries: Vec::new(),
            policies: Vec::new(),
            memory: Remembered::default(),
        }
    }
}
