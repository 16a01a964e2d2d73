//! STORE: everything that outlives a run, in the directory given with `--state-dir`: the inventory, writes whose outcome
//! is unknown, what resolution remembers, suspensions, accepted losses, the newest commit of the manifests, and the
//! history.
//!
//! ```text
//! state.db (-wal, -shm)   SQLite; `schema.sql` and the numbered files beside it define the schema
//! owner                   the installation that the database belongs to, so that files of two installations are not mixed
//! lock                    locked by the process that reconciles, and names that process
//! summary.json            what a daemon shows `status`; no part of the state
//! ```
//!
//! It is used in three ways, each through its own type: [`Store`] reconciles, and only one can be open; [`OperatorStore`]
//! makes the short writes that people ask for, beside a running [`Store`]; [`Reader`] cannot write. A state that cannot
//! be trusted is refused ([`OpenError`]) and never replaced by an empty one. This module knows neither plans nor the API.

mod chain;
mod commit_thread;
mod error;
mod file_state;
mod files;
mod group_commit;
mod history_query;
mod history_writer;
mod holder;
mod images;
mod integrity;
mod lock;
mod losses;
mod memory;
mod newest_commit;
mod open;
mod operator;
mod options;
mod patience;
mod reader;
mod reopen;
mod request;
mod rows;
mod schema;
mod scopes;
mod space;
mod summary_file;
mod suspensions;
mod takeover;
mod told;
mod transactions;
mod upgrade;
mod verify;
mod write_ahead_log;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use error::StoreError;
use files::Files;
use group_commit::Committer;
use history_writer::HistoryWriter;
use integrity::{IntegrityCheck, RecheckDelay};
use lock::Lock;
use newest_commit::CommitAdvance;
use options::Now;
use request::{Condition, Priority};
use rusqlite::Connection;
use space::Upkeep;

use crate::history::{HistoryEntry, WriteOutcome};
use crate::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryUpdate, KnownAccounts, OpenIntent, Suspension,
    UsedNames,
};
use crate::ledger::{Attempt, Ledger, LedgerError, LedgerReader, WriteRefused};
use crate::model::{Commit, ImageId, Present, Scope, Timestamp, Uin};

pub use error::OpenError;
pub use history_query::HistoryQuery;
pub use history_writer::HISTORY_MAX;
pub use holder::Holder;
pub use newest_commit::NewestCommit;
pub use operator::{OperatorStore, SuspensionFilter};
pub use options::Options;
pub use reader::{HistoryExtent, ImageCounts, Reader, StateSummary};
pub use summary_file::{SUMMARY_BYTES_MAX, SummaryError, SummaryFile};
pub use upgrade::Upgrade;
pub use verify::VerifyResult;

/// The open state of the one process that reconciles.
pub struct Store {
    // Fields are dropped in this order: the committer must end before the lock is released.
    committer: Committer,
    database: PathBuf,
    files: Files,
    owner: String,
    commit: RefCell<Option<String>>,
    /// The commit that becomes the newest with the first complete observation.
    advance: RefCell<Option<CommitAdvance>>,
    history_max: u64,
    is_new: bool,
    now: Now,
    /// For each scope, the number of the newest history entry when its inventory was read. An update that is based on
    /// this inventory knows nothing later.
    read_at: RefCell<BTreeMap<Scope, u64>>,
    lock: Lock,
}

impl Store {
    /// Opens a directory, which is created if it does not exist, and keeps every other process from reconciling with it.
    pub fn open<P: Into<Present>>(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> P + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_with(dir, options, now, integrity::recheck_delay())
    }

    /// Opens a directory. `recheck_delay` waits before a state that seems to be lost is checked a second time.
    fn open_with<P: Into<Present>>(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> P + 'static,
        recheck_delay: RecheckDelay,
    ) -> Result<Self, OpenError> {
        let files = Files::new(dir);
        let now: Now = Box::new(move || now().into());
        let at = now().clock();
        let open::Opened {
            lock,
            conn,
            database,
            owner,
            is_new,
        } = open::open_exclusive(&files, &options.holder(at), at)?;
        let integrity = IntegrityCheck::start(&files, &lock, database, &conn, recheck_delay)?;
        let history_max = options.history_max.max(1);
        let committer = Committer::start(conn, integrity, Upkeep::new(history_max))
            .map_err(|error| OpenError::io(dir, "start the thread that writes to it", &error))?;
        Ok(Self {
            committer,
            database: files.database(),
            files,
            owner,
            commit: RefCell::new(options.commit.clone()),
            advance: RefCell::default(),
            history_max,
            is_new,
            now,
            read_at: RefCell::default(),
            lock,
        })
    }

