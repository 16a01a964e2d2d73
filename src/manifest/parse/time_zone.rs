//! `timeZone` of a window: an IANA name. For an offset, the error suggests a place, because `Etc/GMT+8` is behind UTC,
//! not ahead of it.

use super::fields::Reader;
use super::yaml::Node;
use crate::manifest::suggest::did_you_mean;
use crate::windows::Zone;

/// Places without clock changes, by the minutes that they are ahead of UTC. For an offset without such a place, there
/// is no suggestion.
const PLACES: [(i32, &str); 34] = [
    (-660, "Pacific/Pago_Pago"),
    (-600, "Pacific/Honolulu"),
    (-570, "Pacific/Marquesas"),
    (-540, "Pacific/Gambier"),
    (-480, "Pacific/Pitcairn"),
    (-420, "America/Phoenix"),
    (-360, "America/Costa_Rica"),
    (-300, "America/Bogota"),
    (-240, "America/Caracas"),
    (-180, "America/Sao_Paulo"),
    (-120, "America/Noronha"),
    (-60, "Atlantic/Cape_Verde"),
    (0, "UTC"),
    (60, "Africa/Lagos"),
    (120, "Africa/Johannesburg"),
    (180, "Africa/Nairobi"),
    (210, "Asia/Tehran"),
    (240, "Asia/Dubai"),
    (270, "Asia/Kabul"),
    (300, "Asia/Karachi"),
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (360, "Asia/Dhaka"),
    (390, "Asia/Yangon"),
    (420, "Asia/Bangkok"),
    (480, "Asia/Shanghai"),
    (525, "Australia/Eucla"),
    (540, "Asia/Tokyo"),
    (570, "Australia/Darwin"),
    (600, "Australia/Brisbane"),
    (660, "Pacific/Guadalcanal"),
    (720, "Pacific/Tarawa"),
    (780, "Pacific/Tongatapu"),
    (840, "Pacific/Kiritimati"),
];
const GENERAL_HELP: &str = "write an IANA name, such as `Asia/Shanghai` or `UTC`; an offset does not know when clocks change";
/// Zones with inverted signs, as in POSIX.
const INVERTED: &str = "Etc/GMT";

pub(super) fn read(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Zone> {
    let text = reader.text(node, "`timeZone`")?;
    let zone = Zone::new(text);
    if zone.is_none() {
        reader
            .error(node, format!("`{text}` is not a time zone"))
            .help(suggestion(text));
    } else if let Some(hours) = inverted_hours(text) {
        let place = reader.place(node);
        let (is, meant) = (-hours * 60, hours * 60);
        reader
            .sink
            .warning(place, format!("`{text}` is {}", from_utc(is)))
            .help(match place_of(meant) {
                Some(name) => format!(
                    "its sign is inverted; for {} write `{name}`",
                    utc_name(meant)
                ),
                None => "its sign is inverted".to_owned(),
            });
    }
    zone
}

/// The zone that was probably meant by an invalid text.
fn suggestion(text: &str) -> String {
    if let Some(offset) = offset(text) {
        return match offset.minutes.and_then(place_of) {
            Some(name @ "UTC") => format!("did you mean `{name}`?"),
            Some(name) => {
                let what = utc_name(offset.minutes.unwrap_or_default());
                format!(
                    "did you mean `{name}`, which is {what}? A zone is written by its IANA name"
                )
            }
            None => GENERAL_HELP.to_owned(),
        };
    }
    // Short names such as `CST` resemble many others with other meanings, and those with inverted signs mean the
    // opposite of what they say. So neither kind is suggested.
    let places = || {
        Zone::names()
            .filter(|name| name.contains('/') && (*name == INVERTED || !name.starts_with(INVERTED)))
    };
    let city = |name: &&str| {
        let city = name.rsplit('/').next();
        city.is_some_and(|city| city.eq_ignore_ascii_case(text))
    };
    match places().find(city) {
        Some(name) => format!("did you mean `{name}`?"),
        None => did_you_mean(text, places()).unwrap_or_else(|| GENERAL_HELP.to_owned()),
    }
}

/// An offset from UTC in the notation of people.
struct Offset {
    /// The minutes ahead of UTC; `None` if the meaning is unclear.
    minutes: Option<i32>,
}

/// Parses `GMT+8`, `UTC-03:00`, `Z+8`, `+0530` and similar; `None` if the text has another form.
fn offset(text: &str) -> Option<Offset> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.to_ascii_uppercase().replace('\u{2212}', "-");
    let prefixes = [
        "ETC/GMT", "ETC/UTC", "ETC/UCT", "GMT", "UTC", "UCT", "Z", "",
    ];
    let starts = |prefix: &&str| text.starts_with(*prefix);
    let prefix = prefixes.into_iter().find(starts)?;
    let rest = &text[prefix.len()..];
    let is_number = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
    let signed = rest.strip_prefix(['+', '-']);
    let number = signed.unwrap_or(rest);
    if !number.chars().all(is_number) || (signed.is_none() && prefix.is_empty()) {
        return None;
    }
    if number.is_empty() {
        let minutes = (signed.is_none() && prefix != "ETC/GMT").then_some(0);
        return Some(Offset { minutes });
    }
    let is_behind = rest.starts_with('-');
    // For a name with an inverted sign, it is unclear which sign is meant.
    let is_clear = signed.is_some() && prefix != "ETC/GMT";
    let minutes = minutes(number).map(|minutes| if is_behind { -minutes } else { minutes });
    Some(Offset {
        minutes: minutes.filter(|_| is_clear),
    })
}

