//! The closed set of regions in which the API shares images.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A region in which image sharing exists.
///
/// The 15 names are the complete list on the API page of `ModifyImageSharePermission`. The product itself has more
/// regions, but this action refuses them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Region(u8);

/// Sorted, so that the order of [`Region`] is the order of the names.
const NAMES: [&str; 15] = [
    "ap-bangkok",
    "ap-beijing",
    "ap-chengdu",
    "ap-guangzhou",
    "ap-hongkong",
    "ap-jakarta",
    "ap-nanjing",
    "ap-seoul",
    "ap-shanghai",
    "ap-singapore",
    "ap-tokyo",
    "eu-frankfurt",
    "na-ashburn",
    "na-siliconvalley",
    "sa-saopaulo",
];

/// The text does not name a region that supports image sharing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a region that supports image sharing")]
pub struct UnknownRegion;

impl Region {
    /// Finds the region by its name.
    pub fn new(name: &str) -> Result<Self, UnknownRegion> {
        match NAMES.binary_search(&name) {
            Ok(index) => u8::try_from(index).map(Self).map_err(|_| UnknownRegion),
            Err(_) => Err(UnknownRegion),
        }
    }

    /// The first region, for code that needs any region and does not depend on which.
    pub const fn first() -> Self {
        Self(0)
    }

    /// All regions, sorted by name.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0u8..15).map(Self)
    }

    /// The name, as in `X-TC-Region`.
    pub fn as_str(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

impl TryFrom<String> for Region {
    type Error = UnknownRegion;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<Region> for &'static str {
    fn from(region: Region) -> Self {
        region.as_str()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_is_found_by_name_and_sorted_by_name() {
        assert!(NAMES.is_sorted());
        assert_eq!(Region::all().len(), NAMES.len());
        for region in Region::all() {
            assert_eq!(Region::new(region.as_str()), Ok(region));
        }
        assert_eq!(Region::new("ap-mumbai"), Err(UnknownRegion));
        assert_eq!(Region::new("AP-SINGAPORE"), Err(UnknownRegion));
    }
}
