//! The state machine of one plan's writes: it decides which one is next, how a reply changes it, and when to give it
//! up. It must not wait or call anything: the time, the replies and the random numbers are arguments.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::access::{AccessEvidence, PROBES_MAX, WriteAccess};
use crate::api::Modified;
use crate::api::error::{CallError, Class, Refusal};
use crate::attempts::{LastResult, Problem, WritePause};
use crate::model::{ImageId, Monotonic, Permission};
use crate::pace::Backoff;

/// The number of calls of one scope that may wait for their replies at once. At 20 a second and a deadline of 8 s, no
/// more than 160 can be open; 64 limits memory and connections when an API hangs.
const IN_FLIGHT_MAX: usize = 64;
/// The number of sends of one image in one pass, if the replies say that the call had no effect.
const ATTEMPTS_MAX: u32 = 7;
/// The number of throttled replies for one image before it is given up.
const THROTTLED_MAX: u32 = 60;
/// The pause between sends of one image.
const RETRY: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(10),
};

/// Identifies one image's write within its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(usize);

/// What the caller should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Prepare the write that [`Executor::peek`] shows, then [`Executor::take`] it.
    Send,
    /// Nothing is due before this instant, unless a reply comes.
    Wait(Monotonic),
    /// Nothing is due before a reply comes.
    Listen,
    /// Every write has settled or will not be tried.
    Done,
}

/// Decides the order and the repetition of one plan's writes in one scope.
#[derive(Debug)]
pub struct Executor {
    writes: Vec<QueuedWrite>,
    ready: VecDeque<WriteId>,
    waiting: BinaryHeap<Reverse<(Monotonic, WriteId)>>,
    in_flight: usize,
    access: WriteAccess,
    /// Why nothing more is sent in this pass.
    pause: Option<WritePause>,
    stopped: bool,
}

/// One image's write. It is always in exactly one place (`ready`, in flight, `waiting` or settled), so only one call
/// per image is in flight.
#[derive(Debug)]
struct QueuedWrite {
    image: ImageId,
    permission: Permission,
    /// Attempts without the throttled ones, limited by [`ATTEMPTS_MAX`].
    sends: u32,
    /// Throttled attempts, limited by [`THROTTLED_MAX`].
    throttled: u32,
    /// Why the last call had no effect.
    problem: Option<Problem>,
    last: Option<LastResult>,
}

impl Executor {
    /// Queues `actions` in this order.
    pub fn new(actions: impl Iterator<Item = (ImageId, Permission)>) -> Self {
        let writes: Vec<_> = actions
            .map(|(image, permission)| QueuedWrite {
                image,
                permission,
                sends: 0,
                throttled: 0,
                problem: None,
                last: None,
            })
            .collect();
        Self {
            ready: (0..writes.len()).map(WriteId).collect(),
            writes,
            waiting: BinaryHeap::new(),
            in_flight: 0,
            access: WriteAccess::default(),
            pause: None,
            stopped: false,
        }
    }

    /// Starts with what the pass has learnt from its earlier plans.
    pub fn with_access(mut self, access: WriteAccess) -> Self {
        self.access = access;
        self
    }

    /// What is known about the right to write to the scope.
    pub fn access(&self) -> WriteAccess {
        self.access
    }

    /// Why nothing more is sent in this pass, if that is so.
    pub fn write_pause(&self) -> Option<&WritePause> {
        self.pause.as_ref()
    }

    /// What the caller should do at `now`.
    pub fn next(&mut self, now: Monotonic) -> Step {
        while let Some(&Reverse((at, id))) = self.waiting.peek() {
            if at > now {
                break;
            }
            self.waiting.pop();
            self.ready.push_back(id);
        }
        let idle = if self.in_flight > 0 {
            Step::Listen
        } else {
            Step::Done
        };
        if self.stopped || self.pause.is_some() {
            return idle;
        }
        if !self.ready.is_empty() {
            return if self.room() > 0 {
                Step::Send
            } else {
                Step::Listen
            };
        }
        self.waiting
            .peek()
            .map_or(idle, |&Reverse((at, _))| Step::Wait(at))
    }

