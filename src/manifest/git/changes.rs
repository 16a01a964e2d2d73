//! Whether the manifests differ from the commit that is checked out. Only files that are read as manifests count, by
//! the same rules as for reading.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::command::{Git, literal};
use super::revision_error::RevisionError;
use crate::host::{CommandError, CommandRunner};
use crate::manifest::paths::{
    self, DEPTH_MAX, ENDINGS, is_ignored, is_manifest_name, or_current_dir,
};
use crate::model::is_hash;

/// The number of paths in one git command, because the length of command lines is limited.
const FILES_AT_ONCE: usize = 500;
/// The number of links that are followed in a row; Linux has the same limit.
const LINKS_MAX: usize = 40;

/// Everything that is read at the given paths. All paths in it are resolved.
#[derive(Default)]
pub(super) struct Extent {
    directories: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Links on the way to the others. They count only if git tracks them.
    links: BTreeSet<PathBuf>,
    /// Repositories below the directories, such as submodules.
    nested: BTreeSet<PathBuf>,
}

impl Extent {
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, RevisionError> {
        let mut extent = Self::default();
        for path in paths {
            let resolved = fs::canonicalize(path).map_err(|error| RevisionError::Gone {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            extent.links.extend(links(path));
            if resolved.is_dir() {
                extent.directories.insert(resolved);
            } else {
                extent.files.insert(resolved);
            }
        }
        Ok(extent)
    }

    /// The directories that were given or that hold a given file, each with its repository.
    pub(super) fn places(&self) -> BTreeMap<PathBuf, Option<PathBuf>> {
        let parents = self.files.iter().filter_map(|file| file.parent());
        let directories = self.directories.iter().map(PathBuf::as_path);
        let places = directories.chain(parents);
        places
            .map(|place| (place.to_owned(), repository(place)))
            .collect()
    }

    /// Whether any of it differs from the commit that is checked out in `top`.
    pub(super) async fn has_changes<P: CommandRunner>(
        mut self,
        top: &Path,
        git: &Git<'_, P>,
    ) -> Result<bool, RevisionError> {
        for directory in self.directories.clone() {
            self.look_into(&directory, 0);
        }
        let mut directories: Vec<_> = self.directories.iter().cloned().collect();
        let mut tops = BTreeSet::from([top.to_owned()]);
        for nested in &self.nested {
            let unknown = |error| RevisionError::of(error, nested);
            // A directory that looks like a repository may not be one for git, which then treats it as a part of the
            // superproject.
            if git.top(nested).await.map_err(unknown)? != *nested {
                continue;
            }
            if git.is_submodule(nested).await.map_err(unknown)? {
                directories.push(nested.clone());
                tops.insert(nested.clone());
            } else if holds_manifest(nested, 0) {
                return Ok(true);
            }
        }
        for directory in &directories {
            let has_changes = git.directory_has_changes(directory, &tops).await;
            if has_changes.map_err(|error| RevisionError::of(error, directory))? {
                return Ok(true);
            }
        }
        self.files_have_changes(&tops, git).await
    }

    /// Whether any single file, or a link on the way to what is read, differs from its commit.
    async fn files_have_changes<P: CommandRunner>(
        &self,
        tops: &BTreeSet<PathBuf>,
        git: &Git<'_, P>,
    ) -> Result<bool, RevisionError> {
        let is_known = |file: &PathBuf| repository(file).is_some_and(|it| tops.contains(&it));
        if !self.files.iter().all(is_known) {
            // The file is in a repository that was not asked.
            return Ok(true);
        }
        for top in tops {
            let unknown = |error| RevisionError::of(error, top);
            // A link in another repository is not part of the commit.
            let in_it = |paths: &BTreeSet<PathBuf>| -> Vec<OsString> {
                let paths = paths.iter();
                let in_it = paths.filter(|path| repository(path).as_ref() == Some(top));
                let below = in_it.filter_map(|path| path.strip_prefix(top).ok());
                below.map(literal).collect()
            };
            let (files, links) = (in_it(&self.files), in_it(&self.links));
            for paths in files
                .chunks(FILES_AT_ONCE)
                .chain(links.chunks(FILES_AT_ONCE))
            {
                if git.tracks_changes(top, paths).await.map_err(unknown)? {
                    return Ok(true);
                }
            }
            for files in files.chunks(FILES_AT_ONCE) {
                if git.leaves_out(top, files).await.map_err(unknown)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Finds what git cannot derive from the names below a directory: the targets of links, and other repositories.
    /// Errors are reported when the manifests are read, so they are ignored here.
    fn look_into(&mut self, directory: &Path, depth: usize) {
        for (path, kind) in entries(directory, depth) {
            if kind.is_dir() {
                if fs::symlink_metadata(path.join(".git")).is_ok() {
                    self.nested.insert(path.clone());
                }
                self.look_into(&path, depth + 1);
            } else if kind.is_symlink()
                && is_manifest(&path)
                && let Ok(target) = fs::canonicalize(&path)
            {
                self.files.insert(target);
                self.links.extend(links(&path));
            }
        }
    }
}

/// Whether a file below a directory is read as a manifest.
fn holds_manifest(directory: &Path, depth: usize) -> bool {
    entries(directory, depth).any(|(path, kind)| match kind.is_dir() {
        true => holds_manifest(&path, depth + 1),
        false => is_manifest(&path),
    })
}

/// Entries of a directory that are not ignored.
fn entries(directory: &Path, depth: usize) -> impl Iterator<Item = (PathBuf, fs::FileType)> {
    let entries = match depth {
        0..=DEPTH_MAX => paths::entries(directory).unwrap_or_default(),
        _ => Vec::new(),
    };
    let kept = entries
        .into_iter()
        .filter(|entry| !is_ignored(&entry.file_name().to_string_lossy()));
    kept.filter_map(|entry| Some((entry.path(), entry.file_type().ok()?)))
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    is_manifest_name(&name.to_string_lossy())
}

/// Whether no component of a path below a directory is ignored.
fn is_looked_at(below: &Path) -> bool {
    let mut names = below.components();
    names.all(|name| !is_ignored(&name.as_os_str().to_string_lossy()))
}

/// The innermost directory at or above a path that holds a `.git`. Only git can decide whether that is a repository.
fn repository(path: &Path) -> Option<PathBuf> {
    let mut around = path.ancestors();
    let found = around.find(|directory| fs::symlink_metadata(directory.join(".git")).is_ok());
    found.map(Path::to_owned)
}

/// The links on the way to a path, each with its parent resolved.
fn links(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(mut path) = std::path::absolute(path) else {
        return found;
    };
    while found.len() < LINKS_MAX {
        let prefixes: Vec<_> = path.ancestors().collect();
        let mut prefixes = prefixes.into_iter().rev();
        let Some((link, target)) =
            prefixes.find_map(|prefix| Some((prefix.to_owned(), fs::read_link(prefix).ok()?)))
        else {
            break;
        };
        // The path before the link contains no link, but `..` may lead back through one that was followed.
        let Some(parent) = link
            .parent()
            .and_then(|parent| fs::canonicalize(or_current_dir(parent)).ok())
        else {
            break;
        };
        let rest = path.strip_prefix(&link).unwrap_or(Path::new("")).to_owned();
        found.extend(link.file_name().map(|name| parent.join(name)));
        // Collected from components, because a path that ends in a slash means the target of a link.
        path = parent
            .join(target)
            .components()
            .chain(rest.components())
            .collect();
    }
    found
}

impl<P: CommandRunner> Git<'_, P> {
    /// Whether a manifest below a directory differs from the commit.
    async fn directory_has_changes(
        &self,
        directory: &Path,
        tops: &BTreeSet<PathBuf>,
    ) -> Result<bool, CommandError> {
        let mut above = directory.ancestors();
        let top = above.find(|path| tops.contains(*path));
        let below = top.and_then(|top| directory.strip_prefix(top).ok());
        let below = below.unwrap_or(Path::new(""));
        let tracked = self.changes(directory, &[".".into()]).await?;
        let Some(tracked) = tracked else {
            return Ok(true);
        };
        for change in tracked {
            let path = change.path.strip_prefix(below).unwrap_or(&change.path);
            let counts = is_looked_at(path)
                && match &change.submodule_commits {
                    None => is_manifest(path),
                    Some(commits) => self.may_hold_manifest(&directory.join(path), commits).await,
                };
            if counts {
                return Ok(true);
            }
        }
        let manifests = ENDINGS.map(|ending| format!(":(glob)**/*{ending}").into());
        let others = self.others(directory, &manifests).await?;
        let counts = |path: &PathBuf| is_looked_at(path) && is_manifest(path);
        if others.is_none_or(|paths| paths.iter().any(counts)) {
            return Ok(true);
        }
        let hidden = self.hidden(directory, &manifests).await?;
        Ok(hidden.iter().any(counts))
    }

    /// Whether a submodule has or had a manifest, in its files or in one of the commits that the superproject names. If
    /// that is not known, the answer is yes.
    async fn may_hold_manifest(&self, submodule: &Path, commits: &[String]) -> bool {
        if holds_manifest(submodule, 0) {
            return true;
        }
        // If it is not checked out, git would answer for the superproject.
        if !self.top(submodule).await.is_ok_and(|top| top == submodule) {
            return true;
        }
        for commit in commits {
            let arguments = ["ls-tree", "-r", "-z", "--full-tree", commit];
            let list = self.list(submodule, arguments.map(OsString::from)).await;
            let Ok(Some(list)) = list else {
                return true;
            };
            // Each record is mode, type and hash, a tab, and the path.
            let mut entries = records(&list).map(|record| {
                let tab = record.iter().position(|&byte| byte == b'\t');
                (
                    record.starts_with(b"160000 "),
                    tab.map(|tab| path(&record[tab + 1..])),
                )
            });
            let is_one = |(is_submodule, path): (bool, Option<PathBuf>)| {
                path.is_none_or(|path| is_looked_at(&path) && (is_submodule || is_manifest(&path)))
            };
            if entries.any(is_one) {
                return true;
            }
        }
        false
    }

    /// Whether any tracked file at the paths is changed, staged or deleted.
    async fn tracks_changes(&self, top: &Path, paths: &[OsString]) -> Result<bool, CommandError> {
        let changes = self.changes(top, paths).await?;
        Ok(changes.is_none_or(|changes| !changes.is_empty()))
    }

    /// Whether git would not report changes of one of the paths because it is untracked, ignored or hidden.
    async fn leaves_out(&self, top: &Path, paths: &[OsString]) -> Result<bool, CommandError> {
        let others = self.others(top, paths).await?;
        Ok(others.is_none_or(|paths| !paths.is_empty())
            || !self.hidden(top, paths).await?.is_empty())
    }

    /// Files that git was told to treat as unchanged (`git update-index --assume-unchanged` or `--skip-worktree`). A
    /// list that is too long to be kept counts as empty, because a large set would never be clean otherwise.
    async fn hidden(
        &self,
        directory: &Path,
        paths: &[OsString],
    ) -> Result<Vec<PathBuf>, CommandError> {
        let arguments = ["ls-files", "-z", "-v", "--"].map(OsString::from);
        let arguments = arguments.into_iter().chain(paths.iter().cloned());
        let list = self.list(directory, arguments).await?.unwrap_or_default();
        // A letter and a space precede each path. A small letter, or the `S` of `--skip-worktree`, means that it is
        // hidden.
        let is_hidden = |record: &&[u8]| record[0] == b'S' || record[0].is_ascii_lowercase();
        let hidden = records(&list).filter(is_hidden);
        Ok(hidden
            .filter_map(|record| Some(path(record.get(2..)?)))
            .collect())
    }

    /// Whether the superproject tracks it.
    async fn is_submodule(&self, nested: &Path) -> Result<bool, CommandError> {
        let (Some(parent), Some(name)) = (nested.parent(), nested.file_name()) else {
            return Ok(false);
        };
        let arguments = ["ls-files", "--stage", "-z", "--"].map(OsString::from);
        let listed = self
            .run(parent, arguments.into_iter().chain([literal(name)]))
            .await?;
        Ok(listed.starts_with(b"160000 "))
    }

    /// Tracked files that are changed, staged or deleted; for submodules, only that another commit is checked out.
    /// `None` if the list is too long.
    async fn changes(
        &self,
        directory: &Path,
        paths: &[OsString],
    ) -> Result<Option<Vec<Change>>, CommandError> {
        let status = [
            "status",
            "--porcelain=v2",
            "-z",
            "--no-renames",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
            "--",
        ];
        let arguments = status.map(OsString::from).into_iter();
        let list = self
            .list(directory, arguments.chain(paths.iter().cloned()))
            .await?;
        Ok(list.and_then(|list| records(&list).map(Change::new).collect()))
    }

    /// Untracked files, ignored or not, relative to the directory. `None` if the list is too long.
    async fn others(
        &self,
        directory: &Path,
        paths: &[OsString],
    ) -> Result<Option<Vec<PathBuf>>, CommandError> {
        // Without exclude options, git leaves nothing out.
        let arguments = ["ls-files", "-z", "--others", "--"].map(OsString::from);
        let arguments = arguments.into_iter().chain(paths.iter().cloned());
        let list = self.list(directory, arguments).await?;
        Ok(list.map(|list| records(&list).map(path).collect()))
    }
}

/// A tracked path that differs from the commit.
struct Change {
    /// Relative to the top of the repository.
    path: PathBuf,
    /// For a submodule: the commits that the commit and the index name.
    submodule_commits: Option<Vec<String>>,
}

impl Change {
    /// Parses a line of `git status --porcelain=v2`. `None` for a kind of line that was not asked for.
    fn new(line: &[u8]) -> Option<Self> {
        // An unmerged entry has one more mode and one more hash.
        let (fields, modes, hashes) = match line.first()? {
            b'1' => (9, 3, 2),
            b'u' => (11, 4, 3),
            _ => return None,
        };
        let fields: Vec<_> = line.splitn(fields, |&byte| byte == b' ').collect();
        let submodule = fields.get(2)?;
        let hashes = fields.get(3 + modes..3 + modes + hashes)?;
        let commits = hashes.iter().filter(|hash| is_hash(hash));
        // An all-zero hash stands for an absent object.
        let commits = commits.filter(|hash| hash.iter().any(|&digit| digit != b'0'));
        let text = |hash: &&[u8]| String::from_utf8_lossy(hash).into_owned();
        Some(Self {
            path: path(fields.get(3 + modes + hashes.len()..)?.first()?),
            submodule_commits: submodule
                .starts_with(b"S")
                .then(|| commits.map(text).collect()),
        })
    }
}

/// The records of a list, each of which ends in a zero byte.
fn records(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let records = list.split(|&byte| byte == 0);
    records.filter(|record| !record.is_empty())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
