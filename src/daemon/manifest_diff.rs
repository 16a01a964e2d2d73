//! The changes that newer manifests make: to accounts, to scopes, and to the completeness of the whole set. Pure.

use std::collections::BTreeMap;

use crate::desired::{Account, Completeness, Desired, DesiredImage, DesiredShare, LockedImage};
use crate::model::{AccountName, ImageKey, ImageName, Labels, Region, Scope};
use crate::source::Generation;

/// A set of manifests next to the previous one.
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

    /// Whether the content of the account's document differs. Its place does not matter.
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

    /// Whether a pass over the scope has different work to do than before.
    pub(super) fn changes_scope(&self, scope: &Scope) -> bool {
        let next = &self.next.desired;
        self.trust_changed
            || self.changes_account(&scope.account)
            || !self
                .before
                .is_some_and(|before| asks_the_same(&before.desired, next, scope))
    }
}

/// Whether files were left out, and whether the rest is known to be complete: both limit what may be cancelled.
fn trust(generation: &Generation) -> (bool, &Completeness) {
    let is_partial = !generation.problems.is_empty();
    (is_partial, &generation.desired.completeness)
}

/// Whether two sets of manifests ask for the same in a scope. The places of the entries do not matter.
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

/// The policies of a scope, each with its part of the lock file.
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

/// The digest of a lock, with its images by region.
type Locked<'d> = (&'d str, &'d BTreeMap<Region, Vec<LockedImage>>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{SourceText, parse};
    use crate::model::{AccountName, Region};

    const NAMES: &str = "apiVersion: sharekeeper.dev/v1
kind: ImageShare
metadata: {name: a, labels: {team: a}}
spec: {region: ap-tokyo, images: [{name: golden, state: shared, note: x}]}
---
";
    const POLICY: &str = "apiVersion: sharekeeper.dev/v1
kind: ImageSharePolicy
metadata: {name: p}
spec: {regions: [ap-tokyo, ap-seoul], match: {name: a}, keep: {newest: 1}}
---
";
    const LOCK: &str = "apiVersion: sharekeeper.dev/v1
kind: ImageShareLock
spec: {policies: [{name: p, digest: '', regions: {ap-tokyo: [{id: img-a, name: a}]}}]}
";

    fn desired(texts: [&str; 3]) -> Desired {
        let digest = "0a".repeat(32);
        let text = texts
            .concat()
            .replace("digest: ''", &format!("digest: '{digest}'"));
        let loaded = parse(vec![SourceText::new("a.yaml", text.clone())]);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{text}{}", errors.render(false)));
        loaded.desired
    }

    #[test]
    fn names_policies_and_locks_count_and_where_they_stand_does_not() {
        let scope = |region| Scope {
            account: AccountName::default(),
            region: Region::new(region).expect("a region"),
        };
        let before = desired([NAMES, POLICY, LOCK]);
        let same =
            |texts: [&str; 3], region| asks_the_same(&before, &desired(texts), &scope(region));
        let moved = format!("# a line more\n{POLICY}");
        assert!(same([&moved, NAMES, LOCK], "ap-tokyo"));
        let noted = NAMES.replace("note: x", "note: y");
        assert!(same([&noted, POLICY, LOCK], "ap-tokyo"));
        for (from, to) in [
            ("golden", "silver"),
            ("shared", "unshared"),
            ("note", "protect: true, note"),
            ("team: a", "team: b"),
        ] {
            let other = NAMES.replacen(from, to, 1);
            assert!(!same([&other, POLICY, LOCK], "ap-tokyo"), "{from}");
            assert!(same([&other, POLICY, LOCK], "ap-seoul"), "{from}");
        }
        for (from, to) in [
            ("newest: 1", "newest: 2"),
            ("name: p", "name: q"),
            ("{name: p}", "{name: p, labels: {a: b}}"),
        ] {
            let other = POLICY.replacen(from, to, 1);
            for region in ["ap-tokyo", "ap-seoul"] {
                assert!(!same([NAMES, &other, LOCK], region), "{from}");
            }
        }
        for lock in ["", &LOCK.replace("img-a", "img-b")] {
            assert!(!same([NAMES, POLICY, lock], "ap-tokyo"), "{lock}");
        }
    }
}
