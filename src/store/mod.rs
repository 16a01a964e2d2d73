//! STATE: what outlives a run, in the directory given with `--state-dir`: the inventory, writes whose outcome is open,
//! suspensions, the newest commit of the manifests and the history.
//!
//! ```text
//! state.db (-wal, -shm)   SQLite; `schema.sql` and the numbered files beside it say what is in it
//! owner                   whose database it is, so that neither half is taken for another installation's
//! lock                    locked by the process that reconciles, and says which that is
//! ```
//!
//! There are three ways in, and the type says which: [`Store`] reconciles, and there is one at a time; [`Remarks`] is
//! for the short writes of people, beside a running [`Store`]; [`Reader`] cannot write. A state that cannot be trusted
//! is refused ([`OpenError`]), never replaced by an empty one. Knows neither plans nor the API.

mod chain;
mod deeds;
mod error;
mod file_state;
mod files;
mod history_writer;
mod holder;
mod images;
mod intact;
mod lock;
mod newest;
mod open;
mod options;
mod query;
mod reader;
mod remarks;
mod rows;
mod schema;
mod scopes;
mod suspensions;
mod takeover;
mod verify;
mod writer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use error::Fault;
use files::Files;
use history_writer::HistoryWriter;
use intact::{Intact, Pause};
use lock::Lock;
use newest::Advance;
use options::Now;
use rusqlite::Connection;
use writer::{Haste, Writer};

use crate::history::{HistoryEntry, Outcome};
use crate::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryUpdate, KnownAccounts, UsedNames,
};
use crate::ledger::{Attempt, Ledger, LedgerError, LedgerReader, WriteRefused};
use crate::model::{Commit, Present, Scope, Timestamp, Uin};

pub use error::OpenError;
pub use history_writer::HISTORY_MAX;
pub use holder::Holder;
pub use newest::Newest;
pub use options::Options;
pub use query::Query;
pub use reader::{Counts, Extent, Reader, Summary};
pub use remarks::{Ending, Remarks};
pub use verify::Verdict;

/// The state of the one process that reconciles.
pub struct Store {
    // In this order: the writer has ended before the lock goes.
    writer: Writer,
    database: PathBuf,
    owner: String,
    commit: RefCell<Option<String>>,
    /// What the first look that succeeds makes the newest commit.
    advance: RefCell<Option<Advance>>,
    history_max: u64,
    is_new: bool,
    now: Now,
    /// By scope, the newest entry when its holdings were read: lessons drawn from them know nothing later.
    read: RefCell<BTreeMap<Scope, u64>>,
    _lock: Lock,
}

impl Store {
    /// Opens a directory, making it if it is not there, and keeps every other process from reconciling with it.
    pub fn open<P: Into<Present>>(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> P + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_with(dir, options, now, intact::pause())
    }

    /// `pause` waits before the second look at what seems to be lost.
    fn open_with<P: Into<Present>>(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> P + 'static,
        pause: Pause,
    ) -> Result<Self, OpenError> {
        let files = Files::new(dir);
        let now: Now = Box::new(move || now().into());
        let at = now().clock();
        let open::Begun {
            lock,
            conn,
            database,
            owner,
            is_new,
        } = open::begin(&files, &options.holder(at), at)?;
        let intact = Intact::begin(&files, &lock, database, &conn, pause)?;
        let writer = Writer::start(conn, intact)
            .map_err(|error| OpenError::io(dir, "start the thread that writes to it", &error))?;
        Ok(Self {
            writer,
            database: files.database(),
            owner,
            commit: RefCell::new(options.commit.clone()),
            advance: RefCell::default(),
            history_max: options.history_max.max(1),
            is_new,
            now,
            read: RefCell::default(),
            _lock: lock,
        })
    }

    /// Removes a state and the witness of it, unless another process reconciles with it. What is in it cannot be had
    /// again.
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

