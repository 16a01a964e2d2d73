//! Examples of what change windows permit.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime, Weekday};

use super::*;

fn utc(text: &str) -> Timestamp {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M")
        .unwrap()
        .and_utc()
}

fn daily(days: &[Weekday], from: &str, to: &str) -> Span {
    let mut set = Days::NONE;
    days.iter().for_each(|&day| set.insert(day));
    let [from, to] = [from, to].map(|text| TimeOfDay::new(text).unwrap());
    Span::Daily(Daily {
        days: set,
        from,
        to,
    })
}

fn cron(text: &str, minutes: u64) -> Span {
    let length = Length::new(Duration::from_secs(60 * minutes)).unwrap();
    Span::Scheduled(Schedule::new(Starts::new(text).unwrap(), length))
}

fn window(kind: Kind, causes: &[Cause], zone: &str, span: Span) -> Window {
    Window {
        kind,
        causes: causes.iter().copied().collect(),
        span,
        zone: Zone::new(zone).unwrap(),
        reason: None,
    }
}

/// A deny window in Berlin, for all causes.
fn deny(span: Span) -> Window {
    window(Kind::Deny, &Cause::ALL, "Europe/Berlin", span)
}

fn allow(span: Span) -> Window {
    window(Kind::Allow, &Cause::ALL, "Europe/Berlin", span)
}

const WEEK: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

/// A freeze over the nights of the weekend.
fn freeze() -> Window {
    deny(daily(&WEEK[4..], "18:00", "06:00"))
}

#[test]
fn without_windows_everything_is_permitted() {
    for cause in Cause::ALL {
        assert_eq!(
            Windows::default().permits(cause, Timestamp::MIN_UTC),
            Ok(())
        );
    }
}

#[test]
fn a_window_affects_only_its_causes() {
    let causes = [Cause::Pruned, Cause::Expired].into();
    let windows = Windows::new(vec![Window { causes, ..freeze() }]);
    let saturday = utc("2026-11-21 03:00");
    assert!(windows.permits(Cause::Pruned, saturday).is_err());
    assert_eq!(windows.permits(Cause::Declared, saturday), Ok(()));
    // A window that allows other changes restricts nothing.
    let causes = [Cause::Retention].into();
    let monday = allow(daily(&WEEK[..1], "00:00", "01:00"));
    let windows = Windows::new(vec![Window { causes, ..monday }]);
    assert_eq!(windows.permits(Cause::Pruned, saturday), Ok(()));
    assert!(windows.permits(Cause::Retention, saturday).is_err());
}

#[test]
fn deny_wins_over_allow_and_the_next_opening_respects_both() {
    let windows = Windows::new(vec![allow(daily(&WEEK, "05:00", "07:00")), freeze()]);
    let closed = |at| windows.permits(Cause::Declared, utc(at)).unwrap_err();
    // Saturday, 05:30 in Berlin: allowed, but denied until six.
    assert_eq!(
        closed("2026-11-21 04:30"),
        Closed {
            opens: Some(utc("2026-11-21 05:00")),
            reason: "a window is active: deny fri,sat,sun 18:00-06:00 Europe/Berlin; opens 2026-11-21 06:00 \
                     Europe/Berlin; to act sooner, change the account's `spec.windows`"
                .to_owned(),
        }
    );
    // Friday, 20:00: denied until six, when an allow window is already active.
    assert_eq!(
        closed("2026-11-20 19:00").opens,
        Some(utc("2026-11-21 05:00"))
    );
    // Tuesday, 08:00: not allowed until five the next morning.
    let closed = closed("2026-11-24 07:00");
    assert_eq!(closed.opens, Some(utc("2026-11-25 04:00")));
    let reason = "no window that allows `declared` changes is active; opens 2026-11-25 05:00 Europe/Berlin; ";
    assert!(closed.reason.starts_with(reason), "{}", closed.reason);
}

#[test]
fn windows_that_never_open_are_reported_at_little_cost() {
    for windows in [
        vec![deny(daily(&WEEK, "00:00", "24:00"))],
        vec![deny(cron("* * * * *", 1))],
        vec![
            deny(cron("*/2 * * * *", 1)),
            deny(cron("1-59/2 * * * *", 1)),
        ],
        vec![allow(daily(&WEEK[4..5], "20:00", "22:00")), freeze()],
    ] {
        let closed = Windows::new(windows)
            .permits(Cause::Pruned, utc("2026-11-21 03:00"))
            .unwrap_err();
        assert_eq!(closed.opens, None);
        let never = "; no opening was found within a year; ";
        assert!(closed.reason.contains(never), "{}", closed.reason);
    }
}

#[test]
fn a_rare_opening_is_found_within_a_year_and_not_beyond() {
    let windows = Windows::new(vec![allow(cron("0 0 29 2 *", 7 * 24 * 60))]);
    let opens = |at| windows.permits(Cause::Pruned, utc(at)).unwrap_err().opens;
    assert_eq!(opens("2027-03-01 00:00"), Some(utc("2028-02-28 23:00")));
    assert_eq!(opens("2027-01-01 00:00"), None);
    assert_eq!(
        windows.permits(Cause::Pruned, utc("2028-03-06 22:59")),
        Ok(())
    );
    assert_eq!(opens("2028-03-06 23:00"), None);
}

