//! The thread that owns the connection: it gathers requests, commits them together, and keeps the log and the database
//! small in between. After a write has failed, nothing is built on it: the state is opened again before the next write.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, watch};

use super::chain::{self, Ends};
use super::error::{ErrorKind, Salvage, StoreError};
use super::integrity::IntegrityCheck;
use super::patience::Patience;
use super::reopen::{self, NotReopened};
use super::request::{Condition, Message, Priority, Reply, Request, Settle};
use super::rows;
use super::space::Upkeep;
use super::write_ahead_log::{Checkpoint, CheckpointSchedule};

/// The largest number of requests in one transaction.
const BATCH_MAX: usize = 256;
/// The least time between the beginnings of two commits, unless a request is [`Priority::Immediate`]: most of the cost of
/// a commit is the wait for the disk. A request that comes alone does not wait.
const COMMIT_EVERY: Duration = Duration::from_millis(10);
/// The same if only outcomes wait. Nobody needs them at once, and each commit writes several pages, however little it
/// contains.
const OUTCOMES_EVERY: Duration = Duration::from_millis(200);
/// How long a store that is being closed continues to release free pages.
const UPKEEP_AT_CLOSE: Duration = Duration::from_secs(2);

/// The connection and everything else that the thread works with.
pub(super) struct CommitThread {
    /// `None` after a failure, from when the old connection is closed until the state is open again.
    conn: Option<Connection>,
    integrity: IntegrityCheck,
    upkeep: Upkeep,
    patience: Patience,
    schedule: CheckpointSchedule,
    pacer: CommitPacer,
    poison: Poison,
}

impl CommitThread {
    pub(super) fn new(
        conn: Connection,
        integrity: IntegrityCheck,
        upkeep: Upkeep,
        patience: Patience,
        set_failure: watch::Sender<Option<StoreError>>,
    ) -> Self {
        Self {
            conn: Some(conn),
            schedule: CheckpointSchedule::new(integrity.files().clone()),
            integrity,
            upkeep,
            patience,
            pacer: CommitPacer::default(),
            poison: Poison {
                error: None,
                trouble: None,
                set_failure,
            },
        }
    }

