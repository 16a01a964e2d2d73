//! Time zones, and the only place that converts local times into instants.

use std::fmt;

use chrono::{LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};

use crate::model::Timestamp;

/// A time zone of the IANA database, in the version at build time.
///
/// Only this type turns local times into instants. Where the clock is put forward, some local times do not exist; where
/// it is put back, some occur twice. Each method documents how it treats these, and returns `None` only beyond the end of
/// the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// The zone that is used where none is given.
    pub(super) const UTC: Self = Self(Tz::UTC);

    /// Finds a zone by its name, such as `Asia/Shanghai` or `UTC`.
    pub fn new(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// Names of all zones, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    /// The local time at an instant, which is always unique.
    pub(super) fn local(self, at: Timestamp) -> Option<NaiveDateTime> {
        let utc = at.naive_utc();
        utc.checked_add_offset(self.0.offset_from_utc_datetime(&utc).fix())
    }

    /// `at` as local time, followed by the name of the zone.
    pub(super) fn show(self, at: Timestamp) -> String {
        match self.local(at) {
            Some(local) => format!("{} {self}", local.format("%Y-%m-%d %H:%M")),
            None => at.to_string(),
        }
    }

    /// The instants at which the local time is `local`: none in a gap, two where the clock is put back.
    fn readings(self, local: NaiveDateTime) -> LocalResult<Timestamp> {
        let instant = |offset: &<Tz as TimeZone>::Offset| {
            Some(local.checked_sub_offset(offset.fix())?.and_utc())
        };
        match self.0.offset_from_local_datetime(&local) {
            LocalResult::None => LocalResult::None,
            LocalResult::Single(offset) => {
                instant(&offset).map_or(LocalResult::None, LocalResult::Single)
            }
            LocalResult::Ambiguous(first, second) => match (instant(&first), instant(&second)) {
                (Some(first), Some(second)) => LocalResult::Ambiguous(first, second),
                _ => LocalResult::None,
            },
        }
    }

    /// The instant at which the clock jumps over `local`, if it does.
    fn jump(self, local: NaiveDateTime) -> Option<Timestamp> {
        GapInfo::new(&local, &self.0)?.end.map(|end| end.to_utc())
    }

    /// The instant at which something that begins at `local` begins: the first time that the clock shows it, or the jump
    /// over it.
    pub(super) fn beginning(self, local: NaiveDateTime) -> Option<Timestamp> {
        match self.readings(local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at),
            LocalResult::None => self.jump(local),
        }
    }

    /// The instant at which something that ends at `local` ends: just after the clock showed an earlier time for the last
    /// time. This is not simply the last time that it shows `local`: where 03:00 becomes 02:00, something that ends at
    /// 02:00 has ended before 02:00 comes again.
    pub(super) fn ending(self, local: NaiveDateTime) -> Option<Timestamp> {
        // Clocks change on whole seconds.
        let second = TimeDelta::seconds(1);
        let before = local.checked_sub_signed(second)?;
        match self.readings(before) {
            LocalResult::Single(last) | LocalResult::Ambiguous(_, last) => {
                last.checked_add_signed(second)
            }
            LocalResult::None => self.jump(before),
        }
    }

    /// Every instant at which something that happens at `local` happens: each time that the clock shows it, or the jump
    /// over it.
    pub(super) fn occurrences(self, local: NaiveDateTime) -> impl Iterator<Item = Timestamp> {
        let (first, second) = match self.readings(local) {
            LocalResult::Single(at) => (Some(at), None),
            LocalResult::Ambiguous(first, second) => (Some(first), Some(second)),
            LocalResult::None => (self.jump(local), None),
        };
        first.into_iter().chain(second)
    }

    /// The midnight at which `day` begins, if the clock does not change until the next midnight.
    pub(super) fn even_day(self, day: NaiveDate) -> Option<Timestamp> {
        let next = day.succ_opt()?.and_time(NaiveTime::MIN);
        let begins = day.and_time(NaiveTime::MIN);
        match (self.readings(begins), self.readings(next)) {
            (LocalResult::Single(first), LocalResult::Single(last))
                if last.signed_duration_since(first) == TimeDelta::days(1) =>
            {
                Some(first)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        local(text).and_utc()
    }

    fn berlin() -> Zone {
        Zone::new("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_skipped_local_time_becomes_the_instant_of_the_jump() {
        let jump = Some(utc("2026-03-29 01:00"));
        for skipped in ["2026-03-29 02:00", "2026-03-29 02:30", "2026-03-29 03:00"] {
            assert_eq!(berlin().beginning(local(skipped)), jump, "{skipped}");
            assert_eq!(berlin().ending(local(skipped)), jump, "{skipped}");
        }
        assert_eq!(
            berlin().beginning(local("2026-03-29 01:59")),
            Some(utc("2026-03-29 00:59"))
        );
    }

    #[test]
    fn a_time_that_comes_twice_begins_first_and_ends_last() {
        for (text, begins, ends) in [
            ("2026-10-25 01:30", "2026-10-24 23:30", "2026-10-24 23:30"),
            ("2026-10-25 02:00", "2026-10-25 00:00", "2026-10-25 00:00"),
            ("2026-10-25 02:30", "2026-10-25 00:30", "2026-10-25 01:30"),
            ("2026-10-25 03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
        ] {
            assert_eq!(berlin().beginning(local(text)), Some(utc(begins)), "{text}");
            assert_eq!(berlin().ending(local(text)), Some(utc(ends)), "{text}");
        }
        let twice: Vec<_> = berlin().occurrences(local("2026-10-25 02:30")).collect();
        assert_eq!(twice, [utc("2026-10-25 00:30"), utc("2026-10-25 01:30")]);
    }

    #[test]
    fn a_day_that_a_country_skipped_has_no_length() {
        let apia = Zone::new("Pacific/Apia").unwrap();
        let jump = Some(utc("2011-12-30 10:00"));
        assert_eq!(apia.beginning(local("2011-12-30 00:00")), jump);
        assert_eq!(apia.ending(local("2011-12-31 00:00")), jump);
    }

    #[test]
    fn only_days_without_a_clock_change_are_even() {
        let day = |text: &str| local(&format!("{text} 00:00")).date();
        for (zone, text, even) in [
            ("Europe/Berlin", "2026-03-28", true),
            ("Europe/Berlin", "2026-03-29", false),
            ("Europe/Berlin", "2026-10-25", false),
            ("America/Havana", "2026-03-08", false),
            ("Africa/Cairo", "2026-10-29", false),
            ("Asia/Shanghai", "2026-10-25", true),
        ] {
            let zone = Zone::new(zone).unwrap();
            assert_eq!(zone.even_day(day(text)).is_some(), even, "{zone} {text}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_panic() {
        for zone in Zone::names().filter_map(Zone::new) {
            for at in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
                let _ = zone.local(at);
                for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
                    let _ = (zone.beginning(local), zone.ending(local));
                    let _ = (zone.occurrences(local).count(), zone.even_day(local.date()));
                }
            }
        }
    }
}
