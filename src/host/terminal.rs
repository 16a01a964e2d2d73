//! Properties of an output: whether it is a terminal, its size, and whether anybody can still read it.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

/// The columns and rows that a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub rows: usize,
    pub columns: usize,
}

/// The size of the terminal behind an output; `None` if the output is not a terminal or its size is not known.
pub fn terminal_size(output: impl AsFd) -> Option<TerminalSize> {
    let size = tcgetwinsize(output).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| TerminalSize {
        rows: size.ws_row.into(),
        columns: size.ws_col.into(),
    })
}

/// Whether nobody can read an output any longer, because the other end of its pipe is closed. The check writes nothing.
pub fn is_reader_gone(output: impl AsFd) -> bool {
    const AT_ONCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(&output, PollFlags::empty())];
    match poll(&mut polled, Some(&AT_ONCE)) {
        Ok(_) => polled[0]
            .revents()
            .intersects(PollFlags::ERR | PollFlags::HUP),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_gone_once_its_end_is_closed_and_a_file_needs_none() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        assert!(!is_reader_gone(&writer));
        drop(reader);
        assert!(is_reader_gone(&writer));
        assert!(!is_reader_gone(tempfile::tempfile().expect("a file")));
        assert_eq!(terminal_size(&writer), None);
    }
}
