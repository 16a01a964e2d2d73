//! Answered writes, in the form in which they are shown and counted.

use crate::desired::Source;
use crate::history::WriteResult;
use crate::model::{Cause, ImageKey, Permission, Timestamp};

/// A write that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Time of the answer.
    pub at: Timestamp,
    pub key: ImageKey,
    pub permission: Permission,
    pub cause: Cause,
    pub result: WriteResult,
    /// The API's error code, where it returned one.
    pub code: Option<String>,
    /// One line for a person, if the write did not succeed.
    pub message: Option<String>,
    /// RequestId, for which the vendor's support asks.
    pub request_id: Option<String>,
    /// Manifest line that asks for the write.
    pub source: Option<Source>,
}
