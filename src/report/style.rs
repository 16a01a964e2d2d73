//! Signs and colours of text output. Each sign corresponds to a colour, so that the output is readable without colour.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// The sign at the start of a line, so that the output is readable without colour.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Share,
    Cancel,
    Blocked,
    Withheld,
    Failed,
    Pending,
}

impl Sign {
    pub(super) fn paint(self, text: impl Display) -> String {
        let (sign, colour) = match self {
            Self::Share => ('+', AnsiColor::Green),
            Self::Cancel => ('-', AnsiColor::Red),
            Self::Blocked => ('!', AnsiColor::Yellow),
            Self::Withheld => ('~', AnsiColor::Cyan),
            Self::Failed => ('!', AnsiColor::Red),
            Self::Pending => ('…', AnsiColor::Cyan),
        };
        let style = colour.on_default();
        format!("{style}{sign} {text}{style:#}")
    }
}

pub(crate) fn heading(text: impl Display) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

pub(crate) fn dim(text: impl Display) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}
