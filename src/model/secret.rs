//! Text that must not be shown. It is defined beside the identifiers because signers, credential sources and webhooks all
//! hold such texts. It does not know what a secret is used for.

use zeroize::Zeroizing;

/// A secret that can be used but not shown: it has no `Debug`, `Display`, `Serialize` or `Clone`. It is wiped when it is
/// dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of the text, so that no other copy of it remains.
    pub fn new(text: String) -> Self {
        // Shrinking the string would leave a copy behind.
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for signers, the token header and secret addresses.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}
