//! What the thread that commits is asked for, and what it answers.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::StoreError;

/// Answers the caller, once it is known whether the transaction was committed.
pub(super) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does its part in the transaction, if there is one. An error undoes this part alone, unless the whole transaction fails.
pub(super) type Work =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> (Result<(), StoreError>, Reply) + Send>;
/// Closes, within a transaction, what a commit after the given entry of the history has left although it failed.
pub(super) type Settle = Box<dyn FnOnce(&Connection, u64) -> Result<(), StoreError> + Send>;

/// What the thread is asked for.
pub(super) enum Message {
    Work(Request),
    /// To find out whether the state can be written, and to open it anew if it could not.
    Recover {
        settle: Settle,
        reply: oneshot::Sender<Condition>,
    },
}

/// A part of a transaction, and how long it may wait.
pub(super) struct Request {
    pub(super) priority: Priority,
    pub(super) work: Work,
}

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody waits for the result, so that the commit begins at once.
    Immediate,
    /// The commit may wait for other requests.
    Batched,
    /// As `Batched`, and longer. The request records the outcome of a write that was sent, so that it is carried out even
    /// when the state is lost, as far as that is possible.
    Outcome,
}

/// Whether a state can be written.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Writable,
    /// It cannot be written, and may be at another time.
    Failing(StoreError),
    /// What can be opened in place of the state that failed is another one.
    Gone(StoreError),
}
