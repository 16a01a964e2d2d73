use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::Backoff;
use crate::api::Modified;
use crate::api::error::{CallError, Class, Refusal};
use crate::memory::{Last, Problem};
use crate::model::{ImageId, Moment, Permission};

/// Calls of one scope that may wait for their reply at once. At 20 a second and 8 s to a deadline no
/// more than 160 can be open; 64 bounds memory and connections when an API hangs.
const IN_FLIGHT_MAX: usize = 64;
/// Sends of one image in one pass, for replies that say the call had no effect.
const ATTEMPTS_MAX: u32 = 7;
/// Throttled replies to one image before it is given up.
const THROTTLED_MAX: u32 = 60;
/// Between sends of one image.
const RETRY: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(10),
};
/// Between probes of a scope that denies what is asked.
const PROBE: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(4),
};
/// Denied probes, with no success between them, after which the rest is not tried.
const PROBES_MAX: u32 = 3;

/// Names one image's job within an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(usize);

/// What should happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the call that [`Executor::peek`] shows ready to go, then [`Executor::take`] it.
    Send,
    /// Nothing before this moment, unless a reply comes.
    Wait(Moment),
    /// Nothing before a reply comes.
    Listen,
    /// All settled, or not to be tried.
    Done,
}

/// One scope's plan under way.
#[derive(Debug)]
pub struct Executor {
    jobs: Vec<Job>,
    ready: VecDeque<JobId>,
    waiting: BinaryHeap<Reverse<(Moment, JobId)>>,
    in_flight: usize,
    /// Set while the scope denies what is asked.
    denied: Option<Denied>,
    stopped: bool,
}

/// `Ready → InFlight → {Ready (throttled) | Waiting → Ready | settled}`: one copy of each job, so one
/// call in flight per image.
#[derive(Debug)]
struct Job {
    image: ImageId,
    permission: Permission,
    sends: u32,
    throttled: u32,
    last: Option<Last>,
}

/// A scope that denies: one probe at a time, with pauses, then no more.
#[derive(Debug)]
struct Denied {
    probes: u32,
    until: Moment,
}

impl Executor {
    /// Carries `actions` out in order.
    pub fn new(actions: impl Iterator<Item = (ImageId, Permission)>) -> Self {
        let jobs: Vec<_> = actions
            .map(|(image, permission)| Job {
                image,
                permission,
                sends: 0,
                throttled: 0,
                last: None,
            })
            .collect();
        Self {
            ready: (0..jobs.len()).map(JobId).collect(),
            jobs,
            waiting: BinaryHeap::new(),
            in_flight: 0,
            denied: None,
            stopped: false,
        }
    }

    /// The scope denied all that was asked before: one call is to find out whether it still does.
    pub fn probe_first(&mut self, now: Moment) {
        self.denied = Some(Denied {
            probes: PROBES_MAX - 1,
            until: now,
        });
    }

    /// Whether the scope denied what was asked, with no success since.
    pub fn is_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// What should happen at `now`.
    pub fn next(&mut self, now: Moment) -> Step {
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
        if self.stopped {
            return idle;
        }
        if let Some(denied) = &self.denied {
            if denied.probes >= PROBES_MAX || self.in_flight > 0 {
                return idle;
            }
            if now < denied.until && !(self.ready.is_empty() && self.waiting.is_empty()) {
                return Step::Wait(denied.until);
            }
        }
        if !self.ready.is_empty() {
            return if self.in_flight < IN_FLIGHT_MAX {
                Step::Send
            } else {
                Step::Listen
            };
        }
        self.waiting
            .peek()
            .map_or(idle, |&Reverse((at, _))| Step::Wait(at))
    }

    /// The calls that could be made now, in the order of their turns.
    pub fn ready(&self) -> impl Iterator<Item = (JobId, &ImageId, Permission)> {
        let jobs = self.ready.iter().map(|id| (*id, &self.jobs[id.0]));
        jobs.map(|(id, job)| (id, &job.image, job.permission))
    }

    /// The next call of those that `wanted` picks, and the number that its attempt will have.
    pub fn peek(
        &self,
        wanted: impl Fn(JobId) -> bool,
    ) -> Option<(JobId, &ImageId, Permission, u32)> {
        let id = *self.ready.iter().find(|id| wanted(**id))?;
        let job = &self.jobs[id.0];
        Some((
            id,
            &job.image,
            job.permission,
            job.sends + job.throttled + 1,
        ))
    }

    /// How many calls may get ready at once: a scope that denies is probed by one.
    pub fn room(&self) -> usize {
        match self.denied {
            Some(_) => 1,
            None => IN_FLIGHT_MAX.saturating_sub(self.in_flight),
        }
    }

