//! Opens a state directory: checks its contents, connects to the database to read or to write, and takes the lock. This
//! file decides whether a state can be trusted.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::chain;
use super::error::{ErrorKind, OpenError, StoreError};
use super::file_state::FileId;
use super::files::{Files, ReadMode};
use super::holder::Holder;
use super::lock::Lock;
use super::schema::{self, APPLICATION_ID, FileHeader, MIGRATIONS, Migration};
use super::space;
use crate::model::Timestamp;

/// How long SQLite waits for a transaction of another process. Ours take milliseconds.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// The size of the statement cache. There are fewer statements, so that each is prepared once.
const STATEMENTS: usize = 64;

/// The size in bytes from which the write-ahead log is written back into the database.
pub(super) const LOG_SIZE: u64 = 4 * 1024 * 1024;

/// The size in bytes of a database without tables.
const FIRST_PAGE: u64 = 4096;

/// The kinds of contents of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DirectoryState {
    /// It was never used, or its first use was interrupted.
    Unused,
    /// It has a database of ours, with this schema version.
    InUse { version: i64 },
}

/// What a reader does with the index of the write-ahead log, which holds no state of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalIndex {
    /// Leaves the index as it is, whatever that costs.
    Leave,
    /// Repairs the index if need be.
    Repair,
}

/// Checks the directory, and refuses one that cannot be trusted. Changes no state.
pub(super) fn inspect(
    files: &Files,
    steps: &[Migration],
    index: WalIndex,
) -> Result<DirectoryState, OpenError> {
    if !files.check()? {
        return Ok(DirectoryState::Unused);
    }
    let path = files.database();
    let owner_file = files.read_owner()?;
    let evidence = match (&owner_file, files.has_wal()?) {
        (Some(_), _) => Some(files.owner()),
        (None, true) => Some(files.wal()),
        (None, false) => None,
    };
    match (files.database_len()?, evidence) {
        // The first use was interrupted while SQLite wrote the first page. SQLite repairs that when it opens the file to
        // write.
        (Some(..=FIRST_PAGE), None) if files.has_journal()? => return Ok(DirectoryState::Unused),
        (Some(1..), _) => {}
        (_, None) => return Ok(DirectoryState::Unused),
        (None, Some(evidence)) => return Err(OpenError::Missing { path, evidence }),
        (Some(0), Some(evidence)) => return Err(OpenError::Emptied { path, evidence }),
    }
    read(files, index, |conn| {
        let sqlite = |error| OpenError::sqlite(&path, "read it", &error);
        let FileHeader {
            application_id,
            version,
            is_empty,
        } = schema::file_header(conn).map_err(sqlite)?;
        if application_id == 0 && version == 0 && is_empty {
            // The first use was interrupted before its first commit.
            return match &owner_file {
                None => Ok(DirectoryState::Unused),
                Some(_) => Err(OpenError::Emptied {
                    path: path.clone(),
                    evidence: files.owner(),
                }),
            };
        }
        if application_id != APPLICATION_ID {
            return Err(OpenError::OtherApplication {
                path: path.clone(),
                application_id,
            });
        }
        let known = schema::latest(steps);
        if version > known {
            return Err(OpenError::NewerSchema {
                path: path.clone(),
                found: version,
                known,
            });
        }
        let owner = schema::owner(conn).map_err(sqlite)?;
        match &owner_file {
            Some(file) if *file != owner => Err(OpenError::OwnerMismatch {
                path: files.owner(),
                file: file.clone(),
                database: owner,
            }),
            _ => Ok(DirectoryState::InUse { version }),
        }
    })
}

/// Runs `work` on a connection that cannot write. While no process has the database open, it is read without locks; if one
/// has opened it meanwhile, `work` runs once more on a new connection.
pub(super) fn read<T, E: From<OpenError>>(
    files: &Files,
    index: WalIndex,
    mut work: impl FnMut(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    loop {
        let read_mode = files.read_mode()?;
        let result = connect_to_read(files, read_mode, index)
            .map_err(E::from)
            .and_then(|conn| work(&conn));
        if read_mode != ReadMode::Immutable || files.read_mode()? == ReadMode::Immutable {
            return result;
        }
    }
}

fn connect_to_read(
    files: &Files,
    read_mode: ReadMode,
    index: WalIndex,
) -> Result<Connection, OpenError> {
    let open = |query| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(files.uri(query), flags)?;
        harden(&conn)?;
        // SQLite opens the files with the first read.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(conn)
    };
    let opened = match (read_mode, index) {
        (ReadMode::Immutable, _) => open("mode=ro&immutable=1"),
        (ReadMode::Live, WalIndex::Leave) => match open("mode=ro&readonly_shm=1") {
            // SQLite cannot open it this way if a crash has left a log without a beginning.
            Err(error) if is_protocol(&error) => open("mode=ro"),
            opened => opened,
        },
        (ReadMode::Live, WalIndex::Repair) | (ReadMode::RebuildIndex, _) => open("mode=ro"),
    };
    opened.map_err(|error| OpenError::sqlite(&files.database(), "open it", &error))
}

fn is_protocol(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::FileLockingProtocolFailed)
}

/// Opens the database to write, and creates it if there is none. The caller has inspected the directory.
pub(super) fn connect(files: &Files) -> Result<Connection, OpenError> {
    files.make_database()?;
    connect_to_existing(files)
}

