//! Change windows that start by a cron expression and last for a fixed length.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::stretch::{Run, Stretches, join};
use super::zone::Zone;

/// Length limit of a cron expression; a long list of minutes has about 150 characters.
const TEXT_MAX: usize = 200;
/// The meaning of each field of a cron expression.
const FIELDS: [&str; 5] = [
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

/// Positions of the fields that may hold more than numbers.
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When windows start, as a cron expression.
///
/// Five fields: minute, hour, day of the month, month and day of the week (0 and 7 are Sunday). Each is `*`, a number, a
/// range, a list or a step; months and days may be names. If both kinds of day are given, a day matches if either
/// matches. `L` is the last day, `15W` the weekday nearest to the 15th, `5#2` the second Friday.
#[derive(Clone, PartialEq, Eq)]
pub struct Starts {
    text: String,
    /// Boxed, because it is large and is stored beside much smaller values.
    cron: Box<Cron>,
    /// The minutes of a day at which windows start, in order; the same on every day that has a start.
    minutes: Vec<u16>,
}

/// Why a text is not a [`Starts`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartsError {
    /// The text has too few fields, too many, or is far too long.
    #[error("five fields are needed: minute, hour, day of the month, month and day of the week")]
    Fields,
    /// One field has an invalid value.
    #[error("`{text}` is not a valid {name}")]
    Field {
        /// Name of the field for people.
        name: &'static str,
        /// Text of the field in the expression.
        text: String,
    },
    /// Every field is valid, but no such day exists.
    #[error("no year has such a day")]
    Never,
}

impl Starts {
    /// Checks the grammar, and that some day matches.
    pub fn new(text: &str) -> Result<Self, StartsError> {
        if text.len() > TEXT_MAX {
            return Err(StartsError::Fields);
        }
        let fields: Vec<_> = text.split_whitespace().collect();
        let fields: [&str; 5] = fields.try_into().map_err(|_| StartsError::Fields)?;
        for (position, (field, name)) in fields.iter().zip(FIELDS).enumerate() {
            if !is_field(position, field) {
                return Err(StartsError::Field {
                    name,
                    text: (*field).to_owned(),
                });
            }
        }
        let text = fields.join(" ");
        let cron = parse(&text).ok_or(StartsError::Fields)?;
        // An error would be a number that no clock shows.
        let has = |minute: &u16| {
            let (hour, minute) = (u32::from(minute / 60), u32::from(minute % 60));
            cron.pattern.hour_match(hour).unwrap_or(false)
                && cron.pattern.minute_match(minute).unwrap_or(false)
        };
        let minutes = (0..24 * 60).filter(has).collect();
        let starts = Self {
            text,
            cron: Box::new(cron),
            minutes,
        };
        if starts.ever() {
            Ok(starts)
        } else {
            Err(StartsError::Never)
        }
    }

    /// Whether a window starts on `day`.
    fn on(&self, day: NaiveDate) -> bool {
        let Some(&first) = self.minutes.first() else {
            return false;
        };
        let time = NaiveTime::MIN + TimeDelta::minutes(first.into());
        // An error would be a date that croner does not support.
        self.cron
            .is_time_matching(&day.and_time(time))
            .unwrap_or(false)
    }

    /// Whether any day matches. After 28 years, weekdays fall on the same dates again.
    fn ever(&self) -> bool {
        let first = NaiveDate::from_ymd_opt(2001, 1, 1);
        first.is_some_and(|first| first.iter_days().take(28 * 366).any(|day| self.on(day)))
    }
}

/// Whether one field is valid by itself.
fn is_field(position: usize, field: &str) -> bool {
    let mut fields = ["*"; 5];
    fields[position] = field;
    let plain = field.strip_prefix('+').filter(|_| position == WEEKDAY);
    plain
        .unwrap_or(field)
        .split([',', '-', '/', '#'])
        .all(|part| is_part(position, &part.to_ascii_uppercase()))
        && parse(&fields.join(" ")).is_some()
}

/// Whether the parts between a field's separators are of the kinds that belong there. croner itself replaces names by
/// numbers in every field, and would read `MON` as January.
fn is_part(position: usize, part: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let good = part == "*" || number(part);
    match position {
        DAY => {
            good || matches!(part, "?" | "L" | "LW") || part.strip_suffix('W').is_some_and(number)
        }
        MONTH => good || MONTHS.contains(&part),
        WEEKDAY => {
            let day = part.strip_suffix('L').unwrap_or(part);
            good || matches!(part, "?" | "L") || number(day) || WEEKDAYS.contains(&day)
        }
        _ => good,
    }
}

fn parse(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).ok()
}

/// How long a scheduled window lasts, in whole minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(Duration);

impl Length {
    /// The lower limit: schedules only know minutes.
    pub const MIN: Duration = Duration::from_secs(60);
    /// The upper limit. Days are the better form for anything that closes for longer, and the limit bounds how many days
    /// ago a window that is still active may have started.
    pub const MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    pub fn new(length: Duration) -> Option<Self> {
        let whole = length.subsec_nanos() == 0 && length.as_secs().is_multiple_of(60);
        (whole && (Self::MIN..=Self::MAX).contains(&length)).then_some(Self(length))
    }