    /// Deletes the state directory's database and its owner file, unless another process reconciles with them. This cannot
    /// be undone.
    pub fn forget(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> Timestamp,
    ) -> Result<(), OpenError> {
        let files = Files::new(dir);
        if !dir.exists() {
            return Ok(());
        }
        let _lock = Lock::take(&files, &options.holder(now()))?;
        files.remove()
    }

    /// Migrates the state in a directory and keeps a copy of what was there before. Fails if another process reconciles with
    /// it. `None` if the directory was never used.
    pub fn upgrade(
        dir: &Path,
        options: &Options,
        now: Timestamp,
    ) -> Result<Option<Upgrade>, OpenError> {
        upgrade::upgrade(dir, options, now)
    }

    /// The id of the installation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the directory had never been used before it was opened, so that nothing counts as ours yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Checks that the state is still the one that was opened, as each transaction does.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.read(|_| Ok(())).await
    }

    /// Checks that the state is still the one that was opened and, if a write to it has failed, that it can be written. A
    /// state that could not be written is reopened, if it is the same file, installation and history; then requests are
    /// served again. Intents that a failed commit has left are closed as not sent, because no caller got them.
    pub async fn recover(&self) -> Recovery {
        let (now, history_max) = ((self.now)(), self.history_max);
        let settle = move |conn: &Connection, known: u64| {
            let writer = HistoryWriter {
                conn,
                now,
                history_max,
            };
            transactions::withdraw_intents_after(&writer, known)
        };
        match self.committer.recover(Box::new(settle)).await {
            Condition::Writable => Recovery::Writable,
            Condition::Failing(error) => Recovery::Failing(error.at(&self.database)),
            Condition::Gone(error) => Recovery::Gone(error.at(&self.database)),
        }
    }

    /// Prepares for the end of the process: from now on, all waits for other processes that have locked the database take
    /// less than two seconds together.
    pub fn stop(&self) {
        self.committer.stop();
    }

    /// The file in which a daemon shows its status to other processes. Fails if the metadata of the lock file cannot be
    /// read.
    pub fn summary_file(&self) -> Result<SummaryFile, OpenError> {
        Ok(SummaryFile::new(&self.files, self.lock.id()?))
    }

    /// A warning about a write-ahead log that another process keeps from being written back; `None` while the log is not
    /// large.
    pub fn oversized_log(&self) -> Option<String> {
        write_ahead_log::oversized_log(&self.files)
    }

    /// Sets the commit of the manifests that intents are recorded with, as it is shown to people.
    pub fn set_commit(&self, commit: Option<String>) {
        self.commit.replace(commit);
    }

    /// The newest commit of the manifests that was worked on.
    pub async fn newest(&self) -> Result<Option<NewestCommit>, LedgerError> {
        self.read(newest_commit::newest).await
    }

    /// The document with the notified problems that are not over, as last given to [`Self::keep_told`].
    pub async fn told(&self) -> Result<Option<String>, LedgerError> {
        self.read(told::document).await
    }

    /// Stores the document with the notified problems that are not over.
    pub async fn keep_told(&self, document: String) -> Result<(), LedgerError> {
        self.write(move |writer| told::keep(writer.conn, &document))
            .await
    }

    /// Announces that work begins on manifests that are exactly those of `commit`. The commit becomes the newest one with
    /// the first complete observation or, where reading is denied, with the first intent; until then, nothing has been done
    /// under it. `over` is the newest commit that it was compared with. If another commit is the newest by then, that is an
    /// error, and no intent is recorded.
    pub fn advance_on_first_observation(&self, commit: Commit, over: Option<Commit>) {
        self.advance.replace(Some(CommitAdvance { commit, over }));
    }

    /// The entries of the history that `query` selects, the oldest first.
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<HistoryEntry>, LedgerError> {
        self.read(move |conn| history_query::entries(conn, &query))
            .await
    }

    /// Waits until all requests are done, and writes the log back into the database. Dropping the store does the same, but
    /// cannot return an error.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.committer
            .close()
            .map_err(|error| error.at(&self.database))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let done = self.committer.run(Priority::Immediate, work).await;
        done.map_err(|error| error.at(&self.database))
    }

    /// Reads everything known of a scope, and something else in the same transaction.
    async fn read_inventory<T: Send + 'static>(
        &self,
        scope: &Scope,
        other: impl FnOnce(&Connection, &Scope) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Inventory, T), LedgerError> {
        let of = scope.clone();
        let read = move |conn: &Connection| {
            let inventory = images::inventory(conn, &of)?;
            Ok((inventory, other(conn, &of)?, chain::ends(conn)?.head))
        };
        let (inventory, other, head) = self.read(read).await?;
        self.read_at.borrow_mut().insert(scope.clone(), head);
        Ok((inventory, other))
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HistoryWriter<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.write_in(Priority::Batched, work).await
    }

    async fn write_in<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&HistoryWriter<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (now, history_max) = ((self.now)(), self.history_max);
        let work = move |conn: &Connection| {
            work(&HistoryWriter {
                conn,
                now,
                history_max,
            })
        };
        let done = self.committer.run(priority, work).await;
        done.map_err(|error| error.at(&self.database))
    }
}

