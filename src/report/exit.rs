//! The exit status of each command; the numbers are a public interface. Its document tells it, too.

use serde::{Serialize, Serializer};

/// The exit status of the process, as README lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, and everything is in the desired state.
    Done,
    /// Manifests, credentials, state or API: nothing was decided.
    Error,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// A guard withheld changes.
    Withheld,
    /// Finished, but some images are not in the desired state.
    Incomplete,
    /// The saved plan is stale, or a newer commit of the manifests was worked on.
    Stale,
    /// The command line is wrong.
    Usage,
    /// SIGHUP, after calls in flight settled.
    HungUp,
    /// SIGINT, after calls in flight settled.
    Interrupted,
    /// SIGTERM, after calls in flight settled.
    Terminated,
}

impl ExitStatus {
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Withheld => 3,
            Self::Incomplete => 4,
            Self::Stale => 5,
            Self::Usage => 64,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// A document shows the number.
impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}
