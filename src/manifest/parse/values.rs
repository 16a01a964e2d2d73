//! Values in fields of several documents: ids and names of images, times, durations, words and numbers.

use std::num::IntErrorKind;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta};

use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::manifest::suggest::did_you_mean;
use crate::model::{Glob, ImageId, ImageName, Timestamp};
use crate::words::date_fault;

/// The longest duration. Times stay within the calendar if it is added to them.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);
/// The years that a person may mean by a start or an end.
const YEARS_MEANT: RangeInclusive<i32> = 2000..=2100;
/// Before this year, no image could be shared.
const YEAR_OF_NO_SHARE: i32 = 2020;
/// The limit for the length of a pattern, in characters.
pub(super) const GLOB_LEN_MAX: usize = 256;
/// Characters that are wildcards in other tools, but are literal in our patterns.
const OTHER_WILDCARDS: [char; 2] = ['[', '{'];

impl Reader<'_, '_> {
    pub(super) fn image_id(&mut self, node: &Node<'_>) -> Option<ImageId> {
        let text = self.text(node, "`id`")?;
        ImageId::new(text)
            .map_err(|malformed| {
                let help = if text.starts_with("lhbp-") {
                    "this is a Lighthouse blueprint's id; the id of the CVM image begins with `img-`".to_owned()
                } else if ImageId::new(&text.trim().to_lowercase()).is_ok() {
                    format!("did you mean `{}`?", text.trim().to_lowercase())
                } else if !text.starts_with("img") && ImageName::new(text).is_ok() {
                    format!("{malformed}; if this is its name, write `name: {text}`")
                } else {
                    malformed.to_string()
                };
                self.error(node, format!("`{text}` is not an image id")).help(help);
            })
            .ok()
    }

    /// Reads the whole name of an image, whatever it looks like.
    pub(super) fn whole_name(&mut self, node: &Node<'_>) -> Option<ImageName> {
        let text = self.text(node, "an image's name")?;
        let name = ImageName::new(text);
        if let Err(malformed) = name {
            let help = match ImageName::new(text.trim()) {
                Ok(name) => format!("did you mean `{name}`?"),
                Err(_) => malformed.to_string(),
            };
            self.error(node, format!("`{text}` is not an image name"))
                .help(help);
        }
        name.ok()
    }

    /// Reads the whole name of an image. `if_id` is the remedy if it looks like an id.
    pub(super) fn image_name(&mut self, node: &Node<'_>, if_id: &str) -> Option<ImageName> {
        let name = self.whole_name(node)?;
        let text = name.as_str();
        let place = self.place(node);
        if ImageId::new(text).is_ok() {
            let message = format!("`{text}` looks like an image's id, but is used as its name");
            self.sink.warning(place, message).help(if_id);
        } else if Glob::new(text).is_pattern() {
            let message = format!("`{text}` is used as a whole name, not as a pattern");
            self.sink
                .warning(place, message)
                .help("an `ImageSharePolicy` matches names by patterns");
        }
        Some(name)
    }

    /// Reads a pattern for a non-empty text.
    pub(super) fn glob(&mut self, node: &Node<'_>, what: &str) -> Option<Glob> {
        let text = self.text(node, what)?;
        let help = if text.is_empty() {
            "an empty pattern matches nothing; omit the field, or write `*`".to_owned()
        } else if text.chars().count() > GLOB_LEN_MAX {
            format!("a pattern has at most {GLOB_LEN_MAX} characters")
        } else {
            self.warn_of_other_patterns(node, text);
            return Some(Glob::new(text));
        };
        self.error(node, format!("{what} is not a valid pattern"))
            .help(help);
        None
    }

    /// Warns if a pattern seems to use the syntax of another tool.
    pub(super) fn warn_of_other_patterns(&mut self, node: &Node<'_>, text: &str) {
        let Some(sign) = text.chars().find(|sign| OTHER_WILDCARDS.contains(sign)) else {
            return;
        };
        let place = self.place(node);
        self.sink
            .warning(place, format!("`{sign}` is a literal character in a pattern"))
            .help(
                "only `*` and `?` are wildcards; `nameRegex` can match names with alternatives or ranges",
            );
    }

