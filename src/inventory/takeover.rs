//! What a scope takes over from an account name that manifests no longer use here: a renamed account, or the first
//! `Account` document in place of the ambient credentials. Pure; the caller says which names are of the same account.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holdings, OpenIntent, Owned, Record, Standing};
use crate::model::{AccountName, ImageId, KeyDigest, Scope, Uin};
use crate::observed::Seen;

/// Whose the credentials were that the state was used with in one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccount {
    /// The root account, where it was known.
    pub uin: Option<Uin>,
    /// The key that was used last, if it was one that lasts.
    pub key: Option<KeyDigest>,
    /// The key that pruned last.
    pub pruned_with: Option<KeyDigest>,
    /// The name that took over images of this one on the strength of their blueprints.
    pub succeeded_by: Option<AccountName>,
}

/// What the state knows beyond one scope's own rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccounts {
    /// Every scope that the state was used with.
    pub scopes: BTreeMap<Scope, KnownAccount>,
    /// What it holds in the scope's region under names that manifests do not use there.
    pub unused: BTreeMap<AccountName, Rows>,
}

/// The account names that manifests use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedNames {
    /// Those that name an image in the scope's region.
    pub here: BTreeSet<AccountName>,
    /// Those that an `Account` document declares or that name an image in any region.
    pub anywhere: BTreeSet<AccountName>,
    /// The manifests are complete, so that a name that is not among these is not used.
    pub is_complete: bool,
}

/// Rows of one account name in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// As [`Holdings::images`].
    pub images: BTreeMap<ImageId, Record>,
    /// As [`Holdings::open`].
    pub open: BTreeMap<ImageId, Vec<OpenIntent>>,
}

impl KnownAccount {
    /// Whether these are the credentials of one account for certain.
    pub fn is_same(&self, uin: Option<&Uin>, key: &KeyDigest) -> bool {
        self.key.as_ref() == Some(key) || (uin.is_some() && self.uin.as_ref() == uin)
    }

    /// Whether these are the credentials of another account for certain.
    fn is_other(&self, uin: Option<&Uin>, key: &KeyDigest) -> bool {
        !self.is_same(uin, key) && self.uin.as_ref().zip(uin).is_some_and(|(a, b)| a != b)
    }
}

impl KnownAccounts {
    /// What an unused name is to `scope`, which is called with `key` and belongs to `uin`, where that is known.
    pub fn kinship(
        &self,
        name: &AccountName,
        scope: &Scope,
        used: &UsedNames,
        uin: Option<&Uin>,
        key: &KeyDigest,
    ) -> Kinship {
        let row = Scope {
            account: name.clone(),
            region: scope.region,
        };
        let known = self.scopes.get(&row).cloned().unwrap_or_default();
        if *name == scope.account || used.here.contains(name) || known.is_other(uin, key) {
            Kinship::Barred
        } else if known.is_same(uin, key) {
            Kinship::Proven
        } else if used.is_complete && !used.anywhere.contains(name) {
            Kinship::Open
        } else {
            Kinship::Barred
        }
    }

    /// The earlier names by which people may have suspended `scope`. A name that may be of any account counts: a
    /// suspension only holds back.
    pub fn aliases(
        &self,
        scope: &Scope,
        used: &UsedNames,
        uin: Option<&Uin>,
        key: Option<&KeyDigest>,
    ) -> BTreeSet<AccountName> {
        let is_alias = |(row, known): &(&Scope, &KnownAccount)| {
            let name = &row.account;
            if *name == scope.account || used.here.contains(name) {
                return false;
            }
            if known.succeeded_by.as_ref() == Some(&scope.account) {
                return true;
            }
            let is_unused = used.is_complete && !used.anywhere.contains(name);
            let may_be = is_unused && known.succeeded_by.is_none();
            match key {
                Some(key) => known.is_same(uin, key) || (may_be && !known.is_other(uin, key)),
                None => may_be,
            }
        };
        let aliases = self.scopes.iter().filter(is_alias);
        aliases.map(|(row, _)| row.account.clone()).collect()
    }

    /// Another name that the state was used with, unless it is known to be one of the same account.
    pub fn other_name(
        &self,
        scope: &Scope,
        uin: Option<&Uin>,
        key: &KeyDigest,
    ) -> Option<&AccountName> {
        let is_other = |(row, known): &(&Scope, &KnownAccount)| {
            row.account != scope.account
                && known.succeeded_by.as_ref() != Some(&scope.account)
                && !known.is_same(uin, key)
        };
        self.scopes
            .iter()
            .find(is_other)
            .map(|(row, _)| &row.account)
    }
}

