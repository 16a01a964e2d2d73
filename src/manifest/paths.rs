//! The rules for file names: which are manifests, which are ignored, and the real location of a path. Reading,
//! fingerprints and the comparison with git must all use the same rules.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file name endings of manifests.
pub(super) const ENDINGS: [&str; 2] = [".yaml", ".yml"];

/// The number of directory levels that are searched. It is enough for any tree of manifests, and ends a loop through
/// mounts.
pub(super) const DEPTH_MAX: usize = 32;

/// The link through which Kubernetes swaps all files of a volume at once.
pub(super) const VOLUME_LINK: &str = "..data";

pub(crate) fn is_manifest_name(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a directory entry of this name is ignored.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Entries of a directory, sorted by name.
pub(super) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// `.` for an empty path, which is what the parent of a bare file name is.
pub(super) fn or_current_dir(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// The path with all links resolved except its last component, which may be a link itself.
pub(super) fn resolve_parent(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(or_current_dir(parent))?.join(name)),
        _ => fs::canonicalize(path),
    }
}

/// The directories that a `Restriction` at an unreadable path might apply to. Anything except a directory counts as a
/// file, which restricts both the place where it is found and its real location. If nothing exists there, the name
/// decides.
pub(super) fn maybe_restricted_by(path: &Path) -> Vec<PathBuf> {
    let location = resolve_parent(path).unwrap_or_else(|_| path.to_owned());
    let is_directory = match fs::metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(_) => !is_manifest_name(&path.to_string_lossy()),
    };
    if is_directory {
        return vec![location];
    }
    let resolved = fs::canonicalize(path).ok();
    let files = [Some(location), resolved].into_iter().flatten();
    files
        .filter_map(|file| Some(file.parent()?.to_owned()))
        .collect()
}
