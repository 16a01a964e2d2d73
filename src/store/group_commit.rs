//! Group commit. One thread owns the connection. The requests that arrive while a transaction is written to disk go into
//! the next transaction, so that all who wait share the cost of a commit. Under load, a commit waits for more requests.
//! This file must not know what requests do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::chain::{self, Ends};
use super::error::{ErrorKind, Salvage, StoreError};
use super::integrity::IntegrityCheck;
use super::rows;

/// The number of requests that can wait. Further callers wait for a place among them.
const QUEUE_MAX: usize = 1_024;
/// The largest number of requests in one transaction.
const BATCH_MAX: usize = 256;
/// The least time between the beginnings of two commits, unless a request is [`Priority::Immediate`]: most of the cost of
/// a commit is the wait for the disk. A request that comes alone does not wait.
const COMMIT_EVERY: Duration = Duration::from_millis(10);
/// After this many requests the write-ahead log is written back into the database, which bounds the log to some tens of
/// megabytes.
const CHECKPOINT_AFTER: usize = 1_000;

/// Answers the caller, once it is known whether the transaction was committed.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does its part in the transaction, if there is one. An error undoes this part alone, unless the whole transaction fails.
type Work =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> (Result<(), StoreError>, Reply) + Send>;

/// A part of a transaction, and how long it may wait.
struct Request {
    priority: Priority,
    work: Work,
}

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody waits for the result, so that the commit begins at once.
    Immediate,
    /// The commit may wait for other requests.
    Batched,
    /// As `Batched`. The request records the outcome of a write that was sent, so that it is carried out even when the
    /// state is lost, as far as that is possible.
    Outcome,
}

/// The handle of the thread that commits.
#[derive(Debug)]
pub(super) struct Committer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    failure: watch::Receiver<Option<StoreError>>,
    is_suspect: Arc<AtomicBool>,
}

impl Committer {
    /// Starts the thread, which owns `conn` from then on.
    pub(super) fn start(conn: Connection, integrity: IntegrityCheck) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let (set_failure, failure) = watch::channel(None);
        let is_suspect = integrity.is_suspect();
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || run(conn, integrity, queue, &set_failure))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            failure,
            is_suspect,
        })
    }

    /// Whether the state seemed to be lost, and is being checked once more.
    pub(super) fn is_verifying(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    /// Why every request is refused from now on, if so.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    /// Returns as soon as every request is refused.
    pub(super) async fn until_failure(&self) -> StoreError {
        let mut failure = self.failure.clone();
        if let Ok(error) = failure.wait_for(Option::is_some).await
            && let Some(error) = &*error
        {
            return error.clone();
        }
        // The thread has ended without a failure.
        std::future::pending().await
    }

    /// Runs `work` in a transaction, and returns when the transaction is on disk. If the caller stops waiting, the work is
    /// done all the same.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
            let value = conn.and_then(work);
            let done = value.as_ref().map(|_| ()).map_err(StoreError::clone);
            let on_commit: Reply = Box::new(move |committed| {
                // Sending fails if the caller no longer waits.
                let _ = reply.send(committed.and(value));
            });
            (done, on_commit)
        });
        let closed = || StoreError::broken("the store has been closed");
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        let request = Request { priority, work };
        requests.send(request).await.map_err(|_| closed())?;
        if let (Priority::Immediate, Some(thread)) = (priority, &self.thread) {
            thread.thread().unpark();
        }
        replied.await.map_err(|_| closed())?
    }

    /// Waits until all requests are done, writes the log back, and ends the thread.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.requests = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(StoreError::broken("the store's thread panicked")),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(fault = %error, "the state was not closed in good order; nothing that was acknowledged is lost");
        }
    }
}

fn run(
    conn: Connection,
    mut integrity: IntegrityCheck,
    mut queue: mpsc::Receiver<Request>,
    set_failure: &watch::Sender<Option<StoreError>>,
) -> Result<(), StoreError> {
    let mut poison = Poison {
        error: None,
        set_failure,
    };
    let mut since_checkpoint = 0;
    let mut pacer = CommitPacer::default();
    while let Some(first) = queue.blocking_recv() {
        pacer.wait();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(request) = queue.try_recv()
        {
            batch.push(request);
        }
        let size = batch.len();
        let changes = conn.total_changes();
        let next = CommitPacer::now();
        let result = match &poison.error {
            Some(error) => record_last_outcomes(&conn, batch, error),
            None => commit(&conn, &mut integrity, &mut poison, batch),
        };
        since_checkpoint += size;
        if conn.total_changes() != changes {
            pacer = next;
        }
        let result = result.and_then(|()| {
            if since_checkpoint < CHECKPOINT_AFTER {
                return Ok(());
            }
            since_checkpoint = 0;
            checkpoint_checked(&conn, &mut integrity, "PASSIVE")
        });
        if let Err(error) = result {
            poison.take(&error);
        }
    }
    match poison.error {
        Some(error) => Err(error),
        None => checkpoint_checked(&conn, &mut integrity, "TRUNCATE"),
    }
}

/// Why every request is refused, once that is so. It is no longer certain what a later write would be built on. Writing
/// again what the disk refused once can seem to succeed, because the kernel may have dropped the pages that it could not
/// write.
struct Poison<'a> {
    error: Option<StoreError>,
    set_failure: &'a watch::Sender<Option<StoreError>>,
}

