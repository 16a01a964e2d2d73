//! DESIRED: what the manifests ask for, keyed and ordered, each entry with the line it came from.
//!
//! A [`Desired`] is only ever built from manifests that parsed without one error (see
//! [`crate::manifest`]); a half-read set is a list of diagnostics, never a smaller `Desired`. The one exception
//! has to be asked for by name: [`crate::manifest::Partial::into_partial_desired`].

mod credentials;
mod image_match;
mod policy;
mod policy_digest;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use crate::model::{
    AccountName, Cause, Endpoint, ImageId, ImageKey, ImageName, Labels, Region, Scope, Selector,
    ShareState, Timestamp, Uin,
};
use crate::windows::Windows;

pub use credentials::{AssumeRole, CredentialSource, Role};
pub use image_match::{ImageMatch, NameRegex};
pub use policy::{
    Availability, Exclusion, ImageRef, Keep, LockMode, LockedImage, Order, Pin, Policy, PolicyLock,
    Revocation,
};

/// Everything the manifests declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Entries by id, one per image key; two documents cannot set the same key.
    pub images: BTreeMap<ImageKey, DesiredImage>,
    /// Entries by name, one per scope and name. Which image a name means is known once the scope is observed.
    pub names: BTreeMap<Scope, BTreeMap<ImageName, DesiredImage>>,
    /// Policies, in each scope that they are about, in the order of their names.
    pub policies: BTreeMap<Scope, Vec<Arc<Policy>>>,
    /// What the lock file holds, by the name of the policy.
    pub locks: BTreeMap<Arc<str>, PolicyLock>,
    /// Accounts declared by an `Account` document. [`AccountName::DEFAULT`] need not be here.
    pub accounts: BTreeMap<AccountName, Account>,
    /// Whether that is all of it.
    pub completeness: Completeness,
}

/// Whether the manifests are known to be all that there are. If they are not known to be, what they do not name may be
/// named all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing speaks against it.
    #[default]
    Whole,
    /// They lie in a git repository, and git cannot be asked what else it has: why, and the way out.
    Unknown(Arc<str>),
}

/// What the manifests say of one scope. It names images by id and by name; `resolve` turns it into what is asked of each
/// image.
#[derive(Clone, Debug)]
pub struct DesiredScope<'a> {
    /// Entries by id that the selector picks.
    pub images: BTreeMap<&'a ImageId, &'a DesiredImage>,
    /// Images that are named by id, but not selected: not touched, and not taken for unnamed.
    pub unselected: BTreeMap<&'a ImageId, &'a DesiredImage>,
    /// Entries by name, selected or not.
    pub names: &'a BTreeMap<ImageName, DesiredImage>,
    /// Policies, selected or not.
    pub policies: &'a [Arc<Policy>],
    /// What the lock file holds, by the name of the policy.
    pub locks: &'a BTreeMap<Arc<str>, PolicyLock>,
    /// What is selected; also picks from images that no manifest names.
    pub selector: &'a Selector,
    /// Whether the manifests are all that there are.
    pub completeness: &'a Completeness,
}

static NO_NAMES: BTreeMap<ImageName, DesiredImage> = BTreeMap::new();

impl<'a> DesiredScope<'a> {
    /// Whether an entry names the image here by its id.
    pub fn names(&self, image: &ImageId) -> bool {
        self.get(image).is_some()
    }

    /// The entry that names the image here by its id, selected or not.
    pub fn get(&self, image: &ImageId) -> Option<&'a DesiredImage> {
        let named = self.images.get(image);
        named.or_else(|| self.unselected.get(image)).copied()
    }

    /// Every image that an entry names here by its id, selected or not.
    pub fn named(&self) -> impl Iterator<Item = (&'a ImageId, &'a DesiredImage)> {
        let both = self.images.iter().chain(&self.unselected);
        both.map(|(&id, &image)| (id, image))
    }

    /// Whether something may be asked of a selected image.
    pub fn may_ask(&self) -> bool {
        !self.images.is_empty() || self.needs_own_images()
    }

    /// Whether an entry has the name.
    pub fn has_name(&self, name: &str) -> bool {
        let name = ImageName::new(name);
        name.is_ok_and(|name| self.names.contains_key(&name))
    }

    /// Whether it depends on the account's own images what is asked for.
    pub fn needs_own_images(&self) -> bool {
        !self.names.is_empty() || !self.policies.is_empty()
    }

    /// Whether it depends on what only CVM's DescribeImages tells.
    pub fn needs_cvm(&self) -> bool {
        self.policies.iter().any(|policy| policy.needs_cvm())
    }
}

