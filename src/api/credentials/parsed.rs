//! The content of a credentials file, whatever its format.

use crate::api::protocol::sign::Credentials;
use crate::desired::Role;

/// The parsed content of a credentials file.
pub(super) struct ParsedFile {
    /// A key pair, unless the file refers to another source.
    pub(super) credentials: Option<Credentials>,
    /// How the key pair is used.
    pub(super) key_use: KeyUse,
}

/// The use of a file's keys.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// They sign the calls directly.
    AsIs,
    /// They assume a role, whose keys sign the calls.
    Assume(Role),
    /// There are no keys; the machine's own role is used.
    Metadata,
}

/// Why a file has no credentials: a clause that follows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileFault {
    /// It has no entry for them.
    Absent(String),
    /// It has an entry that cannot be used.
    Broken(String),
}
