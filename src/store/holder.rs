//! The process that reconciles with a state directory, as named in the lock file and shown to people. It is separate from
//! the lock, because errors also name the process.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::words;
use crate::words::rfc3339;

/// The process that reconciles with a state directory, as its lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id on `host`.
    pub pid: u32,
    /// The host name of the machine. The directory may be on a network.
    pub host: String,
    /// The command line of the process.
    pub command: String,
    /// When the process took the lock.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} on {} (`{}`, since {})",
            self.pid,
            words::brief(&self.host),
            words::brief(&self.command),
            rfc3339(self.since)
        )
    }
}
