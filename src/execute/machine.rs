use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::Backoff;
use crate::api::Modified;
use crate::api::error::{CallError, Class, Refusal};
use crate::attempts::{LastResult, Problem, WritePause};
use crate::model::{ImageId, Monotonic, Permission};

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
/// Different images that are denied, with no success in between, before it is the scope that is taken to be denied and
/// not they. Until the first success, no more calls than that are under way.
pub const PROBES_MAX: u32 = 5;

/// Names one image's job within an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(usize);

/// What should happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the call that [`Executor::peek`] shows ready to go, then [`Executor::take`] it.
    Send,
    /// Nothing before this moment, unless a reply comes.
    Wait(Monotonic),
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
    waiting: BinaryHeap<Reverse<(Monotonic, JobId)>>,
    in_flight: usize,
    doubt: Doubt,
    /// Why nothing more is sent in this pass.
    rest: Option<WritePause>,
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
    /// Why the last call had no effect.
    problem: Option<Problem>,
    last: Option<LastResult>,
}

/// Whether writing is denied for the scope as a whole, as far as a pass has found out. A denial alone does not tell
/// whether it is about one image or about all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing was permitted yet, and so many different images were denied.
    Open(u32),
    /// Something was permitted: who is denied from here on is denied alone.
    Over,
}

impl Default for Doubt {
    fn default() -> Self {
        Self::Open(0)
    }
}

/// What a reply says of the right to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is one.
    Permitted,
    /// There is none, for this image or for all.
    Denied(Problem),
    /// It says nothing of it.
    Nothing,
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
                problem: None,
                last: None,
            })
            .collect();
        Self {
            ready: (0..jobs.len()).map(JobId).collect(),
            jobs,
            waiting: BinaryHeap::new(),
            in_flight: 0,
            doubt: Doubt::default(),
            rest: None,
            stopped: false,
        }
    }

    /// Goes on with what the pass has found out before.
    pub fn doubting(mut self, doubt: Doubt) -> Self {
        self.doubt = doubt;
        self
    }

    /// Whether the scope as a whole may be denied.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Why nothing more is sent in this pass, if so.
    pub fn rest(&self) -> Option<&WritePause> {
        self.rest.as_ref()
    }

    /// What should happen at `now`.
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
        if self.stopped || self.rest.is_some() {
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

    /// How many calls may get ready at once. Each call under way may yet be denied, and counts as one that is until
    /// something is permitted.
    pub fn room(&self) -> usize {
        let most = match self.doubt {
            Doubt::Open(denied) => PROBES_MAX.saturating_sub(denied) as usize,
            Doubt::Over => IN_FLIGHT_MAX,
        };
        most.saturating_sub(self.in_flight)
    }

    /// Whether the call may be sent now; it is then in flight. What has happened since it was shown may forbid it.
    pub fn take(&mut self, id: JobId, now: Monotonic) -> bool {
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

    /// Takes a reply in; what it says of the right to write. `unit` is a random number in `[0, 1)` for the jitter.
    pub fn replied(
        &mut self,
        id: JobId,
        result: Result<Modified, CallError>,
        now: Monotonic,
        unit: f64,
    ) -> Told {
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
                self.again(id, Problem::new(message.to_string()), now, unit)
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
            // Nothing was sent, so that it is no image's finding.
            Err(CallError::AccountBroken(refusal)) => self.account_broken(&refusal),
            Err(CallError::Refused(refusal)) => return self.refused(id, &refusal, now, unit),
        }
        Told::Nothing
    }

    fn refused(&mut self, id: JobId, refusal: &Refusal, now: Monotonic, unit: f64) -> Told {
        let request_id = refusal.request_id.clone();
        match refusal.class {
            Class::Converged => {
                self.settle(id, LastResult::AlreadyShared { request_id });
                return self.permitted();
            }
            Class::Busy => self.again(id, problem(refusal), now, unit),
            Class::Unclear => {
                self.settle(
                    id,
                    LastResult::Unclear {
                        at: now,
                        problem: problem(refusal),
                    },
                );
                // Who is told what state an image is in is allowed to change it.
                if refusal.known_state(self.jobs[id.0].permission).is_some() {
                    return self.permitted();
                }
            }
            Class::Throttled(_) => {
                let job = &mut self.jobs[id.0];
                job.sends -= 1;
                job.throttled += 1;
                job.problem = Some(problem(refusal));
                if job.throttled < THROTTLED_MAX {
                    self.ready.push_front(id);
                } else {
                    self.settle(id, LastResult::Failed(problem(refusal)));
                }
            }
            Class::ImageBlocked => self.settle(id, LastResult::Blocked(problem(refusal))),
            Class::ScopeBlocked if refusal.is_of_region() => {
                self.settle(id, LastResult::Blocked(problem(refusal)));
                self.rest_for(WritePause::of_scope(problem(refusal)));
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
        Told::Nothing
    }

    /// Nothing more can be written for this account.
    pub fn account_broken(&mut self, refusal: &Refusal) {
        self.rest_for(WritePause::of_account(problem(refusal)));
    }

    /// Nothing more is sent in this pass: one finding for all that was not tried.
    pub fn rest_for(&mut self, rest: WritePause) {
        self.rest.get_or_insert(rest);
    }

    fn permitted(&mut self) -> Told {
        self.doubt = Doubt::Over;
        Told::Permitted
    }

    /// One image after the other, so that each that is denied is another one.
    fn denied(&mut self, refusal: &Refusal) -> Told {
        if let Doubt::Open(denied) = &mut self.doubt {
            *denied += 1;
            if *denied >= PROBES_MAX {
                let why = format!(
                    "{denied} different images were denied, and none was permitted: {refusal}"
                );
                let problem = Problem {
                    message: why,
                    ..problem(refusal)
                };
                self.rest_for(WritePause::of_scope(problem));
            }
        }
        Told::Denied(problem(refusal))
    }

    /// No new call from here on; those in flight settle.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// How each tried image ended. Images that were not tried are not in it.
    pub fn outcomes(self) -> impl Iterator<Item = (ImageId, Permission, LastResult)> {
        self.jobs.into_iter().filter_map(|job| {
            let cut_short = job.problem.map(LastResult::CutShort);
            Some((job.image, job.permission, job.last.or(cut_short)?))
        })
    }

    /// The call had no effect: once more, later, unless it was often enough.
    fn again(&mut self, id: JobId, problem: Problem, now: Monotonic, unit: f64) {
        let sends = self.jobs[id.0].sends;
        if sends >= ATTEMPTS_MAX {
            self.settle(id, LastResult::Failed(problem));
        } else {
            self.jobs[id.0].problem = Some(problem);
            self.waiting
                .push(Reverse((now + RETRY.delay(sends, unit), id)));
        }
    }

    fn settle(&mut self, id: JobId, last: LastResult) {
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
