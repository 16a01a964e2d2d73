//! Limits how long the store waits for locks that other processes hold on its database. Normally, each wait has its own
//! limit; once the store is about to end, all remaining waits share one limit, so that many queued waits do not add up.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::open::BUSY;

/// The longest time that all waits take together once the store is about to end. A process that was asked to stop also
/// waits for calls in flight, up to eight seconds, and must still end within ten seconds.
const END_WITHIN: Duration = Duration::from_millis(1_500);
/// The time between two tries to get a lock.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// Limits of waiting, shared by the handle of the store and by its thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<Mutex<Limits>>);

#[derive(Debug, Default)]
struct Limits {
    /// How long all remaining waits may take together, because the store is about to end.
    left: Option<Duration>,
    /// Whether waiting is forbidden at the moment.
    is_waiting_forbidden: bool,
    /// Whether the process was asked to stop, so that only necessary work is done.
    is_stopping: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "on the store's own thread, outside the event loop"
)]
impl Patience {
    /// Makes a connection wait as long as the limits allow. SQLite calls the handler repeatedly while it waits.
    pub(super) fn install(&self, conn: &mut Connection) -> rusqlite::Result<()> {
        let patience = self.clone();
        let mut until = None;
        conn.busy_handler(Some(move |tries| {
            let now = Instant::now();
            if tries == 0 {
                until = Some(now + BUSY);
            }
            let may_wait = until.is_some_and(|until| now < until) && patience.allows();
            if may_wait {
                thread::sleep(TRY_EVERY);
                patience.spend(now.elapsed());
            }
            may_wait
        }))
    }

    /// Makes waits short, because the store is about to end. Further calls change nothing.
    pub(super) fn hurry(&self) {
        self.with(|limits| {
            limits.left.get_or_insert(END_WITHIN);
        });
    }

    /// Does the same as [`Patience::hurry`]; from now on, only necessary work is done.
    pub(super) fn stop(&self) {
        self.hurry();
        self.with(|limits| limits.is_stopping = true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.with(|limits| limits.is_stopping)
    }

    /// Runs `work`, which fails at once instead of waiting.
    pub(super) fn without_waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.with(|limits| limits.is_waiting_forbidden = true);
        let done = work();
        self.with(|limits| limits.is_waiting_forbidden = false);
        done
    }

    fn allows(&self) -> bool {
        self.with(|limits| !limits.is_waiting_forbidden && limits.left != Some(Duration::ZERO))
    }

    fn spend(&self, time: Duration) {
        self.with(|limits| limits.left = limits.left.map(|left| left.saturating_sub(time)));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Limits) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
