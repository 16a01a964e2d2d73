//! A digest that represents a secret id where it is compared and stored but must not be shown.

use std::fmt;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

/// SHA-256 of a secret id, in lower-case hexadecimal. Equal ids have equal digests. An id is random, so nobody can
/// recover it with a list of likely ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(SmolStr);

impl KeyDigest {
    /// The digest of a secret id (`AKID…`).
    pub fn of(secret_id: &str) -> Self {
        Self(hex::encode(Sha256::digest(secret_id)).into())
    }

    /// Parses a digest that [`Self::as_str`] returned; `None` for text of another form.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.into()))
    }

    /// The digest as 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_a_digest_does_not_show_the_id_and_reads_back() {
        let digest = KeyDigest::of("AKIDexample");
        assert!(!digest.as_str().contains("AKID"));
        assert_eq!(KeyDigest::parse(digest.as_str()), Some(digest.clone()));
        assert_ne!(KeyDigest::of("AKIDexamplf"), digest);
        for bad in ["", "AKIDexample", &digest.as_str().to_uppercase()] {
            assert_eq!(KeyDigest::parse(bad), None, "{bad}");
        }
    }
}