    /// Serves requests until the handle is dropped, then closes the state properly.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) -> Result<(), StoreError> {
        let patience = self.patience.clone();
        self.keep_small(|| queue.is_empty() && !queue.is_closed() && !patience.is_stopping());
        while let Some(message) = queue.blocking_recv() {
            let mut next = Some(message);
            while let Some(message) = next.take() {
                match message {
                    Message::Recover { settle, reply } => {
                        // Sending fails if the caller no longer waits.
                        let _ = reply.send(self.recover(settle));
                    }
                    Message::Work(first) => {
                        let (batch, other) = self.pacer.gather(first, &mut queue);
                        next = other;
                        self.serve(batch);
                    }
                }
            }
            self.keep_small(|| queue.is_empty() && !queue.is_closed() && !patience.is_stopping());
        }
        self.close()
    }

    /// Commits the requests together, or refuses them.
    fn serve(&mut self, batch: Vec<Request>) {
        let Some(conn) = &self.conn else {
            let closed = || StoreError::broken("the state is not open");
            return refuse(batch, &self.poison.error.clone().unwrap_or_else(closed));
        };
        self.schedule.served(batch.len());
        let changes = conn.total_changes();
        let began = CommitPacer::now();
        match &self.poison.error {
            Some(error) => record_last_outcomes(conn, batch, error),
            None => commit(conn, &mut self.integrity, &mut self.poison, batch),
        }
        if conn.total_changes() != changes {
            self.pacer = began;
        }
    }

    /// Writes back a log that has grown, and releases the free pages of the database, while `may_go_on` holds.
    fn keep_small(&mut self, may_go_on: impl Fn() -> bool) {
        if self.schedule.is_due() {
            self.write_log_back(Checkpoint::Passive);
        }
        let mut has_stepped = false;
        while may_go_on() && self.step_of_upkeep() {
            has_stepped = true;
            if self.schedule.is_due() {
                self.write_log_back(Checkpoint::Passive);
            }
        }
        if has_stepped {
            // Only now the file becomes smaller.
            self.write_log_back(Checkpoint::Passive);
        }
    }

    /// Runs one step of upkeep in its own transaction. Returns whether there may be more to do.
    fn step_of_upkeep(&mut self) -> bool {
        let Some(conn) = self.conn.as_ref().filter(|_| self.poison.error.is_none()) else {
            return false;
        };
        let step = match self.upkeep.is_due(conn) {
            Ok(false) => return false,
            Ok(true) => {
                let (integrity, patience) = (&mut self.integrity, &self.patience);
                patience.without_waiting(|| step_of_upkeep(conn, integrity, &self.upkeep))
            }
            Err(error) => {
                // This read is not checked. The next transaction checks whether this is still the state.
                tracing::debug!(%error, "cannot count the pages of the state");
                return false;
            }
        };
        step.unwrap_or_else(|error| {
            // It is tried again after the next request.
            self.poison.take(&error);
            false
        })
    }

    /// Writes the log back into the database, as far as readers allow it without waiting.
    fn write_log_back(&mut self, checkpoint: Checkpoint) {
        let Some(conn) = self.conn.as_ref().filter(|_| self.poison.error.is_none()) else {
            return;
        };
        let integrity = &mut self.integrity;
        let done = self
            .patience
            .without_waiting(|| checkpoint_checked(conn, integrity, checkpoint));
        self.schedule.record_try();
        if let Err(error) = done {
            self.poison.take(&error);
        }
    }

    /// Finds out whether the state can be written. Tries it if there is doubt, and reopens a state that could not be
    /// written.
    fn recover(&mut self, settle: Settle) -> Condition {
        match (&self.poison.error, &self.conn) {
            (None, Some(conn)) => {
                let writes = self.poison.trouble.is_some();
                let tried = try_out(conn, &mut self.integrity, writes);
                self.poison.tried_out(tried);
                if self.schedule.is_oversized() {
                    self.write_log_back(Checkpoint::Truncate);
                }
            }
            (Some(error), _) if matches!(error.kind, ErrorKind::Lost(_)) => {}
            _ => return self.reopen(settle),
        }
        match &self.poison.error {
            None => Condition::Writable,
            Some(error) => Condition::Failing(error.clone()),
        }
    }

    fn reopen(&mut self, settle: Settle) -> Condition {
        let (conn, integrity) = (&mut self.conn, &mut self.integrity);
        match reopen::reopen(conn, integrity, &self.patience, settle) {
            Ok(()) => {
                self.poison.clear();
                Condition::Writable
            }
            Err(NotReopened::StillFailing(error)) => Condition::Failing(error),
            Err(NotReopened::Other(error)) => {
                self.poison.replace(&error);
                Condition::Gone(error)
            }
        }
    }

    fn close(mut self) -> Result<(), StoreError> {
        let began = CommitPacer::now();
        let patience = self.patience.clone();
        self.keep_small(|| !patience.is_stopping() && began.elapsed() < UPKEEP_AT_CLOSE);
        match (self.poison.error, &self.conn) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(()),
            (None, Some(conn)) => {
                checkpoint_checked(conn, &mut self.integrity, Checkpoint::Truncate)
            }
        }
    }
}

/// Why all requests are refused, if they are: it is no longer certain what a later write would be built on. Repeating a
/// write that the disk refused once may seem to succeed, because the kernel may have dropped the pages that it could not
/// write.
struct Poison {
    error: Option<StoreError>,
    /// Set while writes fail for a reason that may pass.
    trouble: Option<Trouble>,
    set_failure: watch::Sender<Option<StoreError>>,
}

/// Writes fail for a reason that may pass, such as a full disk.
struct Trouble {
    error: StoreError,
    /// Whether a write has failed since the state was tried out.
    has_failed_since: bool,
    /// How often trying the state succeeded although other writes failed before it.
    tries: u32,
}

