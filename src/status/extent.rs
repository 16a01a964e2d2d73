//! How far a transition reaches that stands for several: where, how many images, and the first few of them.

use std::collections::BTreeSet;

use crate::model::Region;
use crate::words::first_of;

/// What a report that stands for several covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub regions: BTreeSet<Region>,
    /// How many images it holds up, or held up.
    pub images: u64,
    /// The names of the first few of them, where each was reported by itself.
    pub names: Vec<String>,
}

impl Extent {
    /// The regions for people, however many there are.
    pub fn regions_text(&self) -> String {
        let regions: Vec<_> = self.regions.iter().map(|region| region.as_str()).collect();
        first_of(&regions)
    }
}
