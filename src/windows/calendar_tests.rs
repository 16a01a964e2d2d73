//! Compares windows, minute by minute, with an independent reading of the rules. The two share only the offsets of the
//! time zones, and the test uses these in one direction only: from an instant to the local time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta, Weekday};
use proptest::prelude::*;

use super::*;

/// A window in the form in which the test describes it.
#[derive(Clone, Debug)]
struct Described {
    kind: Kind,
    zone: &'static str,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    /// Days from Monday on, and minutes from midnight on.
    Daily { days: Vec<u8>, from: u16, to: u16 },
    /// Minutes, hours, and days of the week from Monday on; an empty list stands for all.
    Cron {
        minutes: Vec<u32>,
        hours: Vec<u32>,
        days: Vec<u8>,
        length: usize,
    },
}

impl Described {
    fn window(&self) -> Window {
        let span = match &self.when {
            When::Daily { days, from, to } => {
                let mut set = Days::NONE;
                days.iter()
                    .for_each(|&day| set.insert(Weekday::try_from(day).unwrap()));
                Span::Daily(Daily {
                    days: set,
                    from: TimeOfDay::from_minutes(*from).unwrap(),
                    to: TimeOfDay::from_minutes(*to).unwrap(),
                })
            }
            When::Cron {
                minutes,
                hours,
                days,
                length,
            } => {
                let list = |numbers: Vec<String>| match numbers.is_empty() {
                    true => "*".to_owned(),
                    false => numbers.join(","),
                };
                let text = format!(
                    "{} {} * * {}",
                    list(minutes.iter().map(u32::to_string).collect()),
                    list(hours.iter().map(u32::to_string).collect()),
                    list(days.iter().map(|day| (day + 1).to_string()).collect()),
                );
                let length = Duration::from_secs(60 * *length as u64);
                Span::Scheduled(Schedule::new(
                    Starts::new(&text).unwrap(),
                    Length::new(length).unwrap(),
                ))
            }
        };
        Window {
            kind: self.kind,
            causes: BTreeSet::from(Cause::ALL),
            span,
            zone: Zone::new(self.zone).unwrap(),
            reason: None,
        }
    }

    /// Whether the window is active, for each minute from `first` on. Local times are counted in minutes.
    fn naively(&self, first: Timestamp, minutes: usize) -> Vec<bool> {
        const DAY: i64 = 24 * 60;
        let zone: chrono_tz::Tz = self.zone.parse().unwrap();
        let shown: Vec<i64> = (0..minutes)
            .map(|n| first + TimeDelta::minutes(n as i64))
            .map(|at| at.with_timezone(&zone).naive_local().and_utc().timestamp() / 60)
            .collect();
        // 1970 began on a Thursday.
        let is_on = |days: &[u8], time: i64| {
            days.contains(&((time.div_euclid(DAY) + 3).rem_euclid(7) as u8))
        };
        let mut active = vec![false; minutes];
        match &self.when {
            When::Daily { days, from, to } => {
                for midnight in (shown[0] / DAY..=shown[minutes - 1] / DAY).map(|day| day * DAY) {
                    let next = if to <= from { DAY } else { 0 };
                    let within = |time: &i64| {
                        (i64::from(*from)..i64::from(*to) + next).contains(&(time - midnight))
                    };
                    // One stretch, from the first minute with such a local time to the last.
                    if is_on(days, midnight)
                        && let Some(start) = shown.iter().position(within)
                        && let Some(last) = shown.iter().rposition(within)
                    {
                        active[start..=last].fill(true);
                    }
                }
            }
            When::Cron {
                minutes: m,
                hours,
                days,
                length,
            } => {
                let starts = |time: i64| {
                    (m.is_empty() || m.contains(&(time.rem_euclid(60) as u32)))
                        && (hours.is_empty() || hours.contains(&(time.rem_euclid(DAY) as u32 / 60)))
                        && (days.is_empty() || is_on(days, time))
                };
                for (n, &time) in shown.iter().enumerate() {
                    // The times that the clock jumps over, and the time that it shows afterwards.
                    let expected = n.checked_sub(1).map_or(time, |n| shown[n] + 1);
                    if (expected.min(time)..=time).any(starts) {
                        active[n..(n + length).min(minutes)].fill(true);
                    }
                }
            }
        }
        active
    }
}

/// Compares the two for `days` days around `middle`. The calculation also covers `margin` days before and after.
fn compare(described: &[Described], middle: Timestamp, days: i64, margin: i64) {
    let windows = Windows::new(described.iter().map(Described::window).collect());
    let first = middle - TimeDelta::days(days / 2 + margin);
    let minutes = ((2 * margin + days) * 24 * 60) as usize;
    let mut denied = vec![false; minutes];
    let mut allowed = vec![
        described
            .iter()
            .all(|described| described.kind == Kind::Deny);
        minutes
    ];
    for described in described {
        let into = if described.kind == Kind::Deny {
            &mut denied
        } else {
            &mut allowed
        };
        for (into, active) in into.iter_mut().zip(described.naively(first, minutes)) {
            *into |= active;
        }
    }
    let open: Vec<bool> = denied
        .iter()
        .zip(&allowed)
        .map(|(denied, allowed)| allowed & !denied)
        .collect();
    let mut next = None;
    let range = (margin * 24 * 60) as usize..((margin + days) * 24 * 60) as usize;
    for n in (0..minutes).rev() {
        let at = first + TimeDelta::minutes(n as i64);
        if open[n] {
            next = Some(at);
        }
        if !range.contains(&n) {
            continue;
        }
        assert_eq!(
            windows.closing(Cause::Pruned, at).is_none(),
            open[n],
            "{described:?} at {at}"
        );
        // The next opening is compared beside each change, and about once an hour.
        let beside = open[n - 1] != open[n] || open[n + 1] != open[n];
        if !(beside || n % 61 == 0) {
            continue;
        }
        match windows.permits(Cause::Pruned, at) {
            Ok(()) => assert!(open[n], "{described:?} is open at {at}"),
            Err(closed) => match next {
                Some(next) => assert_eq!(closed.opens, Some(next), "{described:?} at {at}"),
                // The opening is beyond the calculated minutes.
                None => assert!(
                    closed
                        .opens
                        .is_none_or(|opens| opens > at + TimeDelta::days(margin))
                ),
            },
        }
    }
}

