//! The places for connections, and which connection makes room for another.
//!
//! A connection with a document or an event stream in transfer keeps its place, and there are fewer transfers than
//! places. So there is always a connection that can make room for a new client, which may be a probe of the orchestrator.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::host::Clock;
use crate::model::Monotonic;

/// The most documents and event streams in transfer at a time.
pub const TRANSFERS_MAX: usize = 64;
/// Places that no transfer occupies, so that probes are always answered. This many connections must arrive between a
/// probe's connect and its request before the probe is evicted.
const RESERVE: usize = 64;
/// The most connections at a time. A browser opens six for a page and its files.
pub const CONNECTIONS_MAX: usize = TRANSFERS_MAX + RESERVE;

/// One connection, over all its requests.
pub(super) struct Connection<C> {
    /// The local address that the client called.
    pub(super) local: IpAddr,
    pub(super) clock: Arc<C>,
    /// Whether it has an event stream, which may last longer than other replies.
    pub(super) has_stream: Cell<bool>,
    /// Number of documents and streams in transfer.
    transfers: Cell<usize>,
    /// Since when it has had no complete request whose document or stream is in transfer.
    waits_since: Cell<Monotonic>,
    /// Since when the client has read none of the waiting bytes.
    stuck_since: Cell<Option<Monotonic>>,
    /// Notified when the client stops reading bytes.
    pub(super) stuck: Notify,
    /// Notified when the connection must make room.
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

    /// Since when the client has read nothing; `None` while it reads everything.
    pub(super) fn stuck_since(&self) -> Option<Monotonic> {
        self.stuck_since.get()
    }

    /// Records whether the client read any of the written bytes.
    pub(super) fn wrote(&self, has_taken: bool) {
        if has_taken {
            self.stuck_since.set(None);
        } else if self.stuck_since.get().is_none() {
            self.stuck_since.set(Some(self.clock.monotonic()));
            self.stuck.notify_one();
        }
    }

    /// The order of eviction: first connections without waiting bytes; among these, the one that has waited longest.
    fn eviction_order(&self) -> (bool, Monotonic) {
        (self.stuck_since.get().is_some(), self.waits_since.get())
    }
}

/// A document or stream in transfer on a connection. Dropping it ends the transfer.
pub(super) struct Transfer<C: Clock> {
    connection: Rc<Connection<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Clock> Transfer<C> {
    /// Starts a transfer; `None` if the limit is reached.
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

/// A connection's place. Dropping it frees the place.
pub(super) struct Place<C> {
    places: Rc<Places<C>>,
    pub(super) connection: Rc<Connection<C>>,
}

impl<C: Clock> Places<C> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::default()))
    }

    /// Gives the connection a place. If all are taken, the connection that has waited longest for a complete request
    /// makes room.
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

    /// A clock that advances by one second each time it is read.
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
    fn b8_the_longest_waiting_connection_makes_room_a_transfer_never() {
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
        assert_eq!(carried, TRANSFERS_MAX, "the limit of transfers");
        // The connections without a transfer make room, in the order of their arrival.
        for round in 0..2 * RESERVE {
            taken.push(connect());
            let evicted: Vec<_> = (0..taken.len())
                .filter(|n| is_evicted(&taken[*n]))
                .collect();
            let expected: Vec<_> = (TRANSFERS_MAX..=TRANSFERS_MAX + round).collect();
            assert_eq!(evicted, expected);
            assert_eq!(places.0.borrow().len(), CONNECTIONS_MAX);
        }
        // A connection that has just ended its transfer has waited for less time.
        transfers[3] = None;
        let late = connect();
        assert!(!is_evicted(&taken[3]) && !is_evicted(&late));
        // A connection with a slow reader is evicted last.
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
    fn b8_a_place_is_free_once_its_connection_is_gone() {
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
