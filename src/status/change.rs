//! Writes that were answered, as they are shown and counted.

use crate::desired::Source;
use crate::history::WriteResult;
use crate::model::{Cause, ImageKey, Permission, Region, Timestamp};

/// A write that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Which image.
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// Why.
    pub cause: Cause,
    /// What came of it.
    pub result: WriteResult,
    /// The API's error code.
    pub code: Option<String>,
    /// One line for a person, where it did not succeed.
    pub message: Option<String>,
    /// For the vendor's support.
    pub request_id: Option<String>,
    /// The manifest line that asked for it.
    pub source: Option<Source>,
}

/// What answered writes are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeKind {
    /// Where.
    pub region: Region,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// Why.
    pub cause: Cause,
    /// What came of it.
    pub result: WriteResult,
}
