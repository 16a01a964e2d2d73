//! The rows that a scope takes over from other account names: those of a renamed account, or of the ambient credentials
//! once the first `Account` document replaces them. An account is identified by its uin; a name is a label, which may
//! have moved to another account since the store recorded it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inventory, InventoryEntry, LossAcceptance, OpenIntent, OwnedShare, OwnershipState};
use crate::model::{AccountName, ImageId, KeyDigest, Region, Scope, Uin};
use crate::observation::Seen;

/// The credentials that the state was used with in one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccount {
    /// The root account, if it was known.
    pub uin: Option<Uin>,
    /// The API key that was used last, if it was a lasting one.
    pub key: Option<KeyDigest>,
    /// The API key that pruned last.
    pub pruned_with: Option<KeyDigest>,
    /// The account name that took over images of this one.
    pub succeeded_by: Option<AccountName>,
    /// The account name that held the rows until it meant another account.
    pub formerly: Option<AccountName>,
}

/// What the state knows beyond the rows of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccounts {
    /// The scopes that the state was used with, as far as they matter for this one: those of its own name, those of
    /// names that no manifest uses, those in its region that belong to the same account or to a name that is not used
    /// there, and those whose rows have moved. Others are left out, because with hundreds of accounts they are many.
    pub scopes: BTreeMap<Scope, KnownAccount>,
    /// Those of names that no manifest uses, if anything is stored about their images.
    pub left_over: BTreeSet<Scope>,
    /// The rows in the scope's region that are stored under other account names.
    pub others: BTreeMap<AccountName, ScopeRows>,
}

/// The account names that manifests use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedNames {
    /// Names under which manifests name an image in the scope's region, each with its account if that is known.
    pub here: BTreeMap<AccountName, Option<Uin>>,
    /// Names that an `Account` document declares, or under which manifests name an image in any region.
    pub anywhere: BTreeSet<AccountName>,
    /// Whether the manifests are complete, so that no other names are used.
    pub is_complete: bool,
}

/// The rows that are stored under one account name in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeRows {
    /// Entries, as in [`Inventory::images`].
    pub images: BTreeMap<ImageId, InventoryEntry>,
    /// Intents, as in [`Inventory::open_intents`].
    pub open_intents: BTreeMap<ImageId, Vec<OpenIntent>>,
    /// Losses that people have accepted, as in [`Inventory::acceptances`].
    pub acceptances: Vec<LossAcceptance>,
}

/// The account of a scope's calls, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct AccountIdentity<'a> {
    /// The root account, if it is known.
    pub uin: Option<&'a Uin>,
    /// The API key, if it is a lasting one.
    pub key: Option<&'a KeyDigest>,
}

/// Whether the rows of another account name belong to the account of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountMatch {
    /// They do: the uin or the key is the same.
    Proven,
    /// They may, and no manifest uses the name anywhere. A blueprint can prove it for each image.
    Possible,
    /// They may, but the name is used in another region, or may be used in manifests that are missing. Only the
    /// restraints in these rows are taken over.
    InUseElsewhere,
    /// They do not, or the name is used in this region.
    Excluded,
}

/// One row that a scope takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOverRow {
    pub image: ImageId,
    /// The name that held the row before.
    pub from: AccountName,
    /// The scope's entry for the image from now on.
    pub entry: Option<InventoryEntry>,
    /// Why the row belongs to the scope, for the history.
    pub reason: &'static str,
}

/// All rows of one account name, which a scope takes over together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOverName {
    /// The name that held the rows before.
    pub from: AccountName,
    /// The number of images in the rows.
    pub images: usize,
}

/// Everything that a scope takes over from other account names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Single rows: those that an observation proves, and those that are merged with a row of the scope.
    pub rows: Vec<TakenOverRow>,
    /// Whole names that are proven to mean the same account.
    pub names: Vec<TakenOverName>,
    /// The account of each name when the rows were read. The store leaves the rows of a name that means another account
    /// by now.
    pub expected: BTreeMap<AccountName, KnownAccount>,
}

/// The reason in the history for rows that move within one account.
pub const SAME_ACCOUNT: &str = "the account's name changed";
const SAME_BLUEPRINT: &str =
    "its blueprint is the one that is recorded under the account's earlier name";
