//! The store for commands that only look at the state: `status`, `history`, `plan` and `doctor`. It has no method that
//! writes, and the process that reconciles does not notice it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::error::{OpenError, StoreError};
use super::files::Files;
use super::history_query::{self, HistoryQuery};
use super::holder::Holder;
use super::lock::Lock;
use super::newest_commit::{self, NewestCommit};
use super::open::{self, DirectoryState, WalIndex};
use super::schema::{self, MIGRATIONS};
use super::summary_file::{self, SummaryError};
use super::verify::{self, VerifyResult};
use super::{chain, images, memory, rows, scopes, suspensions};
use crate::history::HistoryEntry;
use crate::inventory::{
    Inventory, KnownAccount, KnownAccounts, OpenIntent, OwnershipState, Suspension, UsedNames,
};
use crate::ledger::{LedgerError, LedgerReader};
use crate::model::{ImageId, Scope, Timestamp, Uin};

/// A state directory that is open only for reading. It takes no lock, makes no file, and works while another process
/// reconciles. A directory that was never used reads as empty, and one of an older version reads as if it had been
/// migrated.
#[derive(Clone, Debug)]
pub struct Reader {
    files: Files,
    used: Cell<bool>,
}

/// The facts about a state directory that `status` and `doctor` show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSummary {
    /// The id of the installation; `None` if the directory was never used.
    pub owner: Option<String>,
    /// The version of the database schema.
    pub schema: i64,
    /// Whether an earlier version of sharekeeper wrote the database, so that it will be migrated.
    pub is_older: bool,
    /// The process that reconciles with the directory at the moment.
    pub holder: Option<Holder>,
    /// Every scope of which anything is known.
    pub scopes: BTreeMap<Scope, ImageCounts>,
    /// The account whose credentials the state was used with, in each scope.
    pub accounts: BTreeMap<Scope, KnownAccount>,
    /// The newest commit of the manifests that was worked on.
    pub newest: Option<NewestCommit>,
    /// Suspensions that no person has ended. Some may have ended by themselves.
    pub suspensions: Vec<Suspension>,
    pub history: HistoryExtent,
}

/// Numbers for one scope: its images in each condition, and what else is stored of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageCounts {
    /// Images that are ours because the API acknowledged our SHARE.
    pub acknowledged: u64,
    /// Images that are ours because a person took them over.
    pub adopted: u64,
    /// Images that are probably ours.
    pub probable: u64,
    /// Images that are left alone, because somebody else kept reversing our writes.
    pub parked: u64,
    /// Writes whose outcome is unknown.
    pub open: u64,
    /// Names of entries whose last meaning is remembered.
    pub names: u64,
    /// Versions of policies whose clocks are remembered.
    pub versions: u64,
}

/// How much of the history is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryExtent {
    /// The number of entries that are kept.
    pub entries: u64,
    /// The number of older entries that were rotated away.
    pub rotated: u64,
    /// When the oldest entry that is kept was recorded.
    pub first: Option<Timestamp>,
    /// When the newest entry was recorded.
    pub last: Option<Timestamp>,
}

impl Reader {
    /// Opens a directory to read, and refuses one that cannot be trusted.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let files = Files::new(dir);
        let used = Cell::new(is_used(&files)?);
        Ok(Self { files, used })
    }

    /// Whether the directory has never been used.
    pub fn is_new(&self) -> bool {
        !self.used.get()
    }

    /// The facts that `status` and `doctor` show.
    pub fn summary(&self) -> Result<StateSummary, LedgerError> {
        let mut summary = self.read(summary)?;
        summary.holder = Lock::holder(&self.files.lock());
        Ok(summary)
    }

    /// The summary that the last daemon wrote, which may be old; `None` if there was none.
    pub fn daemon_summary(&self) -> Result<Option<Vec<u8>>, SummaryError> {
        summary_file::read(&self.files)
    }

    /// The newest commit of the manifests that was worked on.
    pub fn newest(&self) -> Result<Option<NewestCommit>, LedgerError> {
        self.read(newest_commit::newest)
    }

    /// The entries of the history that `query` selects, the oldest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, LedgerError> {
        self.read(|conn| history_query::entries(conn, query))
    }

    /// Checks that the history is as it was recorded. Returns `None` if the directory was never used.
    pub fn verify(&self) -> Result<Option<VerifyResult>, LedgerError> {
        self.read(|conn| verify::verify(conn).map(Some))
    }

    /// Runs `work` on one state of the database.
    fn read<T: Default>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, LedgerError> {
        // Another process may have created the state since.
        if !self.used.get() {
            let used = is_used(&self.files)?;
            self.used.set(used);
            if !used {
                return Ok(T::default());
            }
        }
        let path = self.files.database();
        open::read(&self.files, WalIndex::Leave, |conn| {
            let read = conn
                .unchecked_transaction()
                .map_err(StoreError::from)
                .and_then(|transaction| {
                    schema::view_as_newest(&transaction)?;
                    work(&transaction)
                });
            read.map_err(|error| error.at(&path))
        })
    }
}