impl Poison {
    /// How often other writes may fail although trying the state succeeds: a small write may find space where larger ones
    /// do not.
    const TRIES_MAX: u32 = 2;

    /// Records an error, before any request is refused because of it.
    fn take(&mut self, error: &StoreError) {
        match error.kind {
            ErrorKind::Request => {}
            ErrorKind::Transient => {
                let tries = self.trouble.as_ref().map_or(0, |trouble| trouble.tries);
                self.trouble = Some(Trouble {
                    error: error.clone(),
                    has_failed_since: true,
                    tries,
                });
            }
            ErrorKind::Broken | ErrorKind::Lost(_) => self.refuse_all(error),
        }
    }

    /// Records the result of trying the state. A failure that comes a second time, or repeatedly, is taken as lasting.
    fn tried_out(&mut self, tried: Result<(), StoreError>) {
        let trouble = self.trouble.take();
        match (tried, trouble) {
            (Err(error), Some(_)) if error.kind == ErrorKind::Transient => self.refuse_all(&error),
            (Err(error), _) => self.take(&error),
            (Ok(()), Some(trouble)) if trouble.has_failed_since => {
                let tries = trouble.tries + 1;
                if tries == Self::TRIES_MAX {
                    return self.refuse_all(&trouble.error);
                }
                self.trouble = Some(Trouble {
                    tries,
                    has_failed_since: false,
                    ..trouble
                });
            }
            (Ok(()), _) => {}
        }
    }

    /// Refuses every request from now on.
    fn refuse_all(&mut self, error: &StoreError) {
        if self.error.is_some() {
            return;
        }
        let failure = match error.kind {
            ErrorKind::Lost(_) => error.clone(),
            _ => StoreError::broken(format!(
                "no more is written since an earlier failure ({error}): see to the disk; `run` goes on by itself then, \
                 any other command is to be started again"
            ))
            .caused_by(error.clone()),
        };
        self.replace(&failure);
    }

    fn replace(&mut self, failure: &StoreError) {
        self.set_failure.send_replace(Some(failure.clone()));
        self.error = Some(failure.clone());
    }

    fn clear(&mut self) {
        self.error = None;
        self.trouble = None;
        self.set_failure.send_replace(None);
    }
}

/// The time when the last commit began that wrote anything.
#[derive(Default)]
struct CommitPacer(Option<Instant>);

#[expect(
    clippy::disallowed_methods,
    reason = "outside the event loop; the time of a commit affects only its cost"
)]
impl CommitPacer {
    fn now() -> Self {
        Self(Some(Instant::now()))
    }

