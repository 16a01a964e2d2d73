//! Stores which transitions a daemon has reported, so that a restart does not report them again: in the state or, for a
//! daemon that only observes and writes to no state, in a file next to it.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;

use crate::cli::output::Failure;
use crate::daemon::StatusPublisher;
use crate::host::{Clock, System};
use crate::status::{Board, Told};
use crate::store::Store;
use crate::webhooks::WebhookSender;

/// The file of a daemon that only observes, in its state directory.
const FILE_NAME: &str = "observed.json";
/// The name of a new file before it replaces the last one. All processes use the same name, so that leftover files do
/// not accumulate.
const PART_NAME: &str = ".observed.json.part";
/// The largest file that is read: several times the size that is written.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// How long to wait for a delivery. If one receiver is down, the others must not get the same messages at each start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The place of the stored transitions.
pub(super) enum ToldHome<'a> {
    State(&'a Store),
    /// The state directory, of which only one file is used.
    Directory(&'a Path),
}

/// Stores the reported transitions.
pub(super) struct ToldKeeper<'a> {
    home: ToldHome<'a>,
    /// The document that was stored last.
    last: RefCell<Option<String>>,
    /// Whether a failure to store them was reported, with no success since.
    is_failing: RefCell<bool>,
}

impl<'a> ToldKeeper<'a> {
    pub(super) fn new(home: ToldHome<'a>) -> Self {
        Self {
            home,
            last: RefCell::default(),
            is_failing: RefCell::default(),
        }
    }

    /// The transitions that earlier processes have reported. Unreadable data is skipped with a warning, and reported
    /// again.
    pub(super) async fn read(&self) -> Told {
        let (text, place) = match &self.home {
            ToldHome::State(store) => {
                let text = store.told().await.map_err(|error| error.to_string());
                (text, "the state".to_owned())
            }
            ToldHome::Directory(directory) => {
                let path = directory.join(FILE_NAME);
                let text = read(&path).map_err(|error| error.to_string());
                (text, path.display().to_string())
            }
        };
        let told = match text {
            Ok(None) => return Told::default(),
            Ok(Some(text)) => {
                let told = Told::from_json(&text).map_err(|error| error.to_string());
                self.last.replace(Some(text));
                told
            }
            Err(error) => Err(error),
        };
        told.unwrap_or_else(|why| {
            tracing::warn!(
                "the record of sent notifications cannot be read from {place}, so all of them are sent again: {why}"
            );
            Told::default()
        })
    }

    /// Stores the reported transitions after each report, but not before they were delivered, or delivery was tried for
    /// a while: the next process reports what an ending process did not deliver.
    pub(super) async fn keep_all(
        &self,
        publisher: &StatusPublisher<System>,
        webhooks: &WebhookSender,
        host: &System,
    ) -> Failure {
        loop {
            publisher.new_transitions().await;
            let late = host.sleep_until(host.monotonic() + PATIENCE);
            select(pin!(webhooks.idle()), pin!(late)).await;
            self.keep(publisher).await;
        }
    }

    /// Stores the transitions reported so far, if all of them were delivered.
    pub(super) async fn keep_delivered(
        &self,
        publisher: &StatusPublisher<System>,
        webhooks: &WebhookSender,
    ) {
        if webhooks.is_idle() {
            self.keep(publisher).await;
        }
    }

    /// Stores the transitions reported so far. A failure is a warning, once.
    async fn keep(&self, publisher: &StatusPublisher<System>) {
        let document = publisher.board(Board::told).to_json();
        if self.last.borrow().as_ref() == Some(&document) {
            return;
        }
        let kept = match &self.home {
            ToldHome::State(store) => {
                let kept = store.keep_told(document.clone()).await;
                kept.map_err(|error| error.to_string())
            }
            ToldHome::Directory(directory) => replace(directory, &document)
                .map_err(|error| format!("{}: {error}", directory.join(FILE_NAME).display())),
        };
        match kept {
            Ok(()) => {
                self.last.replace(Some(document));
                self.is_failing.replace(false);
            }
            Err(why) => {
                if !self.is_failing.replace(true) {
                    tracing::warn!(
                        "the record of sent notifications cannot be written, so a restart sends them again: {why}"
                    );
                }
            }
        }
    }
}

/// The text of a regular file; `None` if there is none.
fn read(path: &PathBuf) -> io::Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    // Opening a FIFO would block forever.
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large"));
    }
    Ok(Some(text))
}

/// Replaces the file atomically.
fn replace(directory: &Path, text: &str) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let part = directory.join(PART_NAME);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, directory.join(FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_the_file_is_replaced_whole_and_only_a_regular_one_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = dir.path().join("state");
        let path = directory.join(FILE_NAME);
        assert!(matches!(read(&path), Ok(None)));
        for text in ["a longer text", "short"] {
            replace(&directory, text).expect("written");
            assert_eq!(read(&path).expect("readable").as_deref(), Some(text));
        }
        let names: Vec<_> = fs::read_dir(&directory)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, [FILE_NAME]);
        fs::write(&path, b"\xff").expect("written");
        assert!(read(&path).is_err());
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert!(read(&path).is_err());
        assert!(replace(&directory, "text").is_err());
    }
}
