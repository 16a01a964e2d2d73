//! The id of a CVM custom image, checked by its grammar when it is made.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The id of a CVM custom image: `img-` and 1 to 32 lower-case letters or digits.
///
/// The contract defines the grammar. It is ASCII only, so that look-alike characters cannot pass. The API's ids are short
/// and are stored inside the value, so that maps of a million ids are compared without following pointers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(SmolStr);

/// The text is not an image id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an image id is `img-` followed by 1 to 32 lower-case letters or digits")]
pub struct MalformedImageId;

impl ImageId {
    /// Length limit of the part after `img-`.
    pub const SUFFIX_LEN_MAX: usize = 32;

    /// Fails if the text does not follow the grammar above.
    pub fn new(text: &str) -> Result<Self, MalformedImageId> {
        let suffix = text.strip_prefix("img-").ok_or(MalformedImageId)?;
        let good = (1..=Self::SUFFIX_LEN_MAX).contains(&suffix.len())
            && suffix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        good.then(|| Self(text.into())).ok_or(MalformedImageId)
    }

    /// The smallest possible id in sort order.
    pub fn first() -> Self {
        Self(SmolStr::new_static("img-0"))
    }

    /// The largest possible id in sort order.
    pub fn last() -> Self {
        Self(SmolStr::new(format!("img-{}", "z".repeat(32))))
    }

    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageId {
    type Error = MalformedImageId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Respects the width of the format: ids are shown in columns.
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_grammar_passes() {
        assert!(ImageId::new("img-6pb6lrmy").is_ok());
        assert!(ImageId::new("img-a").is_ok());
        assert!(ImageId::new(&format!("img-{}", "z".repeat(32))).is_ok());
        let long = format!("img-{}", "z".repeat(33));
        for bad in [
            "", "img-", "img-A", "img_a", "lhbp-1", "img-а", " img-a", "img-a\n", &long,
        ] {
            assert_eq!(ImageId::new(bad), Err(MalformedImageId), "{bad:?}");
        }
    }
}
