//! Rendered documents: made on demand from the newest snapshot, shared by all readers of the same document, within a
//! share of one core and a memory limit.
//!
//! A snapshot is taken at most once a second, and each document and query is rendered at most once from it. A reader gets
//! nothing older than its request, unless nothing has changed since.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OnceCell};

use super::border::{PortEnd, Snapshot};
use super::encoding::Encoding;
use super::rendered::{AliveBytes, Kind, Rendered};
use crate::host::{Clock, spawn_blocking};
use crate::model::Monotonic;
use crate::web::Query;

/// Minimum time between two snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);
/// How long an unused snapshot and its documents are kept.
const KEPT_MAX: Duration = Duration::from_secs(10);
/// The most documents with a query that may wait for rendering. Documents without a query may always wait, because there
/// are few.
const QUERIES_WAITING_MAX: usize = 8;
/// Minimum time between two renderings.
const RENDER_GAP_MIN: Duration = Duration::from_millis(50);
/// The pause after a rendering, as a multiple of its duration: rendering takes at most a quarter of one core.
const REST_FACTOR: u32 = 3;
/// No document of a kind is rendered while this many bytes of the kind are in memory because slow readers hold them. A
/// document of 30,000 images has about 20 MB.
const WHOLE_BOARD_BYTES_MAX: usize = 24 << 20;
/// The same limit for pages, metrics, and everything compressed.
const OTHER_BYTES_MAX: usize = 8 << 20;

/// With more entries than this, unused ones are removed.
const SLOTS_MAX: usize = 64;

/// Why a document is not available now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// The engine has never sent a snapshot.
    NoSnapshot,
    /// Too many others wait for documents with a query.
    TooManyQueries,
    /// Slow readers hold too many bytes.
    TooManyBytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
    pub(super) query: Query,
}

type Class = (Kind, Encoding);
/// The query in its canonical text, which is the same for equal queries.
type Key = (Class, String);
type Slot = Rc<OnceCell<Arc<Rendered>>>;

/// A snapshot, and the documents rendered from it.
struct Picture {
    snapshot: Arc<dyn Snapshot>,
    /// The board's version in the snapshot.
    version: u64,
    taken: Monotonic,
    documents: RefCell<BTreeMap<Key, Slot>>,
}

impl Picture {
    /// The slot of a document, which may already be rendered or in progress.
    fn slot(&self, key: Key) -> Slot {
        let mut documents = self.documents.borrow_mut();
        if documents.len() >= SLOTS_MAX {
            documents.retain(|_, slot| slot.initialized() || Rc::strong_count(slot) > 1);
        }
        Rc::clone(documents.entry(key).or_default())
    }
}

/// Renders documents and keeps them while they are new.
pub(super) struct Documents<C> {
    engine: Rc<PortEnd<C>>,
    picture: RefCell<Option<Rc<Picture>>>,
    /// When a snapshot was last requested. Locked by the task that requests one.
    asked: Mutex<Option<Monotonic>>,
    /// When the next rendering may begin. Locked by the current rendering, even if nobody waits for it any longer.
    may_render_at: Arc<Mutex<Monotonic>>,
    queries_waiting: Cell<usize>,
    alive: RefCell<BTreeMap<Class, AliveBytes>>,
    /// Wakes the cleanup when there is a picture again.
    renewed: Notify,
}

