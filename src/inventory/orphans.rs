//! Images of ours in scopes that no manifest names any longer. They are left alone: an account or a region that is gone
//! from the manifests may be gone by mistake.

use crate::model::Scope;
use crate::words::plural;

/// Scopes with images of ours that no manifest names, and how many images of ours each holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans(Vec<(Scope, u64)>);

impl Orphans {
    /// `owned` is the number of images in each scope that are ours.
    pub fn find(
        owned: impl IntoIterator<Item = (Scope, u64)>,
        is_named: impl Fn(&Scope) -> bool,
    ) -> Self {
        let scopes = owned.into_iter();
        let orphans = scopes.filter(|(scope, images)| *images > 0 && !is_named(scope));
        Self(orphans.collect())
    }

    /// What a person should know of them; `None` if there are none.
    pub fn warning(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let images: u64 = self.0.iter().map(|(_, images)| images).sum();
        let scopes: Vec<_> = self.0.iter().map(|(scope, _)| scope.to_string()).collect();
        Some(format!(
            "{} that sharekeeper shared {} left alone, because no manifest names their account and region any longer: {}; \
             if the account was renamed, the next run takes over what is proven to be its own; to have them cancelled, declare them `unshared`; to forget them, `sharekeeper adopt --release` with their `--account` and `--region`",
            plural(images, "image"),
            if images == 1 { "is" } else { "are" },
            scopes.join(", ")
        ))
    }
}
