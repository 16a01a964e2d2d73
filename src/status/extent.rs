//! The extent of a transition that represents several: its regions, the number of images, and the names of the first few.

use std::collections::BTreeSet;

use crate::model::Region;
use crate::words::first_of;

/// The subjects that a combined report covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub regions: BTreeSet<Region>,
    /// Number of images that it affects or affected.
    pub images: u64,
    /// Names of the first few images, if each was reported on its own.
    pub names: Vec<String>,
}

impl Extent {
    /// The names of the regions for people, shortened if there are many.
    pub fn regions_text(&self) -> String {
        let regions: Vec<_> = self.regions.iter().map(|region| region.as_str()).collect();
        first_of(&regions)
    }
}