const SHOWN: &str = "it is shared, and no blueprint is recorded under the account's earlier name";

impl KnownAccount {
    /// Whether both have the same uin and the same key.
    pub fn has_same_credentials(&self, other: &Self) -> bool {
        (&self.uin, &self.key) == (&other.uin, &other.key)
    }

    /// Whether these credentials certainly belong to the account. If both uins are known, they decide; otherwise the
    /// key does.
    pub fn is_same_account(&self, identity: AccountIdentity<'_>) -> bool {
        match (&self.uin, identity.uin) {
            (Some(known), Some(uin)) => known == uin,
            _ => identity.key.is_some() && self.key.as_ref() == identity.key,
        }
    }

    /// Whether these credentials certainly belong to another account.
    pub fn is_other_account(&self, identity: AccountIdentity<'_>) -> bool {
        matches!((&self.uin, identity.uin), (Some(known), Some(uin)) if known != uin)
    }
}

impl Takeover {
    /// The account names from which rows are taken over.
    pub fn sources(&self) -> impl Iterator<Item = &AccountName> {
        let rows = self.rows.iter().map(|taken| &taken.from);
        rows.chain(self.names.iter().map(|name| &name.from))
    }
}

impl KnownAccounts {
    /// Separates the accounts from the rows that a scope may take over.
    pub fn split(mut self) -> (Self, BTreeMap<AccountName, ScopeRows>) {
        let others = std::mem::take(&mut self.others);
        (self, others)
    }

    /// The account of each of `names` in `region`.
    pub fn in_region<'a>(
        &self,
        region: Region,
        names: impl Iterator<Item = &'a AccountName>,
    ) -> BTreeMap<AccountName, KnownAccount> {
        let known = names.filter_map(|name| {
            let row = Scope {
                account: name.clone(),
                region,
            };
            Some((name.clone(), self.scopes.get(&row)?.clone()))
        });
        known.collect()
    }

    /// Whether the rows of `name` belong to the account of `scope`.
    pub fn account_match(
        &self,
        name: &AccountName,
        scope: &Scope,
        used: &UsedNames,
        identity: AccountIdentity<'_>,
    ) -> AccountMatch {
        let row = Scope {
            account: name.clone(),
            region: scope.region,
        };
        let known = self.scopes.get(&row).cloned().unwrap_or_default();
        if *name == scope.account || known.is_other_account(identity) {
            return AccountMatch::Excluded;
        }
        let is_same_account = known.is_same_account(identity);
        match used.here.get(name) {
            // The rows belong to this account, but the name means another one by now.
            Some(Some(now)) if is_same_account && identity.uin.is_some_and(|uin| uin != now) => {
                AccountMatch::Proven
            }
            Some(_) => AccountMatch::Excluded,
            None if is_same_account => AccountMatch::Proven,
            None if used.is_complete && !used.anywhere.contains(name) => AccountMatch::Possible,
            None => AccountMatch::InUseElsewhere,
        }
    }

    /// The earlier names under which people may have suspended `scope`, from those in the store and those in
    /// `suspended`. A name that may mean any account counts, because a suspension only holds back.
    pub fn aliases(
        &self,
        scope: &Scope,
        used: &UsedNames,
        identity: AccountIdentity<'_>,
        suspended: &BTreeSet<AccountName>,
    ) -> BTreeSet<AccountName> {
        let names = self.scopes.keys().map(|row| &row.account);
        let names: BTreeSet<_> = names.chain(suspended).collect();
        let mut aliases = BTreeSet::from([scope.account.clone()]);
        // If an alias has taken over images from a name, that name is an alias, too.
        loop {
            let found: Vec<_> = names
                .iter()
                .filter(|name| !aliases.contains(**name) && !used.here.contains_key(**name))
                .filter(|name| self.is_alias(name, &aliases, scope, used, identity))
                .map(|name| (*name).clone())
                .collect();
            if found.is_empty() {
                break;
            }
            aliases.extend(found);
        }
        let of_mine = self
            .scopes
            .values()
            .filter(|known| known.is_same_account(identity));
        aliases.extend(of_mine.filter_map(|known| known.formerly.clone()));
        aliases.remove(&scope.account);
        aliases
    }

    fn is_alias(
        &self,
        name: &AccountName,
        aliases: &BTreeSet<AccountName>,
        scope: &Scope,
        used: &UsedNames,
        identity: AccountIdentity<'_>,
    ) -> bool {
        // A name that manifests still use can be an earlier name of this scope only in this region.
        let is_used = used.anywhere.contains(name);
        let rows = self
            .scopes
            .iter()
            .filter(|(row, _)| row.account == *name && (!is_used || row.region == scope.region));
        let rows: Vec<_> = rows.map(|(_, known)| known).collect();
        let is_succeeded = rows.iter().any(|known| {
            known
                .succeeded_by
                .as_ref()
                .is_some_and(|by| aliases.contains(by))
        });
        let is_same_account = rows.iter().any(|known| known.is_same_account(identity));
        let is_other_account =
            !rows.is_empty() && rows.iter().all(|known| known.is_other_account(identity));
        // If manifests are missing, one of them may use the name for another account, but a suspension holds in doubt.
        let may_be = !is_used && !is_other_account;
        is_succeeded || is_same_account || may_be
    }

    /// An account name that has stored rows, that no manifest uses and that is not known to mean the same account, if
    /// there is one.
    pub fn other_name(&self, scope: &Scope, identity: AccountIdentity<'_>) -> Option<&AccountName> {
        let is_other_account = |row: &&Scope| {
            let known = self.scopes.get(row);
            row.account != scope.account
                && !known.is_some_and(|known| known.is_same_account(identity))
        };
        let mut rows = self.left_over.iter();
        rows.find(is_other_account).map(|row| &row.account)
    }
}

