//! The requests to the thread that commits, and its replies.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::StoreError;

/// Replies to the caller, once it is known whether the transaction was committed.
pub(super) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does its part in the transaction, if there is one. An error undoes only this part, unless the whole transaction fails.
pub(super) type Work =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> (Result<(), StoreError>, Reply) + Send>;
/// Closes, within a transaction, what a failed commit has left after the given entry of the history.
pub(super) type Settle = Box<dyn FnOnce(&Connection, u64) -> Result<(), StoreError> + Send>;

/// The messages that the thread accepts.
pub(super) enum Message {
    Work(Request),
    /// Finds out whether the state can be written, and reopens it if it could not.
    Recover {
        settle: Settle,
        reply: oneshot::Sender<Condition>,
    },
}

/// One part of a transaction, and how long it may wait.
pub(super) struct Request {
    pub(super) priority: Priority,
    pub(super) work: Work,
}

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody waits for the result, so the commit begins at once.
    Immediate,
    /// The commit may wait for other requests.
    Batched,
    /// The commit may wait longer than for `Batched`. The request records the outcome of a write that was sent, so it is
    /// carried out even when the state is lost, as far as possible.
    Outcome,
}

/// Whether a state can be written.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Writable,
    /// It cannot be written now, but may be later.
    Failing(StoreError),
    /// The state that can be opened in place of the failed one is another one.
    Gone(StoreError),
}
