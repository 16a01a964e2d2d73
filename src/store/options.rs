//! Options for opening a state directory to write: the process that opens it, and how much of the history is kept. Both
//! types that write use the same options.

use super::history_writer::HISTORY_MAX;
use super::holder::Holder;
use crate::model::{Present, Timestamp};

/// The clock of this machine, which gives entries and rows their dates.
pub(super) type Now = Box<dyn Fn() -> Present>;

/// Options for opening a state directory to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The command line of this process, which other processes can read while it holds the lock.
    pub command: String,
    /// The host name of this machine.
    pub host: String,
    /// The git commit of the manifests, for the history; see [`super::Store::set_commit`].
    pub commit: Option<String>,
    /// The number of history entries that are kept.
    pub history_max: u64,
}

impl Options {
    /// The default options for a process.
    pub fn new(command: &str, host: &str) -> Self {
        Self {
            command: command.to_owned(),
            host: host.to_owned(),
            commit: None,
            history_max: HISTORY_MAX,
        }
    }

    pub(super) fn holder(&self, since: Timestamp) -> Holder {
        Holder {
            pid: std::process::id(),
            host: self.host.clone(),
            command: self.command.clone(),
            since,
        }
    }
}