impl Inventory {
    /// Makes suspensions of an earlier account name cover `scope`, too.
    pub fn extend_suspensions(&mut self, scope: &Scope, aliases: &BTreeSet<AccountName>) {
        for suspension in &mut self.suspensions {
            let accounts = &mut suspension.selector.accounts;
            if aliases.iter().any(|alias| accounts.contains(alias)) {
                accounts.insert(scope.account.clone());
            }
        }
    }

    /// Whether a share of ours shows with its recorded blueprint, which proves the account.
    pub fn shows_own_blueprint(&self, seen: &Seen) -> bool {
        self.images.iter().any(|(image, entry)| {
            let recorded = entry
                .owned
                .as_ref()
                .and_then(|owned| owned.blueprint.as_ref());
            let shown = seen.shared.get(image);
            recorded.is_some_and(|id| shown.is_some_and(|shown| *id == shown.id))
        })
    }

    /// Takes over rows of `others`: all rows of names that are proven to mean the same account, and otherwise the rows
    /// that `seen` proves. `names` says which images manifests name in the scope.
    pub fn take_over(
        &mut self,
        others: BTreeMap<AccountName, ScopeRows>,
        account_match: impl Fn(&AccountName) -> AccountMatch,
        seen: Option<&Seen>,
        names: impl Fn(&ImageId) -> bool,
    ) -> Takeover {
        let mut takeover = Takeover::default();
        for (from, rows) in others {
            match (account_match(&from), seen) {
                (AccountMatch::Excluded, _) => {}
                (AccountMatch::Proven, _) => self.take_over_name(from, rows, &mut takeover),
                (account_match, Some(seen)) => {
                    let is_open = account_match == AccountMatch::Possible;
                    let taken = self.take_over_shown(&from, rows, seen, is_open, &names);
                    takeover.rows.extend(taken);
                }
                (AccountMatch::Possible | AccountMatch::InUseElsewhere, None) => {}
            }
        }
        takeover
    }

    /// Takes over all rows of one name.
    fn take_over_name(&mut self, from: AccountName, rows: ScopeRows, takeover: &mut Takeover) {
        let ScopeRows {
            images,
            open_intents: mut open,
            acceptances,
        } = rows;
        self.inherit(acceptances);
        let mut count = 0;
        for (image, row) in images {
            let joins = self.images.contains_key(&image);
            self.merge_row(&image, Some(row), open.remove(&image).unwrap_or_default());
            if joins {
                takeover.rows.push(TakenOverRow {
                    entry: self.images.get(&image).cloned(),
                    image,
                    from: from.clone(),
                    reason: SAME_ACCOUNT,
                });
            }
            count += 1;
        }
        for (image, open) in open {
            self.merge_row(&image, None, open);
            count += 1;
        }
        if count > 0 {
            takeover.names.push(TakenOverName {
                from,
                images: count,
            });
        }
    }

