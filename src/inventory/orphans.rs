//! Images of ours in scopes that no manifest names any longer. They are left alone, because an account or a region may
//! be missing from the manifests by mistake.

use crate::model::Scope;
use crate::words::plural;

/// Scopes that no manifest names, each with the number of images of ours in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans(Vec<(Scope, u64)>);

impl Orphans {
    /// Finds the orphans. `owned` is the number of images of ours in each scope.
    pub fn find(
        owned: impl IntoIterator<Item = (Scope, u64)>,
        is_named: impl Fn(&Scope) -> bool,
    ) -> Self {
        let scopes = owned.into_iter();
        let orphans = scopes.filter(|(scope, images)| *images > 0 && !is_named(scope));
        Self(orphans.collect())
    }

    /// The warning for a person; `None` if there are no orphans.
    pub fn warning(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let images: u64 = self.0.iter().map(|(_, images)| images).sum();
        let scopes: Vec<_> = self.0.iter().map(|(scope, _)| scope.to_string()).collect();
        Some(format!(
            "{} that sharekeeper shared {} left alone, because no manifest names their account and region any longer: {}; \
             if the account was renamed, the next run takes over those that are proven to be its own; to cancel them, declare them `unshared`; to forget them, `sharekeeper adopt --release` with their `--account` and `--region`",
            plural(images, "image"),
            if images == 1 { "is" } else { "are" },
            scopes.join(", ")
        ))
    }
}
