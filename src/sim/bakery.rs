//! The progress of the world's builds, and the images and copies that are not finished yet. A saved world contains it
//! with times of the wall clock, so that a later process continues where an earlier one stopped.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::image::ImageIndex;
use super::tracked::Tracked;
use crate::model::{Monotonic, Region, Timestamp};

/// The progress of the builds, and since when they have been running in this process.
#[derive(Debug, Default)]
pub(super) struct Bakery {
    /// Time when this process started the world. Images that were due earlier are not built.
    pub began: Monotonic,
    pub progress: Tracked<Progress>,
}

/// The progress of the builds, and everything unfinished.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Progress {
    /// Progress of each build, in the order of the world's builds.
    pub builds: Vec<BuildProgress>,
    pub unfinished: Vec<Unfinished>,
}

/// The progress of one build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct BuildProgress {
    /// Time when the next scheduled image is due.
    pub next: Option<Timestamp>,
    /// Number of images that were created.
    pub made: u64,
    /// Existing images, oldest first, if the build keeps only some of them.
    pub kept: BTreeMap<Region, Vec<String>>,
}

/// An image that is being created or copied.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Unfinished {
    pub until: Timestamp,
    pub image: ImageIndex,
    /// Regions to which it is copied when it is finished.
    pub copy_to: Vec<Region>,
    /// Index of the build that it belongs to.
    pub build: Option<usize>,
}

/// The ids of an image, by region.
pub(super) type Ids = BTreeMap<Region, String>;

/// A time by the simulator's clock, and the time of this machine's wall clock at that moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimTime {
    pub now: Monotonic,
    pub wall_time: Timestamp,
}

impl SimTime {
    /// The time of the wall clock at an earlier moment.
    pub(super) fn wall_time_at(self, then: Monotonic) -> Timestamp {
        let ago = TimeDelta::from_std(self.now.since(then)).unwrap_or_default();
        self.wall_time - ago
    }
}

impl Progress {
    /// Whether nothing was started yet, so that there is nothing to save.
    pub(super) fn is_empty(&self) -> bool {
        let mut builds = self.builds.iter();
        self.unfinished.is_empty() && builds.all(|build| *build == BuildProgress::default())
    }

    /// Checks that it matches a world with this many builds. The error is a text for people.
    pub(super) fn check(&self, builds: usize) -> Result<(), String> {
        let mut of_builds = self.unfinished.iter().filter_map(|image| image.build);
        match self.builds.len() > builds || of_builds.any(|index| index >= builds) {
            true => Err("progress: it belongs to a world with more builds".into()),
            false => Ok(()),
        }
    }
}
