//! What newer manifests change: of accounts, of scopes, and of how far the set as a whole can be trusted. Pure.

use std::collections::BTreeMap;

use crate::desired::{Account, Completeness, Desired, DesiredImage, DesiredShare, LockedImage};
use crate::model::{AccountName, ImageKey, ImageName, Labels, Region, Scope};
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
    fn asked(image: &DesiredImage) -> (DesiredShare, bool, &Labels) {
        (image.share, image.protect, &image.document.labels)
    }
    fn by_id<'d>(
        (key, image): (&'d ImageKey, &'d DesiredImage),
    ) -> (&'d ImageKey, (DesiredShare, bool, &'d Labels)) {
        (key, asked(image))
    }
    fn names<'d>(
        desired: &'d Desired,
        scope: &Scope,
    ) -> impl Iterator<Item = (&'d ImageName, (DesiredShare, bool, &'d Labels))> {
        let names = desired.names.get(scope).into_iter().flatten();
        names.map(|(name, image)| (name, asked(image)))
    }
    a.of(scope).map(by_id).eq(b.of(scope).map(by_id))
        && names(a, scope).eq(names(b, scope))
        && policies(a, scope).eq(policies(b, scope))
}

/// What the policies of a scope ask for, each with what is locked of it.
fn policies<'d>(
    desired: &'d Desired,
    scope: &Scope,
) -> impl Iterator<Item = (&'d str, &'d Labels, &'d str, Option<Locked<'d>>)> {
    let policies = desired.policies.get(scope).into_iter().flatten();
    policies.map(|policy| {
        let lock = desired.locks.get(policy.name());
        let locked = lock.map(|lock| (&*lock.digest, &lock.regions));
        let name = &**policy.name();
        (name, &*policy.document.labels, &*policy.digest, locked)
    })
}

/// The digest of a lock, and its images.
type Locked<'d> = (&'d str, &'d BTreeMap<Region, Vec<LockedImage>>);
