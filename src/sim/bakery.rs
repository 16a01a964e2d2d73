//! How far the builds of the world are, and which images and copies are not finished yet.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::image::ImageIndex;
use crate::model::{Monotonic, Region, Timestamp};

/// How far the builds are, and what is not finished.
#[derive(Debug, Default)]
pub(super) struct Bakery {
    /// When the world began.
    pub began: Monotonic,
    /// In the order of the world's builds.
    pub progress: Vec<Progress>,
    pub unfinished: Vec<Unfinished>,
}

/// How far one build is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Images that the schedule asked for.
    pub scheduled: u32,
    /// Number of images that were made.
    pub made: u64,
    /// Images that are there, oldest first.
    pub kept: BTreeMap<Region, Vec<String>>,
}

/// An image that is being made or copied.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub until: Monotonic,
    pub image: ImageIndex,
    /// Copies that begin then.
    pub copy_to: Vec<Region>,
    /// Index of the build that it is of.
    pub build: Option<usize>,
}

/// The ids of an image, by region.
pub(super) type Ids = BTreeMap<Region, String>;

/// A time by the simulator's clock, and what the world's clock shows then.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimTime {
    pub now: Monotonic,
    pub wall_time: Timestamp,
}

impl SimTime {
    /// The same clock at another time, which has passed.
    pub(super) fn back_at(self, then: Monotonic) -> Self {
        let ago = TimeDelta::from_std(self.now.since(then)).unwrap_or_default();
        Self {
            now: then,
            wall_time: self.wall_time - ago,
        }
    }
}

impl Bakery {
    pub(super) fn beginning_at(began: Monotonic) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }

    /// The images that are being made or copied.
    pub(super) fn unfinished_images(&self) -> impl Iterator<Item = &ImageIndex> {
        self.unfinished.iter().map(|unfinished| &unfinished.image)
    }
}