/// Whether there is a state in the directory, of any version up to ours.
fn is_used(files: &Files) -> Result<bool, OpenError> {
    let found = open::inspect(files, MIGRATIONS, WalIndex::Leave)?;
    Ok(found != DirectoryState::Unused)
}

impl LedgerReader for Reader {
    async fn inventory(&self, scope: &Scope) -> Result<Inventory, LedgerError> {
        self.read(|conn| images::inventory(conn, scope))
    }

    async fn open_intents(
        &self,
        scope: &Scope,
    ) -> Result<BTreeMap<ImageId, Vec<OpenIntent>>, LedgerError> {
        self.read(|conn| images::open_intents_of_scope(conn, scope))
    }

    async fn inventory_and_accounts(
        &self,
        scope: &Scope,
        used: &Arc<UsedNames>,
        uin: Option<&Uin>,
    ) -> Result<(Inventory, KnownAccounts), LedgerError> {
        self.read(|conn| {
            let inventory = images::inventory(conn, scope)?;
            Ok((inventory, scopes::accounts(conn, scope, used, uin)?))
        })
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        self.read(suspensions::all)
    }
}

impl Default for StateSummary {
    /// The summary of a directory that was never used.
    fn default() -> Self {
        Self {
            owner: None,
            schema: schema::latest(MIGRATIONS),
            is_older: false,
            holder: None,
            scopes: BTreeMap::new(),
            accounts: BTreeMap::new(),
            newest: None,
            suspensions: Vec::new(),
            history: HistoryExtent::default(),
        }
    }
}

fn summary(conn: &Connection) -> Result<StateSummary, StoreError> {
    let mut scopes: BTreeMap<Scope, ImageCounts> = BTreeMap::new();
    let images = rows::query_all(
        conn,
        "SELECT account, region, standing, count(*) AS images, count(parked_since) AS parked \
         FROM images GROUP BY account, region, standing",
        [],
        |row| {
            Ok((
                row.scope()?,
                row.ownership()?,
                row.number("images")?,
                row.number("parked")?,
            ))
        },
    )?;
    for (scope, standing, images, parked) in images {
        let counts = scopes.entry(scope).or_default();
        counts.parked += parked;
        match standing {
            Some(OwnershipState::Acknowledged) => counts.acknowledged += images,
            Some(OwnershipState::Adopted) => counts.adopted += images,
            Some(OwnershipState::Probable) => counts.probable += images,
            None => {}
        }
    }
    let open = rows::query_all(
        conn,
        "SELECT account, region, count(*) AS open FROM open_intents GROUP BY account, region",
        [],
        |row| Ok((row.scope()?, row.number("open")?)),
    )?;
    for (scope, open) in open {
        scopes.entry(scope).or_default().open = open;
    }
    for (scope, names) in memory::count_names(conn)? {
        scopes.entry(scope).or_default().names = names;
    }
    for (scope, versions) in memory::count_versions(conn)? {
        scopes.entry(scope).or_default().versions = versions;
    }
    let ends = chain::ends(conn)?;
    let recorded = |seq| {
        rows::query_first(
            conn,
            "SELECT at FROM history WHERE seq = ?1",
            [rows::integer(seq)?],
            |row| row.time("at"),
        )
    };
    let version = schema::file_header(conn)?.version;
    Ok(StateSummary {
        owner: Some(schema::owner(conn)?),
        schema: version,
        is_older: version < schema::latest(MIGRATIONS),
        holder: None,
        scopes,
        accounts: scopes::all(conn)?,
        newest: newest_commit::newest(conn)?,
        suspensions: suspensions::all(conn)?,
        history: HistoryExtent {
            entries: ends.head - ends.anchor,
            rotated: ends.anchor,
            first: recorded(ends.anchor + 1)?,
            last: recorded(ends.head)?,
        },
    })
}
