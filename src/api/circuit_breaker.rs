use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::error::Refusal;
use crate::host::Clock;
use crate::model::Monotonic;

/// How long others wait for the probe before they go on without its answer: a region that hangs must
/// not hold up the rest of its account.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps a broken account to one probe: until one call was answered by a healthy account, calls go
/// one at a time, and once the account is known to be broken, none goes at all.
#[derive(Default)]
pub(crate) struct CircuitBreaker {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
enum State {
    #[default]
    Unproven,
    Probing {
        since: Monotonic,
    },
    Open,
    Broken(Box<Refusal>),
}

/// What came of a call, as far as the account is concerned.
pub(crate) enum Report {
    /// The account works.
    Proof,
    /// Says nothing (no reply, throttled, denied for this one thing).
    None,
    /// The account is broken.
    Broken(Refusal),
}

/// The right to make a call; to be given back with what came of it. Dropped without (the call was
/// cancelled), it counts as no evidence.
pub(crate) struct Probe {
    gate: Rc<CircuitBreaker>,
    probing: bool,
}

impl CircuitBreaker {
    /// Waits until a call may be made; the refusal if none may.
    pub(crate) async fn pass(self: &Rc<Self>, clock: &impl Clock) -> Result<Probe, Refusal> {
        loop {
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state.borrow_mut();
                match &*state {
                    State::Open => {
                        return Ok(Probe {
                            gate: Rc::clone(self),
                            probing: false,
                        });
                    }
                    State::Broken(refusal) => return Err((**refusal).clone()),
                    State::Unproven => {
                        *state = State::Probing {
                            since: clock.monotonic(),
                        };
                        return Ok(Probe {
                            gate: Rc::clone(self),
                            probing: true,
                        });
                    }
                    State::Probing { since } if clock.monotonic().since(*since) >= PATIENCE => {
                        return Ok(Probe {
                            gate: Rc::clone(self),
                            probing: false,
                        });
                    }
                    State::Probing { since } => *since + PATIENCE,
                }
            };
            tokio::select! {
                () = changed => {}
                () = clock.sleep_until(until) => {}
            }
        }
    }

    /// Why no call may be made, if so.
    pub(crate) fn broken(&self) -> Option<Refusal> {
        match &*self.state.borrow() {
            State::Broken(refusal) => Some((**refusal).clone()),
            _ => None,
        }
    }
}

impl Probe {
    /// Gives the pass back.
    pub(crate) fn settle(mut self, evidence: Report) {
        let next = match evidence {
            Report::Broken(refusal) => Some(State::Broken(Box::new(refusal))),
            Report::Proof if !matches!(&*self.gate.state.borrow(), State::Broken(_)) => {
                Some(State::Open)
            }
            Report::None if self.probing => Some(State::Unproven),
            Report::Proof | Report::None => None,
        };
        self.probing = false;
        self.gate.turn(next);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.probing {
            self.gate.turn(Some(State::Unproven));
        }
    }
}

impl CircuitBreaker {
    fn turn(&self, next: Option<State>) {
        let Some(next) = next else { return };
        let mut state = self.state.borrow_mut();
        // A probe that ends late does not reopen the question others have answered.
        if matches!(next, State::Unproven) && !matches!(*state, State::Probing { .. }) {
            return;
        }
        *state = next;
        drop(state);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Class;
    use crate::host::SystemClock;

    fn refusal() -> Refusal {
        Refusal {
            code: "AuthFailure.SecretIdNotFound".into(),
            message: String::new(),
            request_id: None,
            class: Class::AccountBlocked,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn c9_one_call_at_a_time_until_the_account_is_known() {
        let (gate, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        let probe = gate.pass(&clock).await.expect("the first is the probe");
        let mut second = Box::pin(gate.pass(&clock));
        assert!(futures_util::poll!(&mut second).is_pending());
        probe.settle(Report::Broken(refusal()));
        assert!(second.await.is_err());
        assert!(gate.pass(&clock).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn l2_a_probe_that_hangs_does_not_hold_the_others_up() {
        let (gate, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        let probe = gate.pass(&clock).await.expect("the probe");
        let others = gate.pass(&clock).await.expect("goes on after the patience");
        assert_eq!(clock.monotonic().since_start(), PATIENCE);
        others.settle(Report::Proof);
        drop(probe);
        assert!(gate.pass(&clock).await.is_ok_and(|pass| !pass.probing));
    }

    #[tokio::test(start_paused = true)]
    async fn c9_what_comes_late_does_not_reopen_a_broken_gate() {
        let late = [
            Some(Report::Proof),
            Some(Report::None),
            // It was cancelled.
            None,
        ];
        for evidence in late {
            let (gate, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
            let probe = gate.pass(&clock).await.expect("the probe");
            let other = gate.pass(&clock).await.expect("goes on after the patience");
            other.settle(Report::Broken(refusal()));
            match evidence {
                Some(evidence) => probe.settle(evidence),
                None => drop(probe),
            }
            assert_eq!(gate.broken(), Some(refusal()));
            assert!(gate.pass(&clock).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn p7_a_cancelled_probe_leaves_the_gate_to_the_next() {
        let (gate, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        drop(gate.pass(&clock).await);
        assert!(gate.pass(&clock).await.is_ok_and(|pass| pass.probing));
    }
}