    /// The installation's id.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the directory had never been used before it was opened: then nothing counts as ours yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Looks whether the state is still the one that was opened, as each transaction does.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.ask(|_| Ok(())).await
    }

    /// From here on, intents are recorded as those of this commit of the manifests, as it is shown to people.
    pub fn set_commit(&self, commit: Option<String>) {
        self.commit.replace(commit);
    }

    /// The newest commit of the manifests that was worked on.
    pub async fn newest(&self) -> Result<Option<Newest>, LedgerError> {
        self.ask(newest::newest).await
    }

    /// From here on, manifests that are exactly those of `commit` are worked on. It becomes the newest commit with the
    /// first look that succeeds or, where looking is denied, with the first intent; until then, nothing has been done
    /// under it. `over` is the newest commit that it was compared with: if another one is recorded by then, that is an
    /// error, and no intent is recorded.
    pub fn advance_with_first_look(&self, commit: Commit, over: Option<Commit>) {
        self.advance.replace(Some(Advance { commit, over }));
    }

    /// The entries of the history that `query` picks, in order.
    pub async fn history(&self, query: Query) -> Result<Vec<HistoryEntry>, LedgerError> {
        self.ask(move |conn| query::entries(conn, &query)).await
    }

    /// Waits for what was asked for, and leaves the directory in the best order. To drop the store does the same,
    /// but has nobody to tell of a failure.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.writer
            .close()
            .map_err(|fault| fault.at(&self.database))
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let done = self.writer.run(Haste::Now, work).await;
        done.map_err(|fault| fault.at(&self.database))
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HistoryWriter<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.write_in(Haste::Soon, work).await
    }

    async fn write_in<T: Send + 'static>(
        &self,
        haste: Haste,
        work: impl FnOnce(&HistoryWriter<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (now, history_max) = ((self.now)(), self.history_max);
        let work = move |conn: &Connection| {
            work(&HistoryWriter {
                conn,
                now,
                history_max,
            })
        };
        let done = self.writer.run(haste, work).await;
        done.map_err(|fault| fault.at(&self.database))
    }
}

impl LedgerReader for Store {
    async fn inventory(&self, scope: &Scope) -> Result<Inventory, LedgerError> {
        let of = scope.clone();
        let (inventory, head) = self
            .ask(move |conn| Ok((images::inventory(conn, &of)?, chain::ends(conn)?.head)))
            .await?;
        self.read.borrow_mut().insert(scope.clone(), head);
        Ok(inventory)
    }

    async fn accounts(
        &self,
        scope: &Scope,
        used: &UsedNames,
        uin: Option<&Uin>,
    ) -> Result<KnownAccounts, LedgerError> {
        let (scope, used, uin) = (scope.clone(), used.clone(), uin.cloned());
        self.ask(move |conn| scopes::accounts(conn, &scope, &used, uin.as_ref()))
            .await
    }
}

impl Ledger for Store {
    async fn mark_observed(&self) -> Result<(), LedgerError> {
        let Some(advance) = self.advance.borrow().clone() else {
            return Ok(());
        };
        self.write(move |pen| newest::advance(pen, &advance))
            .await?;
        self.advance.replace(None);
        Ok(())
    }

    async fn record_intent(&self, attempt: &Attempt) -> Result<IntentId, WriteRefused> {
        let (attempt, commit) = (attempt.clone(), self.commit.borrow().clone());
        let advance = self.advance.borrow().clone();
        let work = move |pen: &HistoryWriter<'_>| {
            advance.map_or(Ok(()), |advance| newest::advance(pen, &advance))?;
            deeds::intent(pen, &attempt, commit)
        };
        let intent = self.write(work).await.map_err(WriteRefused::Failed)?;
        self.advance.replace(None);
        intent
    }

    async fn recheck(&self, attempt: &Attempt) -> Result<(), WriteRefused> {
        let (attempt, now) = (attempt.clone(), (self.now)().clock());
        let forbids = self
            .ask(move |conn| deeds::forbids(conn, &attempt, now))
            .await;
        match forbids.map_err(WriteRefused::Failed)? {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }

    fn is_verifying(&self) -> bool {
        self.writer.is_in_doubt()
    }

    fn failure(&self) -> Option<LedgerError> {
        Some(self.writer.lost()?.at(&self.database))
    }

    async fn until_failure(&self) -> LedgerError {
        self.writer.until_lost().await.at(&self.database)
    }

    async fn record_outcome(
        &self,
        outcome: Outcome,
        record: Option<InventoryEntry>,
    ) -> Result<(), LedgerError> {
        let work = move |pen: &HistoryWriter<'_>| deeds::outcome(pen, outcome, record);
        self.write_in(Haste::Outcome, work).await
    }

    async fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> Result<(), LedgerError> {
        // Nothing learnt: not even a transaction.
        if update.is_empty() {
            return Ok(());
        }
        // Lessons that do not come from holdings read here can be older than any change.
        let read = self.read.borrow().get(scope).copied().unwrap_or(0);
        let scope = scope.clone();
        self.write(move |pen| deeds::settle(pen, &scope, update, read))
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
mod intact_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod newest_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod scopes_tests;
