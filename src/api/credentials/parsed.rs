//! What a file says, whatever its format.

use crate::api::protocol::sign::Credentials;
use crate::desired::Role;

/// A file's content.
pub(super) struct Parsed {
    /// A key pair, unless the file only says who has one.
    pub(super) credentials: Option<Credentials>,
    /// How it is used.
    pub(super) way: KeyUse,
}

/// What is to be done with the keys of a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Called with.
    AsIs,
    /// They assume a role, which is called with.
    Assume(Role),
    /// There are none: the machine's own role is used.
    Metadata,
}

/// Why a file gives nothing: a clause that follows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has nothing to say.
    Absent(String),
    /// It has, and cannot be used.
    Broken(String),
}