impl Poison<'_> {
    /// Takes in an error, before any request is refused because of it.
    fn take(&mut self, error: &StoreError) {
        if self.error.is_some() {
            return;
        }
        let failure = match error.kind {
            ErrorKind::Request | ErrorKind::Transient => return,
            ErrorKind::Broken => StoreError::broken(format!(
                "no more is written since an earlier failure ({error}): see to the disk, then start again"
            ))
            .caused_by(error.clone()),
            ErrorKind::Lost(_) => error.clone(),
        };
        self.set_failure.send_replace(Some(failure.clone()));
        self.error = Some(failure);
    }
}

/// When the last commit began that wrote anything.
#[derive(Default)]
struct CommitPacer(Option<Instant>);

#[expect(
    clippy::disallowed_methods,
    reason = "outside the event loop; when it commits changes what that costs, and nothing else"
)]
impl CommitPacer {
    fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// Waits until the next commit is due, or until a request is [`Priority::Immediate`].
    fn wait(&self) {
        if let Some(last) = self.0 {
            thread::park_timeout(COMMIT_EVERY.saturating_sub(last.elapsed()));
        }
    }
}

/// Runs the requests in one transaction, if the state is still the one that was opened.
fn commit(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    poison: &mut Poison<'_>,
    batch: Vec<Request>,
) -> Result<(), StoreError> {
    let transaction = match integrity.transaction(conn) {
        Ok(transaction) => transaction,
        Err(error) => {
            poison.take(&error);
            return record_last_outcomes(conn, batch, &error);
        }
    };
    let (committed, replies) = run_batch(transaction, batch);
    integrity.record_commit(committed.as_ref().ok().copied());
    let committed = committed.map(|_| ());
    if let Err(error) = &committed {
        poison.take(error);
    }
    reply_all(replies, &committed);
    committed
}

/// Records the outcomes among the requests, if the state can still hold them, and refuses the other requests.
fn record_last_outcomes(
    conn: &Connection,
    batch: Vec<Request>,
    error: &StoreError,
) -> Result<(), StoreError> {
    let salvage = match error.kind {
        ErrorKind::Lost(salvage) => salvage,
        _ => Salvage::Nothing,
    };
    let (outcomes, others): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|request| request.priority == Priority::Outcome && salvage != Salvage::Nothing);
    if !outcomes.is_empty() {
        match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Ok(transaction) => {
                let (committed, replies) = run_batch(transaction, outcomes);
                reply_all(replies, &committed.map(|_| ()));
            }
            Err(error) => drop(refuse(outcomes, &StoreError::from(error))),
        }
    }
    if salvage == Salvage::OpenFiles {
        // The log would belong to whatever file has the database's name by now, and the database may come back without its
        // log.
        if let Err(error) = checkpoint(conn, "TRUNCATE") {
            tracing::warn!(fault = %error, "what was recorded last could not be written into the database");
        }
    }
    refuse(others, error)
}

/// Runs the requests in a transaction. Returns the ends of the chain after it, and the replies that are still to be made.
fn run_batch(
    transaction: Transaction<'_>,
    batch: Vec<Request>,
) -> (Result<Ends, StoreError>, Vec<Reply>) {
    let changes = transaction.total_changes();
    let mut so_far: Result<(), StoreError> = Ok(());
    let mut replies = Vec::with_capacity(batch.len());
    for request in batch {
        let conn = so_far.clone().map(|()| &*transaction);
        let conn = conn.and_then(|conn| {
            rows::execute(conn, "SAVEPOINT job", [])?;
            Ok(conn)
        });
        let (done, reply) = (request.work)(conn);
        replies.push(reply);
        so_far = so_far.and_then(|()| end_savepoint(&transaction, done));
    }
    let committed = so_far.and_then(|()| {
        if transaction.total_changes() != changes {
            chain::advance(&transaction)?;
        }
        let ends = chain::ends(&transaction)?;
        transaction.commit().map_err(|error| {
            let error = StoreError::from(error);
            match error.kind {
                ErrorKind::Transient => error,
                _ => StoreError::broken(error.to_string()).caused_by(error),
            }
        })?;
        Ok(ends)
    });
    (committed, replies)
}

fn reply_all(replies: Vec<Reply>, committed: &Result<(), StoreError>) {
    for reply in replies {
        reply(committed.clone());
    }
}

/// Keeps the part of one request, or undoes it. An error fails the whole transaction.
fn end_savepoint(transaction: &Connection, done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Ok(()) => rows::execute(transaction, "RELEASE job", []),
        // After some errors SQLite has rolled back the whole transaction.
        Err(error) if error.kind == ErrorKind::Broken || transaction.is_autocommit() => Err(error),
        Err(_) => Ok(transaction.execute_batch("ROLLBACK TO job; RELEASE job")?),
    }
}

fn refuse(batch: Vec<Request>, error: &StoreError) -> Result<(), StoreError> {
    for request in batch {
        let (_, reply) = (request.work)(Err(error.clone()));
        reply(Err(error.clone()));
    }
    Err(error.clone())
}

/// Writes the log back into the database, if both files are still those that were opened.
fn checkpoint_checked(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    mode: &str,
) -> Result<(), StoreError> {
    integrity.check_files()?;
    let done = checkpoint(conn, mode);
    integrity.record_checkpoint();
    done
}

/// Writes the log back into the database, as far as readers allow it.
fn checkpoint(conn: &Connection, mode: &str) -> Result<(), StoreError> {
    // The pragma reports what it could not write back as a result, not as an error.
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}