fn utc(text: &str) -> Timestamp {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M")
        .unwrap()
        .and_utc()
}

/// Zones, and days on which their clocks change or do not change: by one hour, by half an hour, by two; at night, at
/// midnight forwards and back over it; and a day that was skipped.
const CHANGES: [(&str, &str); 16] = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("America/Nuuk", "2026-03-29"),
    ("America/Nuuk", "2026-10-25"),
    ("America/St_Johns", "2006-10-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Shanghai", "2026-10-25"),
];

fn noon(day: &str) -> Timestamp {
    utc(&format!("{day} 12:00"))
}

fn daily(kind: Kind, zone: &'static str, days: &[u8], from: u16, to: u16) -> Described {
    let days = days.to_vec();
    Described {
        kind,
        zone,
        when: When::Daily { days, from, to },
    }
}

/// A freeze over the weekend's nights within longer hours, and a long freeze among frequent openings.
fn usual(zone: &'static str) -> [Vec<Described>; 2] {
    let nights = daily(Kind::Deny, zone, &[4, 5, 6], 18 * 60, 2 * 60 + 30);
    let hours = daily(Kind::Allow, zone, &[0, 1, 2, 3, 4, 5, 6], 30, 23 * 60 + 45);
    let often = When::Cron {
        minutes: vec![0, 30],
        hours: vec![],
        days: vec![],
        length: 20,
    };
    let long = When::Cron {
        minutes: vec![15],
        hours: vec![2],
        days: vec![5],
        length: 49 * 60,
    };
    let often = Described {
        kind: Kind::Allow,
        zone,
        when: often,
    };
    let long = Described {
        kind: Kind::Deny,
        zone,
        when: long,
    };
    [vec![nights, hours], vec![often, long]]
}

#[test]
fn three_weeks_agree_minute_by_minute() {
    for (zone, day) in [CHANGES[0], CHANGES[3], CHANGES[4]] {
        usual(zone)
            .iter()
            .for_each(|described| compare(described, noon(day), 21, 4));
    }
}

/// Windows that begin and end where clocks change, and on both sides of midnight.
fn edges(zone: &'static str) -> [Vec<Described>; 6] {
    let all = [0, 1, 2, 3, 4, 5, 6];
    let daily = |days, from, to| vec![daily(Kind::Allow, zone, days, from, to)];
    let late = |minutes: &[u32], hours: &[u32]| {
        let (minutes, hours) = (minutes.to_vec(), hours.to_vec());
        let when = When::Cron {
            minutes,
            hours,
            days: vec![],
            length: 5,
        };
        vec![Described {
            kind: Kind::Allow,
            zone,
            when,
        }]
    };
    [
        daily(&all, 0, 45),
        daily(&all, 75, 120),
        daily(&all, 135, 225),
        daily(&[4], 23 * 60 + 58, 23 * 60 + 30),
        late(&[0, 15], &[0, 23]),
        late(&[15], &[23]),
    ]
}

#[test]
fn two_days_around_each_change_agree_minute_by_minute() {
    for (zone, day) in CHANGES {
        for described in usual(zone).iter().chain(&edges(zone)) {
            compare(described, noon(day), 2, 4);
        }
    }
}

fn when() -> impl Strategy<Value = When> {
    let days = || prop::collection::vec(0u8..7, 1..7);
    // Around the hours at which clocks change, and at any other time.
    let minute = || prop_oneof![0u16..200, 1380u16..1440, 0u16..1440];
    let daily = (days(), minute(), prop_oneof![minute(), Just(1440)])
        .prop_map(|(days, from, to)| When::Daily { days, from, to });
    let length = prop_oneof![1usize..130, 1usize..10_081];
    let hours = prop_oneof![
        prop::collection::vec(prop_oneof![0u32..4, 0u32..24], 1..3),
        Just(vec![])
    ];
    let some_days = prop_oneof![days(), Just(vec![])];
    let cron = (
        prop::collection::vec(0u32..60, 1..3),
        hours,
        some_days,
        length,
    )
        .prop_map(|(minutes, hours, days, length)| When::Cron {
            minutes,
            hours,
            days,
            length,
        });
    prop_oneof![daily, cron]
}

fn described() -> impl Strategy<Value = (Vec<Described>, &'static str)> {
    (
        0..CHANGES.len(),
        prop::collection::vec((any::<bool>(), any::<bool>(), when()), 1..4),
    )
        .prop_map(|(place, windows)| {
            let (zone, day) = CHANGES[place];
            let windows = windows
                .into_iter()
                .map(|(deny, elsewhere, when)| Described {
                    kind: if deny { Kind::Deny } else { Kind::Allow },
                    zone: if elsewhere { "Asia/Kathmandu" } else { zone },
                    when,
                });
            (windows.collect(), day)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_windows_around_any_change_agree_minute_by_minute((described, day) in described()) {
        compare(&described, noon(day), 2, 9);
    }
}
