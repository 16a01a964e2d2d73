//! Paths as words in the shell commands that messages recommend.

use std::path::Path;

use crate::words::{safe, shell};

/// A path relative to the top of the work tree, as a pathspec that matches nothing else.
pub(super) fn pathspec(tracked: &Path) -> String {
    let text = tracked.to_string_lossy();
    match text.starts_with(':') || text.contains(['*', '?', '[', '\\']) {
        true => safe(&shell(&format!(":(literal){text}"))),
        false => word(tracked),
    }
}

/// A path quoted for a command that people copy into a shell.
pub(super) fn word(path: &Path) -> String {
    safe(&shell(&path.to_string_lossy()))
}
