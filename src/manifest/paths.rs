//! Which names are those of manifests, and where a path really stands. By these rules manifests are found, their changes
//! noticed, and what git has compared with what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Of the names of manifests.
pub(super) const ENDINGS: [&str; 2] = [".yaml", ".yml"];

/// Deep enough for any tree of manifests; a loop through mounts ends here.
pub(super) const DEPTH_MAX: usize = 32;

/// The link through which Kubernetes swaps all files of a volume at once.
pub(super) const VOLUME_LINK: &str = "..data";

pub(super) fn is_manifest_name(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether an entry of a directory is not looked at.
pub(super) fn is_ignored(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// What is in a directory, in the order of the names.
pub(super) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// An empty path is the parent of a relative one.
pub(super) fn or_current_dir(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Where a path stands, without links before its last name. That may be one.
pub(super) fn resolve_parent(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(or_current_dir(parent))?.join(name)),
        _ => fs::canonicalize(path),
    }
}

/// The directories that a `Restriction` at a path that cannot be read might be about. What is no directory is a file,
/// which governs where it is found and where it really is. What does not even exist is told by its name.
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