    /// Whether the call may be sent now; it is then in flight. What has happened since it was shown may forbid it.
    pub fn take(&mut self, id: JobId, now: Moment) -> bool {
        let allowed = self.next(now) == Step::Send && self.remove(id);
        if allowed {
            self.jobs[id.0].sends += 1;
            self.in_flight += 1;
        }
        allowed
    }

    /// A guard closed since the plan was made: the call is not tried.
    pub fn withdraw(&mut self, id: JobId) {
        self.remove(id);
    }

    fn remove(&mut self, id: JobId) -> bool {
        let at = self.ready.iter().position(|ready| *ready == id);
        at.and_then(|at| self.ready.remove(at)).is_some()
    }

    /// Takes a reply in. `unit` is a random number in `[0, 1)` for the jitter.
    pub fn replied(
        &mut self,
        id: JobId,
        result: Result<Modified, CallError>,
        now: Moment,
        unit: f64,
    ) {
        self.in_flight -= 1;
        match result {
            Ok(Modified {
                blueprint_id,
                request_id,
            }) => {
                self.denied = None;
                self.settle(
                    id,
                    Last::Acknowledged {
                        at: now,
                        blueprint_id,
                        request_id,
                    },
                );
            }
            Err(CallError::NotSent(message)) => self.again(id, Problem::new(message), now, unit),
            Err(CallError::Unclear(message)) => {
                self.settle(
                    id,
                    Last::Unclear {
                        at: now,
                        problem: Problem::new(message),
                    },
                );
            }
            Err(CallError::AccountBroken(refusal)) => {
                self.settle(id, Last::Blocked(problem(&refusal)));
                self.account_broken(&refusal);
            }
            Err(CallError::Refused(refusal)) => self.refused(id, &refusal, now, unit),
        }
    }

    fn refused(&mut self, id: JobId, refusal: &Refusal, now: Moment, unit: f64) {
        let request_id = refusal.request_id.clone();
        match refusal.class {
            Class::Converged => {
                self.denied = None;
                self.settle(id, Last::AlreadyShared { request_id });
            }
            Class::Busy => self.again(id, problem(refusal), now, unit),
            Class::Unclear => self.settle(
                id,
                Last::Unclear {
                    at: now,
                    problem: problem(refusal),
                },
            ),
            Class::Throttled(_) => {
                let job = &mut self.jobs[id.0];
                job.sends -= 1;
                job.throttled += 1;
                if job.throttled < THROTTLED_MAX {
                    self.ready.push_front(id);
                } else {
                    self.settle(id, Last::Failed(problem(refusal)));
                }
            }
            Class::ImageBlocked => self.settle(id, Last::Blocked(problem(refusal))),
            Class::ScopeBlocked | Class::OurFault => {
                self.settle(id, Last::Blocked(problem(refusal)));
                self.scope_denied(refusal, now);
            }
            Class::AccountBlocked | Class::ClockOff => {
                self.settle(id, Last::Blocked(problem(refusal)));
                self.account_broken(refusal);
            }
        }
    }

    /// Nothing more can be written for this account: the rest is blocked by `refusal`.
    pub fn account_broken(&mut self, refusal: &Refusal) {
        let waiting = self.waiting.drain().map(|Reverse((_, id))| id);
        let rest: Vec<_> = self.ready.drain(..).chain(waiting).collect();
        for id in rest {
            self.settle(id, Last::Blocked(problem(refusal)));
        }
    }

    /// No new call from here on; those in flight settle.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// How each tried image ended. Images that were not tried are not in it.
    pub fn outcomes(self) -> impl Iterator<Item = (ImageId, Permission, Last)> {
        self.jobs
            .into_iter()
            .filter_map(|job| Some((job.image, job.permission, job.last?)))
    }

    /// Replies to calls that left before the last pause say nothing new.
    fn scope_denied(&mut self, refusal: &Refusal, now: Moment) {
        let probes = match &self.denied {
            Some(denied) if now < denied.until => return,
            Some(denied) => denied.probes + 1,
            None => 1,
        };
        self.denied = Some(Denied {
            probes,
            until: now + PROBE.step(probes),
        });
        if probes >= PROBES_MAX {
            self.account_broken(refusal);
        }
    }

    /// The call had no effect: once more, later, unless it was often enough.
    fn again(&mut self, id: JobId, problem: Problem, now: Moment, unit: f64) {
        let sends = self.jobs[id.0].sends;
        if sends >= ATTEMPTS_MAX {
            self.settle(id, Last::Failed(problem));
        } else {
            self.waiting
                .push(Reverse((now + RETRY.delay(sends, unit), id)));
        }
    }

    fn settle(&mut self, id: JobId, last: Last) {
        self.jobs[id.0].last = Some(last);
    }
}

fn problem(refusal: &Refusal) -> Problem {
    Problem {
        message: refusal.to_string(),
        code: Some(refusal.code.clone()),
        request_id: refusal.request_id.clone(),
        unmet: None,
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
