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
use super::error::{Fault, FaultKind, Left};
use super::intact::Intact;
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
type Work = Box<dyn FnOnce(Result<&Connection, Fault>) -> (Result<(), Fault>, Answer) + Send>;

/// What was asked for.
struct Job {
    haste: Haste,
    work: Work,
}

/// Whether a request may wait for others to share its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody waits for what it reads.
    Now,
    /// It is to be on disk, as soon as that is cheap.
    Soon,
    /// Likewise, and it tells what came of a write that was sent: as far as that is possible, it is recorded although
    /// the state is lost.
    Outcome,
}

/// The handle on the thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<Result<(), Fault>>>,
    lost: watch::Receiver<Option<Fault>>,
    doubt: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(conn: Connection, intact: Intact) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (tell, lost) = watch::channel(None);
        let doubt = intact.doubt();
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || run(conn, intact, queue, &tell))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            lost,
            doubt,
        })
    }

    /// Whether a difference was seen that must be there twice.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.load(Ordering::Relaxed)
    }

    /// Why no more is granted, if so. It does not pass.
    pub(super) fn lost(&self) -> Option<Fault> {
        self.lost.borrow().clone()
    }

    /// Returns once no more is granted.
    pub(super) async fn until_lost(&self) -> Fault {
        let mut lost = self.lost.clone();
        if let Ok(fault) = lost.wait_for(Option::is_some).await
            && let Some(fault) = &*fault
        {
            return fault.clone();
        }
        // The thread has ended in good order.
        std::future::pending().await
    }

    /// Runs `work` in a transaction, and returns when that is on disk. A caller that stops waiting does not undo it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        haste: Haste,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
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
        let job = Job { haste, work };
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

fn run(
    conn: Connection,
    mut intact: Intact,
    mut queue: mpsc::Receiver<Job>,
    tell: &watch::Sender<Option<Fault>>,
) -> Result<(), Fault> {
    let mut poison = Poison { fault: None, tell };
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
        let result = match &poison.fault {
            Some(fault) => last_words(&conn, batch, fault),
            None => commit(&conn, &mut intact, &mut poison, batch),
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
            write_back(&conn, &mut intact, "PASSIVE")
        });
        if let Err(fault) = result {
            poison.take(&fault);
        }
    }
    match poison.fault {
        Some(fault) => Err(fault),
        None => write_back(&conn, &mut intact, "TRUNCATE"),
    }
}

/// Why no more is granted, once that is so. What a later write would be built on is no longer certain, and to write
/// again what the disk refused once can seem to succeed: the kernel may have dropped the pages that it could not write.
struct Poison<'a> {
    fault: Option<Fault>,
    tell: &'a watch::Sender<Option<Fault>>,
}

impl Poison<'_> {
    /// Takes in a fault, before anybody is refused because of it.
    fn take(&mut self, fault: &Fault) {
        if self.fault.is_some() {
            return;
        }
        let told = match fault.kind {
            FaultKind::Request | FaultKind::Passing => return,
            FaultKind::Broken => Fault::broken(format!(
                "no more is written since an earlier failure ({fault}): see to the disk, then start again"
            )),
            FaultKind::Lost(_) => fault.clone(),
        };
        self.tell.send_replace(Some(told.clone()));
        self.fault = Some(told);
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

/// Runs the jobs in one transaction, if the state is still the right one.
fn commit(
    conn: &Connection,
    intact: &mut Intact,
    poison: &mut Poison<'_>,
    batch: Vec<Job>,
) -> Result<(), Fault> {
    let transaction = match intact.transaction(conn) {
        Ok(transaction) => transaction,
        Err(fault) => {
            poison.take(&fault);
            return last_words(conn, batch, &fault);
        }
    };
    let (committed, answers) = carry_out(transaction, batch);
    intact.wrote(committed.as_ref().ok().copied());
    let committed = committed.map(|_| ());
    if let Err(fault) = &committed {
        poison.take(fault);
    }
    tell(answers, &committed);
    committed
}

/// Records the outcomes among the jobs, if there is anything left to record them in, and refuses the rest.
fn last_words(conn: &Connection, batch: Vec<Job>, fault: &Fault) -> Result<(), Fault> {
    let left = match fault.kind {
        FaultKind::Lost(left) => left,
        _ => Left::Nothing,
    };
    let (outcomes, others): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|job| job.haste == Haste::Outcome && left != Left::Nothing);
    if !outcomes.is_empty() {
        match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Ok(transaction) => {
                let (committed, answers) = carry_out(transaction, outcomes);
                tell(answers, &committed.map(|_| ()));
            }
            Err(error) => drop(refuse(outcomes, &Fault::from(error))),
        }
    }
    if left == Left::OpenFiles {
        // The log would belong to whatever has the database's name by now, and the database may come back without it.
        if let Err(fault) = checkpoint(conn, "TRUNCATE") {
            tracing::warn!(%fault, "what was recorded last could not be written into the database");
        }
    }
    refuse(others, fault)
}

/// Runs the jobs in a transaction. Returns what the database says after it, and whom to tell that it is on disk.
fn carry_out(transaction: Transaction<'_>, batch: Vec<Job>) -> (Result<Ends, Fault>, Vec<Answer>) {
    let changes = transaction.total_changes();
    let mut lost: Result<(), Fault> = Ok(());
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch {
        let on = lost.clone().map(|()| &*transaction);
        let begun = on.and_then(|conn| {
            rows::change(conn, "SAVEPOINT job", [])?;
            Ok(conn)
        });
        let (done, answer) = (job.work)(begun);
        answers.push(answer);
        lost = lost.and_then(|()| part(&transaction, done));
    }
    let committed = lost.and_then(|()| {
        if transaction.total_changes() != changes {
            chain::advance(&transaction)?;
        }
        let ends = chain::ends(&transaction)?;
        transaction.commit().map_err(|error| {
            let fault = Fault::from(error);
            match fault.kind {
                FaultKind::Passing => fault,
                _ => Fault::broken(fault.to_string()),
            }
        })?;
        Ok(ends)
    });
    (committed, answers)
}

fn tell(answers: Vec<Answer>, committed: &Result<(), Fault>) {
    for answer in answers {
        answer(committed.clone());
    }
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
        let (_, answer) = (job.work)(Err(fault.clone()));
        answer(Err(fault.clone()));
    }
    Err(fault.clone())
}

/// Writes the log back into the database, if both are still the right ones.
fn write_back(conn: &Connection, intact: &mut Intact, mode: &str) -> Result<(), Fault> {
    intact.check_files()?;
    let done = checkpoint(conn, mode);
    intact.wrote_back();
    done
}

/// Writes the log back into the database.
fn checkpoint(conn: &Connection, mode: &str) -> Result<(), Fault> {
    // It does less where readers are in the way; that is no failure.
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}