    /// The writes that could be sent now, in the order of their turns.
    pub fn ready(&self) -> impl Iterator<Item = (WriteId, &ImageId, Permission)> {
        let writes = self.ready.iter().map(|id| (*id, &self.writes[id.0]));
        writes.map(|(id, write)| (id, &write.image, write.permission))
    }

    /// The first ready write that `wanted` accepts, with the number of its next attempt.
    pub fn peek(
        &self,
        wanted: impl Fn(WriteId) -> bool,
    ) -> Option<(WriteId, &ImageId, Permission, u32)> {
        let id = *self.ready.iter().find(|id| wanted(**id))?;
        let write = &self.writes[id.0];
        Some((
            id,
            &write.image,
            write.permission,
            write.sends + write.throttled + 1,
        ))
    }

    /// How many more writes may be prepared or sent now. Until one is permitted, each call in flight counts as denied,
    /// because it may be.
    pub fn room(&self) -> usize {
        let most = match self.access {
            WriteAccess::Unproven(denied) => PROBES_MAX.saturating_sub(denied) as usize,
            WriteAccess::Proven => IN_FLIGHT_MAX,
        };
        most.saturating_sub(self.in_flight)
    }

    /// Puts the write in flight, and returns whether it may be sent: a stop or a pause since [`Executor::peek`] forbids it.
    pub fn take(&mut self, id: WriteId, now: Monotonic) -> bool {
        let allowed = self.next(now) == Step::Send && self.remove(id);
        if allowed {
            self.writes[id.0].sends += 1;
            self.in_flight += 1;
        }
        allowed
    }

    /// Drops a write that has been forbidden since the plan was made. It counts as not tried, unless an earlier attempt
    /// had no effect.
    pub fn withdraw(&mut self, id: WriteId) {
        self.remove(id);
    }

    fn remove(&mut self, id: WriteId) -> bool {
        let at = self.ready.iter().position(|ready| *ready == id);
        at.and_then(|at| self.ready.remove(at)).is_some()
    }

    /// Handles the reply to a write in flight, and returns what it shows about the right to write. `jitter` is a random
    /// number in `[0, 1)`.
    pub fn replied(
        &mut self,
        id: WriteId,
        result: Result<Modified, CallError>,
        now: Monotonic,
        jitter: f64,
    ) -> AccessEvidence {
        self.in_flight -= 1;
        match result {
            Ok(Modified {
                blueprint_id,
                request_id,
            }) => {
                self.settle(
                    id,
                    LastResult::Acknowledged {
                        at: now,
                        blueprint_id,
                        request_id,
                    },
                );
                return self.permitted();
            }
            Err(CallError::NotSent(message)) => {
                self.retry(id, Problem::new(message.to_string()), now, jitter)
            }
            Err(CallError::Unclear(message)) => {
                self.settle(
                    id,
                    LastResult::Unclear {
                        at: now,
                        problem: Problem::new(message.to_string()),
                    },
                );
            }
            // Nothing was sent, so there is no finding for the image itself.
            Err(CallError::AccountBroken(refusal)) => self.account_broken(&refusal),
            Err(CallError::Refused(refusal)) => return self.refused(id, &refusal, now, jitter),
        }
        AccessEvidence::Inconclusive
    }

