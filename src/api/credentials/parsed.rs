//! What a file says, whatever its format.

use crate::api::protocol::sign::Credentials;
use crate::desired::Role;

/// What a file of credentials says.
pub(super) struct ParsedFile {
    /// A key pair, unless the file only says who has one.
    pub(super) credentials: Option<Credentials>,
    /// How the key pair is used.
    pub(super) key_use: KeyUse,
}

/// What is to be done with the keys of a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// They sign the calls themselves.
    AsIs,
    /// They assume a role, whose keys sign the calls.
    Assume(Role),
    /// There are none: the machine's own role is used.
    Metadata,
}

/// Why a file gives nothing: a clause that follows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileFault {
    /// It has nothing to say.
    Absent(String),
    /// It has, and cannot be used.
    Broken(String),
}
