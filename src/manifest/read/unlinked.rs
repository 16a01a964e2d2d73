//! Files that no directory names any longer. A container into which a single file was mounted keeps such a file once an
//! editor or a checkout has put another one in its place outside, and never sees what is edited from then on.

use std::path::PathBuf;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;

/// One warning for each file.
pub(in crate::manifest) fn warnings(files: &[PathBuf], options: &ReadOptions) -> Vec<Diagnostic> {
    let warning = |path: &PathBuf| {
        Diagnostic::warning_of_path(
            &options.name(path),
            "edits of the file cannot be seen: no directory names it any longer, as where a single file is mounted into a \
             container and another one has taken its place outside",
            "mount the directory that holds the file, and start this anew",
        )
    };
    files.iter().map(warning).collect()
}