    fn delta(self) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Windows that start at the times of a cron expression, and last for a fixed elapsed time.
///
/// A start that the clock jumps over happens at the jump, so that no freeze is lost; a start whose time comes twice
/// happens twice.
#[derive(Clone, PartialEq, Eq)]
pub struct Schedule {
    starts: Starts,
    length: Length,
    /// The stretches of a day without a clock change, from its midnight on.
    runs: Vec<Run>,
}

impl Schedule {
    /// Combines the two, and calculates in advance everything that does not depend on the day.
    pub fn new(starts: Starts, length: Length) -> Self {
        let minutes = starts.minutes.iter();
        let runs = join(
            minutes.map(|&minute| TimeDelta::minutes(minute.into())),
            length.delta(),
        );
        Self {
            starts,
            length,
            runs,
        }
    }

    /// Days that may pass between the day on which a window starts and a day on which it is active: its length, and one
    /// more in case the clock is put forward, even by a day.
    pub(super) fn reach(&self) -> u32 {
        let days = self.length.0.as_secs().div_ceil(24 * 60 * 60);
        u32::try_from(days).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Whether the window never ends, because one starts every minute.
    pub(super) fn is_always(&self) -> bool {
        self.starts.text == "* * * * *"
    }

    pub(super) fn stretches(&self, day: NaiveDate, zone: Zone) -> Option<Stretches<'_>> {
        if !self.starts.on(day) {
            return None;
        }
        if let Some(base) = zone.even_day(day) {
            let runs = Cow::Borrowed(self.runs.as_slice());
            return Some(Stretches { base, runs });
        }
        let midnight = day.and_time(NaiveTime::MIN);
        let mut starts: Vec<_> = self
            .starts
            .minutes
            .iter()
            .filter_map(|&minute| midnight.checked_add_signed(TimeDelta::minutes(minute.into())))
            .flat_map(|local| zone.occurrences(local))
            .collect();
        starts.sort_unstable();
        let base = *starts.first()?;
        let starts = starts.into_iter().map(|at| at.signed_duration_since(base));
        let runs = Cow::Owned(join(starts, self.length.delta()));
        Some(Stretches { base, runs })
    }
}

impl fmt::Debug for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = humantime::format_duration(self.length.0);
        write!(f, "`{}` for {length}", self.starts.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_expressions_pass() {
        for good in [
            "0 9 * * 1-5",
            "*/15 0,12 1-7 JAN-mar mon",
            "0 0 L * *",
            "0 0 15W * *",
            "0 18 * * 5#2",
            "0 18 * * 5L",
            "0 0 29 2 *",
            "0 18 ? * fri#2,monL",
            "0 18 1-7 * +5",
            " 0  0 * * 7 ",
        ] {
            assert!(Starts::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_invalid_field_is_named() {
        for (text, name) in [
            ("60 9 * * *", "minute"),
            ("x 9 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 MON * * *", "hour"),
            ("0 9 0 * *", "day of the month"),
            ("0 9 TUE * *", "day of the month"),
            ("0 9 * 13 *", "month"),
            ("0 9 * * 8", "day of the week"),
            ("0 9 * * monday", "day of the week"),
            ("0 9 * MON *", "month"),
            ("0 9 * 1JAN *", "month"),
            ("0 9 * * JAN", "day of the week"),
            ("0 9 * * SUNMON", "day of the week"),
            ("0,, 9 * * *", "minute"),
            ("5-1 9 * * *", "minute"),
            ("*/0 9 * * *", "minute"),
            ("٣ 9 * * *", "minute"),
        ] {
            match Starts::new(text) {
                Err(StartsError::Field { name: found, .. }) => assert_eq!(found, name, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let long = format!("{} * * * *", vec!["1"; 150].join(","));
        for bad in ["", "* * * *", "* * * * * *", "@daily", &long] {
            assert_eq!(Starts::new(bad), Err(StartsError::Fields), "{bad}");
        }
        for never in ["0 0 31 2 *", "0 0 30 FEB *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(Starts::new(never), Err(StartsError::Never), "{never}");
        }
    }

    #[test]
    fn lengths_are_whole_minutes_within_bounds() {
        for (seconds, good) in [
            (59, false),
            (60, true),
            (90, false),
            (604_800, true),
            (604_860, false),
        ] {
            let length = Length::new(Duration::from_secs(seconds));
            assert_eq!(length.is_some(), good, "{seconds}");
        }
        assert_eq!(Length::new(Duration::from_millis(60_001)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_a_panic(text in "[-*/,#+?0-9LWFRIJAN ]{0,30}", any in "\\PC{0,20}") {
            let _ = (Starts::new(&text), Starts::new(&any), Starts::new(&format!("{any} * {text} * *")));
        }
    }

    #[test]
    fn adjacent_starts_are_one_stretch() {
        let runs = |text, minutes: u64| {
            let length = Length::new(Duration::from_secs(minutes * 60)).unwrap();
            Schedule::new(Starts::new(text).unwrap(), length).runs.len()
        };
        assert_eq!(runs("*/5 * * * *", 5), 1);
        assert_eq!(runs("*/5 * * * *", 4), 288);
        assert_eq!(runs("0 9,12 * * *", 60), 2);
    }
}
