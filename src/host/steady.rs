//! Compares the wall clock with the monotonic clock, which cannot be set.

use std::cell::RefCell;
use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{Monotonic, Present, Timestamp};

/// How long a setting of the clock is remembered: longer than any duration that is measured with it. Dates from before
/// that time are older than the durations anyway.
const REMEMBERED: Duration = Duration::from_secs(2 * 3600);
/// Readings that differ by no more than this are from the same setting: the clock is only slowed or sped up.
const SAME: TimeDelta = TimeDelta::seconds(1);
/// The number of settings that are remembered separately. If a clock is set constantly, its oldest settings are merged.
const SETTINGS_MAX: usize = 32;

/// Tells the present in a process whose wall clock may be set at any time. A setting of the clock is identified by the
/// wall time at the monotonic zero, which stays the same until somebody sets the clock. While the machine sleeps, the
/// monotonic clock stands still, so a sleep looks like a clock that was set forward: measured durations then appear too
/// short, and waits take longer.
#[derive(Debug, Default)]
pub struct SteadyClock(RefCell<Vec<Setting>>);

/// One setting: the range of the wall time at the monotonic zero, and when the clock was last read with it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    low: Timestamp,
    high: Timestamp,
    seen: Monotonic,
}

impl SteadyClock {
    /// Records what both clocks show.
    pub fn read(&self, clock: Timestamp, monotonic: Monotonic) -> Present {
        let mut settings = self.0.borrow_mut();
        let Some(zero) = minus(clock, monotonic) else {
            return clock.into();
        };
        settings.retain(|setting| monotonic.since(setting.seen) < REMEMBERED);
        match settings.last_mut() {
            Some(last) if last.takes(zero) => {
                (last.low, last.high) = (last.low.min(zero), last.high.max(zero));
                last.seen = monotonic;
            }
            _ => settings.push(Setting {
                low: zero,
                high: zero,
                seen: monotonic,
            }),
        }
        if settings.len() > SETTINGS_MAX {
            let oldest = settings.remove(0);
            let next = &mut settings[0];
            (next.low, next.high) = (next.low.min(oldest.low), next.high.max(oldest.high));
        }
        let early = settings.iter().map(|setting| setting.low).min();
        let late = settings.iter().map(|setting| setting.high).max();
        let shown = |zero: Option<Timestamp>| zero.and_then(|zero| plus(zero, monotonic));
        let (early, late) = (shown(early), shown(late));
        Present::new(clock, early.unwrap_or(clock), late.unwrap_or(clock))
    }
}

impl Setting {
    /// Whether a reading belongs to this setting.
    fn takes(&self, zero: Timestamp) -> bool {
        self.high.max(zero) - self.low.min(zero) <= SAME
    }
}

fn minus(clock: Timestamp, monotonic: Monotonic) -> Option<Timestamp> {
    clock.checked_sub_signed(TimeDelta::from_std(monotonic.since_start()).ok()?)
}

fn plus(zero: Timestamp, monotonic: Monotonic) -> Option<Timestamp> {
    zero.checked_add_signed(TimeDelta::from_std(monotonic.since_start()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::at;

    fn monotonic(seconds: u64) -> Monotonic {
        Monotonic::new(Duration::from_secs(seconds))
    }

    fn since(present: Present, stamp: Timestamp) -> i64 {
        present.since(stamp).num_seconds()
    }

    #[test]
    fn c11_a_clock_that_nobody_sets_measures_as_it_shows() {
        let steady = SteadyClock::default();
        let stamp = steady.read(at(0), monotonic(0)).stamp();
        let present = steady.read(at(600), monotonic(600));
        assert_eq!((stamp, since(present, stamp)), (at(0), 600));
        assert_eq!(present, Present::from(at(600)));
    }

    #[test]
    fn c11_a_step_either_way_never_shortens_what_is_measured() {
        for step in [-86_400, -900, -2, 2, 900, 86_400] {
            for (stamped, stepped, read) in [(10, 20, 600), (30, 20, 600), (20, 20, 20)] {
                let steady = SteadyClock::default();
                let clock = |now: u64| {
                    let set = if now >= stepped { step } else { 0 };
                    steady.read(at(i64::try_from(now).expect("small") + set), monotonic(now))
                };
                clock(0);
                let stamp = clock(stamped).stamp();
                let truly = i64::try_from(read - stamped).expect("small");
                let measured = since(clock(read), stamp);
                assert!(measured <= truly, "{step}: {measured} s of {truly}");
            }
        }
    }

    #[test]
    fn c11_a_step_that_is_taken_back_shortens_nothing_either() {
        for step in [-900, 900] {
            let steady = SteadyClock::default();
            steady.read(at(0), monotonic(0));
            let stamp = steady.read(at(10 + step), monotonic(10)).stamp();
            let present = steady.read(at(20), monotonic(20));
            assert!(since(present, stamp) <= 10, "{step}");
            assert!(!present.is_before(stamp), "{step}");
        }
    }

    #[test]
    fn c11_a_step_is_forgotten_once_all_that_it_could_shorten_is_over() {
        let steady = SteadyClock::default();
        steady.read(at(0), monotonic(0));
        let hours = |n: u64| {
            (
                at(i64::try_from(n).expect("small") * 3600 + 900),
                monotonic(n * 3600),
            )
        };
        let (clock, now) = hours(1);
        assert_ne!(steady.read(clock, now), Present::from(clock));
        let (clock, now) = hours(2);
        assert_eq!(steady.read(clock, now), Present::from(clock));
    }

    #[test]
    fn s21_a_clock_that_is_set_all_the_time_is_remembered_in_few_places() {
        let steady = SteadyClock::default();
        let first = steady.read(at(0), monotonic(0)).stamp();
        for n in 1..1000_u32 {
            steady.read(at(i64::from(n) * 100), monotonic(n.into()));
        }
        assert!(steady.0.borrow().len() <= SETTINGS_MAX);
        let present = steady.read(at(100_000), monotonic(1000));
        assert!(since(present, first) <= 1000, "the oldest one counts");
    }
}
