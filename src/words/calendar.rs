//! Explains why a text that looks like a date, a time or both is not one: its day, hour or minute does not exist.

use chrono::{Datelike, NaiveDate};

/// Describes, for a person, the part of a text like `2027-02-29T24:00:00Z` that does not exist. `None` if the text has
/// another form or everything in it exists. The time of day may be missing.
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
            0 => "days begin at 01".to_owned(),
            _ => format!(
                "there is no such day: {} has {last} days",
                first.format("%B %Y")
            ),
        });
    }
    time.and_then(|time| time_fault(time, "23"))
}

/// Describes, for a person, the part of a time of day like `25:00` or `09:60` that does not exist. `hour_max` is the last
/// valid hour.
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

/// Splits a text into numbers that have the given counts of digits.
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
    fn r14_dates_and_times_that_do_not_exist_are_explained() {
        for (text, words) in [
            ("2027-02-29", "February 2027 has 28 days"),
            ("2027-02-29T00:00:00Z", "February 2027 has 28 days"),
            ("2028-02-30T00:00:00+08:00", "February 2028 has 29 days"),
            ("2027-04-31 10:00", "April 2027 has 30 days"),
            ("2027-12-32T00:00:00Z", "December 2027 has 31 days"),
            ("2027-12-00T00:00:00Z", "days begin at 01"),
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
