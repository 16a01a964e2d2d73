//! Decoded documents: each is valid by itself. Nothing here compares one document with another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::restriction::Restriction;
use crate::desired::{Account, DesiredShare, DocumentMetadata, ImageRef, Policy, PolicyLock};
use crate::manifest::diagnostic::Place;
use crate::model::{AccountName, Glob, ImageName, Region};

/// A document, as far as it is valid.
#[derive(Debug)]
pub(super) enum Document {
    Share(Share),
    Policy(Box<PolicyDocument>),
    Lock(Lock),
    Account {
        name: AccountName,
        place: Place,
        account: Account,
    },
    Restriction(Box<Restriction>),
}

/// The metadata of a document, and its account and regions.
#[derive(Debug)]
pub(super) struct Header {
    pub file: u32,
    pub name: Option<(String, Place)>,
    pub labels: Arc<BTreeMap<String, String>>,
    pub account: Option<(AccountName, Place)>,
    /// Where to report a problem with the default account, if no account is named.
    pub default_account: Option<Place>,
    pub regions: Vec<(Region, Place)>,
}

impl Header {
    /// The named account, or else the default one.
    pub(super) fn account_name(&self) -> AccountName {
        let named = self.account.as_ref().map(|(name, _)| name.clone());
        named.unwrap_or_default()
    }

    /// The `metadata`, as far as it is valid.
    pub(super) fn metadata(&self) -> Arc<DocumentMetadata> {
        let name = self.name.as_ref().map_or("", |(name, _)| name.as_str());
        Arc::new(DocumentMetadata {
            name: name.into(),
            labels: Arc::clone(&self.labels),
        })
    }
}

#[derive(Debug)]
pub(super) struct Share {
    pub header: Header,
    pub images: Vec<Image>,
}

/// One entry of `spec.images`.
#[derive(Debug)]
pub(super) struct Image {
    pub image: ImageRef,
    /// The place of its id or name.
    pub place: Place,
    pub desired: DesiredShare,
    pub protect: bool,
    pub note: Option<Arc<str>>,
}

/// An `ImageSharePolicy`, with the parts that are checked against other documents.
#[derive(Debug)]
pub(super) struct PolicyDocument {
    pub header: Header,
    /// The place of `match`, and its pattern for names; `None` if it is invalid.
    pub matched: Option<(Option<Glob>, Place)>,
    pub pinned: Vec<(ImageName, Place)>,
    pub revoked: Vec<(ImageRef, Place)>,
    pub replacements: Vec<(ImageName, Place)>,
    /// The whole policy; `None` if anything is wrong.
    pub policy: Option<Policy>,
}

/// An `ImageShareLock`, policy by policy.
#[derive(Debug)]
pub(super) struct Lock {
    /// The beginning of the document.
    pub place: Place,
    pub policies: Vec<(Arc<str>, Place, PolicyLock)>,
}

impl Document {
    /// The entries, each counted once for each region.
    pub(super) fn images(&self) -> usize {
        match self {
            Self::Share(share) => share.images.len() * share.header.regions.len(),
            Self::Policy(_) | Self::Lock(_) | Self::Account { .. } | Self::Restriction(_) => 0,
        }
    }

    /// Whether it only concerns other documents.
    pub(super) fn asks_for_nothing(&self) -> bool {
        matches!(self, Self::Restriction(_) | Self::Lock(_))
    }
}
