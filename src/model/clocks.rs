//! The two clocks that decide what time it is: this machine's clock and the clock of the access point that an account
//! calls.

use chrono::TimeDelta;

use super::Timestamp;

/// The times of both clocks at one instant. The access point's clock counts only where it differs by more than
/// [`Clocks::APART_MAX`] from this machine's; otherwise both count as one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    machine: Timestamp,
    api_ahead: TimeDelta,
}

impl Clocks {
    /// Two clocks that differ by no more than this agree: a `Date` header has whole seconds and takes time to arrive.
    pub const APART_MAX: TimeDelta = TimeDelta::seconds(30);

    /// The remedy for two clocks that disagree.
    pub const REMEDY: &str = "set the clock that is wrong: this machine's (chrony and systemd-timesyncd keep it right), \
         or, if this one is right, find out which host answers the calls: a proxy with a wrong clock sends it in `Date`; \
         `sharekeeper doctor` measures both";

    /// This machine's clock alone, where the access point's clock is not known or agrees.
    pub const fn machine_only(machine: Timestamp) -> Self {
        Self {
            machine,
            api_ahead: TimeDelta::zero(),
        }
    }

    /// This machine's clock, and the clock of an access point that is ahead by `api_ahead` (negative: behind).
    pub fn new(machine: Timestamp, api_ahead: TimeDelta) -> Self {
        let is_apart = api_ahead.abs() > Self::APART_MAX;
        // A result outside the calendar is not a time that could decide anything.
        let is_a_time = machine.checked_add_signed(api_ahead).is_some();
        Self {
            machine,
            api_ahead: if is_apart && is_a_time {
                api_ahead
            } else {
                TimeDelta::zero()
            },
        }
    }

    /// The time that this machine's clock shows.
    pub const fn machine(self) -> Timestamp {
        self.machine
    }

    /// The time that the access point's clock shows, if it differs.
    pub fn api(self) -> Option<Timestamp> {
        let is_apart = !self.api_ahead.is_zero();
        let api = self.machine.checked_add_signed(self.api_ahead);
        api.filter(|_| is_apart)
    }

    /// How far the access point's clock is ahead. Zero: the clocks agree; negative: it is behind.
    pub const fn api_ahead(self) -> TimeDelta {
        self.api_ahead
    }

    /// Evaluates `what` by this machine's clock, and by the access point's clock where the result differs.
    pub fn ask<T: PartialEq>(self, what: impl Fn(Timestamp) -> T) -> (T, Option<T>) {
        let by_machine = what(self.machine);
        let by_api = self.api().map(what).filter(|by_api| *by_api != by_machine);
        (by_machine, by_api)
    }

    /// Whether the condition holds by at least one of the clocks.
    pub fn any(self, holds: impl Fn(Timestamp) -> bool) -> bool {
        holds(self.machine) || self.api().is_some_and(holds)
    }

    /// Whether the condition holds by both clocks.
    pub fn all(self, holds: impl Fn(Timestamp) -> bool) -> bool {
        holds(self.machine) && self.api().is_none_or(holds)
    }

    /// The time of this machine's clock when the first clock that has not yet reached `at` reaches it; `None` if both are
    /// past it.
    pub fn reach(self, at: Timestamp) -> Option<Timestamp> {
        let by_api = at.checked_sub_signed(self.api_ahead);
        let instants = [Some(at), by_api].into_iter().flatten();
        instants.filter(|at| self.machine < *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::at;

    fn apart(seconds: i64) -> Clocks {
        Clocks::new(at(0), TimeDelta::seconds(seconds))
    }

    #[test]
    fn b2_clocks_within_half_a_minute_are_one() {
        for seconds in [-30, -29, 0, 29, 30] {
            assert_eq!(apart(seconds), Clocks::machine_only(at(0)), "{seconds}");
            assert_eq!(apart(seconds).api(), None, "{seconds}");
        }
        for seconds in [-31, 31, 72_000] {
            assert_eq!(apart(seconds).api(), Some(at(seconds)));
        }
        let beyond = Clocks::new(at(0), TimeDelta::MAX);
        assert_eq!(beyond.api(), None, "no calendar has such a time");
    }

    #[test]
    fn b2_each_clock_gives_its_own_result_only_where_it_differs() {
        let is_over = |now: Timestamp| at(100) <= now;
        assert_eq!(apart(99).ask(is_over), (false, None));
        assert_eq!(apart(100).ask(is_over), (false, Some(true)));
        assert!(apart(100).any(is_over) && !apart(100).all(is_over));
        assert!(!apart(99).any(is_over) && apart(-200).all(|now| now < at(1)));
    }

    #[test]
    fn b2_an_instant_is_reached_by_one_clock_and_then_by_the_other() {
        assert_eq!(apart(0).reach(at(100)), Some(at(100)));
        assert_eq!(apart(60).reach(at(100)), Some(at(40)), "the API's first");
        assert_eq!(apart(60).reach(at(60)), Some(at(60)), "it is past it");
        assert_eq!(apart(-60).reach(at(100)), Some(at(100)));
        assert_eq!(apart(-60).reach(at(0)), Some(at(60)), "the API's last");
        assert_eq!(apart(-60).reach(at(-60)), None);
    }
}
