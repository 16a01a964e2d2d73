//! Finds manifests and reads them once. `stable_read` decides whether what was read may be used.

use std::collections::BTreeMap;
use std::fs::{self, FileType, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::near_misses;
use super::open::{self, ReadError};
use super::reading::{FoundFile, Reading};
use crate::manifest::UNSHARE;
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::git::missing::PARTIAL_OK_NOTE;
use crate::manifest::git::repository::{self, Repository};
use crate::manifest::git::searched_directory::SearchedDirectory;
use crate::manifest::paths::{
    DEPTH_MAX, VOLUME_LINK, entries, is_ignored, is_manifest_name, maybe_restricted_by,
    or_current_dir, resolve_parent,
};
use crate::manifest::read_options::ReadOptions;
use crate::manifest::source_text::SourceText;
use crate::words::without_secrets;

/// The size limit for one file. A million images need some 90 MB.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 20;
/// The size limit for all files together, which are held in memory while they are parsed.
pub(crate) const TOTAL_BYTES_MAX: u64 = 1 << 30;
/// Reads every manifest below `paths`, and reports every path that cannot be read.
pub(super) fn read(paths: &[PathBuf], options: &ReadOptions) -> Reading {
    let mut walk = Walk {
        options,
        reading: Reading::default(),
        seen: BTreeMap::new(),
        bytes: 0,
        versions: BTreeMap::new(),
    };
    for path in paths {
        walk.given(path);
    }
    walk.reading
}

struct Walk<'a> {
    options: &'a ReadOptions,
    reading: Reading,
    /// Resolved path of each file → index of its source. A file that is reached twice is read once.
    seen: BTreeMap<PathBuf, Option<usize>>,
    bytes: u64,
    /// Directory of links through [`VOLUME_LINK`] → the directory that they lead into.
    versions: BTreeMap<PathBuf, PathBuf>,
}

/// A directory that the user gave.
struct Root<'p> {
    spelled: &'p Path,
    resolved: PathBuf,
    /// The path's own location if it is a link.
    location: Option<PathBuf>,
}

impl<'p> Root<'p> {
    fn new(spelled: &'p Path) -> io::Result<Self> {
        let resolved = fs::canonicalize(spelled)?;
        let location = Some(resolve_parent(spelled)?).filter(|location| *location != resolved);
        Ok(Self {
            spelled,
            resolved,
            location,
        })
    }

    /// The directories through which a path below the root is reached. No directory below the root is a link.
    fn directories(&self, path: &Path) -> Vec<PathBuf> {
        let inside = path
            .parent()
            .and_then(|p| p.strip_prefix(self.spelled).ok());
        let inside = inside.unwrap_or(Path::new(""));
        let roots = [&self.resolved].into_iter().chain(&self.location);
        roots.map(|root| root.join(inside)).collect()
    }
}