/// Opens the database to write. It is an error if there is none.
pub(super) fn connect_to_existing(files: &Files) -> Result<Connection, OpenError> {
    let path = files.database();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(files.uri("mode=rw"), flags)?;
        harden(&conn)?;
        // Set in a new database, before its first page is written, so that free pages can be released later; see `space`.
        // In any other database, this would be a write.
        if conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
            conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        // A commit has been written to disk when it returns.
        conn.pragma_update(None, "synchronous", "FULL")?;
        // The store does this itself, because SQLite would not report whether it failed.
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        // A log that has grown larger is shortened when it starts from the beginning again.
        conn.pragma_update(None, "journal_size_limit", LOG_SIZE.cast_signed())?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok((conn, mode))
    };
    let (conn, mode) = open().map_err(|error| OpenError::sqlite(&path, "open it", &error))?;
    if mode != "wal" {
        return Err(OpenError::Access {
            path,
            doing: "keep a write-ahead log beside it",
            reason: format!("SQLite offers `{mode}` there"),
            kind: std::io::ErrorKind::Unsupported,
        });
    }
    Ok(conn)
}

/// Settings of every connection: SQLite trusts neither the schema nor the pages of the file.
fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // The log and its index stay when the last process closes the database, so that readers need not create them.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // A savepoint's undo record needs no space on disk, and no file handle.
    conn.pragma_update(None, "temp_store", "MEMORY")
}

/// Opens the directory as the only process that reconciles with it. Creates missing files, migrates the schema, and
/// writes the file `owner` if it does not exist.
pub(super) fn open_exclusive(
    files: &Files,
    holder: &Holder,
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let taken = take(files, holder)?;
    let opened = taken.bring_up_to_date(files, now)?;
    space::convert_if_small(files, &opened.conn);
    Ok(opened)
}

/// A directory whose lock is held, with a database that can be trusted and may be of an older version.
pub(super) struct Taken {
    pub(super) lock: Lock,
    pub(super) conn: Connection,
    database: FileId,
    pub(super) found: DirectoryState,
}

/// Takes the lock of the directory, and opens its database, which is created if there is none.
pub(super) fn take(files: &Files, holder: &Holder) -> Result<Taken, OpenError> {
    // Inspected before anything is created, so that a directory that is refused stays as it is.
    inspect(files, MIGRATIONS, WalIndex::Repair)?;
    files.make_dir()?;
    let lock = Lock::take(files, holder)?;
    // Another process may have changed the directory before the lock was taken.
    let found = inspect(files, MIGRATIONS, WalIndex::Repair)?;
    let (conn, database) = connect_to_one(files)?;
    check_pages(files, &conn)?;
    if let DirectoryState::InUse { .. } = found {
        check_history(files, &conn)?;
    }
    Ok(Taken {
        lock,
        conn,
        database,
        found,
    })
}

impl Taken {
    /// Migrates the schema, and writes the file `owner` if it does not exist.
    pub(super) fn bring_up_to_date(
        mut self,
        files: &Files,
        now: Timestamp,
    ) -> Result<Opened, OpenError> {
        let path = files.database();
        schema::migrate(&mut self.conn, MIGRATIONS, now)
            .map_err(|error| broken(&path, "bring its schema up to date", &error))?;
        let owner = schema::owner(&self.conn)
            .map_err(|error| OpenError::sqlite(&path, "read it", &error))?;
        if files.read_owner()?.is_none() {
            files.write_owner(&owner)?;
        }
        Ok(Opened {
            lock: self.lock,
            conn: self.conn,
            database: self.database,
            owner,
            is_new: self.found == DirectoryState::Unused,
        })
    }
}

/// A directory that is open to reconcile with.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) conn: Connection,
    /// The file that was at the database's path when SQLite opened it.
    pub(super) database: FileId,
    pub(super) owner: String,
    /// Whether the directory had never been used.
    pub(super) is_new: bool,
}

/// Opens the database to write, and returns which file that is: the one at the path both before and after.
fn connect_to_one(files: &Files) -> Result<(Connection, FileId), OpenError> {
    /// An overlay file system gives a file another number when it is first opened for writing.
    const TRIES: u32 = 3;
    let path = files.database();
    for _ in 0..TRIES {
        files.make_database()?;
        let before = FileId::at(&path)?;
        let conn = connect(files)?;
        if FileId::at(&path)? == before {
            return Ok((conn, before));
        }
    }
    Err(OpenError::Access {
        path,
        doing: "open it",
        reason: "other files take its place in the meantime".into(),
        kind: std::io::ErrorKind::Other,
    })
}

/// Checks the pages of the database with `PRAGMA quick_check`.
pub(super) fn check_pages(files: &Files, conn: &Connection) -> Result<(), OpenError> {
    let path = files.database();
    let result: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(&path, "read it", &error))?;
    if result == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path,
        detail: result,
    })
}

/// Checks that the history ends where its chain ends. `history verify` checks the whole history.
fn check_history(files: &Files, conn: &Connection) -> Result<(), OpenError> {
    let path = files.database();
    if chain::is_whole(conn).map_err(|error| broken(&path, "read it", &error))? {
        return Ok(());
    }
    let detail = "its history does not end where its chain does: it may be a mixture of two states, for example if a copy took the \
                  place of `state.db` beside another one's `state.db-wal`";
    Err(OpenError::Damaged {
        path,
        detail: detail.into(),
    })
}

fn broken(path: &Path, doing: &'static str, error: &StoreError) -> OpenError {
    match error.kind {
        ErrorKind::Transient => OpenError::Access {
            path: path.to_owned(),
            doing,
            reason: error.to_string(),
            kind: std::io::ErrorKind::Other,
        },
        _ => OpenError::Damaged {
            path: path.to_owned(),
            detail: error.to_string(),
        },
    }
}
