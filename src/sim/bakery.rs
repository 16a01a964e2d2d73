//! How far the builds of the world are, and which images and copies are not finished yet. A kept world has it, by the wall
//! clock, so that a later process goes on where an earlier one was.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::image::ImageIndex;
use super::tracked::Tracked;
use crate::model::{Monotonic, Region, Timestamp};

/// How far the builds are, and since when they go on in this process.
#[derive(Debug, Default)]
pub(super) struct Bakery {
    /// When the world began here: what was due before then is not caught up on.
    pub began: Monotonic,
    pub progress: Tracked<Progress>,
}

/// How far the builds are, and what is not finished.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Progress {
    /// In the order of the world's builds.
    pub builds: Vec<BuildProgress>,
    pub unfinished: Vec<Unfinished>,
}

/// How far one build is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct BuildProgress {
    /// When the schedule asks for the next image.
    pub next: Option<Timestamp>,
    /// Number of images that were made.
    pub made: u64,
    /// Images that are there, oldest first, where the build keeps some alone.
    pub kept: BTreeMap<Region, Vec<String>>,
}

/// An image that is being made or copied.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Unfinished {
    pub until: Timestamp,
    pub image: ImageIndex,
    /// Copies that begin then.
    pub copy_to: Vec<Region>,
    /// Index of the build that it is of.
    pub build: Option<usize>,
}

/// The ids of an image, by region.
pub(super) type Ids = BTreeMap<Region, String>;

/// A time by the simulator's clock, and what this machine's wall clock shows then.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimTime {
    pub now: Monotonic,
    pub wall_time: Timestamp,
}

impl SimTime {
    /// What the wall clock showed at an earlier time.
    pub(super) fn wall_time_at(self, then: Monotonic) -> Timestamp {
        let ago = TimeDelta::from_std(self.now.since(then)).unwrap_or_default();
        self.wall_time - ago
    }
}

impl Progress {
    /// Whether nothing was begun yet, so that there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        let mut builds = self.builds.iter();
        self.unfinished.is_empty() && builds.all(|build| *build == BuildProgress::default())
    }

    /// Checks that it can be that of a world with so many builds; the error is a text for people.
    pub(super) fn check(&self, builds: usize) -> Result<(), String> {
        let mut of_builds = self.unfinished.iter().filter_map(|image| image.build);
        match self.builds.len() > builds || of_builds.any(|index| index >= builds) {
            true => Err("progress: it is of a world with more builds".into()),
            false => Ok(()),
        }
    }
}
