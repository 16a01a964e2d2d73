//! The places for connections, and which of them makes room for another.
//!
//! A connection that carries a document or an event stream keeps its place, and fewer of these are carried than there are
//! places. So there is always one that can make room for a new client, which may be a probe of the orchestrator.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::host::Clock;
use crate::model::Monotonic;

/// The most documents and event streams that are carried at a time.
pub const TRANSFERS_MAX: usize = 64;
/// Places that no transfer takes, so that probes are answered whatever is carried. As many connections must come between a
/// probe and its request before the probe makes room.
const RESERVE: usize = 64;
/// The most connections at a time. For a page and its files, a browser opens six.
pub const CONNECTIONS_MAX: usize = TRANSFERS_MAX + RESERVE;

/// One connection, over all its requests.
pub(super) struct Connection<C> {
    /// The local address that the client called.
    pub(super) local: IpAddr,
    pub(super) clock: Arc<C>,
    /// Whether it carries an event stream, which may last longer than other replies.
    pub(super) has_stream: Cell<bool>,
    /// Documents and streams that it carries.
    transfers: Cell<usize>,
    /// Since when it has had no whole request whose document or stream it carries.
    waits_since: Cell<Monotonic>,
    /// Since when the client has taken no byte of those that wait to leave.
    stuck_since: Cell<Option<Monotonic>>,
    /// The client has just stopped to take bytes.
    pub(super) stuck: Notify,
    /// It makes room for another one.
    pub(super) evicted: Notify,
}

impl<C: Clock> Connection<C> {
    pub(super) fn new(local: IpAddr, clock: Arc<C>) -> Self {
        let now = clock.monotonic();
        Self {
            local,
            clock,
            has_stream: Cell::new(false),
            transfers: Cell::new(0),
            waits_since: Cell::new(now),
            stuck_since: Cell::new(None),
            stuck: Notify::new(),
            evicted: Notify::new(),
        }
    }

    /// Since when the client has taken nothing; `None` while it takes all that there is.
    pub(super) fn stuck_since(&self) -> Option<Monotonic> {
        self.stuck_since.get()
    }

    /// Takes in whether the client took something of what was written.
    pub(super) fn wrote(&self, has_taken: bool) {
        if has_taken {
            self.stuck_since.set(None);
        } else if self.stuck_since.get().is_none() {
            self.stuck_since.set(Some(self.clock.monotonic()));
            self.stuck.notify_one();
        }
    }

    /// The order in which connections make room: first those with nothing under way, of these the one that has waited
    /// longest.
    fn eviction_order(&self) -> (bool, Monotonic) {
        (self.stuck_since.get().is_some(), self.waits_since.get())
    }
}

/// A document or stream that a connection carries. Dropping it ends that.
pub(super) struct Transfer<C: Clock> {
    connection: Rc<Connection<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Clock> Transfer<C> {
    /// Begins to carry something; `None` if all that may be is carried already.
    pub(super) fn begin(connection: &Rc<Connection<C>>, limit: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(limit).try_acquire_owned().ok()?;
        connection.transfers.set(connection.transfers.get() + 1);
        Some(Self {
            connection: Rc::clone(connection),
            _permit: permit,
        })
    }
}

impl<C: Clock> Drop for Transfer<C> {
    fn drop(&mut self) {
        let Connection {
            transfers,
            waits_since,
            clock,
            ..
        } = &*self.connection;
        transfers.set(transfers.get() - 1);
        waits_since.set(clock.monotonic());
    }
}

/// All connections that have a place.
pub(super) struct Places<C>(RefCell<Vec<Rc<Connection<C>>>>);

/// A connection's place. It is free again once it is dropped.
pub(super) struct Place<C> {
    places: Rc<Places<C>>,
    pub(super) connection: Rc<Connection<C>>,
}

impl<C: Clock> Places<C> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::default()))
    }

    /// Gives the connection a place. If all are taken, the one that has waited longest for a whole request makes room.
    pub(super) fn take(self: &Rc<Self>, connection: Connection<C>) -> Place<C> {
        let mut taken = self.0.borrow_mut();
        if taken.len() >= CONNECTIONS_MAX {
            let waiting = taken.iter().enumerate();
            let waiting = waiting.filter(|(_, other)| other.transfers.get() == 0);
            let first = waiting.min_by_key(|(_, other)| other.eviction_order());
            if let Some((position, _)) = first {
                taken.swap_remove(position).evicted.notify_one();
            }
        }
        let connection = Rc::new(connection);
        taken.push(Rc::clone(&connection));
        Place {
            places: Rc::clone(self),
            connection,
        }
    }
}

