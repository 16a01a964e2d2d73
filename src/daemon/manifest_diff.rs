//! The changes that newer manifests make: to accounts, to scopes, and to the completeness of the whole set. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Account, Completeness, Desired, DesiredImage, DesiredShare, LockedImage};
use crate::model::{AccountName, ImageKey, ImageName, Labels, Region, Scope};
use crate::source::Generation;

/// A set of manifests next to the previous one.
pub(super) struct ManifestDiff<'a> {
    before: Option<&'a Generation>,
    next: &'a Generation,
    trust_changed: bool,
    /// The regions in which there are new account names, each with whether one of them gives no uin.
    named_anew: BTreeMap<Region, bool>,
}

impl<'a> ManifestDiff<'a> {
    pub(super) fn new(before: Option<&'a Generation>, next: &'a Generation) -> Self {
        Self {
            before,
            next,
            trust_changed: before.map(trust) != Some(trust(next)),
            named_anew: named_anew(before, next),
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
            || self.may_have_new_name(scope)
            || !self
                .before
                .is_some_and(|before| asks_the_same(&before.desired, next, scope))
    }

    /// Whether a new account name of the region may stand for the scope's account. Names that give their uins stand for
    /// different accounts.
    fn may_have_new_name(&self, scope: &Scope) -> bool {
        let has_uin = has_uin(&self.next.desired, &scope.account);
        let unproven = self.named_anew.get(&scope.region);
        unproven.is_some_and(|is_unproven| *is_unproven || !has_uin)
    }
}

fn has_uin(desired: &Desired, name: &AccountName) -> bool {
    let document = desired.accounts.get(name);
    document.is_some_and(|document| document.uin.is_some())
}

fn named_anew(before: Option<&Generation>, next: &Generation) -> BTreeMap<Region, bool> {
    let Some(before) = before else {
        return BTreeMap::new();
    };
    let known: BTreeSet<&Scope> = before.desired.scopes().collect();
    let new = next.desired.scopes().filter(|scope| !known.contains(scope));
    let mut named_anew = BTreeMap::new();
    for scope in new {
        let is_unproven = !has_uin(&next.desired, &scope.account);
        *named_anew.entry(scope.region).or_default() |= is_unproven;
    }
    named_anew
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
    use std::rc::Rc;

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
    fn s26_a_new_name_that_may_be_of_the_same_account_ends_passes() {
        let entry = |account: &str, region: &str| {
            format!(
                "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {account}-{region}}}\n\
                 spec: {{account: {account}, region: {region}, images: [{{id: img-a, state: shared}}]}}\n---\n"
            )
        };
        let account = |name: &str, uin: Option<&str>| {
            let uin = uin.map_or_else(String::new, |uin| format!("uin: '{uin}', "));
            format!(
                "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\nspec: {{{uin}rate: 5}}\n---\n"
            )
        };
        let generation = |uins: [Option<&str>; 2], regions_of_two: &[&str]| {
            let two: Vec<_> = regions_of_two
                .iter()
                .map(|region| entry("two", region))
                .collect();
            let texts = [
                account("one", uins[0]) + &entry("one", "ap-tokyo") + &entry("one", "ap-seoul"),
                account("two", uins[1]),
                two.concat(),
            ];
            Generation {
                desired: Rc::new(desired(texts.each_ref().map(String::as_str))),
                commit: None,
                warnings: Vec::new(),
                problems: Vec::new(),
            }
        };
        let (one, other) = (Some("100000000001"), Some("100000000002"));
        for (uins, is_changed) in [
            ([None, None], true),
            ([one, None], true),
            ([None, other], true),
            ([one, other], false),
        ] {
            let (before, next) = (
                generation(uins, &["ap-seoul"]),
                generation(uins, &["ap-seoul", "ap-tokyo"]),
            );
            let diff = ManifestDiff::new(Some(&before), &next);
            let scope = |region| Scope {
                account: AccountName::new("one").expect("a name"),
                region: Region::new(region).expect("a region"),
            };
            assert_eq!(
                diff.changes_scope(&scope("ap-tokyo")),
                is_changed,
                "{uins:?}"
            );
            assert!(!diff.changes_scope(&scope("ap-seoul")), "{uins:?}");
        }
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