    /// Takes over the rows that `seen` proves, if the name may mean this account (`is_open`). Restraints are copied in
    /// any case, and also stay under the other name.
    fn take_over_shown(
        &mut self,
        from: &AccountName,
        rows: ScopeRows,
        seen: &Seen,
        is_open: bool,
        names: impl Fn(&ImageId) -> bool,
    ) -> Vec<TakenOverRow> {
        let ScopeRows {
            mut images,
            open_intents: mut open,
            acceptances: _,
        } = rows;
        let all: BTreeSet<ImageId> = images.keys().chain(open.keys()).cloned().collect();
        let mut taken = Vec::new();
        for image in all {
            let row = images.remove(&image);
            let claim = match is_open {
                true => prove_row(row.as_ref(), &image, seen),
                false => None,
            };
            if let Some((row, reason)) = claim {
                self.merge_row(&image, row, open.remove(&image).unwrap_or_default());
                taken.push(TakenOverRow {
                    entry: self.images.get(&image).cloned(),
                    image,
                    from: from.clone(),
                    reason,
                });
            } else if let Some(row) = row
                && (seen.shared.contains_key(&image) || names(&image))
            {
                self.hold_back(&image, &row);
            }
        }
        taken
    }

    /// Merges a row into the image's entry. The data under the scope's own name takes precedence, except that changes
    /// are held back if either of the two holds them back.
    fn merge_row(
        &mut self,
        image: &ImageId,
        row: Option<InventoryEntry>,
        mut open: Vec<OpenIntent>,
    ) {
        if let Some(row) = row {
            self.hold_back(image, &row);
            let own = self.images.entry(image.clone()).or_default();
            own.owned = own.owned.take().or(row.owned);
            if own.writes.is_empty() {
                own.writes = row.writes;
            }
            // Both belong to one account, so the newer reply counts.
            own.last_answer = own.last_answer.max(row.last_answer);
            own.denied_since = own.denied_since.or(row.denied_since);
        }
        if !open.is_empty() {
            let known = self.open_intents.entry(image.clone()).or_default();
            known.append(&mut open);
            known.sort_by_key(|open| open.intent);
        }
    }

    /// Holds back changes of an image if the row does so.
    fn hold_back(&mut self, image: &ImageId, row: &InventoryEntry) {
        if row.protected || row.parked_since.is_some() {
            let own = self.images.entry(image.clone()).or_default();
            own.parked_since = own.parked_since.or(row.parked_since);
            own.protected |= row.protected;
        }
    }
}

/// The row to take over with the reason, if an observation proves that it belongs to the scope although its name may
/// mean any account. A blueprint belongs to one account, so the recorded one is proof; a share without a recorded
/// blueprint is only probably ours.
fn prove_row(
    row: Option<&InventoryEntry>,
    image: &ImageId,
    seen: &Seen,
) -> Option<(Option<InventoryEntry>, &'static str)> {
    let shown = seen.shared.get(image)?;
    // There is no entry, only a write with an unknown outcome.
    let Some(row) = row else {
        return Some((None, SHOWN));
    };
    let owned = row.owned.as_ref()?;
    match &owned.blueprint {
        Some(recorded) if *recorded == shown.id => Some((Some(row.clone()), SAME_BLUEPRINT)),
        Some(_) => None,
        None => {
            let owned = OwnedShare {
                ownership: OwnershipState::Probable,
                ..owned.clone()
            };
            let row = InventoryEntry {
                owned: Some(owned),
                ..row.clone()
            };
            Some((Some(row), SHOWN))
        }
    }
}

impl TakenOverRow {
    /// Whether the observation proves that the name meant the scope's account, and not only that this row may belong to
    /// it.
    pub fn proves_the_name(&self) -> bool {
        self.reason == SAME_BLUEPRINT
    }
}

#[cfg(test)]
#[path = "takeover_tests.rs"]
mod tests;
