//! Files that no directory entry leads to any longer. If a single file is mounted into a container, and an editor or a
//! checkout replaces it outside, the container keeps the old file and never sees later edits.

use std::path::PathBuf;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;

/// One warning for each file.
pub(in crate::manifest) fn warnings(files: &[PathBuf], options: &ReadOptions) -> Vec<Diagnostic> {
    let warning = |path: &PathBuf| {
        Diagnostic::warning_of_path(
            &options.name(path),
            "edits of the file cannot be seen: no directory entry leads to it any longer, for example because a single file is mounted into a \
             container and was replaced outside",
            "mount the directory that contains the file, and restart this",
        )
    };
    files.iter().map(warning).collect()
}
