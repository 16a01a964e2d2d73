//! Limits a broken account to one call. It is separate from the client so that its decisions can be tested alone, and
//! must not know what is called or what an error code means.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::error::Refusal;
use crate::host::Clock;
use crate::model::Monotonic;

/// How long other calls wait for the probe before they continue without its answer. A region that hangs must not delay
/// the rest of its account.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(1);

/// A circuit breaker for one account. Until the account has answered a first call, calls go one at a time. Once the account
/// is known to be broken, no call is made at all.
#[derive(Default)]
pub(crate) struct CircuitBreaker {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
enum State {
    #[default]
    Untested,
    Probing {
        since: Monotonic,
    },
    Healthy,
    Broken(Box<Refusal>),
}

/// What the end of a call shows about the account.
pub(crate) enum Report {
    Healthy,
    /// Nothing: no reply, throttled, or denied for this one purpose.
    Inconclusive,
    /// No other call would succeed, either.
    Broken(Refusal),
}

/// The right to make a call. It ends with [`Self::settle`]. If it is dropped, the call was cancelled, which counts as
/// [`Report::Inconclusive`].
pub(crate) struct AdmittedCall {
    breaker: Rc<CircuitBreaker>,
    is_probe: bool,
}

impl CircuitBreaker {
    /// Waits until a call may be made. The error says why none may be made.
    pub(crate) async fn admit(
        self: &Rc<Self>,
        clock: &impl Clock,
    ) -> Result<AdmittedCall, Refusal> {
        loop {
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state.borrow_mut();
                match &*state {
                    State::Healthy => {
                        return Ok(AdmittedCall {
                            breaker: Rc::clone(self),
                            is_probe: false,
                        });
                    }
                    State::Broken(refusal) => return Err((**refusal).clone()),
                    State::Untested => {
                        *state = State::Probing {
                            since: clock.monotonic(),
                        };
                        return Ok(AdmittedCall {
                            breaker: Rc::clone(self),
                            is_probe: true,
                        });
                    }
                    State::Probing { since }
                        if clock.monotonic().since(*since) >= PROBE_WAIT_MAX =>
                    {
                        return Ok(AdmittedCall {
                            breaker: Rc::clone(self),
                            is_probe: false,
                        });
                    }
                    State::Probing { since } => *since + PROBE_WAIT_MAX,
                }
            };
            tokio::select! {
                () = changed => {}
                () = clock.sleep_until(until) => {}
            }
        }
    }

    /// Why no call may be made; `None` if one may be made.
    pub(crate) fn broken(&self) -> Option<Refusal> {
        match &*self.state.borrow() {
            State::Broken(refusal) => Some((**refusal).clone()),
            _ => None,
        }
    }
}

impl AdmittedCall {
    /// Ends the call, and reports what its end shows about the account.
    pub(crate) fn settle(mut self, report: Report) {
        let next = match report {
            Report::Broken(refusal) => Some(State::Broken(Box::new(refusal))),
            Report::Healthy if !matches!(&*self.breaker.state.borrow(), State::Broken(_)) => {
                Some(State::Healthy)
            }
            Report::Inconclusive if self.is_probe => Some(State::Untested),
            Report::Healthy | Report::Inconclusive => None,
        };
        self.is_probe = false;
        self.breaker.transition(next);
    }
}

impl Drop for AdmittedCall {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.transition(Some(State::Untested));
        }
    }
}

impl CircuitBreaker {
    fn transition(&self, next: Option<State>) {
        let Some(next) = next else { return };
        let mut state = self.state.borrow_mut();
        // A probe that ends late does not reopen a question that other calls have answered.
        if matches!(next, State::Untested) && !matches!(*state, State::Probing { .. }) {
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
            asked: None,
            relay: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn c9_one_call_at_a_time_until_the_account_is_known() {
        let (breaker, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        let probe = breaker.admit(&clock).await.expect("the first is the probe");
        let mut second = Box::pin(breaker.admit(&clock));
        assert!(futures_util::poll!(&mut second).is_pending());
        probe.settle(Report::Broken(refusal()));
        assert!(second.await.is_err());
        assert!(breaker.admit(&clock).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn l2_a_probe_that_hangs_does_not_hold_the_others_up() {
        let (breaker, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        let probe = breaker.admit(&clock).await.expect("the probe");
        let others = breaker
            .admit(&clock)
            .await
            .expect("goes on after the patience");
        assert_eq!(clock.monotonic().since_start(), PROBE_WAIT_MAX);
        others.settle(Report::Healthy);
        drop(probe);
        assert!(
            breaker
                .admit(&clock)
                .await
                .is_ok_and(|admit| !admit.is_probe)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn c9_what_comes_late_does_not_reset_a_broken_breaker() {
        let late = [
            Some(Report::Healthy),
            Some(Report::Inconclusive),
            // The call was cancelled.
            None,
        ];
        for report in late {
            let (breaker, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
            let probe = breaker.admit(&clock).await.expect("the probe");
            let other = breaker
                .admit(&clock)
                .await
                .expect("goes on after the patience");
            other.settle(Report::Broken(refusal()));
            match report {
                Some(report) => probe.settle(report),
                None => drop(probe),
            }
            assert_eq!(breaker.broken(), Some(refusal()));
            assert!(breaker.admit(&clock).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn p7_a_cancelled_probe_leaves_the_breaker_to_the_next() {
        let (breaker, clock) = (Rc::new(CircuitBreaker::default()), SystemClock::start());
        drop(breaker.admit(&clock).await);
        assert!(
            breaker
                .admit(&clock)
                .await
                .is_ok_and(|admit| admit.is_probe)
        );
    }
}
