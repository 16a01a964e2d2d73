//! Change windows by days of the week and times of day.

use std::borrow::Cow;
use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

use super::stretch::{Run, Stretches};
use super::zone::Zone;

/// A set of days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// Words for the days, Monday first.
    pub const WORDS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0x7f);

    /// Parses the word for a day.
    pub fn day(word: &str) -> Option<Weekday> {
        let number = Self::WORDS.iter().position(|known| *known == word)?;
        Weekday::try_from(u8::try_from(number).ok()?).ok()
    }

    /// The days from `first` to `last`, which may be in the next week.
    pub fn from_to(first: Weekday, last: Weekday) -> impl Iterator<Item = Weekday> {
        let length = last.days_since(first) + 1;
        std::iter::successors(Some(first), |day| Some(day.succ())).take(length as usize)
    }

    pub fn insert(&mut self, day: Weekday) {
        self.0 |= 1 << day.num_days_from_monday();
    }

    /// Whether the day is in the set.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.num_days_from_monday()) != 0
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("every day");
        }
        let days = Self::from_to(Weekday::Mon, Weekday::Sun);
        let words: Vec<_> = days
            .zip(Self::WORDS)
            .filter_map(|(day, word)| self.contains(day).then_some(word))
            .collect();
        f.write_str(&words.join(","))
    }
}

/// A time of day, to the minute; `24:00` is the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// The first minute of a day, `00:00`.
    pub const START: Self = Self(0);
    /// The end of a day, `24:00`.
    pub const END: Self = Self(24 * 60);

    /// Parses `HH:MM`, both with two digits.
    pub fn new(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str| {
            let good = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| good)
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        let time = Self(hour * 60 + minute);
        (minute < 60 && time <= Self::END).then_some(time)
    }

    /// The time this many minutes after midnight.
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        let time = Self(minutes);
        (time <= Self::END).then_some(time)
    }

    /// The local date and time at this time of day on `day`.
    fn on(self, day: NaiveDate) -> Option<NaiveDateTime> {
        day.and_time(NaiveTime::MIN)
            .checked_add_signed(TimeDelta::minutes(self.0.into()))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// The same times on some days of the week: active while the local clock shows a time within them.
///
/// A window is one stretch. Where the clock is put back within it or at its edge, it lasts until its times have passed
/// for the last time. Where the clock jumps over all of it, there is no window that day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daily {
    /// Days on which the window starts.
    pub days: Days,
    pub from: TimeOfDay,
    /// When it ends; on the next day, if this is not after `from`.
    pub to: TimeOfDay,
}

impl Daily {
    /// Days that may pass between the day on which a window starts and a day on which it is active: it ends on the next
    /// day, and where the clock is put back over midnight, the first minutes of yet another day may come before.
    pub(super) const REACH: u32 = 2;

    /// Whether the window never ends.
    pub(super) fn is_always(&self) -> bool {
        let whole =
            self.from == self.to || (self.from, self.to) == (TimeOfDay::START, TimeOfDay::END);
        whole && self.days == Days::ALL
    }

    pub(super) fn stretches(&self, day: NaiveDate, zone: Zone) -> Option<Stretches<'static>> {
        if !self.days.contains(day.weekday()) {
            return None;
        }
        let last = if self.to <= self.from {
            day.succ_opt()?
        } else {
            day
        };
        let base = zone.beginning(self.from.on(day)?)?;
        let end = zone.ending(self.to.on(last)?)?;
        let run = Run {
            start: TimeDelta::zero(),
            end: end.signed_duration_since(base),
        };
        (base < end).then(|| Stretches {
            base,
            runs: Cow::Owned(vec![run]),
        })
    }
}

impl fmt::Display for Daily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", self.days, self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_digits_and_end_at_24_00() {
        for (text, minutes) in [
            ("00:00", 0),
            ("09:05", 545),
            ("23:59", 1439),
            ("24:00", 1440),
        ] {
            let time = TimeOfDay::new(text);
            assert_eq!(time, TimeOfDay::from_minutes(minutes));
            assert_eq!(time.unwrap().to_string(), text);
        }
        for bad in [
            "", "9:00", "24:01", "12:60", "1200", "12:00:00", "+1:00", "12:0x", "ä:00", "99:99",
        ] {
            assert_eq!(TimeOfDay::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn day_ranges_continue_into_the_next_week() {
        let mut days = Days::NONE;
        for day in Days::from_to(Weekday::Sat, Weekday::Mon) {
            days.insert(day);
        }
        assert_eq!(days.to_string(), "mon,sat,sun");
        assert_eq!(Days::from_to(Weekday::Fri, Weekday::Fri).count(), 1);
        assert_eq!(Days::ALL.to_string(), "every day");
        assert_eq!(Days::day("sun"), Some(Weekday::Sun));
        assert_eq!(Days::day("Sun"), None);
    }
}
