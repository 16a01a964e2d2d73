//! Removes what a killed git left among the files of the private copy, and nothing outside of them.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Prefixes of the temporary names that git gives to files until they are complete: packs, their indices, single objects,
/// and the list of commits without parents.
const HALVES: [&str; 3] = ["tmp_", ".tmp-", "shallow_"];
/// Extensions of the files with which git keeps other processes away: from refs and settings, and from a pack that
/// arrives.
const LOCKS: [&str; 2] = ["lock", "keep"];

/// Removes everything in `home` except `bare`, and the leftovers in `bare`. Returns the number of its pack files, or
/// `None` if there is no repository yet.
pub(super) fn tidy(home: &Path, bare: &Path) -> io::Result<Option<usize>> {
    private_directory(home)?;
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        if path != bare {
            remove(&path)?;
        }
    }
    // A link would lead to a repository that belongs to somebody else.
    let is_own = fs::symlink_metadata(bare).is_ok_and(|metadata| metadata.is_dir());
    if !is_own || !bare.join("HEAD").is_file() {
        return remove(bare).map(|()| None);
    }
    remove_leftovers(bare)?;
    let packs = fs::read_dir(bare.join("objects/pack"));
    Ok(Some(packs.map_or(0, Iterator::count)))
}

/// Removes incomplete packs, and locks whose owner no longer runs. Follows no links.
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
    // git makes the index of a pack last, and does not use a pack without an index.
    let has_no_index = name.starts_with("pack-") && !path.with_extension("idx").exists();
    is_half || has_no_index || ending.is_some_and(|ending| LOCKS.contains(&ending))
}

/// Makes a directory that only this user can enter, or changes the rights of an existing one accordingly.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Removes a file or a directory, if it exists.
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