impl Desired {
    /// What `selector` picks, by scope, in order. A scope in which it picks no named image is left out, unless it could pick
    /// an image there that no manifest names.
    pub fn by_scope<'a>(&'a self, selector: &'a Selector) -> BTreeMap<&'a Scope, DesiredScope<'a>> {
        let scopes = self.scopes().filter(|scope| selector.reaches(scope));
        let wanted = scopes.filter_map(|scope| Some((scope, self.desired_scope(scope, selector)?)));
        wanted.collect()
    }

    /// What `selector` picks in one scope; `None` where it picks nothing and could not.
    pub fn desired_scope<'a>(
        &'a self,
        scope: &Scope,
        selector: &'a Selector,
    ) -> Option<DesiredScope<'a>> {
        let (picked, rest): (Vec<_>, Vec<_>) = self
            .of(scope)
            .partition(|(key, image)| selector.matches(key, &image.document.labels));
        // Made at once of what is in order, which costs less than to insert one after the other.
        let by_id = |images: Vec<(&'a ImageKey, &'a DesiredImage)>| {
            let images = images.into_iter().map(|(key, image)| (&key.image, image));
            images.collect()
        };
        let wanted = DesiredScope {
            images: by_id(picked),
            unselected: by_id(rest),
            names: self.names.get(scope).unwrap_or(&NO_NAMES),
            policies: self.policies.get(scope).map_or(&[], Vec::as_slice),
            locks: &self.locks,
            selector,
            completeness: &self.completeness,
        };
        let has_labels = |document: &DocumentMetadata| selector.matches_labels(&document.labels);
        let mut names = wanted.names.values();
        let mut policies = wanted.policies.iter();
        let may_pick = names.any(|image| has_labels(&image.document))
            || policies.any(|policy| has_labels(&policy.document));
        let named = !wanted.unselected.is_empty() || wanted.needs_own_images();
        let picks = !wanted.images.is_empty() || may_pick || (named && selector.labels.is_empty());
        (picks && selector.reaches(scope)).then_some(wanted)
    }

    /// Whether `selector` picks an entry or a policy. Of names and policies it is not known which images they mean, so one
    /// that picks images by id may pick theirs.
    pub fn is_selected(&self, selector: &Selector) -> bool {
        let picks = |scope: &Scope, document: &DocumentMetadata| {
            selector.reaches(scope) && selector.matches_labels(&document.labels)
        };
        let mut images = self.images.iter();
        let mut names = self.names.iter();
        let mut policies = self.policies.iter();
        images.any(|(key, image)| selector.matches(key, &image.document.labels))
            || names.any(|(scope, names)| names.values().any(|image| picks(scope, &image.document)))
            || policies.any(|(scope, policies)| {
                policies.iter().any(|policy| picks(scope, &policy.document))
            })
    }

    /// Accounts and regions in which a document asks for something, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        // From one scope to the next at once: a scope may hold a million images.
        let after = |scope: &Scope| {
            let last = ImageKey {
                scope: scope.clone(),
                image: ImageId::last(),
            };
            let mut rest = self.images.range((Excluded(last), Unbounded));
            rest.next().map(|(key, _)| &key.scope)
        };
        let first = self.images.keys().next().map(|key| &key.scope);
        let by_id = std::iter::successors(first, move |scope| after(scope));
        let all: BTreeSet<_> = by_id
            .chain(self.names.keys())
            .chain(self.policies.keys())
            .collect();
        all.into_iter()
    }

    /// The number of entries, by id and by name, each counted once for each region.
    pub fn entries(&self) -> usize {
        let names = self.names.values().map(BTreeMap::len);
        self.images.len() + names.sum::<usize>()
    }

    /// The account names that an `Account` document declares or under which a document asks for something.
    pub fn names(&self) -> BTreeSet<AccountName> {
        let used = self.asking_accounts().into_iter();
        used.chain(self.accounts.keys()).cloned().collect()
    }

    /// The account names under which a document asks for something in the region, each with the uin of its document.
    pub fn names_in(&self, region: Region) -> BTreeMap<AccountName, Option<Uin>> {
        let here = self.asking_accounts_in(region);
        here.map(|name| {
            let account = self.accounts.get(name);
            let uin = account.and_then(|account| account.uin.clone());
            (name.clone(), uin)
        })
        .collect()
    }

    fn asking_accounts_in(&self, region: Region) -> impl Iterator<Item = &AccountName> {
        let names = self.asking_accounts().into_iter();
        names.filter(move |name| {
            let scope = Scope {
                account: (*name).clone(),
                region,
            };
            self.of(&scope).next().is_some()
                || self.names.contains_key(&scope)
                || self.policies.contains_key(&scope)
        })
    }

    /// The account names under which a document asks for something.
    fn asking_accounts(&self) -> BTreeSet<&AccountName> {
        // From one account to the next at once, as from scope to scope: this is asked for each scope.
        let after = |account: &AccountName| {
            let last = ImageKey {
                scope: Scope {
                    account: account.clone(),
                    region: Region::all().last().unwrap_or(Region::first()),
                },
                image: ImageId::last(),
            };
            let mut rest = self.images.range((Excluded(last), Unbounded));
            rest.next().map(|(key, _)| &key.scope.account)
        };
        let first = self.images.keys().next().map(|key| &key.scope.account);
        let by_id = std::iter::successors(first, |account| after(account));
        let otherwise = self.names.keys().chain(self.policies.keys());
        by_id.chain(otherwise.map(|scope| &scope.account)).collect()
    }

    /// The images that are named by id in one scope, in order.
    pub fn of(&self, scope: &Scope) -> impl Iterator<Item = (&ImageKey, &DesiredImage)> {
        let first = ImageKey {
            scope: scope.clone(),
            image: ImageId::first(),
        };
        let scope = scope.clone();
        let from = self.images.range(first..);
        from.take_while(move |(key, _)| key.scope == scope)
    }
}

