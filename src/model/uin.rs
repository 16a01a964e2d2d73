//! The number of a root account, kept as text because it is a name and not a quantity.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The number of a root account, which owns its users, roles and their keys: 1 to 20 digits, the first not 0.
///
/// Compared as text, so that each account has one spelling. It is a name; no arithmetic is ever done with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Uin(Arc<str>);

/// The text is not a uin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a uin is 1 to 20 digits without a leading zero, such as \"100000000001\"")]
pub struct MalformedUin;

impl Uin {
    /// Limit of digits; current numbers have 12.
    pub const LEN_MAX: usize = 20;

    /// Fails if the text does not follow the grammar above.
    pub fn new(text: &str) -> Result<Self, MalformedUin> {
        let good =
            (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let good = good && !text.starts_with('0');
        good.then(|| Self(text.into())).ok_or(MalformedUin)
    }

    /// The decimal digits as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_a_uin_has_only_digits_and_no_leading_zero() {
        for good in ["1", "100000000001", "99999999999999999999"] {
            assert_eq!(Uin::new(good).map(|uin| uin.to_string()), Ok(good.into()));
        }
        for bad in [
            "",
            "one",
            "1e3",
            "-1",
            " 1",
            "1\n",
            "١",
            "0",
            "0100000000001",
            "100000000000000000000",
        ] {
            assert_eq!(Uin::new(bad), Err(MalformedUin), "{bad:?}");
        }
    }
}
