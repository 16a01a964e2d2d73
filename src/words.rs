//! Text for people: counts, durations, and untrusted text made safe to show.

mod calendar;
mod secret_parts;

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

pub use calendar::{date_fault, time_fault};
pub use secret_parts::{is_plain, masked, without_secrets, without_url_secrets};

/// A count with its noun: `1 write`, `2 writes`.
pub fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number that people can read at a glance: `1,742`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first few items of a list, and the number of the others: `a, b and 3 more`.
pub fn first_of(all: &[impl AsRef<str>]) -> String {
    const SHOWN_MAX: usize = 8;
    let shown: Vec<_> = all.iter().take(SHOWN_MAX).map(AsRef::as_ref).collect();
    match all.len() - shown.len() {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

/// Text with the RequestId, if there is one. The vendor's support asks for it.
pub fn with_request_id(text: &str, request_id: Option<&str>) -> String {
    match request_id {
        Some(id) => format!("{text} [RequestId {id}]"),
        None => text.to_owned(),
    }
}

/// RFC 3339 in UTC, without fractions of a second: `2026-11-27T14:00:00Z`.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A duration: `2.2 s`, `4 min 10 s`, and beyond two hours `20 h 0 min`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole > 7_200 {
        format!("{} h {} min", whole / 3600, whole / 60 % 60)
    } else if whole >= 60 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// Makes untrusted text safe: it cannot add a line, a terminal escape or a change of text direction to any output. Each
/// character stays one character, so that columns still line up.
pub fn safe(text: &str) -> String {
    text.chars().map(safe_char).collect()
}

/// [`safe`] without a copy if nothing has to change: for documents of many thousand lines.
pub fn safe_cow(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| safe_char(c) == c) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(safe(text))
    }
}

/// The replacement that [`safe`] uses for one character.
pub fn safe_char(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// [`safe`], cut to the length that an error message may have.
pub fn brief(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", safe(&text[..end])),
        None => safe(text),
    }
}

/// Text as one word of a POSIX shell, quoted if necessary.
pub fn shell(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,/:=@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// Removes everything before the `@` in each URL of a text: it may be a password.
pub fn without_userinfo(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let ends = |c: char| c == '/' || c.is_whitespace() || c == '\'' || c == '"';
        let authority = &part[..part.find(ends).unwrap_or(part.len())];
        let userinfo = authority.rfind('@').map_or(0, |at| at + 1);
        shown.push_str("://");
        shown.push_str(&part[userinfo..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o2_a_url_is_shown_without_the_password_in_it() {
        for (text, shown) in [
            ("a 'https://u:p@h/x@y' b", "a 'https://h/x@y' b"),
            (
                "https://t@h and ssh://g:p@@h:22",
                "https://h and ssh://h:22",
            ),
            ("file:///a@b", "file:///a@b"),
            ("nothing: at@all", "nothing: at@all"),
            ("://", "://"),
        ] {
            assert_eq!(without_userinfo(text), shown);
        }
    }

    #[test]
    fn shell_words_are_quoted_where_necessary() {
        for (text, word) in [
            ("manifests/a-b_c.yaml", "manifests/a-b_c.yaml"),
            ("team=web", "team=web"),
            ("my plan", "'my plan'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
            ("{region}", "'{region}'"),
            ("", "''"),
        ] {
            assert_eq!(shell(text), word);
        }
    }

    #[test]
    fn o1_s22_foreign_text_cannot_add_a_line_or_an_escape() {
        assert_eq!(safe("a\nb\x1b[2J\u{202e}c"), "a b\u{fffd}[2J\u{fffd}c");
        assert_eq!(safe_cow("a\nb"), safe("a\nb"));
        assert!(matches!(safe_cow("a b"), Cow::Borrowed("a b")));
        assert_eq!(brief(&"x".repeat(400)).chars().count(), 301);
        assert_eq!(brief("short"), "short");
    }

    #[test]
    fn counts_and_durations_read_well() {
        assert_eq!(
            (plural(1, "write"), plural(0, "write")),
            ("1 write".into(), "0 writes".into())
        );
        assert_eq!(seconds(Duration::from_millis(2_240)), "2.2 s");
        assert_eq!(seconds(Duration::from_secs(250)), "4 min 10 s");
    }
}
