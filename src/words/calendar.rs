//! Why a text that looks like a date, a time or both is none: a day, an hour or a minute that does not exist.

use chrono::{Datelike, NaiveDate};

/// What of a text like `2027-02-29T24:00:00Z` does not exist, for a person; `None` if it is written in another way, or all of it exists.
/// The time of day may be missing.
pub fn date_fault(text: &str) -> Option<String> {
    let (date, time) = match text.split_at_checked(10)? {
        (date, "") => (date, None),
        (date, rest) => (date, Some(rest.strip_prefix(['T', 't', ' '])?.get(..5)?)),
    };
    if let Some(time) = time {
        numbers(time, ':', [2, 2])?;
    }
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let first = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), 1);
    let Some(first) = first else {
        return Some(format!(
            "there is no month {month:02}: months go from 01 to 12"
        ));
    };
    if NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day)).is_none() {
        let last = (28..=31).rev().find(|day| first.with_day(*day).is_some());
        let last = last.unwrap_or_default();
        return Some(match day {
            0 => "days go from 01 on".to_owned(),
            _ => format!(
                "there is no such day: {} has {last} days",
                first.format("%B %Y")
            ),
        });
    }
    time.and_then(|time| time_fault(time, "23"))
}

/// What of a time of day like `25:00` or `09:60` does not exist; `hour_max` is the last hour, for a person.
pub fn time_fault(text: &str, hour_max: &str) -> Option<String> {
    let [hour, minute] = numbers(text, ':', [2, 2])?;
    if minute > 59 {
        Some(format!(
            "there is no minute {minute}: minutes go from 00 to 59"
        ))
    } else if hour == 24 {
        Some(match hour_max {
            "24" => "a day ends at 24:00".to_owned(),
            _ => "the end of a day is written as 00:00 of the next day".to_owned(),
        })
    } else if hour > 24 {
        Some(format!(
            "there is no hour {hour}: hours go from 00 to {hour_max}"
        ))
    } else {
        None
    }
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u16; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_what_does_not_exist_is_said_and_what_does_is_not() {
        for (text, words) in [
            ("2027-02-29", "February 2027 has 28 days"),
            ("2027-02-29T00:00:00Z", "February 2027 has 28 days"),
            ("2028-02-30T00:00:00+08:00", "February 2028 has 29 days"),
            ("2027-04-31 10:00", "April 2027 has 30 days"),
            ("2027-12-32T00:00:00Z", "December 2027 has 31 days"),
            ("2027-12-00T00:00:00Z", "days go from 01"),
            ("2027-13-01T00:00:00Z", "no month 13"),
            ("2027-00-01", "no month 00"),
            ("2027-01-31T24:00:00Z", "00:00 of the next"),
            ("2027-01-31T25:00:00Z", "no hour 25"),
            ("2027-01-31T10:60:00Z", "no minute 60"),
        ] {
            let fault = date_fault(text).unwrap_or_default();
            assert!(fault.contains(words), "{text}: {fault}");
        }
        for text in [
            "",
            "2028-02-29",
            "2027-01-31T23:59:59Z",
            "2027-1-31",
            "31.01.2027",
            "soon",
            "2027-01-31Tnoon",
            "2027-02-29th",
            "äääääääääää",
        ] {
            assert_eq!(date_fault(text), None, "{text}");
        }
        assert_eq!(
            time_fault("24:30", "24").as_deref(),
            Some("a day ends at 24:00")
        );
        assert!(time_fault("18:00", "24").is_none());
    }
}
