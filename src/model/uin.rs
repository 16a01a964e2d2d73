use std::fmt;
use std::sync::Arc;

/// The number of a root account, to which its users, roles and their keys belong: 1 to 20 digits.
///
/// Compared as written: it is a name, and no arithmetic is ever done with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uin(Arc<str>);

/// The text is not a uin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a uin is 1 to 20 digits, such as \"100000000001\"")]
pub struct MalformedUin;

impl Uin {
    /// Most digits; today's have 12.
    pub const LEN_MAX: usize = 20;

    /// Checks the grammar.
    pub fn new(text: &str) -> Result<Self, MalformedUin> {
        let good =
            (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        good.then(|| Self(text.into())).ok_or(MalformedUin)
    }

    /// The digits.
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
    fn only_digits_pass() {
        for good in ["1", "100000000001", "00000000000000000000"] {
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
            "100000000000000000000",
        ] {
            assert_eq!(Uin::new(bad), Err(MalformedUin), "{bad:?}");
        }
    }
}
