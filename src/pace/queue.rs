//! One bucket and the calls that wait for it. This file joins the pure bucket and the pure order of `fair_order` with
//! wakers, so that each waiting call is woken when it may leave. It must not know what a call is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;

use super::bucket::{Bucket, Pace};
use super::fair_order::{CallId, FairOrder, GroupId};
use crate::host::Clock;
use crate::model::Monotonic;

/// A bucket and the calls that wait at it. The next call waits for the bucket; every other call waits to be woken.
pub(super) struct BucketQueue {
    pub(super) bucket: RefCell<Bucket>,
    order: RefCell<FairOrder>,
    /// Wakes calls that wait for their place at the front.
    turn_wakers: RefCell<HashMap<CallId, Rc<Notify>>>,
    /// Wakes groups that wait for admission.
    start_wakers: RefCell<HashMap<GroupId, Rc<Notify>>>,
    /// The call that was last woken as the next one.
    woken: Cell<Option<CallId>>,
    /// Wakes the next call where open permits occupied all places.
    permit_ended: Notify,
}

impl BucketQueue {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            bucket: RefCell::new(Bucket::new(pace)),
            order: RefCell::default(),
            turn_wakers: RefCell::default(),
            start_wakers: RefCell::default(),
            woken: Cell::default(),
            permit_ended: Notify::new(),
        }
    }

    /// Waits until a call may leave, and opens its permit.
    pub(super) async fn permit(self: &Rc<Self>, clock: &impl Clock, call: GroupCall<'_>) -> Permit {
        let (waiting, group) = (WaitingCall::enqueue(call), call.group);
        loop {
            if self.order.borrow().next_call() != Some(waiting.id) {
                waiting.turn.notified().await;
                continue;
            }
            let ready_at = self.bucket.borrow().ready_at();
            let now = clock.monotonic();
            match ready_at {
                Some(ready_at) if now >= ready_at => {
                    let permit = Permit::open(self, now);
                    let rate = self.rate();
                    self.order.borrow_mut().grant(group.id, waiting.id, rate);
                    return permit;
                }
                // A call that comes in the meantime may go first.
                Some(ready_at) => clock.sleep_until(ready_at).await,
                None => self.permit_ended.notified().await,
            }
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.bucket.borrow().rate()
    }

    /// Wakes the groups that may start now, and the call that is next now. Called after every change.
    pub(super) fn wake(&self) {
        let admitted = self.order.borrow_mut().admit(self.rate());
        for group in admitted {
            if let Some(start) = self.start_wakers.borrow().get(&group) {
                start.notify_one();
            }
        }
        let next = self.order.borrow().next_call();
        if self.woken.replace(next) != next
            && let Some(turn) = next.and_then(|next| self.turn_wakers.borrow().get(&next).cloned())
        {
            turn.notify_one();
        }
    }
}

/// The right to send one call from a bucket. It occupies a place there until it is used ([`super::Pacer::left`]) or
/// dropped, which gives it back.
pub struct Permit {
    queue: Rc<BucketQueue>,
    at: Monotonic,
}

impl Permit {
    fn open(queue: &Rc<BucketQueue>, now: Monotonic) -> Self {
        queue.bucket.borrow_mut().permitted(now);
        Self {
            queue: Rc::clone(queue),
            at: now,
        }
    }

    /// The moment when the call was permitted.
    pub fn at(&self) -> Monotonic {
        self.at
    }

    /// Records that the call leaves now. `cold` says whether it may have to connect first.
    pub(super) fn used(self, now: Monotonic, cold: bool) {
        self.queue.bucket.borrow_mut().left(now, cold);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.bucket.borrow_mut().permit_ended();
        self.queue.permit_ended.notify_waiters();
    }
}

/// Calls at one bucket that belong together, such as the pages of a listing, or a single call. Dropping the group gives
/// up its calls that still wait.
pub struct CallGroup {
    queue: Rc<BucketQueue>,
    id: GroupId,
    start: Rc<Notify>,
}

/// One call of a group.
#[derive(Clone, Copy)]
pub struct GroupCall<'g> {
    group: &'g CallGroup,
    number: u32,
}

impl GroupCall<'_> {
    pub(super) fn is_at(&self, queue: &Rc<BucketQueue>) -> bool {
        Rc::ptr_eq(&self.group.queue, queue)
    }
}

impl CallGroup {
    pub(super) fn at(queue: &Rc<BucketQueue>) -> Self {
        let id = queue.order.borrow_mut().add_group();
        let start = Rc::new(Notify::new());
        let starts = &queue.start_wakers;
        starts.borrow_mut().insert(id, Rc::clone(&start));
        Self {
            queue: Rc::clone(queue),
            id,
            start,
        }
    }

    /// A call of the group by its number. Smaller numbers go first, so that a repeated call does.
    pub fn call(&self, number: u32) -> GroupCall<'_> {
        GroupCall {
            group: self,
            number,
        }
    }

    /// Waits until the group may start to make `calls` more calls.
    pub async fn wait_to_start(&self, calls: u32) {
        self.queue.order.borrow_mut().request_start(self.id, calls);
        self.queue.wake();
        while !self.queue.order.borrow().is_admitted(self.id) {
            self.start.notified().await;
        }
    }

    /// Records that one of its calls succeeded and need not be repeated.
    pub fn call_done(&self) {
        self.queue.order.borrow_mut().call_done(self.id);
        self.queue.wake();
    }

    /// The number of calls of other groups that go before its own in the current order.
    pub fn calls_before(&self) -> u32 {
        self.queue.order.borrow().calls_before(self.id)
    }

    /// The number of calls a second that leave from the bucket.
    pub fn rate(&self) -> f64 {
        self.queue.rate()
    }
}

impl Drop for CallGroup {
    fn drop(&mut self) {
        self.queue.order.borrow_mut().remove_group(self.id);
        self.queue.start_wakers.borrow_mut().remove(&self.id);
        self.queue.wake();
    }
}

/// One call in the queue. It is dropped when the call may leave, or to give the call up.
struct WaitingCall<'g> {
    group: &'g CallGroup,
    id: CallId,
    turn: Rc<Notify>,
}

impl<'g> WaitingCall<'g> {
    fn enqueue(GroupCall { group, number }: GroupCall<'g>) -> Self {
        let queue = &group.queue;
        let id = queue.order.borrow_mut().add_call(group.id, number);
        let turn = Rc::new(Notify::new());
        queue.turn_wakers.borrow_mut().insert(id, Rc::clone(&turn));
        queue.wake();
        Self { group, id, turn }
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        let queue = &self.group.queue;
        queue.order.borrow_mut().remove_call(self.group.id, self.id);
        queue.turn_wakers.borrow_mut().remove(&self.id);
        queue.wake();
    }
}