impl<C: Clock + Send + Sync + 'static> Documents<C> {
    pub(super) fn new(engine: Rc<PortEnd<C>>) -> Self {
        let now = engine.clock().monotonic();
        Self {
            engine,
            picture: RefCell::default(),
            asked: Mutex::default(),
            may_render_at: Arc::new(Mutex::new(now)),
            queries_waiting: Cell::new(0),
            alive: RefCell::default(),
            renewed: Notify::new(),
        }
    }

    /// The current document; if nothing has changed, it may be up to a second old.
    pub(super) async fn get(&self, wanted: &Wanted) -> Result<Arc<Rendered>, Unavailable> {
        let picture = self.picture().await?;
        let key = ((wanted.kind, wanted.encoding), wanted.query.to_string());
        let slot = picture.slot(key);
        let rendered = slot.get_or_try_init(|| self.render(&picture, wanted)).await;
        rendered.cloned()
    }

    /// Drops the picture that nobody has requested for a while. Runs forever.
    pub(super) async fn forget_unused(&self) {
        let clock = self.engine.clock();
        loop {
            let taken = self.picture.borrow().as_ref().map(|picture| picture.taken);
            let Some(taken) = taken else {
                self.renewed.notified().await;
                continue;
            };
            clock.sleep_until(taken + KEPT_MAX).await;
            let is_old = |picture: &Rc<Picture>| picture.taken == taken;
            if self.picture.borrow().as_ref().is_some_and(is_old) {
                self.picture.replace(None);
            }
        }
    }

    /// A snapshot that is not older than this call, or whose board has not changed since; the last one, if the engine
    /// sends no other.
    async fn picture(&self) -> Result<Rc<Picture>, Unavailable> {
        let clock = self.engine.clock();
        let came = clock.monotonic();
        // Only one of all waiting tasks asks the engine; its answer is new enough for the others.
        let mut asked = self.asked.lock().await;
        let known = || self.picture.borrow().clone();
        if asked.is_some_and(|asked| asked >= came) {
            return known().ok_or(Unavailable::NoSnapshot);
        }
        if let Some(picture) = known() {
            let may_ask_at = picture.taken + SNAPSHOT_INTERVAL;
            if clock.monotonic() < may_ask_at {
                if picture.version == self.engine.version() {
                    return Ok(picture);
                }
                clock.sleep_until(may_ask_at).await;
            }
        }
        let now = clock.monotonic();
        let answer = self.engine.snapshot().await;
        *asked = Some(now);
        let Some(snapshot) = answer else {
            return known().ok_or(Unavailable::NoSnapshot);
        };
        let picture = Rc::new(Picture {
            version: snapshot.board().version(),
            snapshot,
            taken: now,
            documents: RefCell::default(),
        });
        self.picture.replace(Some(Rc::clone(&picture)));
        self.renewed.notify_one();
        Ok(picture)
    }

    async fn render(
        &self,
        picture: &Picture,
        wanted: &Wanted,
    ) -> Result<Arc<Rendered>, Unavailable> {
        let _place = self.place_to_wait(wanted)?;
        let clock = self.engine.clock();
        let mut may_render_at = Arc::clone(&self.may_render_at).lock_owned().await;
        clock.sleep_until(*may_render_at).await;
        let class = (wanted.kind, wanted.encoding);
        let alive = self.room(picture, class)?;
        let (clock, snapshot) = (Arc::clone(clock), Arc::clone(&picture.snapshot));
        let query = wanted.query.clone();
        // Runs beside the connections, so that a probe does not wait for it.
        let rendering = move || {
            let began = clock.monotonic();
            let rendered = Rendered::new(&*snapshot, class, &query, alive);
            let ended = clock.monotonic();
            *may_render_at = ended + rest_after(ended.since(began));
            Arc::new(rendered)
        };
        Ok(spawn_blocking(rendering).await)
    }

    /// Reserves a place among the waiting requests. Dropping it frees the place.
    fn place_to_wait(&self, wanted: &Wanted) -> Result<impl Drop, Unavailable> {
        struct Place<'a>(&'a Cell<usize>, usize);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - self.1);
            }
        }
        let counts = usize::from(wanted.query != Query::default());
        let waiting = self.queries_waiting.get() + counts;
        if counts > 0 && waiting > QUERIES_WAITING_MAX {
            return Err(Unavailable::TooManyQueries);
        }
        self.queries_waiting.set(waiting);
        Ok(Place(&self.queries_waiting, counts))
    }

    /// Makes room for another document of the class by dropping those that nobody reads.
    fn room(&self, picture: &Picture, class: Class) -> Result<AliveBytes, Unavailable> {
        let alive = self.alive.borrow_mut().entry(class).or_default().clone();
        let max = match class {
            (Kind::Board, Encoding::Identity) => WHOLE_BOARD_BYTES_MAX,
            _ => OTHER_BYTES_MAX,
        };
        if alive.get() > max {
            let is_read = |slot: &Slot| slot.get().is_none_or(|it| Arc::strong_count(it) > 1);
            let forget = |picture: &Picture| {
                let mut documents = picture.documents.borrow_mut();
                documents.retain(|(of, _), slot| *of != class || is_read(slot));
            };
            forget(picture);
            if let Some(newest) = &*self.picture.borrow() {
                forget(newest);
            }
        }
        match alive.get() > max {
            true => Err(Unavailable::TooManyBytes),
            false => Ok(alive),
        }
    }
}

/// The pause after a rendering of this duration.
fn rest_after(took: Duration) -> Duration {
    (took * REST_FACTOR).max(RENDER_GAP_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b3_rendering_is_limited_to_a_quarter_core_and_20_per_second() {
        for millis in [0, 1, 10, 17, 100, 3_000] {
            let took = Duration::from_millis(millis);
            let cycle = took + rest_after(took);
            assert!(took * 4 <= cycle && cycle >= Duration::from_millis(50));
        }
    }
}