    fn refused(
        &mut self,
        id: WriteId,
        refusal: &Refusal,
        now: Monotonic,
        jitter: f64,
    ) -> AccessEvidence {
        let request_id = refusal.request_id.clone();
        match refusal.class {
            Class::Converged => {
                self.settle(id, LastResult::AlreadyShared { request_id });
                return self.permitted();
            }
            Class::Busy => self.retry(id, problem(refusal), now, jitter),
            Class::Unclear => {
                self.settle(
                    id,
                    LastResult::Unclear {
                        at: now,
                        problem: problem(refusal),
                    },
                );
                // The API reveals an image's state only to a key that may change it.
                if refusal.known_state(self.writes[id.0].permission).is_some() {
                    return self.permitted();
                }
            }
            Class::Throttled(_) => {
                let write = &mut self.writes[id.0];
                write.sends -= 1;
                write.throttled += 1;
                write.problem = Some(problem(refusal));
                if write.throttled < THROTTLED_MAX {
                    self.ready.push_front(id);
                } else {
                    self.settle(id, LastResult::Failed(problem(refusal)));
                }
            }
            Class::ImageBlocked => self.settle(id, LastResult::Blocked(problem(refusal))),
            Class::ScopeBlocked if refusal.is_of_region() => {
                self.settle(id, LastResult::Blocked(problem(refusal)));
                self.pause_writes(WritePause::of_scope(problem(refusal)));
            }
            Class::ScopeBlocked | Class::OurFault => {
                self.settle(id, LastResult::Denied(problem(refusal)));
                return self.denied(refusal);
            }
            Class::AccountBlocked | Class::ClockOff => {
                self.settle(id, LastResult::Blocked(problem(refusal)));
                self.account_broken(refusal);
            }
        }
        AccessEvidence::Inconclusive
    }

    /// Stops sending because no call of the account can work.
    pub fn account_broken(&mut self, refusal: &Refusal) {
        self.pause_writes(WritePause::of_account(problem(refusal)));
    }

    /// Stops sending in this pass. `pause` is reported once for all writes that were not tried; the first pause stays.
    pub fn pause_writes(&mut self, pause: WritePause) {
        self.pause.get_or_insert(pause);
    }

    fn permitted(&mut self) -> AccessEvidence {
        self.access = WriteAccess::Proven;
        AccessEvidence::Permitted
    }

    /// Counts a denied image. A denied write settles, so each call counts another image.
    fn denied(&mut self, refusal: &Refusal) -> AccessEvidence {
        if let WriteAccess::Unproven(denied) = &mut self.access {
            *denied += 1;
            if *denied >= PROBES_MAX {
                let why = format!(
                    "{denied} different images were denied, and none was permitted: {}",
                    refusal.told()
                );
                let problem = Problem {
                    message: why,
                    ..problem(refusal)
                };
                self.pause_writes(WritePause::of_scope(problem));
            }
        }
        AccessEvidence::Denied(problem(refusal))
    }

    /// Sends nothing from now on. Calls in flight still settle.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The result of each image that was tried. Images that were not tried are missing.
    pub fn outcomes(self) -> impl Iterator<Item = (ImageId, Permission, LastResult)> {
        self.writes.into_iter().filter_map(|write| {
            let cut_short = write.problem.map(LastResult::CutShort);
            Some((write.image, write.permission, write.last.or(cut_short)?))
        })
    }

    /// Schedules another attempt after a call without effect, or gives the write up after [`ATTEMPTS_MAX`].
    fn retry(&mut self, id: WriteId, problem: Problem, now: Monotonic, jitter: f64) {
        let sends = self.writes[id.0].sends;
        if sends >= ATTEMPTS_MAX {
            self.settle(id, LastResult::Failed(problem));
        } else {
            self.writes[id.0].problem = Some(problem);
            self.waiting
                .push(Reverse((now + RETRY.delay(sends, jitter), id)));
        }
    }

    fn settle(&mut self, id: WriteId, last: LastResult) {
        self.writes[id.0].last = Some(last);
    }
}

fn problem(refusal: &Refusal) -> Problem {
    Problem {
        message: refusal.told(),
        code: Some(refusal.code.clone()),
        request_id: refusal.request_id.clone(),
        remedy: refusal.remedy().map(Into::into),
        unmet: None,
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
