//! Writes that were answered, as they are shown and counted.

use crate::desired::Source;
use crate::history::WriteResult;
use crate::model::{Cause, ImageKey, Permission, Timestamp};

/// A write that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When the answer came.
    pub at: Timestamp,
    pub key: ImageKey,
    pub permission: Permission,
    pub cause: Cause,
    pub result: WriteResult,
    /// The API's error code, where it gave one.
    pub code: Option<String>,
    /// One line for a person, where it did not succeed.
    pub message: Option<String>,
    /// The id that the vendor's support asks for.
    pub request_id: Option<String>,
    /// The manifest line that asked for it.
    pub source: Option<Source>,
}
