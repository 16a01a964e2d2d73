//! The name of a CVM custom image. It is the same in every region, and people know an image by it.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The name of a CVM custom image: 1 to 128 characters, no control characters, no space at either end. Names are compared
/// as a whole, and case matters; within one region of an account they are unique (documentation of CVM's `CreateImage`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(SmolStr);

/// The text is not an image name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an image name has 1 to {} characters, none of them a control character, and no space at either end",
    ImageName::LEN_MAX
)]
pub struct MalformedImageName;

impl ImageName {
    /// Length limit of a name, in characters. The API's own limit is 60.
    pub const LEN_MAX: usize = 128;

    /// Fails if the text does not follow the grammar above.
    pub fn new(text: &str) -> Result<Self, MalformedImageName> {
        let good = (1..=Self::LEN_MAX).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        good.then(|| Self(text.into())).ok_or(MalformedImageName)
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageName {
    type Error = MalformedImageName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Respects the width of the format: names are shown in columns.
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_only_the_grammar_passes() {
        for good in ["a", "golden-ubuntu-1.5.1", "名前", "a b", &"x".repeat(128)] {
            assert!(ImageName::new(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\nb", "a\u{7}", &"x".repeat(129)] {
            assert_eq!(ImageName::new(bad), Err(MalformedImageName), "{bad:?}");
        }
    }
}