/// The desired state of one image key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredImage {
    /// What is asked for, which may depend on the time.
    pub share: DesiredShare,
    /// Never CANCEL, whatever asks for it.
    pub protect: bool,
    /// The entry that declared it.
    pub source: Source,
    /// The document that the entry is in.
    pub document: Arc<DocumentMetadata>,
    /// The name that the entry, or the policy, knows the image by.
    pub name: Option<ImageName>,
    /// Free text of the entry.
    pub note: Option<Arc<str>>,
    /// What bounds a CANCEL that policies ask for.
    pub bounds: Option<Arc<CancelBounds>>,
    /// The labels of the other documents that speak of the image: whoever suspends one of them means the image.
    pub other_labels: Vec<Arc<Labels>>,
}

impl DesiredImage {
    /// The labels of each document that speaks of the image.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<Labels>> {
        std::iter::once(&self.document.labels).chain(&self.other_labels)
    }
}

/// `metadata` of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentMetadata {
    pub name: Arc<str>,
    pub labels: Arc<Labels>,
}

/// What bounds a CANCEL that policies ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelBounds {
    /// The policies that agreed on it, each with the most CANCELs of this cause that may be due.
    pub policies: BTreeMap<Arc<str>, u32>,
    /// Whether the share must be our own.
    pub owned: bool,
    /// Whether it is cancelled though instances use it.
    pub in_use: bool,
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesiredShare {
    /// `state: unshared` in the manifest.
    Unshared,
    /// `state: shared`, within `[from, until)` where these are given, unshared outside.
    Shared {
        /// Unshared before this instant.
        from: Option<Timestamp>,
        /// Unshared from this instant on.
        until: Option<Timestamp>,
    },
    /// What policies ask for at the time of the observation.
    ByPolicy { state: ShareState, cause: Cause },
}

impl DesiredShare {
    /// The state asked for at `now`, and why.
    pub fn at(self, now: Timestamp) -> (ShareState, Cause) {
        match self {
            Self::Unshared => (ShareState::Unshared, Cause::Declared),
            Self::Shared {
                until: Some(until), ..
            } if now >= until => (ShareState::Unshared, Cause::Expired),
            Self::Shared {
                from: Some(from), ..
            } if now < from => (ShareState::Unshared, Cause::Declared),
            Self::Shared { .. } => (ShareState::Shared, Cause::Declared),
            Self::ByPolicy { state, cause } => (state, cause),
        }
    }

    /// Whether the share has yet to begin at `now`. Until then the entry says nothing of the image, except that it is named.
    pub fn is_to_come(self, now: Timestamp) -> bool {
        matches!(self, Self::Shared { from: Some(from), .. } if now < from)
    }

    /// The instants at which it asks for another state than before.
    pub fn changes_at(self) -> impl Iterator<Item = Timestamp> {
        let changes_at = match self {
            Self::Unshared | Self::ByPolicy { .. } => [None, None],
            Self::Shared { from, until } => [from, until],
        };
        changes_at.into_iter().flatten()
    }
}

/// A place in a manifest. Lines count from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Path as the user gave it or as found below a given directory.
    pub file: Arc<str>,
    /// Line of the entry.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An `Account` document. Never holds a secret, only where to find one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The root account's number, where the document gives it: its credentials must be of this account.
    pub uin: Option<Uin>,
    /// Access point; `None` means the default one.
    pub endpoint: Option<Endpoint>,
    /// Writes a second per access point, 1 to 20.
    pub rate: Option<u32>,
    /// Where its credentials are.
    pub credentials: CredentialSource,
    /// When changes may be made.
    pub windows: Windows,
    pub source: Source,
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn at(day: u32) -> Timestamp {
        chrono::Utc.with_ymd_and_hms(2026, 1, day, 0, 0, 0).unwrap()
    }

    #[test]
    fn shared_only_within_its_window() {
        let intent = DesiredShare::Shared {
            from: Some(at(10)),
            until: Some(at(20)),
        };
        assert_eq!(intent.at(at(9)), (ShareState::Unshared, Cause::Declared));
        assert_eq!(intent.at(at(10)), (ShareState::Shared, Cause::Declared));
        assert_eq!(intent.at(at(19)), (ShareState::Shared, Cause::Declared));
        assert_eq!(intent.at(at(20)), (ShareState::Unshared, Cause::Expired));
        assert_eq!(
            DesiredShare::Unshared.at(at(1)),
            (ShareState::Unshared, Cause::Declared)
        );
    }
}
