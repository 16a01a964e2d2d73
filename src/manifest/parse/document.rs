//! Decoded documents: each is valid by itself. Nothing here compares one document with another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::restriction::Restriction;
use crate::desired::{Account, DesiredShare};
use crate::manifest::diagnostic::Place;
use crate::model::{AccountName, ImageId, Region};

/// A document, as far as it could be read.
#[derive(Debug)]
pub(super) enum Document {
    Share(Share),
    Account {
        name: AccountName,
        place: Place,
        account: Account,
    },
    Restriction(Restriction),
}

#[derive(Debug)]
pub(super) struct Share {
    pub file: u32,
    pub name: Option<(String, Place)>,
    pub labels: Arc<BTreeMap<String, String>>,
    pub account: Option<(AccountName, Place)>,
    /// Where to report a problem with the default account, if no account is named.
    pub default_account: Option<Place>,
    pub regions: Vec<(Region, Place)>,
    pub images: Vec<Image>,
}

/// One entry of `spec.images`.
#[derive(Debug)]
pub(super) struct Image {
    pub id: ImageId,
    pub place: Place,
    pub desired: DesiredShare,
    pub protect: bool,
}

impl Document {
    pub(super) fn images(&self) -> usize {
        match self {
            Self::Share(share) => share.images.len() * share.regions.len(),
            Self::Account { .. } | Self::Restriction(_) => 0,
        }
    }
}
