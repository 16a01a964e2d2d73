//! Group commit. One thread owns the connection; what has been asked for while a transaction is written to disk goes
//! into the next one, so that the cost of a commit is shared by all who wait for it. Under load a commit waits for
//! company, too.

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

/// So many requests can wait. More callers than that wait for a place.
const QUEUE_MAX: usize = 1_024;
/// So many requests share a transaction.
const BATCH_MAX: usize = 256;
/// After a commit the next begins no sooner, unless somebody is in haste: to wait for the disk is most of what a commit
/// costs. Who has the store to himself waits for nothing.
const COMMIT_EVERY: Duration = Duration::from_millis(10);
/// After so many requests the log is written back into the database, which bounds it to some tens of megabytes.
const CHECKPOINT_AFTER: usize = 1_000;

/// Tells the caller, once it is known whether the transaction was committed.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does its part in the transaction, if there is one. A fault undoes this part alone, unless the transaction is lost.
type Work =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> (Result<(), StoreError>, Reply) + Send>;

/// What was asked for.
struct Request {
    priority: Priority,
    work: Work,
}

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody waits for what it reads.
    Immediate,
    /// It is to be on disk, as soon as that is cheap.
    Batched,
    /// Likewise, and it tells what came of a write that was sent: as far as that is possible, it is recorded although
    /// the state is lost.
    Outcome,
}

/// The handle on the thread.
#[derive(Debug)]
pub(super) struct Committer {
    jobs: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    failure: watch::Receiver<Option<StoreError>>,
    is_suspect: Arc<AtomicBool>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(conn: Connection, integrity: IntegrityCheck) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (reply_all, failure) = watch::channel(None);
        let is_suspect = integrity.is_suspect();
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || run(conn, integrity, queue, &reply_all))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            failure,
            is_suspect,
        })
    }

    /// Whether a difference was seen that must be there twice.
    pub(super) fn is_verifying(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    /// Why no more is granted, if so. It does not pass.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    /// Returns once no more is granted.
    pub(super) async fn until_failure(&self) -> StoreError {
        let mut failure = self.failure.clone();
        if let Ok(error) = failure.wait_for(Option::is_some).await
            && let Some(error) = &*error
        {
            return error.clone();
        }
        // The thread has ended in good order.
        std::future::pending().await
    }

    /// Runs `work` in a transaction, and returns when that is on disk. A caller that stops waiting does not undo it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
            let value = conn.and_then(work);
            let done = value.as_ref().map(|_| ()).map_err(StoreError::clone);
            let answer: Reply = Box::new(move |committed| {
                // Nobody waits any longer: nothing to tell.
                let _ = reply.send(committed.and(value));
            });
            (done, answer)
        });
        let gone = || StoreError::broken("the store has been closed");
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        let job = Request { priority, work };
        jobs.send(job).await.map_err(|_| gone())?;
        if let (Priority::Immediate, Some(thread)) = (priority, &self.thread) {
            thread.thread().unpark();
        }
        answer.await.map_err(|_| gone())?
    }

    /// Waits for what was asked for, writes the log back, and ends the thread.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.jobs = None;
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
    reply_all: &watch::Sender<Option<StoreError>>,
) -> Result<(), StoreError> {
    let mut poison = Poison {
        error: None,
        reply_all,
    };
    let mut since_checkpoint = 0;
    let mut pacer = CommitPacer::default();
    while let Some(first) = queue.blocking_recv() {
        pacer.wait();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
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

/// Why no more is granted, once that is so. What a later write would be built on is no longer certain, and to write
/// again what the disk refused once can seem to succeed: the kernel may have dropped the pages that it could not write.
struct Poison<'a> {
    error: Option<StoreError>,
    reply_all: &'a watch::Sender<Option<StoreError>>,
}

impl Poison<'_> {
    /// Takes in a fault, before anybody is refused because of it.
    fn take(&mut self, error: &StoreError) {
        if self.error.is_some() {
            return;
        }
        let told = match error.kind {
            ErrorKind::Request | ErrorKind::Transient => return,
            ErrorKind::Broken => StoreError::broken(format!(
                "no more is written since an earlier failure ({error}): see to the disk, then start again"
            )),
            ErrorKind::Lost(_) => error.clone(),
        };
        self.reply_all.send_replace(Some(told.clone()));
        self.error = Some(told);
    }
}

/// When the last commit began, if it had anything to write.
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

    /// Until the next commit is due, or somebody is in haste.
    fn wait(&self) {
        if let Some(last) = self.0 {
            thread::park_timeout(COMMIT_EVERY.saturating_sub(last.elapsed()));
        }
    }
}

/// Runs the jobs in one transaction, if the state is still the right one.
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

/// Records the outcomes among the jobs, if there is anything left to record them in, and refuses the rest.
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
        .partition(|job| job.priority == Priority::Outcome && salvage != Salvage::Nothing);
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
        // The log would belong to whatever has the database's name by now, and the database may come back without it.
        if let Err(error) = checkpoint(conn, "TRUNCATE") {
            tracing::warn!(fault = %error, "what was recorded last could not be written into the database");
        }
    }
    refuse(others, error)
}

/// Runs the jobs in a transaction. Returns what the database says after it, and whom to tell that it is on disk.
fn run_batch(
    transaction: Transaction<'_>,
    batch: Vec<Request>,
) -> (Result<Ends, StoreError>, Vec<Reply>) {
    let changes = transaction.total_changes();
    let mut failure: Result<(), StoreError> = Ok(());
    let mut replies = Vec::with_capacity(batch.len());
    for job in batch {
        let on = failure.clone().map(|()| &*transaction);
        let begun = on.and_then(|conn| {
            rows::execute(conn, "SAVEPOINT job", [])?;
            Ok(conn)
        });
        let (done, answer) = (job.work)(begun);
        replies.push(answer);
        failure = failure.and_then(|()| end_savepoint(&transaction, done));
    }
    let committed = failure.and_then(|()| {
        if transaction.total_changes() != changes {
            chain::advance(&transaction)?;
        }
        let ends = chain::ends(&transaction)?;
        transaction.commit().map_err(|error| {
            let error = StoreError::from(error);
            match error.kind {
                ErrorKind::Transient => error,
                _ => StoreError::broken(error.to_string()),
            }
        })?;
        Ok(ends)
    });
    (committed, replies)
}

fn reply_all(replies: Vec<Reply>, committed: &Result<(), StoreError>) {
    for answer in replies {
        answer(committed.clone());
    }
}

/// Keeps a job's part, or undoes it. An error is that of the whole transaction.
fn end_savepoint(transaction: &Connection, done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Ok(()) => rows::execute(transaction, "RELEASE job", []),
        // SQLite undoes all of a transaction after some failures.
        Err(error) if error.kind == ErrorKind::Broken || transaction.is_autocommit() => Err(error),
        Err(_) => Ok(transaction.execute_batch("ROLLBACK TO job; RELEASE job")?),
    }
}

fn refuse(batch: Vec<Request>, error: &StoreError) -> Result<(), StoreError> {
    for job in batch {
        let (_, answer) = (job.work)(Err(error.clone()));
        answer(Err(error.clone()));
    }
    Err(error.clone())
}

/// Writes the log back into the database, if both are still the right ones.
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

/// Writes the log back into the database.
fn checkpoint(conn: &Connection, mode: &str) -> Result<(), StoreError> {
    // It does less where readers are in the way; that is no failure.
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}
