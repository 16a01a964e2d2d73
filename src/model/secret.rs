//! Text that must not be shown. It stands beside the identifiers because signers, sources of credentials and webhooks
//! all hold such texts. It knows nothing of what a secret is for.

use zeroize::Zeroizing;

/// A secret that can be used but not shown: no `Debug`, `Display`, `Serialize` or `Clone`. Wiped when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over the text, so that no other copy of it remains.
    pub fn new(text: String) -> Self {
        // Not shrunk to fit: that would leave a copy behind.
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for signers, the token header and addresses that are secret.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}
