//! Notifications of the operating system that watched files changed. They may be lost, so that whoever waits polls, too.

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

/// Word that files may have changed. It may be late, come for nothing or not come at all: whoever must know looks,
/// now and then.
pub trait Watch {
    /// Watches these directories from now on, instead of those before. Whether any of them is watched anew: what
    /// changed in that one until now was not noticed.
    fn follow(&mut self, places: &Places) -> impl Future<Output = bool>;

    /// Returns once something may have changed since it last returned. Nothing is lost if it is dropped.
    fn changed(&mut self) -> impl Future<Output = ()>;
}

/// Directories to watch, not what lies in directories below them. A file is never watched itself: what watches it
/// would stay with the old one when it is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<PathBuf, Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Device and inode: another directory at the same path is watched anew.
    identity: (u64, u64),
    /// What in it matters.
    names: Names,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    These(BTreeSet<OsString>),
}

impl Places {
    /// Watches a directory, if it is there.
    pub fn add(&mut self, directory: &Path) {
        if let Some(place) = self.place(directory) {
            place.names = Names::All;
        }
    }

    /// Watches a directory, if it is there, for what happens to `name` in it.
    pub fn add_for(&mut self, directory: &Path, name: &OsStr) {
        if let Some(place) = self.place(directory)
            && let Names::These(names) = &mut place.names
        {
            names.insert(name.to_owned());
        }
    }

    /// How many directories there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&mut self, directory: &Path) -> Option<&mut Place> {
        let directory = if self.0.contains_key(directory) {
            directory.to_owned()
        } else {
            // Two watches of one directory under two names would be one, and end together.
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

    /// Whether something that happened at `path` matters.
    fn matter(&self, path: &Path) -> bool {
        let parent = path.parent().and_then(|parent| self.0.get(parent));
        match (parent, path.file_name()) {
            (Some(place), Some(name)) if !self.0.contains_key(path) => match &place.names {
                Names::All => true,
                Names::These(names) => names.contains(name),
            },
            // To a directory itself, or nobody knows where.
            _ => true,
        }
    }
}

/// The operating system's notifications. Where it gives none, or no more of them, this says so once and then is
/// silent.
pub struct SystemWatch {
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    watched: Places,
    shared: Arc<Shared>,
    warned: bool,
}

/// What the watcher's thread works with.
#[derive(Default)]
struct Shared {
    /// Whatever came, it is one permit: a storm takes no room.
    changed: Notify,
    places: Mutex<Places>,
    /// Something happened to a watched directory itself, so that it may not be watched any longer.
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

    /// Once, for it is the same with every directory.
    fn warn(&mut self, error: &notify::Error) {
        if self.warned {
            return;
        }
        self.warned = true;
        let error = crate::words::brief(&error.to_string());
        tracing::warn!(
            error,
            "changes of some manifests are noticed by looking now and then, not at once: they cannot be watched; if the limit is reached, raise fs.inotify.max_user_watches or max_user_instances"
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

/// What is watched now, whether any of it anew, and the first error.
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
            // It may be gone, and its watch with it.
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
            // It went away this moment, which its parent tells of.
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
        // Of an error it is not known what it kept from us.
        let matters = event.map_or(true, |event| self.matters(&event));
        if matters {
            self.changed.notify_one();
        }
    }

    fn matters(&self, event: &Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        // Our own reading is an access, too.
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

/// Whoever panicked with it left it whole: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
