//! The files of the private copy: what a git that was killed left among them is removed, and nothing outside of it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// How the names of files begin that git renames once they are whole: packs, their indices, single objects, and the list of
/// commits without parents.
const HALVES: [&str; 3] = ["tmp_", ".tmp-", "shallow_"];
/// How the names of files end by which git keeps others off: of refs and settings, and of a pack that arrives.
const LOCKS: [&str; 2] = ["lock", "keep"];

/// Removes everything in `home` but `bare`, and what was left in `bare`. The number of its pack files; `None` if there is no
/// repository yet.
pub(super) fn tidy(home: &Path, bare: &Path) -> io::Result<Option<usize>> {
    private_directory(home)?;
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        if path != bare {
            remove(&path)?;
        }
    }
    // A link leads to a repository that is somebody else's.
    let is_own = fs::symlink_metadata(bare).is_ok_and(|metadata| metadata.is_dir());
    if !is_own || !bare.join("HEAD").is_file() {
        return remove(bare).map(|()| None);
    }
    remove_leftovers(bare)?;
    let packs = fs::read_dir(bare.join("objects/pack"));
    Ok(Some(packs.map_or(0, Iterator::count)))
}

/// Removes halves of packs and locks, of whose owner nothing runs any longer. Follows no link.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if is_leftover(&path) {
            remove(&path)?;
        } else if entry.file_type()?.is_dir() {
            remove_leftovers(&path)?;
        }
    }
    Ok(())
}

fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy);
    let name = name.unwrap_or_default();
    let ending = path.extension().and_then(OsStr::to_str);
    let is_half = HALVES.iter().any(|start| name.starts_with(start));
    // git makes the index of a pack last, and uses no pack without one.
    let has_no_index = name.starts_with("pack-") && !path.with_extension("idx").exists();
    is_half || has_no_index || ending.is_some_and(|ending| LOCKS.contains(&ending))
}

/// Makes a directory that nobody else can enter, or makes it so.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Removes a file or a directory, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = fs::symlink_metadata(path).and_then(|metadata| match metadata.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
