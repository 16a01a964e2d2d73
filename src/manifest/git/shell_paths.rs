//! Paths in the commands that messages tell people to run.

use std::path::Path;

use crate::words::{safe, shell};

/// A path below the beginning of a work tree, as git takes it for itself and not for a pattern.
pub(super) fn pathspec(tracked: &Path) -> String {
    let text = tracked.to_string_lossy();
    match text.starts_with(':') || text.contains(['*', '?', '[', '\\']) {
        true => safe(&shell(&format!(":(literal){text}"))),
        false => word(tracked),
    }
}

/// A path as a word of a command that is to be copied into a shell.
pub(super) fn word(path: &Path) -> String {
    safe(&shell(&path.to_string_lossy()))
}
