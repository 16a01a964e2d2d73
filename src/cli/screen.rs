//! A terminal that is refreshed again and again, as in `status --watch`.

use std::io::{self, IsTerminal};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};

use super::output;
use crate::host::{TerminalSize, terminal_size};

const HOME: &str = "\x1b[H";
const ERASE_REST_OF_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Whether stdout is a terminal that can be refreshed.
pub(super) fn is_there() -> bool {
    let can_move = std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb");
    can_move && io::stdout().is_terminal()
}

/// Replaces the terminal's content by the first lines of `text`, as many as fit.
pub(super) fn draw(text: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let plain;
    let mut text = text;
    if AutoStream::choice(&stdout) == ColorChoice::Never {
        plain = strip_str(text).to_string();
        text = &plain;
    }
    output::print_raw(frame(text, terminal_size(&stdout)).as_bytes())
}

/// One refresh. Each line is overwritten, and then its rest erased, so that nothing flickers.
fn frame(text: &str, size: Option<TerminalSize>) -> String {
    let lines: Vec<_> = text.lines().collect();
    let shown = size.map_or(lines.len(), |size| fitting(&lines, size));
    let mut frame = HOME.to_owned();
    let mut put = |line: &str| {
        frame.push_str(line);
        frame.push_str(ERASE_REST_OF_LINE);
        frame.push('\n');
    };
    lines[..shown].iter().for_each(|line| put(line));
    if shown < lines.len() {
        put(&format!("… and {} more lines", lines.len() - shown));
    }
    frame.push_str(ERASE_BELOW);
    frame
}

/// The number of lines that fit, with one line left for the note about the others and one for the cursor.
fn fitting(lines: &[&str], size: TerminalSize) -> usize {
    let rows = |line: &&str| {
        let width = strip_str(line).to_string().chars().count();
        width.div_ceil(size.columns).max(1)
    };
    if lines.iter().map(rows).sum::<usize>() < size.rows {
        return lines.len();
    }
    let mut room = size.rows.saturating_sub(2);
    let fits = |line: &&&str| {
        let rest = room.checked_sub(rows(line));
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    lines.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_as_many_lines_as_the_terminal_has_room_for() {
        let drawn = |text: &str, rows, columns| {
            let frame = frame(text, Some(TerminalSize { rows, columns }));
            let frame = frame.strip_prefix(HOME).expect("it begins at the top");
            let frame = frame.strip_suffix(ERASE_BELOW).expect("it ends with that");
            let lines = frame.split_terminator("\x1b[K\n");
            lines.map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(drawn("a\nb\nc\n", 4, 80), ["a", "b", "c"]);
        assert_eq!(
            drawn("a\nb\nc\nd\n", 4, 80),
            ["a", "b", "… and 2 more lines"]
        );
        // A wrapped line takes two rows, and a style takes none.
        assert_eq!(
            drawn("abcdef\nb\nc\n", 4, 3),
            ["abcdef", "… and 2 more lines"]
        );
        let styled = "\x1b[1mabc\x1b[0m\nb\nc\n";
        assert_eq!(drawn(styled, 4, 3).len(), 3);
        assert_eq!(drawn("a\nb\n", 1, 1), ["… and 2 more lines"]);
        assert_eq!(frame("a\n", None), "\x1b[Ha\x1b[K\n\x1b[J");
    }
}
