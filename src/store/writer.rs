//! Group commit. One thread owns the connection; what has been asked for while a transaction is written to disk goes
//! into the next one, so that the cost of a commit is shared by all who wait for it. Under load a commit waits for
//! company, too.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::error::{Fault, FaultKind};
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
type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;
/// Does its part in the transaction, if there is one. A fault undoes this part alone, unless the transaction is lost.
type Job = Box<dyn FnOnce(Result<&Connection, Fault>) -> (Result<(), Fault>, Answer) + Send>;

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody waits for what it reads.
    Now,
    /// It is to be on disk, as soon as that is cheap.
    Soon,
}

/// The handle on the thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<Result<(), Fault>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(conn: Connection) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || run(conn, queue))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction, and returns when that is on disk. A caller that stops waiting does not undo it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        haste: Haste,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            let value = conn.and_then(work);
            let done = value.as_ref().map(|_| ()).map_err(Fault::clone);
            let answer: Answer = Box::new(move |committed| {
                // Nobody waits any longer: nothing to tell.
                let _ = reply.send(committed.and(value));
            });
            (done, answer)
        });
        let gone = || Fault::broken("the store has been closed");
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())?;
        if let (Haste::Now, Some(thread)) = (haste, &self.thread) {
            thread.thread().unpark();
        }
        answer.await.map_err(|_| gone())?
    }

    /// Waits for what was asked for, writes the log back, and ends the thread.
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        self.jobs = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Fault::broken("the store's thread panicked")),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(fault) = self.close() {
            tracing::warn!(%fault, "the state was not closed in good order; nothing that was acknowledged is lost");
        }
    }
}

fn run(mut conn: Connection, mut queue: mpsc::Receiver<Job>) -> Result<(), Fault> {
    // What a later write would be built on is no longer certain, and to write again what the disk refused once can
    // seem to succeed: the kernel may have dropped the pages that it could not write.
    let mut poison: Option<Fault> = None;
    let mut since_checkpoint = 0;
    let mut beat = Beat::default();
    while let Some(first) = queue.blocking_recv() {
        beat.wait();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        let size = batch.len();
        let changes = conn.total_changes();
        let next = Beat::now();
        let result = match &poison {
            Some(fault) => refuse(batch, fault),
            None => commit(&mut conn, batch),
        };
        since_checkpoint += size;
        if conn.total_changes() != changes {
            beat = next;
        }
        let result = result.and_then(|()| {
            if since_checkpoint < CHECKPOINT_AFTER {
                return Ok(());
            }
            since_checkpoint = 0;
            checkpoint(&conn, "PASSIVE")
        });
        if let Err(fault) = result
            && fault.kind == FaultKind::Broken
            && poison.is_none()
        {
            tracing::error!(%fault, "the state can no longer be written");
            poison = Some(Fault::broken(format!(
                "no more is written since an earlier failure ({fault}): see to the disk, then start again"
            )));
        }
    }
    match poison {
        Some(fault) => Err(fault),
        None => checkpoint(&conn, "TRUNCATE"),
    }
}

/// When the last commit began, if it had anything to write.
#[derive(Default)]
struct Beat(Option<Instant>);

#[expect(
    clippy::disallowed_methods,
    reason = "outside the event loop; when it commits changes what that costs, and nothing else"
)]
impl Beat {
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

/// Runs the jobs in one transaction, and tells each caller once that is on disk.
fn commit(conn: &mut Connection, batch: Vec<Job>) -> Result<(), Fault> {
    let transaction = match conn.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return refuse(batch, &Fault::from(error)),
    };
    let mut lost: Result<(), Fault> = Ok(());
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch {
        let on = lost.clone().map(|()| &*transaction);
        let begun = on.and_then(|conn| {
            rows::change(conn, "SAVEPOINT job", [])?;
            Ok(conn)
        });
        let (done, answer) = job(begun);
        answers.push(answer);
        lost = lost.and_then(|()| part(&transaction, done));
    }
    let committed = lost.and_then(|()| {
        transaction.commit().map_err(|error| {
            let fault = Fault::from(error);
            match fault.kind {
                FaultKind::Passing => fault,
                _ => Fault::broken(fault.to_string()),
            }
        })
    });
    for answer in answers {
        answer(committed.clone());
    }
    committed
}

/// Keeps a job's part, or undoes it. An error is that of the whole transaction.
fn part(transaction: &Connection, done: Result<(), Fault>) -> Result<(), Fault> {
    match done {
        Ok(()) => rows::change(transaction, "RELEASE job", []),
        // SQLite undoes all of a transaction after some failures.
        Err(fault) if fault.kind == FaultKind::Broken || transaction.is_autocommit() => Err(fault),
        Err(_) => Ok(transaction.execute_batch("ROLLBACK TO job; RELEASE job")?),
    }
}

fn refuse(batch: Vec<Job>, fault: &Fault) -> Result<(), Fault> {
    for job in batch {
        let (_, answer) = job(Err(fault.clone()));
        answer(Err(fault.clone()));
    }
    Err(fault.clone())
}

/// Writes the log back into the database.
fn checkpoint(conn: &Connection, mode: &str) -> Result<(), Fault> {
    // It does less where readers are in the way; that is no failure.
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}
