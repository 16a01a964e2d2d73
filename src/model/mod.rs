//! The identifiers that everything else is keyed by, each valid by construction.
//!
//! This module knows the grammar of accounts, uins, regions, image ids and names, and access points; it knows nothing of
//! YAML, HTTP or plans. A value of these types was checked once, at the edge, and is never checked again.

mod clocks;
mod commit;
mod endpoint;
#[cfg(test)]
pub(crate) mod fixtures_tests;
mod glob;
mod image_id;
mod image_name;
mod key_digest;
mod monotonic;
mod present;
mod region;
mod secret;
mod selector;
mod uin;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use clocks::Clocks;
pub(crate) use commit::is_hash;
pub use commit::{Ancestry, Basis, Commit, Gap, Order};
pub(crate) use endpoint::is_loopback;
pub use endpoint::{Endpoint, EndpointError};
pub use glob::Glob;
pub use image_id::{ImageId, MalformedImageId};
pub use image_name::{ImageName, MalformedImageName};
pub use key_digest::KeyDigest;
pub use monotonic::Monotonic;
pub use present::Present;
pub use region::{Region, UnknownRegion};
pub use secret::Secret;
pub use selector::{Labels, Selector};
pub use uin::{MalformedUin, Uin};

/// A wall-clock instant. Always UTC: TC3 signs the UTC date, and manifests write `…Z`.
pub type Timestamp = DateTime<Utc>;

/// The name of an `Account` document, or [`AccountName::DEFAULT`] for the ambient credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// The account of documents that name no account.
    pub const DEFAULT: &'static str = "default";

    /// Length limit of a name, as for a Kubernetes object.
    pub const LEN_MAX: usize = 253;

    /// Checks the grammar of `metadata.name`: lower-case letters, digits, `-` and `.`, beginning
    /// and ending with a letter or digit.
    pub fn new(name: &str) -> Option<Self> {
        is_object_name(name).then(|| Self(name.into()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AccountName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl TryFrom<String> for AccountName {
    type Error = MalformedAccountName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name).ok_or(MalformedAccountName)
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.as_str().to_owned()
    }
}

/// The text is not an account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account name has lower-case letters, digits, `-` and `.` only")]
pub struct MalformedAccountName;

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` may be a document's `metadata.name` (the Kubernetes object name grammar).
pub fn is_object_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= AccountName::LEN_MAX
        && alphanumeric(first)
        && alphanumeric(last)
        && bytes
            .iter()
            .all(|&b| alphanumeric(b) || b == b'-' || b == b'.')
}

/// One account in one region: the unit that is observed, planned and executed on its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub account: AccountName,
    /// Region of the API, sent as `X-TC-Region`.
    pub region: Region,
}

impl Scope {
    /// Parses `ACCOUNT/REGION`, the form in which a scope is shown.
    pub fn parse(text: &str) -> Option<Self> {
        let (account, region) = text.split_once('/')?;
        Some(Self {
            account: AccountName::new(account)?,
            region: Region::new(region).ok()?,
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// The key of a desired state: one image in one scope. Ordered, so that every listing is stable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageKey {
    #[serde(flatten)]
    pub scope: Scope,
    /// Id of the CVM custom image.
    #[serde(rename = "image_id")]
    pub image: ImageId,
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.image)
    }
}

/// Whether Lighthouse may create servers from an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareState {
    Shared,
    Unshared,
}

impl ShareState {
    /// The word used in manifests and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Unshared => "unshared",
        }
    }
}

/// The two values of `Permission` in `ModifyImageSharePermission`. The published example of CANCEL shows `CANEL`; the
/// description of the parameter and the SDK use `CANCEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Makes the image available to Lighthouse.
    Share,
    Cancel,
}

impl Permission {
    /// The value in the API's request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Share => "SHARE",
            Self::Cancel => "CANCEL",
        }
    }

    /// The state after the call took effect.
    pub const fn leads_to(self) -> ShareState {
        match self {
            Self::Share => ShareState::Shared,
            Self::Cancel => ShareState::Unshared,
        }
    }

    /// The call that leads to `state`.
    pub const fn towards(state: ShareState) -> Self {
        match state {
            ShareState::Shared => Self::Share,
            ShareState::Unshared => Self::Cancel,
        }
    }
}

/// Why a state is desired, and so why a call is made. Each cause has its own limits and windows, and its own word in
/// plans, reports and the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A manifest declares the state.
    Declared,
    /// The share's `until` has passed.
    Expired,
    /// No manifest names the image any longer, and pruning is on.
    Pruned,
    /// A policy keeps newer images instead.
    Retention,
    /// A policy wants the image shared.
    Policy,
    /// A policy revokes the image for good.
    Revoked,
}

impl Cause {
    pub const ALL: [Self; 6] = [
        Self::Declared,
        Self::Expired,
        Self::Pruned,
        Self::Retention,
        Self::Policy,
        Self::Revoked,
    ];

    /// The word used in manifests, JSON, logs and the history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Expired => "expired",
            Self::Pruned => "pruned",
            Self::Retention => "retention",
            Self::Policy => "policy",
            Self::Revoked => "revoked",
        }
    }

    /// Finds the cause by its word.
    pub fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_follow_the_kubernetes_grammar() {
        for good in ["a", "prod", "prod-1", "a.b-c", "0"] {
            assert!(is_object_name(good), "{good}");
        }
        for bad in ["", "Prod", "-a", "a-", "a_b", "a b", "ä", &"a".repeat(254)] {
            assert!(!is_object_name(bad), "{bad}");
        }
    }

    #[test]
    fn a19_the_wire_words_are_share_and_cancel() {
        assert_eq!(Permission::Share.as_str(), "SHARE");
        assert_eq!(Permission::Cancel.as_str(), "CANCEL");
    }
}
