//! The operating system's notifications that watched files changed. Notifications may be lost, so users of this module
//! poll, too.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::spawn_blocking;

/// Notifications that files may have changed. They may be late, unfounded or missing, so whoever needs certainty also
/// checks from time to time.
pub trait Watch {
    /// Watches these directories from now on, instead of the previous ones. Returns whether any directory is newly
    /// watched: changes in it before this call were not noticed.
    fn follow(&mut self, places: &Places) -> impl Future<Output = bool>;

    /// Returns once something may have changed since its last return. Dropping the future loses nothing.
    fn changed(&mut self) -> impl Future<Output = ()>;
}

/// Directories to watch, without their subdirectories. A file is never watched itself, because the watch would stay
/// with the old file when it is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<PathBuf, Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Device and inode. A different directory at the same path is watched again.
    identity: (u64, u64),
    /// The names in the directory that matter.
    names: Names,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    These(BTreeSet<OsString>),
}

impl Places {
    /// Watches a directory, if it exists.
    pub fn add(&mut self, directory: &Path) {
        if let Some(place) = self.place(directory) {
            place.names = Names::All;
        }
    }

    /// Watches a directory, if it exists, for changes of `name` in it.
    pub fn add_for(&mut self, directory: &Path, name: &OsStr) {
        if let Some(place) = self.place(directory)
            && let Names::These(names) = &mut place.names
        {
            names.insert(name.to_owned());
        }
    }

    /// The number of directories to watch.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no directory to watch.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&mut self, directory: &Path) -> Option<&mut Place> {
        let directory = if self.0.contains_key(directory) {
            directory.to_owned()
        } else {
            // Two watches of one directory under two names would be one watch, and would end together.
            fs::canonicalize(directory).ok()?
        };
        match self.0.entry(directory) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                let metadata = fs::metadata(entry.key()).ok()?;
                metadata.is_dir().then(|| {
                    entry.insert(Place {
                        identity: (metadata.dev(), metadata.ino()),
                        names: Names::These(BTreeSet::new()),
                    })
                })
            }
        }
    }

    /// Whether an event at `path` matters.
    fn matter(&self, path: &Path) -> bool {
        let parent = path.parent().and_then(|parent| self.0.get(parent));
        match (parent, path.file_name()) {
            (Some(place), Some(name)) if !self.0.contains_key(path) => match &place.names {
                Names::All => true,
                Names::These(names) => names.contains(name),
            },
            // It concerns a directory itself, or its place is not known.
            _ => true,
        }
    }
}

/// The operating system's notifications. If it provides none, or no more of them, this logs that once and is silent
/// from then on.
pub struct SystemWatch {
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    watched: Places,
    shared: Arc<Shared>,
    warned: bool,
}

/// The data that the watcher's thread shares with us.
#[derive(Default)]
struct Shared {
    /// Wakes the waiting task. However many events come, they are one permit, so a burst of events needs no memory.
    changed: Notify,
    places: Mutex<Places>,
    /// Whether something happened to a watched directory itself, so that it may no longer be watched.
    is_stale: AtomicBool,
}

impl SystemWatch {
    pub fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let heard = Arc::clone(&shared);
        let watcher = notify::recommended_watcher(move |event| heard.take_in(event));
        let mut watch = Self {
            watcher: Arc::default(),
            watched: Places::default(),
            shared,
            warned: false,
        };
        match watcher {
            Ok(watcher) => watch.watcher = Arc::new(Mutex::new(Some(watcher))),
            Err(error) => watch.warn(&error),
        }
        watch
    }

    /// Warns only once, because the error is the same for every directory.
    fn warn(&mut self, error: &notify::Error) {
        if self.warned {
            return;
        }
        self.warned = true;
        let error = crate::words::brief(&error.to_string());
        tracing::warn!(
            error,
            "some manifests cannot be watched, so their changes are noticed only by regular checks, not at once; if a limit is reached, raise fs.inotify.max_user_watches or max_user_instances"
        );
    }
}

impl Default for SystemWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch for SystemWatch {
    async fn follow(&mut self, places: &Places) -> bool {
        let is_stale = self.shared.is_stale.swap(false, Ordering::AcqRel);
        if !is_stale && self.watched == *places {
            return false;
        }
        *lock(&self.shared.places) = places.clone();
        let before = std::mem::take(&mut self.watched);
        let (watcher, wanted) = (Arc::clone(&self.watcher), places.clone());
        let (watched, anew, error) = spawn_blocking(move || match lock(&watcher).as_mut() {
            Some(watcher) => follow(watcher, &before, wanted, is_stale),
            None => (wanted, false, None),
        })
        .await;
        self.watched = watched;
        if let Some(error) = error {
            self.warn(&error);
        }
        anew
    }

    async fn changed(&mut self) {
        self.shared.changed.notified().await;
    }
}

/// The places that are watched now, whether any of them is new, and the first error.
fn follow(
    watcher: &mut RecommendedWatcher,
    before: &Places,
    mut wanted: Places,
    is_stale: bool,
) -> (Places, bool, Option<notify::Error>) {
    let is_kept = |path: &Path, place: &Place, other: &Places| {
        let other = other.0.get(path);
        !is_stale && other.is_some_and(|other| other.identity == place.identity)
    };
    for (path, place) in &before.0 {
        if !is_kept(path, place, &wanted) {
            // The directory may have been removed, and its watch with it.
            let _ = watcher.unwatch(path);
        }
    }
    let (mut anew, mut first_error) = (false, None);
    wanted.0.retain(|path, place| {
        if is_kept(path, place, before) {
            return true;
        }
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => anew = true,
            // It was removed this moment; the watch of its parent reports that.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => return false,
            Err(error) => {
                first_error.get_or_insert(error);
                return false;
            }
        }
        true
    });
    (wanted, anew, first_error)
}

impl Shared {
    fn take_in(&self, event: Result<Event, notify::Error>) {
        // After an error, it is not known which event was lost.
        let matters = event.map_or(true, |event| self.matters(&event));
        if matters {
            self.changed.notify_one();
        }
    }

    fn matters(&self, event: &Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        // Our own reading causes access events, too.
        if event.kind.is_access() {
            return false;
        }
        let places = lock(&self.places);
        let in_place =
            |kind| matches!(kind, EventKind::Modify(kind) if !matches!(kind, ModifyKind::Name(_)));
        if !in_place(event.kind) {
            let is_place = event.paths.iter().any(|path| places.0.contains_key(path));
            self.is_stale.fetch_or(is_place, Ordering::AcqRel);
        }
        event.paths.is_empty() || event.paths.iter().any(|path| places.matter(path))
    }
}

/// A thread that panicked with the lock left the data whole, because each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