    pub(super) fn instant(&mut self, node: &Node<'_>, name: &str) -> Option<Timestamp> {
        let text = self.text(node, &format!("`{name}`"))?;
        match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => {
                self.warn_of_year(node, name, text, instant.year());
                Some(instant.to_utc())
            }
            Err(_) => {
                let help = if let Some(fault) = date_fault(text) {
                    fault
                } else if chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
                    format!("add the time of day and the zone: `{text}T00:00:00Z`")
                } else {
                    "write it like `2027-01-31T00:00:00Z`".to_owned()
                };
                self.error(
                    node,
                    format!("`{name}` is not a date and time with a zone: `{text}`"),
                )
                .help(help);
                None
            }
        }
    }

    /// Warns about a year that is probably a typing error: a share that ended long ago is cancelled at once.
    fn warn_of_year(&mut self, node: &Node<'_>, name: &str, text: &str, year: i32) {
        let is_over = name == "until" && year < YEAR_OF_NO_SHARE;
        if !["from", "until", "at"].contains(&name) || (YEARS_MEANT.contains(&year) && !is_over) {
            return;
        }
        let place = self.place(node);
        self.sink
            .warning(place, format!("`{name}` is in the year {year:04}: `{text}`"))
            .help(match name {
                "until" if is_over => {
                    "is the year right? Something that has already ended has no effect: a share that has ended is cancelled at once"
                }
                _ => "is the year right? Omit the field to mean always",
            });
    }

    /// Reads a duration such as `24h`; `0` is allowed.
    pub(super) fn duration(&mut self, node: &Node<'_>, name: &str) -> Option<TimeDelta> {
        let what = format!("`{name}`");
        let text = self.scalar(node, &what)?;
        let Ok(duration) = humantime::parse_duration(text) else {
            let help = match humantime::parse_duration(&format!("{text}h")) {
                Ok(_) => format!("add a unit: `{text}h`, `{text}m` or `{text}s`"),
                Err(_) => "write it like `72h` or `1h 30m`; `0` means none".to_owned(),
            };
            self.error(node, format!("{what} is not a duration: `{text}`"))
                .help(help);
            return None;
        };
        let delta = TimeDelta::from_std(duration).ok();
        let delta = delta.filter(|_| duration <= DURATION_MAX);
        if delta.is_none() {
            let days = DURATION_MAX.as_secs() / (24 * 3600);
            self.error(node, format!("{what} is longer than {days} days"))
                .help("check the unit: `m` is minutes, `M` is months");
        }
        delta
    }

    /// Reads a whole number within `range`.
    pub(super) fn whole(
        &mut self,
        node: &Node<'_>,
        name: &str,
        range: RangeInclusive<u32>,
        help: &str,
    ) -> Option<u32> {
        let number = match &node.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let is_too_great = matches!(&node.value, Value::Scalar { text, plain: true }
            if match text.parse::<u32>() {
                Ok(number) => number > *most,
                Err(error) => *error.kind() == IntErrorKind::PosOverflow,
            });
            let message = format!("`{name}` must be a whole number from {least} to {most}");
            self.error(node, message)
                .maybe_help((!is_too_great).then(|| help.to_owned()));
        }
        number
    }

    /// Reads one of some words, each of which has a meaning.
    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node<'_>,
        name: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(node, &format!("`{name}`"))?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known = || words.iter().map(|(word, _)| *word);
            let listed = || {
                let quoted: Vec<_> = known().map(|word| format!("`{word}`")).collect();
                format!("write {}", quoted.join(" or "))
            };
            let help = did_you_mean(text, known()).unwrap_or_else(listed);
            self.error(node, format!("unknown `{name}`: `{text}`"))
                .help(help);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Reads free text; `None` if there is none. An invalid text is reported, and affects nothing else.
    pub(super) fn free_text(&mut self, fields: &Fields<'_, '_>, name: &str) -> Option<Arc<str>> {
        let node = fields.get(name)?;
        let text = self.scalar(node, &format!("`{name}`"))?;
        (!node.is_null() && !text.is_empty()).then(|| text.into())
    }

    /// Reads an optional field. The outer `None` means that it is present but wrong.
    pub(super) fn optional<'n, 'a, T>(
        &mut self,
        fields: &Fields<'n, 'a>,
        name: &str,
        read: impl FnOnce(&mut Self, &'n Node<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match fields.get(name) {
            Some(node) => read(self, node).map(Some),
            None => Some(None),
        }
    }
}