impl Walk<'_> {
    /// A path that the user gave.
    fn given(&mut self, path: &Path) {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // The path may be missing only while its directory is being written.
                if let Some(Ok(parent)) = path
                    .parent()
                    .map(|parent| fs::metadata(or_current_dir(parent)))
                {
                    self.note_change(&parent);
                }
                return self.unreadable(path, &error);
            }
        };
        if !metadata.is_dir() {
            let places = fs::canonicalize(path).and_then(|resolved| {
                Ok((resolved, resolve_parent(path)?.parent().map(Path::to_owned)))
            });
            return match places {
                Ok((resolved, directory)) => {
                    self.file(path, resolved, directory.into_iter().collect());
                }
                Err(error) => self.unreadable(path, &error),
            };
        }
        let root = match Root::new(path) {
            Ok(root) => root,
            Err(error) => return self.unreadable(path, &error),
        };
        let repositories = match repository::private_copy(self.options) {
            Some(copy) => copy.map(|copy| vec![copy]),
            None => repository::repositories(&root.resolved),
        };
        match repositories {
            Ok(repositories) => {
                let inner = repositories.last().cloned();
                for repository in repositories {
                    self.note_repository(path, &root.resolved, Ok(Some(repository)), false);
                }
                if let Some(inner) = inner.filter(|_| self.options.git_directory.is_none())
                    && let Some(superproject) = repository::superproject(&inner)
                {
                    self.note(Ok(SearchedDirectory::in_superproject(
                        path,
                        &inner.top,
                        superproject,
                    )));
                }
            }
            Err(unreadable) => self.note_repository(path, &root.resolved, Err(unreadable), false),
        }
        let before = (
            self.reading.found.problems.len(),
            self.reading.found.near_misses.len(),
        );
        let mut found = false;
        self.directory(path, &root, 0, &mut found);
        if !found && self.reading.found.problems.len() == before.0 {
            let near = near_misses::hint(&self.reading.found.near_misses[before.1..]);
            let help =
                format!("{near}check the path, and whether its volume is mounted; {UNSHARE}");
            let message = "the directory holds no manifests (`*.yaml`, `*.yml`)";
            let problem = Diagnostic::of_path(&self.options.name(path), message, help);
            self.reading.found.empty.push((path.to_owned(), problem));
        }
    }

    fn directory(&mut self, path: &Path, root: &Root<'_>, depth: usize, found: &mut bool) {
        let entries = match self.list(path, depth) {
            Some(entries) => entries,
            None => {
                self.reading.unlisted.insert(path.to_owned());
                return;
            }
        };
        if depth > 0 && entries.iter().any(|entry| entry.file_name() == ".git") {
            let below = path.strip_prefix(root.spelled).unwrap_or(Path::new(""));
            let directory = root.resolved.join(below);
            let repository = repository::repository_at(&directory);
            self.note_repository(path, &directory, repository, entries.len() == 1);
        }
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if is_ignored(&name) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.directory(&path, root, depth + 1, found),
                Ok(kind) => self.entry(&path, kind, root, found),
                Err(error) => {
                    self.reading.unlisted.insert(path.clone());
                    self.unreadable(&path, &error);
                }
            }
        }
    }

    /// Entries of a directory; `None` if it cannot be listed, which is reported.
    fn list(&mut self, path: &Path, depth: usize) -> Option<Vec<fs::DirEntry>> {
        if depth > DEPTH_MAX {
            let help = "move the manifests up, or give the path itself";
            self.problem(path, "directories are nested too deeply", help);
            return None;
        }
        if let Ok(metadata) = fs::metadata(path) {
            self.note_change(&metadata);
        }
        let entries = match entries(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(path, &error);
                return None;
            }
        };
        if let Some(error) = unsearchable(&entries) {
            let help = "give the user that runs sharekeeper permission to search it, for example with `chmod a+rX`";
            let message = format!("the directory can be listed, but not searched: {error}");
            self.problem(path, &message, help);
            return None;
        }
        Some(entries)
    }

    /// Handles an entry that is not a directory.
    fn entry(&mut self, path: &Path, kind: FileType, root: &Root<'_>, found: &mut bool) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_manifest = is_manifest_name(&name);
        if near_misses::is_near_miss(&name) {
            self.reading.found.near_misses.push(path.to_owned());
        }
        if !is_manifest && !kind.is_symlink() {
            return;
        }
        self.reading.listed.insert(path.to_owned());
        // Kubernetes mounts the files of a ConfigMap as links, so links are followed, but not out of the given
        // directory. A link that cannot be followed may lead to a directory, whatever its name.
        let led = fs::canonicalize(path).and_then(|target| {
            let is_directory = fs::metadata(&target)?.is_dir();
            Ok((target, is_directory))
        });
        let (target, is_directory) = match led {
            Ok(led) => led,
            Err(error) if kind.is_symlink() => return self.broken_link(path, &error),
            Err(error) => return self.unreadable(path, &error),
        };
        if is_directory {
            // Following it could lead into a loop; skipping it would silently make the set smaller.
            return self.problem(
                path,
                "a link to a directory is not followed",
                "give the directory as a separate path, or begin the link's name with `_`",
            );
        }
        if !is_manifest {
            return;
        }
        *found = true;
        if target.starts_with(&root.resolved) {
            let directories = root.directories(path);
            self.file(path, target, directories);
        } else {
            self.problem(
                path,
                "the link leads out of the directory",
                "give its target as a separate path",
            );
        }
    }

    /// Notes a repository in which git may track more files than exist. `directory` has links resolved.
    fn note_repository(
        &mut self,
        spelled: &Path,
        directory: &Path,
        repository: Result<Option<Repository>, repository::Unreadable>,
        is_empty: bool,
    ) {
        let searched = match repository {
            Ok(None) => return,
            Ok(Some(repository)) => Ok(SearchedDirectory::new(
                spelled, directory, repository, is_empty,
            )),
            Err(unreadable) => Err(unreadable),
        };
        self.note(searched);
    }

    fn note(&mut self, searched: Result<SearchedDirectory, repository::Unreadable>) {
        if !self.reading.found.searched.contains(&searched) {
            self.reading.found.searched.push(searched);
        }
    }

    fn broken_link(&mut self, path: &Path, error: &io::Error) {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "the link leads nowhere".to_owned(),
            _ => format!("the link cannot be followed: {error}"),
        };
        let help = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "give read access to its target to the user that runs sharekeeper, or begin the link's name with `_`"
            }
            _ => "remove it, restore what it points to, or begin its name with `_`",
        };
        let help = match is_manifest_name(&path.to_string_lossy()) {
            true => format!("{help}; {PARTIAL_OK_NOTE}"),
            false => help.to_owned(),
        };
        self.problem(path, &message, &help);
    }

    /// Reads a file. `resolved` is `path` with links resolved; that path is read, so that the metadata belongs to it.
    /// The file counts as being in each of `directories` and in its real directory.
    fn file(&mut self, path: &Path, resolved: PathBuf, mut directories: Vec<PathBuf>) {
        self.note_version(path, &resolved);
        if let Some(source) = self.seen.get(&resolved).copied() {
            return self.add_alias(source, directories, &resolved);
        }
        self.seen.insert(resolved.clone(), None);
        directories.extend(resolved.parent().map(Path::to_owned));
        let metadata = match fs::metadata(&resolved) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(path, &error),
        };
        self.note_change(&metadata);
        if let Err(refusal) = open::check(&metadata, &resolved) {
            return self.problem(path, refusal.message(), refusal.help());
        }
        if metadata.nlink() == 0 {
            self.reading.found.unlinked.push(path.to_owned());
        }
        let length = metadata.len();
        if length > FILE_BYTES_MAX {
            return self.too_large(path, length);
        }
        self.bytes += length;
        if self.bytes > TOTAL_BYTES_MAX {
            let message = format!(
                "with this file the manifests are larger than {} MiB",
                TOTAL_BYTES_MAX >> 20
            );
            return self.problem(
                path,
                &message,
                "reconcile them in parts, each with its own paths",
            );
        }
        let bytes = match open::read(&resolved, FILE_BYTES_MAX + 1) {
            Ok(bytes) => bytes,
            Err(ReadError::Refused(refusal)) => {
                return self.problem(path, refusal.message(), refusal.help());
            }
            Err(ReadError::Io(error)) => return self.unreadable(path, &error),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return self.too_large(path, bytes.len() as u64);
        }
        self.take(path, resolved, bytes, directories);
    }

    /// Adds the content of a file.
    fn take(&mut self, path: &Path, resolved: PathBuf, bytes: Vec<u8>, directories: Vec<PathBuf>) {
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        self.reading.found.files.push(FoundFile {
            path: path.to_owned(),
            resolved: resolved.clone(),
            length: bytes.len(),
            hash: hasher.finish(),
        });
        match String::from_utf8(bytes) {
            Ok(text) => {
                let name = self.options.name(path);
                let source = SourceText::new(name, text).found_in(directories);
                self.seen.insert(resolved, Some(self.reading.sources.len()));
                self.reading.sources.push(source);
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.problem(
                    path,
                    &format!("the file is not UTF-8: byte {at} begins no character"),
                    "save it as UTF-8",
                );
            }
        }
    }

    /// Records another path to a file. `source` is `None` if the file could not be read.
    fn add_alias(&mut self, source: Option<usize>, directories: Vec<PathBuf>, resolved: &Path) {
        let Reading { sources, found, .. } = &mut self.reading;
        let aliases = directories.iter().cloned();
        let aliases = aliases.map(|directory| (directory, resolved.to_owned()));
        found.aliases.extend(aliases);
        match source.and_then(|source| sources.get_mut(source)) {
            Some(source) => source.is_found_in(directories),
            None => found.maybe_restricted.extend(directories),
        }
    }

    /// Detects that a volume is swapped during reading: all links of a directory through [`VOLUME_LINK`] should lead
    /// into the same version.
    fn note_version(&mut self, path: &Path, resolved: &Path) {
        let Ok(link) = fs::read_link(path) else {
            return;
        };
        let Ok(inside) = link.strip_prefix(VOLUME_LINK) else {
            return;
        };
        let version = resolved.ancestors().nth(inside.components().count());
        if let (Some(directory), Some(version)) = (path.parent(), version) {
            let first = self
                .versions
                .entry(directory.to_owned())
                .or_insert_with(|| version.to_owned());
            self.reading.torn |= first != version;
        }
    }

    /// Uses the change time of the inode too, because `rsync` and `tar` restore old modification times.
    fn note_change(&mut self, metadata: &Metadata) {
        let instant = |seconds, nanoseconds| {
            DateTime::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or(0))
        };
        let changed = instant(metadata.ctime(), metadata.ctime_nsec());
        let modified = instant(metadata.mtime(), metadata.mtime_nsec());
        self.reading.changed = self.reading.changed.max(changed).max(modified);
    }

    fn too_large(&mut self, path: &Path, length: u64) {
        let mut message = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
        // A file that is only a byte too long was not read to its end, or not fetched.
        if length > FILE_BYTES_MAX + 1 {
            let megabytes = length.div_ceil(1 << 20);
            message.push_str(&format!(": it has {megabytes} MiB ({length} bytes)"));
        }
        self.problem(path, &message, "split it: any number of files is read");
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("check the path, and whether its volume is mounted; {UNSHARE}")
            }
            io::ErrorKind::PermissionDenied => {
                "give read access to the user that runs sharekeeper".to_owned()
            }
            _ => "check its disk, or whether its volume is still mounted; nothing is decided without it"
                .to_owned(),
        };
        let name = self.options.name(path);
        // If nothing exists there, the text may not be a path at all.
        let name = match error.kind() {
            io::ErrorKind::NotFound => without_secrets(&name),
            _ => name,
        };
        self.report(path, Diagnostic::of_path(&name, message, help));
    }

    fn problem(&mut self, path: &Path, message: &str, help: &str) {
        let problem = Diagnostic::of_path(&self.options.name(path), message, help);
        self.report(path, problem);
    }

    fn report(&mut self, path: &Path, problem: Diagnostic) {
        self.reading.found.problems.push(problem);
        self.reading
            .found
            .maybe_restricted
            .extend(maybe_restricted_by(path));
    }
}

/// Why no file in a directory can be accessed, if that is so. This is reported once, not for each file.
fn unsearchable(entries: &[fs::DirEntry]) -> Option<io::Error> {
    let mut names = entries.iter().map(fs::DirEntry::path);
    let first = names.find(|path| {
        let name = path.file_name().unwrap_or_default();
        !is_ignored(&name.to_string_lossy())
    })?;
    let error = fs::symlink_metadata(first).err()?;
    (error.kind() == io::ErrorKind::PermissionDenied).then_some(error)
}
