//! DESIRED: what the manifests ask for, keyed and ordered, each entry with its line in the manifest.
//!
//! A [`Desired`] is only ever built from manifests that parsed without an error (see [`crate::manifest`]). A half-read
//! set yields a list of diagnostics, never a smaller `Desired`. There is one exception, which the caller must request
//! explicitly: [`crate::manifest::Partial::into_partial_desired`].

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
    /// Entries by name, one per scope and name. Only an observation of the scope shows which image a name means.
    pub names: BTreeMap<Scope, BTreeMap<ImageName, DesiredImage>>,
    /// Policies, in each scope that they apply to, in the order of their names.
    pub policies: BTreeMap<Scope, Vec<Arc<Policy>>>,
    /// The content of the lock file, by the name of the policy.
    pub locks: BTreeMap<Arc<str>, PolicyLock>,
    /// Accounts declared by an `Account` document. [`AccountName::DEFAULT`] need not be here.
    pub accounts: BTreeMap<AccountName, Account>,
    /// Whether these are known to be all manifests.
    pub completeness: Completeness,
}

/// Whether the manifests are known to be complete. If they may be incomplete, an image that they do not name may still
/// be named by a missing one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing suggests that a manifest is missing.
    #[default]
    Whole,
    /// The manifests are in a git repository, but git cannot be asked what else the repository holds. Holds the reason
    /// and the remedy.
    Unknown(Arc<str>),
}

/// The part of the manifests that applies to one scope. It names images by id and by name; `resolve` turns it into the
/// desired state of each image.
#[derive(Clone, Debug)]
pub struct DesiredScope<'a> {
    /// Entries by id that the selector selects.
    pub images: BTreeMap<&'a ImageId, &'a DesiredImage>,
    /// Images that are named by id but not selected. They are not touched, and do not count as unnamed.
    pub unselected: BTreeMap<&'a ImageId, &'a DesiredImage>,
    /// Entries by name, selected or not.
    pub names: &'a BTreeMap<ImageName, DesiredImage>,
    /// Policies, selected or not.
    pub policies: &'a [Arc<Policy>],
    /// The content of the lock file, by the name of the policy.
    pub locks: &'a BTreeMap<Arc<str>, PolicyLock>,
    /// The selector. It also selects among images that no manifest names.
    pub selector: &'a Selector,
    /// Whether the manifests are known to be complete.
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

    /// Whether the manifests may ask for anything on a selected image.
    pub fn may_ask(&self) -> bool {
        !self.images.is_empty() || self.needs_own_images()
    }

    /// Whether any entry uses the name.
    pub fn has_name(&self, name: &str) -> bool {
        let name = ImageName::new(name);
        name.is_ok_and(|name| self.names.contains_key(&name))
    }

    /// Whether the desired state depends on the account's own images.
    pub fn needs_own_images(&self) -> bool {
        !self.names.is_empty() || !self.policies.is_empty()
    }

    /// Whether the desired state depends on properties that only CVM's DescribeImages shows.
    pub fn needs_cvm(&self) -> bool {
        self.policies.iter().any(|policy| policy.needs_cvm())
    }
}

impl Desired {
    /// The selected part of the manifests, by scope, in order. A scope without a selected named image is left out,
    /// unless `selector` could select an image there that no manifest names.
    pub fn by_scope<'a>(&'a self, selector: &'a Selector) -> BTreeMap<&'a Scope, DesiredScope<'a>> {
        let scopes = self.scopes().filter(|scope| selector.reaches(scope));
        let wanted = scopes.filter_map(|scope| Some((scope, self.desired_scope(scope, selector)?)));
        wanted.collect()
    }

    /// The selected part in one scope; `None` if nothing there is selected or could be.
    pub fn desired_scope<'a>(
        &'a self,
        scope: &Scope,
        selector: &'a Selector,
    ) -> Option<DesiredScope<'a>> {
        let (picked, rest): (Vec<_>, Vec<_>) = self
            .of(scope)
            .partition(|(key, image)| selector.matches(key, &image.document.labels));
        // The map is collected from sorted items at once, which costs less than single insertions.
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

    /// Whether `selector` selects an entry or a policy. The images behind names and policies are not known here, so a
    /// selector of image ids may select theirs.
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
        // Jumps from one scope to the next, because a scope may hold a million images.
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

    /// The number of entries, by id and by name. An entry counts once for each region.
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
        // Jumps from one account to the next, as `scopes` does from scope to scope: this runs for each scope.
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

    /// The images that entries name by id in one scope, in order.
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
    /// The state that is asked for, which may depend on the time.
    pub share: DesiredShare,
    /// Whether CANCEL is forbidden, for any reason.
    pub protect: bool,
    /// The entry that declared it.
    pub source: Source,
    /// The document that the entry is in.
    pub document: Arc<DocumentMetadata>,
    /// The name that the entry or the policy uses for the image.
    pub name: Option<ImageName>,
    /// Free text of the entry.
    pub note: Option<Arc<str>>,
    /// The limits for a CANCEL that policies ask for.
    pub bounds: Option<Arc<CancelBounds>>,
    /// The labels of the other documents that mention the image. A suspension of any of them covers the image.
    pub other_labels: Vec<Arc<Labels>>,
}

impl DesiredImage {
    /// The labels of each document that mentions the image.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<Labels>> {
        std::iter::once(&self.document.labels).chain(&self.other_labels)
    }
}

/// The `metadata` of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentMetadata {
    pub name: Arc<str>,
    pub labels: Arc<Labels>,
}

/// The limits for a CANCEL that policies ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelBounds {
    /// The policies that agree on the CANCEL, each with the greatest number of CANCELs of this cause that may be due.
    pub policies: BTreeMap<Arc<str>, u32>,
    /// Whether only a share of our own may be cancelled.
    pub owned: bool,
    /// Whether the share is cancelled even if instances use it.
    pub in_use: bool,
}

/// The state that an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesiredShare {
    /// `state: unshared` in the manifest.
    Unshared,
    /// `state: shared` in the manifest: shared within `[from, until)`, if these are given, and unshared outside.
    Shared {
        /// Unshared before this instant.
        from: Option<Timestamp>,
        /// Unshared from this instant on.
        until: Option<Timestamp>,
    },
    /// The state that policies asked for at the time of the observation.
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

    /// Whether the share begins only after `now`. Until then the entry asks for nothing, but still names the image.
    pub fn is_to_come(self, now: Timestamp) -> bool {
        matches!(self, Self::Shared { from: Some(from), .. } if now < from)
    }

    /// The instants at which the requested state changes.
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
    /// The path, as the user gave it or as it was found below a given directory.
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

/// An `Account` document. It never holds a secret, only the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The root account's number, if the document gives it. The credentials must belong to this account.
    pub uin: Option<Uin>,
    /// Access point; `None` means the default one.
    pub endpoint: Option<Endpoint>,
    /// Writes a second per access point, 1 to 20.
    pub rate: Option<u32>,
    /// The source of its credentials.
    pub credentials: CredentialSource,
    /// The windows in which changes may be made.
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
