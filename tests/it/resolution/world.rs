//! What the reference model decides about: a small account with a few regions, its documents and what is remembered.
//! Times are seconds, regions are numbers, and region 0 is the one whose documents are resolved.

use std::collections::BTreeMap;

/// One hour, in seconds.
pub(crate) const HOUR: i64 = 3_600;

/// How a blueprint shows an image as shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Normal,
    Syncing,
    Failed,
    /// Two blueprints stand for the image.
    Doubled,
}

/// An image that the account owns in one region.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    /// `None`: `CreatedTime` cannot be read.
    pub(crate) created: Option<i64>,
    /// Whether an image that is not shared can be shared.
    pub(crate) eligible: bool,
    pub(crate) share: Option<Share>,
    /// What only CVM tells: whether its family is the one that policies ask for.
    pub(crate) in_family: bool,
    /// What only CVM tells, too.
    pub(crate) deprecated: bool,
}

impl Image {
    /// An image that can be shared and is of the family.
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

/// What was seen of a region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Region {
    pub(crate) images: Vec<Image>,
    pub(crate) cvm_fails: bool,
}

/// What an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Id(u8),
    Name(&'static str),
}

/// What an entry asks for.
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

/// An image that a policy takes back, by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revoke {
    pub(crate) name: &'static str,
    pub(crate) at: Option<i64>,
    pub(crate) replacement: Option<&'static str>,
    pub(crate) force: bool,
}

/// A policy of all regions of the world, ordered by `created`.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// It matches the names that have this letter.
    pub(crate) letter: char,
    /// Whether it asks for the family, too.
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
    /// A policy that keeps the newest so many versions and asks for nothing else.
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

    /// Whether it needs CVM's answer.
    pub(crate) fn needs_cvm(&self) -> bool {
        self.asks_family || self.retires_deprecated
    }
}

/// What is remembered of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) age: Option<i64>,
    pub(crate) stands_since: Option<i64>,
}

/// What is remembered of names and versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) names: BTreeMap<&'static str, u8>,
    /// By policy and version.
    pub(crate) versions: BTreeMap<(&'static str, String), Clock>,
}

/// All that a resolution follows from.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: i64,
    /// By how much the access point's clock is ahead of this machine's; if at all, no clock is trusted.
    pub(crate) api_ahead: i64,
    /// `None`: it could not be seen.
    pub(crate) regions: Vec<Option<Region>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) memory: Remembered,
}

impl World {
    /// A world at the given time with one region that has nothing in it.
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
