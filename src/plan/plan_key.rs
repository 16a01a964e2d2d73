//! The key with which the author of a saved plan proves to whoever carries it out that nobody else made it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Minimum length of a key in bytes: the length of the digest.
const BYTES_MIN: usize = 32;
/// The prefix of a plan's MAC in the file. It names the algorithm.
const SCHEME: &str = "hmac-sha256:";
/// Prepended to the signed bytes, so that a MAC of anything else with the same key is not valid for a plan.
const PURPOSE: &[u8] = b"sharekeeper-plan\0";

/// A secret that `plan` and `reconcile` share. It is stored as the state of a hash that is wiped when dropped, and it has
/// no `Debug`, `Display`, `Serialize` or `Clone`.
pub struct PlanKey(Hmac<Sha256>);

/// The key has too few bytes. The error never quotes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least {BYTES_MIN} bytes; `openssl rand -hex 32` makes one")]
pub struct PlanKeyError;

impl PlanKey {
    /// Uses all of `bytes` as the key, if they are too many to be guessed.
    pub fn new(bytes: &[u8]) -> Result<Self, PlanKeyError> {
        if bytes.len() < BYTES_MIN {
            return Err(PlanKeyError);
        }
        let mac = Hmac::<Sha256>::new_from_slice(bytes).map_err(|_| PlanKeyError)?;
        Ok(Self(mac.chain_update(PURPOSE)))
    }

    /// The MAC of a plan's bytes, in the form of the file.
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        let mac = self.0.clone().chain_update(bytes);
        format!("{SCHEME}{}", hex::encode(mac.finalize().into_bytes()))
    }

    /// Whether `mac` equals the result of [`Self::sign`]. The comparison takes constant time, so that it does not reveal
    /// how much of `mac` is right.
    pub(super) fn verifies(&self, bytes: &[u8], mac: &str) -> bool {
        let Some(given) = mac
            .strip_prefix(SCHEME)
            .and_then(|hex| hex::decode(hex).ok())
        else {
            return false;
        };
        let mac = self.0.clone().chain_update(bytes);
        mac.verify_slice(&given).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_a_plan_key_is_wiped_and_its_error_does_not_quote_it() {
        // The key exists in two states of the hash.
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        is_wiped::<Sha256>();
        let error = PlanKey::new(b"CANARY").err().expect("too short");
        assert!(!error.to_string().contains("CANARY"));
    }

    #[test]
    fn b1_a_mac_holds_for_its_bytes_and_key_alone() {
        let key = PlanKey::new(&[7; BYTES_MIN]).expect("a key");
        let mac = key.sign(b"plan");
        assert!(key.verifies(b"plan", &mac));
        assert!(!key.verifies(b"plan ", &mac));
        let other = PlanKey::new(&[8; BYTES_MIN]).expect("a key");
        assert!(!other.verifies(b"plan", &mac));
        assert!(PlanKey::new(&[7; BYTES_MIN - 1]).is_err());
        // Without the prefix that states its purpose, a MAC is not valid for a plan.
        let bare = Hmac::<Sha256>::new_from_slice(&[7; BYTES_MIN]).expect("any length");
        let bare = bare.chain_update(b"plan").finalize().into_bytes();
        let digits = mac.strip_prefix(SCHEME).expect("the scheme");
        for bad in [
            format!("{SCHEME}{}", hex::encode(bare)),
            digits.to_owned(),
            mac[..mac.len() - 2].to_owned(),
            format!("{SCHEME}{}", "zz".repeat(32)),
            SCHEME.to_owned(),
            String::new(),
        ] {
            assert!(!key.verifies(b"plan", &bad), "{bad}");
        }
    }
}
