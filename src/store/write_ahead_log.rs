//! The write-ahead log: when it is written back into the database, and who keeps it from being begun anew. A process that
//! reads does so as of one moment, and until it is done nothing that was written since can leave the log.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::open::LOG_SIZE;

/// After so many requests the log is written back, however small it is, so that the next start has little to read.
const REQUESTS_MAX: usize = 1_000;
/// A log that could not be written back is tried again after so many further bytes.
const TRY_EVERY: u64 = 1024 * 1024;
/// A log of this size in bytes is reported. Without another process that reads, it does not come near that.
const LARGE: u64 = 64 * 1024 * 1024;

/// How a checkpoint treats those who use the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// Does what can be done beside them.
    Passive,
    /// Waits for them, and empties the log.
    Truncate,
}

impl Checkpoint {
    /// Writes the log back into the database. Returns whether all of it was written.
    pub(super) fn run(self, conn: &Connection) -> Result<bool, StoreError> {
        let pragma = match self {
            Self::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Self::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        // The pragma reports what it could not write back as a result, not as an error.
        let (busy, frames, written): (bool, i64, i64) = conn.query_row(pragma, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        Ok(!busy && frames == written)
    }
}

/// When the log is written back next.
#[derive(Debug)]
pub(super) struct CheckpointSchedule {
    files: Files,
    /// The size in bytes from which on the next try is due.
    due_at: u64,
    /// The number of requests since it was tried last.
    requests: usize,
}

impl CheckpointSchedule {
    pub(super) fn new(files: Files) -> Self {
        Self {
            files,
            due_at: LOG_SIZE,
            requests: 0,
        }
    }

    /// Counts requests that were served.
    pub(super) fn served(&mut self, requests: usize) {
        self.requests += requests;
    }

    /// Whether the log is due to be written back after a commit.
    pub(super) fn is_due(&mut self) -> bool {
        let len = self.len();
        if len <= LOG_SIZE {
            // It was begun anew.
            self.due_at = LOG_SIZE;
        }
        len > self.due_at || self.requests >= REQUESTS_MAX
    }

    /// Whether the log is larger than it need be, however lately it was tried.
    pub(super) fn is_oversized(&self) -> bool {
        self.len() > LOG_SIZE
    }

    /// Remembers that the log was tried to be written back.
    pub(super) fn record_try(&mut self) {
        self.requests = 0;
        // Even if all was written back, a reader can keep the log from being begun anew.
        self.due_at = match self.len() {
            len if len > LOG_SIZE => len + TRY_EVERY,
            _ => LOG_SIZE,
        };
    }

    fn len(&self) -> u64 {
        self.files.wal_len().unwrap_or(0)
    }
}

/// What there is to say of a log that other processes keep from being begun anew; `None` while it is of moderate size.
pub(super) fn oversized_log(files: &Files) -> Option<String> {
    const MEGABYTE: u64 = 1024 * 1024;
    let len = files.wal_len().ok().filter(|len| *len > LARGE)?;
    // What cannot be read names nobody.
    let index = fs::metadata(files.wal_index()).map_or(0, |metadata| metadata.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let readers = readers(&locks, index, std::process::id());
    let who = match readers.as_slice() {
        [] => "a process that cannot be named from here (`fuser` on the host may)".to_owned(),
        some => {
            let pids: Vec<_> = some.iter().map(u32::to_string).collect();
            format!("process {}", pids.join(", "))
        }
    };
    Some(format!(
        "{} has {} MB and grows with each write, because {who} reads an old state of the database and holds on to it: \
         end that query or program; writes are recorded meanwhile",
        files.wal().display(),
        len / MEGABYTE
    ))
}

/// The processes other than `own` that hold a lock for reading on the index of a log, by the text of `/proc/locks`.
fn readers(locks: &str, inode: u64, own: u32) -> Vec<u32> {
    /// The bytes of the index that SQLite locks for those who read the log (`WAL_READ_LOCK`).
    const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;
    let held = locks.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "READ");
        let (_, pid, file) = (words.next()?, words.next()?, words.next()?);
        let first: u64 = words.next()?.parse().ok()?;
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        let pid = pid.parse().ok().filter(|pid| *pid != own)?;
        (is_it && READ_LOCKS.contains(&first)).then_some(pid)
    });
    let mut pids: Vec<u32> = held.collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_who_reads_the_log_is_told_by_the_locks_on_its_index() {
        let locks = "\
            1: POSIX  ADVISORY  READ 4711 08:01:77 123 123\n\
            2: POSIX  ADVISORY  READ 4711 08:01:77 128 128\n\
            3: POSIX  ADVISORY  READ 12 08:01:77 124 124\n\
            4: POSIX  ADVISORY  WRITE 13 08:01:77 124 124\n\
            5: POSIX  ADVISORY  READ 14 08:01:78 124 124\n\
            6: FLOCK  ADVISORY  WRITE 15 08:01:77 0 EOF\n\
            7: POSIX  ADVISORY  READ 16 08:01:77 128 128\n\
            1: -> POSIX  ADVISORY  READ 4712 08:01:77 127 127\n\
            8: POSIX  ADVISORY  READ 99 08:01:77 125 125\n";
        assert_eq!(readers(locks, 77, 99), [12, 4711, 4712]);
        assert_eq!(readers("", 77, 99), [0; 0]);
    }
}
