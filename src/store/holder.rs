//! Which process works with a state directory, as its lock file says it and as people read it. Apart from the lock
//! itself, because errors name the holder too.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::words;

/// The process that reconciles with a state directory, as its lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number on `host`.
    pub pid: u32,
    /// The machine's name: the directory may be on a network.
    pub host: String,
    /// What it was started as.
    pub command: String,
    /// Since when.
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
            self.since.format("%Y-%m-%dT%H:%M:%SZ")
        )
    }
}