/// The result of [`Store::recover`]: whether the state can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    Writable,
    /// It cannot be written, or is lost. If the cause may pass, the caller should ask again.
    Failing(LedgerError),
    /// Since a write failed, another state has taken the place of this one, or there is none: only a new start can decide
    /// what to do with it.
    Gone(LedgerError),
}

impl LedgerReader for Store {
    async fn inventory(&self, scope: &Scope) -> Result<Inventory, LedgerError> {
        let (inventory, ()) = self.read_inventory(scope, |_, _| Ok(())).await?;
        Ok(inventory)
    }

    async fn open_intents(
        &self,
        scope: &Scope,
    ) -> Result<BTreeMap<ImageId, Vec<OpenIntent>>, LedgerError> {
        let scope = scope.clone();
        self.read(move |conn| images::open_intents_of_scope(conn, &scope))
            .await
    }

    async fn inventory_and_accounts(
        &self,
        scope: &Scope,
        used: &Arc<UsedNames>,
        uin: Option<&Uin>,
    ) -> Result<(Inventory, KnownAccounts), LedgerError> {
        let (used, uin) = (Arc::clone(used), uin.cloned());
        self.read_inventory(scope, move |conn, scope| {
            scopes::accounts(conn, scope, &used, uin.as_ref())
        })
        .await
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        self.read(suspensions::all).await
    }
}

impl Ledger for Store {
    async fn mark_observed(&self) -> Result<(), LedgerError> {
        let Some(advance) = self.advance.borrow().clone() else {
            return Ok(());
        };
        self.write(move |writer| newest_commit::advance(writer, &advance))
            .await?;
        self.advance.replace(None);
        Ok(())
    }

    async fn record_intent(&self, attempt: &Attempt) -> Result<IntentId, WriteRefused> {
        let (attempt, commit) = (attempt.clone(), self.commit.borrow().clone());
        let advance = self.advance.borrow().clone();
        let work = move |writer: &HistoryWriter<'_>| {
            advance.map_or(Ok(()), |advance| newest_commit::advance(writer, &advance))?;
            transactions::record_intent(writer, &attempt, commit)
        };
        let decision = self.write(work).await.map_err(WriteRefused::Failed)?;
        self.advance.replace(None);
        decision.into()
    }

    async fn recheck_forbidden(&self, attempt: &Attempt) -> Result<(), WriteRefused> {
        let (attempt, now) = (attempt.clone(), (self.now)().clock());
        let forbids = self
            .read(move |conn| transactions::forbids(conn, &attempt, now))
            .await;
        match forbids.map_err(WriteRefused::Failed)? {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }

    fn is_verifying(&self) -> bool {
        self.committer.is_verifying()
    }

    fn failure(&self) -> Option<LedgerError> {
        Some(self.committer.failure()?.at(&self.database))
    }

    async fn until_failure(&self) -> LedgerError {
        self.committer.until_failure().await.at(&self.database)
    }

    async fn until_recovery(&self) {
        self.committer.until_recovery().await;
    }

    async fn record_outcome(
        &self,
        outcome: WriteOutcome,
        entry: Option<InventoryEntry>,
    ) -> Result<(), LedgerError> {
        let work =
            move |writer: &HistoryWriter<'_>| transactions::record_outcome(writer, outcome, entry);
        self.write_in(Priority::Outcome, work).await
    }

    async fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> Result<(), LedgerError> {
        // If nothing changes, not even a transaction is needed.
        if update.is_empty() {
            return Ok(());
        }
        // An update that is not based on an inventory read here may be older than any change.
        let read_at = self.read_at.borrow().get(scope).copied().unwrap_or(0);
        let scope = scope.clone();
        self.write(move |writer| transactions::apply_update(writer, &scope, update, read_at))
            .await
    }
}

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod integrity_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod newest_commit_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod scopes_tests;
#[cfg(test)]
mod space_tests;
#[cfg(test)]
mod upgrade_tests;
