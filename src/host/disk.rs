//! Properties of a directory's file system: the free space, and whether this user may write.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};

/// The bytes that a user may still write to the disk of `path`; `None` if the system does not report them.
pub fn free_space(path: &Path) -> Option<u64> {
    let found = statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether this user may create files in a directory. The check creates nothing.
pub fn may_write(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_ours_has_room_and_one_that_is_not_there_has_none() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(may_write(directory.path()));
        assert!(free_space(directory.path()).is_some_and(|bytes| bytes > 0));
        let nowhere = directory.path().join("nowhere");
        assert!(!may_write(&nowhere));
        assert_eq!(free_space(&nowhere), None);
    }
}
