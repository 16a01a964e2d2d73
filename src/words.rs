//! Text for people: counts, durations, and foreign text made safe to show.

use std::time::Duration;

/// `1 write`, `2 writes`.
pub fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `2.2 s`, `4 min 10 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// Foreign text that cannot add a line, a terminal escape or a change of direction to any output. Each
/// character stays one character, so that columns hold.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// [`safe`], and no longer than an error message should be.
pub fn brief(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", safe(&text[..end])),
        None => safe(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_s22_foreign_text_cannot_add_a_line_or_an_escape() {
        assert_eq!(safe("a\nb\x1b[2J\u{202e}c"), "a b\u{fffd}[2J\u{fffd}c");
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
