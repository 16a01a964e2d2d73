//! How a state directory is opened to write: by whom, and how much of the history is kept. The same for every way in
//! that writes.

use super::history_writer::HISTORY_MAX;
use super::holder::Holder;
use crate::model::{Present, Timestamp};

/// This machine's clock, by which entries and rows are dated.
pub(super) type Now = Box<dyn Fn() -> Present>;

/// How to open a state directory to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What this process was started as, for others to read while it holds the lock.
    pub command: String,
    /// This machine's name.
    pub host: String,
    /// The git commit of the manifests, for the history; see [`Store::set_commit`].
    pub commit: Option<String>,
    /// So many entries of the history are kept.
    pub history_max: u64,
}

impl Options {
    /// Names the process; the rest is the usual.
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
