//! Stderr, which carries all output except results: the log, notes, warnings and errors. A command that runs once waits
//! for its reader. A daemon must not wait: it continues although nobody reads.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use anstream::ColorChoice;

use super::line_queue::{Bounds, LineQueue};

/// The limits for output that waits for a slow reader. They hold the most that a daemon prints at once, a line for each
/// of 2,000 images in each of 15 regions, with room to spare.
const BOUNDS: Bounds = Bounds {
    lines: 1 << 16,
    bytes: 16 << 20,
};

/// Set if a thread writes to stderr.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// Makes a separate thread write to stderr from now on.
pub(super) fn write_in_background() -> io::Result<()> {
    // The standard library's stderr has a lock, which a writer would hold forever if the reader is stuck.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = LineQueue::start(stderr, BOUNDS, |lines| {
        tracing::warn!(
            lines,
            "lines of this log were dropped, because nobody read it and the buffer was full"
        );
    })?;
    // An error means that there is already a queue, which is fine.
    let _ = QUEUE.set(queue);
    Ok(())
}

/// Writes whole lines as they are.
pub(super) fn write(lines: &[u8]) -> io::Result<()> {
    match QUEUE.get() {
        Some(queue) => {
            queue.push(lines);
            Ok(())
        }
        None => io::stderr().write_all(lines),
    }
}

/// Writes a line for a person, with colours where stderr shows them.
pub(super) fn print(text: impl Display) {
    let Some(queue) = QUEUE.get() else {
        // There is no place to report that stderr is closed.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
        return;
    };
    let line = format!("{text}\n");
    match anstream::AutoStream::choice(&io::stderr()) {
        ColorChoice::Never => {
            let line = anstream::adapter::strip_str(&line).to_string();
            queue.push(line.as_bytes());
        }
        _ => queue.push(line.as_bytes()),
    }
}

/// Lines that were dropped, because neither stderr nor the queue before it could hold them.
pub(super) fn dropped() -> u64 {
    QUEUE.get().map_or(0, LineQueue::dropped)
}

/// Waits until everything is written, unless stderr accepts nothing for as long as `patience`. The rest is lost then.
pub(super) fn flush(patience: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(patience);
    }
}