/// The minutes of `8`, `08`, `05:30` or `0530`.
fn minutes(number: &str) -> Option<i32> {
    let (hours, minutes) = match number.split_once(':') {
        Some(parts) => parts,
        None if number.len() == 4 => number.split_at(2),
        None => (number, "00"),
    };
    let is_short = (1..=2).contains(&hours.len()) && minutes.len() == 2;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (is_short && minutes < 60).then_some(hours * 60 + minutes)
}

fn place_of(minutes: i32) -> Option<&'static str> {
    let mut places = PLACES.into_iter();
    places.find_map(|(offset, name)| (offset == minutes).then_some(name))
}

/// The number in a name such as `Etc/GMT+8`, which is behind UTC by this number of hours.
fn inverted_hours(name: &str) -> Option<i32> {
    let hours = name.strip_prefix(INVERTED)?.parse().ok()?;
    (hours != 0).then_some(hours)
}

/// An offset in the notation of people: `UTC+8`, `UTC-3:30`.
fn utc_name(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    match (minutes.abs() / 60, minutes.abs() % 60) {
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, rest) => format!("UTC{sign}{hours}:{rest:02}"),
    }
}

/// The offset in words: `8 hours behind UTC`.
fn from_utc(minutes: i32) -> String {
    let hours = minutes.unsigned_abs() / 60;
    let hours = crate::words::plural(hours.into(), "hour");
    let side = if minutes < 0 { "behind" } else { "ahead of" };
    format!("{hours} {side} UTC")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Offset as _, TimeZone};

    use super::*;

    #[test]
    fn r1_an_offset_leads_to_a_place_of_that_offset_or_to_none() {
        for (text, place) in [
            ("GMT+8", "Asia/Shanghai"),
            ("GMT+08:00", "Asia/Shanghai"),
            ("gmt +8", "Asia/Shanghai"),
            ("UTC+8", "Asia/Shanghai"),
            ("UTC+0800", "Asia/Shanghai"),
            ("+08:00", "Asia/Shanghai"),
            ("+8", "Asia/Shanghai"),
            ("Z+8", "Asia/Shanghai"),
            ("Etc/UTC+8", "Asia/Shanghai"),
            ("GMT-3", "America/Sao_Paulo"),
            ("UTC\u{2212}3", "America/Sao_Paulo"),
            ("GMT+05:30", "Asia/Kolkata"),
            ("GMT+5:45", "Asia/Kathmandu"),
            ("UTC+0", "UTC"),
            ("Z", "UTC"),
            ("+00:00", "UTC"),
        ] {
            let help = suggestion(text);
            assert!(
                help.contains(&format!("did you mean `{place}`")),
                "{text}: {help}"
            );
        }
        for text in [
            "GMT+3:30x",
            "GMT-12",
            "UTC+99",
            "GMT8",
            "UTC8",
            "Etc/GMT8",
            "Etc/GMT+15",
            "Etc/GMT+08",
            "etc/gmt+8",
            "Etc/GMT +8",
            "GMT+",
            "GMT+8:5",
            "GMT+8.5",
            "+12:45",
            "-03:30",
            "Etc/GTM+8",
            "Etc/GMT+8h",
        ] {
            let help = suggestion(text);
            assert!(
                !help.contains("Etc/GMT+") && !help.contains("Etc/GMT-"),
                "{text}: {help}"
            );
        }
        assert_eq!(suggestion("Asia/Shangai"), "did you mean `Asia/Shanghai`?");
        assert_eq!(suggestion("berlin"), "did you mean `Europe/Berlin`?");
    }

    #[test]
    fn r1_clocks_of_the_places_that_are_suggested_are_never_changed() {
        for (minutes, name) in PLACES {
            let zone: chrono_tz::Tz = name.parse().expect("a zone");
            for month in 0..48 {
                let at = DateTime::from_timestamp(1_767_225_600 + month * 2_592_000, 0);
                let offset = zone.offset_from_utc_datetime(&at.expect("an instant").naive_utc());
                assert_eq!(offset.fix().local_minus_utc(), minutes * 60, "{name}");
            }
        }
    }

    #[test]
    fn r1_a_zone_with_an_inverted_sign_is_told_apart() {
        assert_eq!(inverted_hours("Etc/GMT+8"), Some(8));
        assert_eq!(inverted_hours("Etc/GMT-14"), Some(-14));
        for name in [
            "Etc/GMT",
            "Etc/GMT0",
            "Etc/GMT+0",
            "Etc/UTC",
            "Asia/Shanghai",
        ] {
            assert_eq!(inverted_hours(name), None, "{name}");
        }
        assert_eq!(from_utc(-480), "8 hours behind UTC");
        assert_eq!(utc_name(-210), "UTC-3:30");
    }
}
