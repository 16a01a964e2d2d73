use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

/// The sign at the start of a line, so that output reads without colour.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Share,
    Cancel,
    Blocked,
    Withheld,
    Failed,
}

impl Sign {
    pub(super) fn paint(self, text: impl Display) -> String {
        let (sign, colour) = match self {
            Self::Share => ('+', AnsiColor::Green),
            Self::Cancel => ('-', AnsiColor::Red),
            Self::Blocked => ('!', AnsiColor::Yellow),
            Self::Withheld => ('~', AnsiColor::Cyan),
            Self::Failed => ('!', AnsiColor::Red),
        };
        let style = colour.on_default();
        format!("{style}{sign} {text}{style:#}")
    }
}

pub(super) fn heading(text: impl Display) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

pub(super) fn dim(text: impl Display) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

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
