//! What newer manifests change: of accounts, of scopes, and of how far the set as a whole can be trusted. Pure.

use crate::desired::{Account, Completeness, Desired, DesiredImage, DesiredShare};
use crate::model::{AccountName, ImageKey, Labels, Scope};
use crate::source::Generation;

/// A set of manifests beside the one before it.
pub(super) struct ManifestDiff<'a> {
    before: Option<&'a Generation>,
    next: &'a Generation,
    trust_changed: bool,
}

impl<'a> ManifestDiff<'a> {
    pub(super) fn new(before: Option<&'a Generation>, next: &'a Generation) -> Self {
        Self {
            before,
            next,
            trust_changed: before.map(trust) != Some(trust(next)),
        }
    }

    /// Whether the account's document says something else. Where it stands does not matter.
    pub(super) fn changes_account(&self, name: &AccountName) -> bool {
        let says_the_same = |a: &Account, b: &Account| {
            let source = b.source.clone();
            Account {
                source,
                ..a.clone()
            } == *b
        };
        let then = self
            .before
            .and_then(|before| before.desired.accounts.get(name));
        match (then, self.next.desired.accounts.get(name)) {
            (Some(then), Some(now)) => !says_the_same(then, now),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
    }

    /// Whether a pass over the scope has something else to do than before.
    pub(super) fn changes_scope(&self, scope: &Scope) -> bool {
        let next = &self.next.desired;
        self.trust_changed
            || self.changes_account(&scope.account)
            || !self
                .before
                .is_some_and(|before| asks_the_same(&before.desired, next, scope))
    }
}

/// Whether files were left out, and whether the rest is known to be all: both decide what may be cancelled.
fn trust(generation: &Generation) -> (bool, &Completeness) {
    let is_partial = !generation.problems.is_empty();
    (is_partial, &generation.desired.completeness)
}

/// Whether two sets of manifests ask the same of a scope. Where they ask for it does not matter.
fn asks_the_same(a: &Desired, b: &Desired, scope: &Scope) -> bool {
    fn asked<'d>(
        (key, image): (&'d ImageKey, &'d DesiredImage),
    ) -> (&'d ImageKey, DesiredShare, bool, &'d Labels) {
        (key, image.share, image.protect, &image.document.labels)
    }
    a.of(scope).map(asked).eq(b.of(scope).map(asked))
}