/// Whether an unused name stood for the account that a scope belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// The same uin, or the same key.
    Proven,
    /// Nobody knows, and no manifest uses the name anywhere: a blueprint can prove it, image by image.
    Open,
    /// Another account, or a name that is used elsewhere: nothing is taken over.
    Barred,
}

/// A row that a scope takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// The image of the row.
    pub image: ImageId,
    /// The name that the row was kept under.
    pub from: AccountName,
    /// The scope's record of the image from now on.
    pub record: Option<Record>,
    /// Why it is the scope's, for the history.
    pub reason: &'static str,
    /// The name as a whole is proven to be the same account.
    pub is_proven: bool,
}

/// Reasons, as the history has them.
const SAME_ACCOUNT: &str = "the account's name changed";
const SAME_BLUEPRINT: &str =
    "it shows as the blueprint that is recorded under the account's earlier name";
const SHOWN: &str = "it is shared, and no blueprint is recorded under the account's earlier name";
const RESTRAINED: &str = "what holds changes to it back goes along with the account's new name";

impl Holdings {
    /// Takes over rows of `unused` names: all of those that are proven to be of the same account, and otherwise what
    /// `seen` proves. `names` says which images manifests name here.
    pub fn take_over(
        &mut self,
        unused: BTreeMap<AccountName, Rows>,
        kinship: impl Fn(&AccountName) -> Kinship,
        seen: Option<&Seen>,
        names: impl Fn(&ImageId) -> bool,
    ) -> Vec<TakenOver> {
        let mut taken = Vec::new();
        for (from, rows) in unused {
            let kinship = kinship(&from);
            if kinship == Kinship::Barred {
                continue;
            }
            let Rows {
                mut images,
                mut open,
            } = rows;
            let all: BTreeSet<ImageId> = images.keys().chain(open.keys()).cloned().collect();
            for image in all {
                let row = images.remove(&image);
                let claim = match (kinship, seen) {
                    (Kinship::Proven, _) => Some((row, SAME_ACCOUNT)),
                    (_, Some(seen)) => claimed(row, &image, seen, &names),
                    (_, None) => None,
                };
                let Some((row, reason)) = claim else {
                    continue;
                };
                self.absorb(&image, row, open.remove(&image).unwrap_or_default());
                taken.push(TakenOver {
                    record: self.images.get(&image).cloned(),
                    image,
                    from: from.clone(),
                    reason,
                    is_proven: kinship == Kinship::Proven,
                });
            }
        }
        taken
    }

    /// Lets a suspension by an earlier name of the account hold for `scope`, as it does for its own name.
    pub fn extend_suspensions(&mut self, scope: &Scope, aliases: &BTreeSet<AccountName>) {
        for suspension in &mut self.suspensions {
            let accounts = &mut suspension.selector.accounts;
            if aliases.iter().any(|alias| accounts.contains(alias)) {
                accounts.insert(scope.account.clone());
            }
        }
    }

    /// Joins a row with what is known of the image. What is known under the scope's own name wins; what holds changes
    /// back holds, whichever of the two says so.
    fn absorb(&mut self, image: &ImageId, row: Option<Record>, mut open: Vec<OpenIntent>) {
        if let Some(row) = row {
            let own = self.images.entry(image.clone()).or_default();
            own.owned = own.owned.take().or(row.owned);
            own.parked_since = own.parked_since.or(row.parked_since);
            own.protected |= row.protected;
            if own.writes.is_empty() {
                own.writes = row.writes;
            }
        }
        if !open.is_empty() {
            let known = self.open.entry(image.clone()).or_default();
            known.append(&mut open);
            known.sort_by_key(|open| open.intent);
        }
    }
}

/// What the look proves of a row under a name that may be of any account. A blueprint belongs to one account, so that
/// the one that the row recorded is proof; a share without a recorded blueprint is ours in all likelihood, and no more.
fn claimed(
    row: Option<Record>,
    image: &ImageId,
    seen: &Seen,
    names: impl Fn(&ImageId) -> bool,
) -> Option<(Option<Record>, &'static str)> {
    let shown = seen.shared.get(image);
    let Some(mut row) = row else {
        // Nothing but a write without an outcome.
        return shown.is_some().then_some((None, SHOWN));
    };
    let Some(owned) = &mut row.owned else {
        // It licenses nothing, and holds back what a person or a conflict has held back.
        return (shown.is_some() || names(image)).then_some((Some(row), RESTRAINED));
    };
    let shown = shown?;
    match &owned.blueprint {
        Some(recorded) if *recorded == shown.id => Some((Some(row), SAME_BLUEPRINT)),
        Some(_) => None,
        None => {
            *owned = Owned {
                standing: Standing::Probable,
                ..owned.clone()
            };
            Some((Some(row), SHOWN))
        }
    }
}

#[cfg(test)]
#[path = "takeover_tests.rs"]
mod tests;
