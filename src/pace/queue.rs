use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;

use super::bucket::{Bucket, Pace};
use super::line::{Line, PartyId, TicketId};
use crate::host::Clock;
use crate::model::Monotonic;

/// A bucket and who waits at it. One of them is next, and waits for the bucket; each of the others is woken when it is.
pub(super) struct Queue {
    pub(super) bucket: RefCell<Bucket>,
    line: RefCell<Line>,
    /// Wakes those who wait for their turn.
    turns: RefCell<HashMap<TicketId, Rc<Notify>>>,
    /// Wakes those who wait until they may go on.
    starts: RefCell<HashMap<PartyId, Rc<Notify>>>,
    /// Who was told to be next.
    told: Cell<Option<TicketId>>,
}

impl Queue {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            bucket: RefCell::new(Bucket::new(pace)),
            line: RefCell::default(),
            turns: RefCell::default(),
            starts: RefCell::default(),
            told: Cell::default(),
        }
    }

    /// Waits for the turn of one call and for the slot, counts the send, and returns the moment it is counted at.
    pub(super) async fn permit(self: &Rc<Self>, clock: &impl Clock, call: Call<'_>) -> Monotonic {
        let (ticket, place) = (Ticket::take(call), call.place);
        loop {
            if self.line.borrow().first() != Some(ticket.id) {
                ticket.turn.notified().await;
                continue;
            }
            let ready_at = self.bucket.borrow().ready_at();
            let now = clock.monotonic();
            if now >= ready_at {
                self.bucket.borrow_mut().sent(now);
                let rate = self.rate();
                self.line.borrow_mut().granted(place.party, ticket.id, rate);
                return now;
            }
            // Who comes meanwhile may go before.
            clock.sleep_until(ready_at).await;
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.bucket.borrow().rate()
    }

    /// Something has changed: whoever is next, or may go on, is told.
    pub(super) fn stir(&self) {
        let admitted = self.line.borrow_mut().admit(self.rate());
        for party in admitted {
            if let Some(start) = self.starts.borrow().get(&party) {
                start.notify_one();
            }
        }
        let first = self.line.borrow().first();
        if self.told.replace(first) != first
            && let Some(turn) = first.and_then(|first| self.turns.borrow().get(&first).cloned())
        {
            turn.notify_one();
        }
    }
}

/// A place at a bucket, for a call or for several that belong together. Dropped, it is given up.
pub struct Place {
    queue: Rc<Queue>,
    party: PartyId,
    start: Rc<Notify>,
}

/// One of the calls that belong together.
#[derive(Clone, Copy)]
pub struct Call<'p> {
    place: &'p Place,
    number: u32,
}

impl Call<'_> {
    pub(super) fn is_at(&self, queue: &Rc<Queue>) -> bool {
        Rc::ptr_eq(&self.place.queue, queue)
    }
}

impl Place {
    pub(super) fn at(queue: &Rc<Queue>) -> Self {
        let party = queue.line.borrow_mut().arrive();
        let start = Rc::new(Notify::new());
        let starts = &queue.starts;
        starts.borrow_mut().insert(party, Rc::clone(&start));
        Self {
            queue: Rc::clone(queue),
            party,
            start,
        }
    }

    /// One of its calls. Those with smaller numbers go first, so that one that must be made again does.
    pub fn call(&self, number: u32) -> Call<'_> {
        Call {
            place: self,
            number,
        }
    }

    /// Waits until it may go on with so many calls.
    pub async fn goes_on(&self, calls: u32) {
        self.queue.line.borrow_mut().seek(self.party, calls);
        self.queue.stir();
        while !self.queue.line.borrow().is_admitted(self.party) {
            self.start.notified().await;
        }
    }

    /// One of its calls came to a good end.
    pub fn done(&self) {
        self.queue.line.borrow_mut().done(self.party);
        self.queue.stir();
    }

    /// Calls of others that go before its own, as things stand.
    pub fn calls_before(&self) -> u32 {
        self.queue.line.borrow().before(self.party)
    }

    /// Calls a second that leave there.
    pub fn rate(&self) -> f64 {
        self.queue.rate()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.line.borrow_mut().depart(self.party);
        self.queue.starts.borrow_mut().remove(&self.party);
        self.queue.stir();
    }
}

/// One call that waits for its turn. Dropped, it is given up, or its turn has come.
struct Ticket<'p> {
    place: &'p Place,
    id: TicketId,
    turn: Rc<Notify>,
}

impl<'p> Ticket<'p> {
    fn take(Call { place, number }: Call<'p>) -> Self {
        let queue = &place.queue;
        let id = queue.line.borrow_mut().enter(place.party, number);
        let turn = Rc::new(Notify::new());
        queue.turns.borrow_mut().insert(id, Rc::clone(&turn));
        queue.stir();
        Self { place, id, turn }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let queue = &self.place.queue;
        queue.line.borrow_mut().leave(self.place.party, self.id);
        queue.turns.borrow_mut().remove(&self.id);
        queue.stir();
    }
}
