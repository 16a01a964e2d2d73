//! `spec.windows` of an `Account`: when changes may be made. The meaning of a window is in `crate::windows`.

use std::collections::BTreeSet;

use chrono::Weekday;

use super::fields::{Fields, Reader};
use super::time_zone;
use super::yaml::{Node, Value};
use crate::manifest::diagnostic::Place;
use crate::manifest::suggest::{did_you_mean, nearest};
use crate::model::Cause;
use crate::windows::{
    Daily, Days, Kind, Length, Schedule, Span, Starts, StartsError, TimeOfDay, Window, Windows,
};
use crate::words::time_fault;

const FIELDS: [&str; 9] = [
    "kind", "days", "from", "to", "schedule", "duration", "timeZone", "causes", "reason",
];

/// Reads the windows of an account. Those with errors are reported and left out.
pub(super) fn read(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Windows {
    let empty = "omit `windows` if changes may be made at any time";
    let items = reader.list(node, "`windows`", empty).unwrap_or_default();
    if let Some(first) = items.get(Windows::MAX) {
        let message = format!("an account has at most {} windows", Windows::MAX);
        reader
            .error(first, message)
            .help("one window can have several days, and a cron expression several times");
    }
    let read = items.iter().take(Windows::MAX);
    let windows: Vec<_> = read.filter_map(|item| window(reader, item)).collect();
    let is_whole = windows.len() == items.len();
    let windows = Windows::new(windows);
    if is_whole {
        warn_of_closed(reader, node, &windows);
    }
    windows
}

/// Warns if changes could never be made, because nobody needs windows for that.
fn warn_of_closed(reader: &mut Reader<'_, '_>, node: &Node<'_>, windows: &Windows) {
    let closed: Vec<_> = Cause::ALL
        .into_iter()
        .filter(|cause| windows.are_never_open(*cause))
        .map(|cause| format!("`{}`", cause.as_str()))
        .collect();
    let which = match closed.len() {
        0 => return,
        all if all == Cause::ALL.len() => String::new(),
        _ => format!("{} ", closed.join(", ")),
    };
    let place = reader.place(node);
    let message = format!("these windows are never open: no {which}change can ever be made");
    reader.sink.warning(place, message).help(
        "a `deny` window overrides an `allow` window at the same time; make one of them shorter, or remove it",
    );
}

fn window(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Window> {
    let fields = reader.fields(node, "a window", &FIELDS)?;
    let kind = reader.required(&fields, "kind", "the window");
    let kind = kind.and_then(|node| self::kind(reader, node));
    let span = if fields.get("schedule").or(fields.get("duration")).is_some() {
        scheduled(reader, &fields)
    } else {
        daily(reader, &fields)
    };
    let zone = reader.required(&fields, "timeZone", "the window");
    let zone = zone.and_then(|node| time_zone::read(reader, node));
    let causes = match fields.get("causes") {
        Some(node) => causes(reader, node),
        None => Cause::ALL.into(),
    };
    let reason = fields.get("reason").filter(|node| !node.is_null());
    let reason = reason.and_then(|node| reader.scalar(node, "`reason`"));
    Some(Window {
        kind: kind?,
        causes,
        span: span?,
        zone: zone?,
        reason: reason.map(str::to_owned),
    })
}

fn kind(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Kind> {
    let text = reader.text(node, "`kind`")?;
    let kind = Kind::new(text);
    if kind.is_none() {
        let help = did_you_mean(text, Kind::ALL.map(Kind::as_str))
            .unwrap_or_else(|| "write `allow` or `deny`".to_owned());
        reader
            .error(node, format!("unknown kind of window `{text}`"))
            .help(help);
    }
    kind
}

fn causes(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> BTreeSet<Cause> {
    let empty = "omit `causes` to mean every change";
    let items = reader.list(node, "`causes`", empty).unwrap_or_default();
    let causes = reader.each_once(items, |reader, item| {
        let text = reader.text(item, "a cause")?;
        let cause = Cause::new(text);
        if cause.is_none() {
            let words = Cause::ALL.map(Cause::as_str);
            let help = did_you_mean(text, words)
                .unwrap_or_else(|| format!("the causes are: {}", words.join(", ")));
            reader
                .error(item, format!("`{text}` is not a cause of a change"))
                .help(help);
        }
        cause
    });
    causes.into_iter().map(|(cause, _)| cause).collect()
}

/// Reads a window given by days of the week and times of day.
fn daily(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<Span> {
    let days = match fields.get("days") {
        Some(node) => days(reader, node),
        None => Some(Days::ALL),
    };
    let (from, to) = if fields.get("from").or(fields.get("to")).is_none() {
        (Some(TimeOfDay::START), Some(TimeOfDay::END))
    } else {
        let from = reader.required(fields, "from", "a window with `to`");
        let to = reader.required(fields, "to", "a window with `from`");
        let begin = from.and_then(|node| Some((node, time(reader, node, "`from`")?)));
        if let Some((node, TimeOfDay::END)) = begin {
            reader
                .error(node, "a window cannot start at the end of a day")
                .help("write \"00:00\", and the day after");
        }
        let end = to.and_then(|node| time(reader, node, "`to`"));
        (begin.map(|(_, time)| time), end)
    };
    Some(Span::Daily(Daily {
        days: days?,
        from: from?,
        to: to?,
    }))
}

fn days(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Days> {
    let items = reader.list(node, "`days`", "omit `days` to mean every day")?;
    let mut days = Days::NONE;
    let mut seen: Vec<(Weekday, Place)> = Vec::new();
    for item in items {
        let Some((first, last)) = range(reader, item) else {
            continue;
        };
        let place = reader.place(item);
        let twice = Days::from_to(first, last)
            .find_map(|day| seen.iter().find(|(known, _)| *known == day).copied());
        if let Some((_, first)) = twice {
            reader.report_duplicate(item, first);
        }
        for day in Days::from_to(first, last).filter(|day| !days.contains(*day)) {
            seen.push((day, place));
        }
        Days::from_to(first, last).for_each(|day| days.insert(day));
    }
    Some(days)
}

/// Reads a day or a range of days. For a single day, both results are the same.
fn range(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<(Weekday, Weekday)> {
    let text = reader.text(node, "a day")?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    if let (Some(first), Some(last)) = (Days::day(first), Days::day(last)) {
        return Some((first, last));
    }
    // Full names are the most common mistake, and too different from the short words for a suggestion by distance.
    let meant = |text: &str| {
        let text = text.trim().to_lowercase();
        let short = Days::WORDS.into_iter().find(|word| text.starts_with(word));
        short.or_else(|| nearest(&text, Days::WORDS))
    };
    let help = match (meant(first), meant(last)) {
        (Some(first), Some(last)) if text.contains('-') => {
            format!("did you mean `{first}-{last}`?")
        }
        (Some(day), Some(_)) => format!("did you mean `{day}`?"),
        _ => format!(
            "days are: {}; or a range, such as `mon-fri`",
            Days::WORDS.join(", ")
        ),
    };
    reader
        .error(node, format!("`{text}` is not a day of the week"))
        .help(help);
    None
}

/// Reads a time of day. Unquoted `18:00` is accepted as written, although YAML 1.1 reads it as a number.
fn time(reader: &mut Reader<'_, '_>, node: &Node<'_>, what: &str) -> Option<TimeOfDay> {
    let text = reader.scalar(node, what)?;
    let time = TimeOfDay::new(text);
    if time.is_none() {
        // YAML 1.1 reads 18:00 as 18 × 60, and some tools write that number back.
        let base_sixty = || {
            let plain = matches!(node.value, Value::Scalar { plain: true, .. });
            let minutes = text.parse().ok().filter(|&minutes| plain && minutes >= 60);
            TimeOfDay::from_minutes(minutes?)
        };
        let help = match (TimeOfDay::new(&format!("0{text}")), base_sixty()) {
            (Some(time), _) => format!("write \"{time}\""),
            (None, Some(time)) => {
                format!("did you mean \"{time}\"? YAML 1.1 reads {time} without quotes as {text}")
            }
            (None, None) => time_fault(text, "24").unwrap_or_else(|| {
                "write it like \"18:00\"; \"24:00\" is the end of the day".to_owned()
            }),
        };
        reader
            .error(node, format!("{what} is not a time of day: `{text}`"))
            .help(help);
    }
    time
}

/// Reads a window given by a cron expression and a duration.
fn scheduled(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<Span> {
    for name in ["days", "from", "to"] {
        if let Some(node) = fields.get(name) {
            reader
                .error(node, format!("`{name}` and `schedule` exclude each other"))
                .help("give `schedule` and `duration`, or `days`, `from` and `to`");
        }
    }
    let starts = reader.required(fields, "schedule", "a window with `duration`");
    let starts = starts.and_then(|node| self::starts(reader, node));
    let length = reader.required(fields, "duration", "a window with `schedule`");
    let length = length.and_then(|node| self::length(reader, node));
    Some(Span::Scheduled(Schedule::new(starts?, length?)))
}

fn starts(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Starts> {
    let text = reader.text(node, "`schedule`")?;
    Starts::new(text)
        .map_err(|error| {
            let help = match error {
                StartsError::Field { .. } => {
                    format!("{error}; a schedule has a form such as `0 9 * * 1-5` or `*/30 8-17 * * mon`")
                }
                StartsError::Fields | StartsError::Never => error.to_string(),
            };
            reader
                .error(node, format!("`{text}` is not a cron schedule"))
                .help(help);
        })
        .ok()
}

fn length(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Length> {
    let text = reader.scalar(node, "`duration`")?;
    let Ok(duration) = humantime::parse_duration(text) else {
        reader
            .error(node, format!("`duration` is not a duration: `{text}`"))
            .help("write it like `8h` or `1h 30m`");
        return None;
    };
    let length = Length::new(duration);
    if length.is_none() {
        let [least, most] = [Length::MIN, Length::MAX].map(humantime::format_duration);
        reader
            .error(
                node,
                format!("`duration` must be whole minutes, from {least} to {most}"),
            )
            .help("for longer windows, use `days`");
    }
    length
}
