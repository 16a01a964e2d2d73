//! Documents as they were decoded: each is right in itself, and nothing is known yet of how it stands to the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::restriction::Restriction;
use crate::desired::{Account, DesiredShare};
use crate::manifest::diagnostic::Place;
use crate::model::{AccountName, ImageId, Region};

/// A document that is right as far as it was read.
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

/// An `ImageShare`.
#[derive(Debug)]
pub(super) struct Share {
    pub file: u32,
    pub name: Option<(String, Place)>,
    pub labels: Arc<BTreeMap<String, String>>,
    pub account: Option<(AccountName, Place)>,
    /// Where the default account is meant, for want of another.
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