#[test]
fn a_clock_put_back_over_midnight_may_start_a_window_of_the_day_before() {
    // At 00:01 the clock went back to 23:01.
    let span = cron("15 23 * * *", 5);
    let windows = Windows::new(vec![window(
        Kind::Allow,
        &Cause::ALL,
        "America/St_Johns",
        span,
    )]);
    let closed = windows
        .permits(Cause::Pruned, utc("2006-10-29 02:30"))
        .unwrap_err();
    assert_eq!(closed.opens, Some(utc("2006-10-29 02:45")));
}

#[test]
fn a_window_goes_on_after_a_day_that_was_skipped() {
    // Friday the 30th did not take place.
    let span = cron("30 23 * * THU", 60);
    let windows = Windows::new(vec![window(Kind::Allow, &Cause::ALL, "Pacific/Apia", span)]);
    assert_eq!(
        windows.permits(Cause::Pruned, utc("2011-12-30 10:29")),
        Ok(())
    );
    assert!(
        windows
            .permits(Cause::Pruned, utc("2011-12-30 10:30"))
            .is_err()
    );
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    let windows = Windows::new(vec![freeze(), allow(cron("0 * * * *", 30))]);
    let years = [-262_000, -1, 0, 1, 5000, 9999, 262_000].into_iter();
    let days = years.filter_map(|year| NaiveDate::from_ymd_opt(year, 6, 1));
    let instants = days.filter_map(|day| Some(day.and_hms_opt(0, 0, 0)?.and_utc()));
    for at in instants.chain([Timestamp::MIN_UTC, Timestamp::MAX_UTC]) {
        let _ = windows.permits(Cause::Pruned, at);
    }
}

#[test]
fn r14_never_open_windows_differ_from_rarely_open_ones() {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let all = [Mon, Tue, Wed, Thu, Fri, Sat, Sun];
    let allow = |span| window(Kind::Allow, &Cause::ALL, "UTC", span);
    let deny = |span| window(Kind::Deny, &Cause::ALL, "UTC", span);
    let never = |windows: Vec<Window>| {
        let windows = Windows::new(windows);
        let each = Cause::ALL.map(|cause| windows.are_never_open(cause));
        assert!(each.iter().all(|never| *never == each[0]));
        each[0]
    };
    for windows in [
        vec![deny(daily(&all, "00:00", "24:00"))],
        vec![
            deny(daily(&all, "00:00", "00:00")),
            allow(daily(&[Mon], "09:00", "10:00")),
        ],
        vec![
            allow(daily(&[Mon], "09:00", "10:00")),
            deny(daily(&[Mon], "00:00", "24:00")),
        ],
        vec![
            allow(daily(&[Mon], "23:00", "01:00")),
            deny(daily(&[Mon, Tue], "00:00", "24:00")),
        ],
        vec![
            deny(daily(&[Mon, Tue, Wed, Thu, Fri], "00:00", "24:00")),
            deny(daily(&[Sat, Sun], "00:00", "24:00")),
        ],
        vec![
            deny(daily(&all, "00:00", "12:00")),
            deny(daily(&all, "12:00", "24:00")),
        ],
        vec![allow(cron("0 9 * * 1", 60)), deny(cron("0 8 * * 1", 240))],
        vec![
            allow(cron("0 9 29 2 *", 60)),
            deny(cron("0 0 * 2 *", 24 * 60)),
        ],
    ] {
        assert!(never(windows.clone()), "{windows:?}");
    }
    for windows in [
        vec![],
        vec![allow(daily(&[Mon], "09:00", "10:00"))],
        vec![deny(daily(&[Mon], "00:00", "24:00"))],
        vec![
            allow(daily(&[Mon], "23:00", "01:00")),
            deny(daily(&[Mon], "00:00", "24:00")),
        ],
        vec![
            allow(daily(&[Mon], "09:00", "10:01")),
            deny(daily(&[Mon], "09:00", "10:00")),
        ],
        vec![allow(cron("0 9 29 2 *", 60))],
        // The first 29 February that is not a Tuesday is in 2032.
        vec![
            allow(cron("0 9 29 2 *", 60)),
            deny(daily(&[Tue], "00:00", "24:00")),
        ],
    ] {
        assert!(!never(windows.clone()), "{windows:?}");
    }
    let pruned = Windows::new(vec![window(
        Kind::Deny,
        &[Cause::Pruned],
        "UTC",
        daily(&all, "00:00", "24:00"),
    )]);
    let closed = Cause::ALL.map(|cause| pruned.are_never_open(cause));
    assert_eq!(closed, Cause::ALL.map(|cause| cause == Cause::Pruned));
}