impl<C> Drop for Place<C> {
    fn drop(&mut self) {
        let is_this = |other: &Rc<Connection<C>>| Rc::ptr_eq(other, &self.connection);
        self.places.0.borrow_mut().retain(|other| !is_this(other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use crate::model::Timestamp;

    /// A clock that goes on by a second each time that it is looked at.
    #[derive(Default)]
    struct Ticking(std::sync::atomic::AtomicU64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn monotonic(&self) -> Monotonic {
            let seconds = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Monotonic::new(std::time::Duration::from_secs(seconds))
        }

        async fn sleep_until(&self, _: Monotonic) {}
    }

    fn is_evicted(place: &Place<Ticking>) -> bool {
        let taken = place.places.0.borrow();
        !taken
            .iter()
            .any(|other| Rc::ptr_eq(other, &place.connection))
    }

    #[test]
    fn b8_who_waits_longest_without_a_whole_request_makes_room_and_a_transfer_never_does() {
        let (places, clock) = (Places::new(), Arc::new(Ticking::default()));
        let connect = || {
            places.take(Connection::new(
                Ipv4Addr::LOCALHOST.into(),
                Arc::clone(&clock),
            ))
        };
        let limit = Arc::new(Semaphore::new(TRANSFERS_MAX));
        let begin = |place: &Place<Ticking>| Transfer::begin(&place.connection, &limit);
        let mut taken: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
        let mut transfers: Vec<_> = taken.iter().map(begin).collect();
        let carried = transfers.iter().flatten().count();
        assert_eq!(carried, TRANSFERS_MAX, "no more is carried");
        // The eight that carry nothing make room, in the order in which they came.
        for round in 0..2 * RESERVE {
            taken.push(connect());
            let evicted: Vec<_> = (0..taken.len())
                .filter(|n| is_evicted(&taken[*n]))
                .collect();
            let expected: Vec<_> = (TRANSFERS_MAX..=TRANSFERS_MAX + round).collect();
            assert_eq!(evicted, expected);
            assert_eq!(places.0.borrow().len(), CONNECTIONS_MAX);
        }
        // One that has just ended its transfer has waited less long than those.
        transfers[3] = None;
        let late = connect();
        assert!(!is_evicted(&taken[3]) && !is_evicted(&late));
        // What is on its way to a client that takes it slowly goes last of all.
        taken[3].connection.wrote(false);
        let more: Vec<_> = (1..RESERVE).map(|_| connect()).collect();
        assert!(!is_evicted(&taken[3]));
        let last = connect();
        assert!(
            !is_evicted(&taken[3]) && is_evicted(&late),
            "{}",
            more.len()
        );
        taken[3].connection.wrote(true);
        let _next = connect();
        assert!(!is_evicted(&last));
        assert!(is_evicted(&taken[3]));
    }

    #[test]
    fn b8_a_place_is_free_again_once_its_connection_is_gone() {
        let (places, clock) = (Places::new(), Arc::new(Ticking::default()));
        let connect = || {
            places.take(Connection::new(
                Ipv4Addr::LOCALHOST.into(),
                Arc::clone(&clock),
            ))
        };
        let first = connect();
        for _ in 0..CONNECTIONS_MAX {
            drop(connect());
        }
        assert!(!is_evicted(&first));
    }
}