    fn elapsed(&self) -> Duration {
        self.0.map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Waits until the next commit is due, and returns the requests that are there by then; also a message that is not a
    /// request, which comes after them.
    fn gather(
        &self,
        first: Request,
        queue: &mut mpsc::Receiver<Message>,
    ) -> (Vec<Request>, Option<Message>) {
        let mut every = wait_for(&first);
        let mut batch = vec![first];
        loop {
            while batch.len() < BATCH_MAX {
                match queue.try_recv() {
                    Ok(Message::Work(request)) => {
                        every = every.min(wait_for(&request));
                        batch.push(request);
                    }
                    Ok(other) => return (batch, Some(other)),
                    Err(_) => break,
                }
            }
            let left = every.saturating_sub(self.elapsed());
            if left.is_zero() || batch.len() == BATCH_MAX || queue.is_closed() {
                return (batch, None);
            }
            thread::park_timeout(left);
        }
    }
}

/// How long after the last commit a request can wait for others.
fn wait_for(request: &Request) -> Duration {
    match request.priority {
        Priority::Immediate => Duration::ZERO,
        Priority::Batched => COMMIT_EVERY,
        Priority::Outcome => OUTCOMES_EVERY,
    }
}

/// Runs the requests in one transaction, if the state is still the one that was opened.
fn commit(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    poison: &mut Poison,
    batch: Vec<Request>,
) {
    let changes = conn.total_changes();
    let transaction = match integrity.transaction(conn) {
        Ok(transaction) => transaction,
        Err(error) => {
            poison.take(&error);
            return record_last_outcomes(conn, batch, &error);
        }
    };
    let Batch {
        committed,
        failed,
        replies,
    } = run_batch(transaction, batch);
    integrity.record_commit(committed.as_ref().ok().copied());
    match committed.as_ref().err().or(failed.as_ref()) {
        Some(error) => poison.take(error),
        None if conn.total_changes() != changes => poison.trouble = None,
        None => {}
    }
    reply_all(replies, &committed.map(|_| ()));
}

/// Checks that the state is still the one that was opened, and writes to it if `writes` is set.
fn try_out(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    writes: bool,
) -> Result<(), StoreError> {
    let transaction = integrity.transaction(conn)?;
    if writes {
        let ends = chain::end_transaction(transaction, true)?;
        integrity.record_commit(Some(ends));
    }
    Ok(())
}

fn step_of_upkeep(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    upkeep: &Upkeep,
) -> Result<bool, StoreError> {
    let transaction = integrity.transaction(conn)?;
    let has_stepped = upkeep.step(&transaction)?;
    if has_stepped {
        let ends = chain::end_transaction(transaction, true);
        integrity.record_commit(ends.as_ref().ok().copied());
        ends?;
    }
    Ok(has_stepped)
}

/// Records the outcomes among the requests, if the state can still hold them, and refuses the other requests.
fn record_last_outcomes(conn: &Connection, batch: Vec<Request>, error: &StoreError) {
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
                let batch = run_batch(transaction, outcomes);
                reply_all(batch.replies, &batch.committed.map(|_| ()));
            }
            Err(error) => refuse(outcomes, &StoreError::from(error)),
        }
    }
    if salvage == Salvage::OpenFiles {
        // The log would belong to whatever file now has the database's name, and the database may come back without its
        // log.
        if let Err(error) = Checkpoint::Truncate.run(conn) {
            tracing::warn!(fault = %error, "the last records could not be written into the database");
        }
    }
    refuse(others, error);
}

/// The result of several requests in one transaction.
struct Batch {
    /// The ends of the chain after it.
    committed: Result<Ends, StoreError>,
    /// A request that failed on its own, for a reason that may pass.
    failed: Option<StoreError>,
    /// The replies that have not been sent yet.
    replies: Vec<Reply>,
}

/// Runs the requests in a transaction.
fn run_batch(transaction: Transaction<'_>, batch: Vec<Request>) -> Batch {
    let changes = transaction.total_changes();
    let mut so_far: Result<(), StoreError> = Ok(());
    let mut failed = None;
    let mut replies = Vec::with_capacity(batch.len());
    for request in batch {
        let conn = so_far.clone().map(|()| &*transaction);
        let conn = conn.and_then(|conn| {
            rows::execute(conn, "SAVEPOINT job", [])?;
            Ok(conn)
        });
        let (done, reply) = (request.work)(conn);
        replies.push(reply);
        let transient = |error: &&StoreError| error.kind == ErrorKind::Transient;
        failed = failed.or(done.as_ref().err().filter(transient).cloned());
        so_far = so_far.and_then(|()| end_savepoint(&transaction, done));
    }
    let committed = so_far.and_then(|()| {
        let has_written = transaction.total_changes() != changes;
        chain::end_transaction(transaction, has_written)
    });
    Batch {
        committed,
        failed,
        replies,
    }
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

fn refuse(batch: Vec<Request>, error: &StoreError) {
    for request in batch {
        let (_, reply) = (request.work)(Err(error.clone()));
        reply(Err(error.clone()));
    }
}

/// Writes the log back into the database, if both files are still those that were opened.
fn checkpoint_checked(
    conn: &Connection,
    integrity: &mut IntegrityCheck,
    checkpoint: Checkpoint,
) -> Result<(), StoreError> {
    integrity.check_files()?;
    let done = checkpoint.run(conn);
    integrity.record_checkpoint();
    done.map(|_| ())
}
