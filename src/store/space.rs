//! Returns space that the database no longer uses to the disk. SQLite keeps free pages, and releases them, step by step,
//! only in files that were made for it (`auto_vacuum`).

use std::io;
use std::path::{self, PathBuf};

use rusqlite::Connection;

use super::chain;
use super::error::{OpenError, StoreError};
use super::files::Files;
use super::history_writer::rotate;
use crate::host::free_space;

/// The value of `PRAGMA auto_vacuum` for a file whose free pages can be released in steps.
const INCREMENTAL: i64 = 2;
/// The largest content in bytes that is rewritten when a state is opened, which takes a few seconds. A larger one waits
/// for `state upgrade`.
const SMALL: u64 = 256 * 1024 * 1024;
/// The disk space that must remain free during a rewrite of the database.
const RESERVE: u64 = 16 * 1024 * 1024;

/// Free pages are released once there are this many and they are a quarter of the file. Fewer are kept for reuse.
const FREE_MAX: u64 = 256;
/// This many free pages are kept for the next writes.
const FREE_MIN: u64 = 64;
/// The largest number of pages that one transaction releases, which takes some milliseconds.
const STEP: u64 = 256;

/// The numbers of pages in a database.
struct Pages {
    all: u64,
    free: u64,
    size: u64,
    is_incremental: bool,
}

impl Pages {
    fn of(conn: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma: &str| {
            let number: i64 = conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
            Ok::<_, rusqlite::Error>(number.unsigned_abs())
        };
        Ok(Self {
            all: number("page_count")?,
            free: number("freelist_count")?,
            size: number("page_size")?,
            is_incremental: number("auto_vacuum")? == INCREMENTAL.unsigned_abs(),
        })
    }

    fn used_bytes(&self) -> u64 {
        (self.all - self.free.min(self.all)) * self.size
    }
}

/// Converts a database of moderate size that was made before free pages could be released. If that fails, the database is
/// unchanged and works as before.
pub(super) fn convert_if_small(files: &Files, conn: &Connection) {
    match Pages::of(conn) {
        Ok(pages) if pages.is_incremental || pages.used_bytes() > SMALL => {}
        Ok(_) => {
            let file = files.database();
            if let Err(error) = convert(files, conn) {
                tracing::warn!(fault = %error, file = %file.display(), "free pages of the state are not returned to the disk");
            }
        }
        Err(error) => tracing::debug!(%error, "cannot count the pages of the state"),
    }
}

/// Rewrites the database so that its free pages can be released, and releases those that are free now. It is one
/// transaction: after a crash, the database is either unchanged or completely converted.
pub(super) fn convert(files: &Files, conn: &Connection) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::sqlite(&files.database(), "rewrite it", &error);
    let pages = Pages::of(conn).map_err(sqlite)?;
    if pages.is_incremental {
        return Ok(());
    }
    // All used pages go through the log.
    check_space(files, pages.used_bytes())?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .and_then(|()| conn.execute_batch("VACUUM"))
        .map_err(sqlite)?;
    write_log_back(files, conn)
}

/// Writes the log back into the database, as far as readers allow it.
pub(super) fn write_log_back(files: &Files, conn: &Connection) -> Result<(), OpenError> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(|error| OpenError::sqlite(&files.database(), "write its log back", &error))
}

/// Copies the database to a file beside it. The copy is a database of its own, and has no log.
pub(super) fn copy(files: &Files, conn: &Connection, name: &str) -> Result<PathBuf, OpenError> {
    let sqlite = |error| OpenError::sqlite(&files.database(), "copy it", &error);
    let pages = Pages::of(conn).map_err(sqlite)?;
    check_space(files, pages.used_bytes())?;
    let target = files.make_copy_target(name)?;
    let absolute = path::absolute(&target)
        .map_err(|error| OpenError::io(&target, "find its place", &error))?;
    let Some(path) = absolute.to_str() else {
        let reason = io::Error::other("SQLite needs a path in UTF-8");
        return Err(OpenError::io(&target, "copy the state to it", &reason));
    };
    conn.execute("VACUUM INTO ?1", [path]).map_err(sqlite)?;
    files.keep_copy(&target, name)
}

/// Returns an error if the disk has less than `needed` bytes and a reserve. If the free space is unknown, SQLite finds
/// out.
fn check_space(files: &Files, needed: u64) -> Result<(), OpenError> {
    const MEGABYTE: u64 = 1024 * 1024;
    let needed = needed + RESERVE;
    let Some(free) = free_space(files.dir()).filter(|free| *free < needed) else {
        return Ok(());
    };
    let reason = format!(
        "it takes {} MB, and {} MB are free",
        needed.div_ceil(MEGABYTE),
        free / MEGABYTE
    );
    let error = io::Error::new(io::ErrorKind::StorageFull, reason);
    Err(OpenError::io(files.dir(), "rewrite the state", &error))
}

/// Keeps the database small while it is used: in bounded steps between the requests.
pub(super) struct Upkeep {
    history_max: u64,
    is_giving_back: bool,
}

impl Upkeep {
    pub(super) fn new(history_max: u64) -> Self {
        Self {
            history_max,
            is_giving_back: false,
        }
    }

    /// Whether a step may have work to do.
    pub(super) fn is_due(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let pages = Pages::of(conn)?;
        let few = if self.is_giving_back {
            FREE_MIN
        } else {
            FREE_MAX.max(pages.all / 4)
        };
        self.is_giving_back = pages.is_incremental && pages.free > few;
        let ends = chain::ends(conn)?;
        Ok(self.is_giving_back || ends.head - ends.anchor > self.history_max)
    }

    /// Does one step, within a transaction. Returns false if nothing is left to do.
    pub(super) fn step(&self, conn: &Connection) -> Result<bool, StoreError> {
        let has_rotated = rotate(conn, self.history_max, &chain::ends(conn)?)?;
        if !self.is_giving_back {
            return Ok(has_rotated);
        }
        let free = Pages::of(conn)?.free.saturating_sub(FREE_MIN).min(STEP);
        // Each row that the pragma returns is a page.
        let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({free})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }
}
