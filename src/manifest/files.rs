//! Finding and reading manifests, once. Whether what was read may be taken for a set is for `settle` to say.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::UNSHARE;
use super::diagnostic::Diagnostic;
use super::settle::Manner;
use super::source::SourceText;
use crate::model::Timestamp;

/// A million images take some 90 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Of all files together; they are held in memory while they are parsed.
const TOTAL_BYTES_MAX: u64 = 1 << 30;
/// Deep enough for any tree of manifests; a loop through mounts ends here.
pub(super) const DEPTH_MAX: usize = 32;

/// The link through which Kubernetes swaps all files of a volume at once.
pub(super) const VOLUME_LINK: &str = "..data";

/// What one reading of the paths gave.
#[derive(Default)]
pub(super) struct Reading {
    pub sources: Vec<SourceText>,
    /// What two readings are compared by.
    pub found: Found,
    /// The latest change to a file or directory of the set.
    pub changed: Option<Timestamp>,
    /// Files of one volume were reached through different versions of it.
    pub torn: bool,
}

/// What was found at the paths: equal only if the manifests are.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order in which they were come upon.
    pub files: Vec<FoundFile>,
    /// Further ways to files: the directory, and the file without links. What governs a file depends on them.
    again: Vec<(PathBuf, PathBuf)>,
    /// The paths that cannot be read, and why.
    pub problems: Vec<Diagnostic>,
    /// The directories that a `Restriction` in what cannot be read might be about.
    pub suspects: Vec<PathBuf>,
}

/// One file, by its contents.
#[derive(PartialEq, Eq)]
pub(super) struct FoundFile {
    pub path: PathBuf,
    /// Without links.
    resolved: PathBuf,
    length: usize,
    /// Against chance, not against malice: whoever can write the manifests needs no collision.
    hash: u64,
}

/// Reads every manifest below `paths`, and reports every path that cannot be.
pub(super) fn read(paths: &[PathBuf], manner: &Manner) -> Reading {
    let mut walk = Walk {
        manner,
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
    manner: &'a Manner,
    reading: Reading,
    /// Resolved path of what was read → the source that came of it: a file reached twice is read once.
    seen: BTreeMap<PathBuf, Option<usize>>,
    bytes: u64,
    /// Directory of links through [`VOLUME_LINK`] → the directory that they lead into.
    versions: BTreeMap<PathBuf, PathBuf>,
}

/// A directory that the user gave.
struct Root<'p> {
    spelled: &'p Path,
    resolved: PathBuf,
    /// Where it stands itself, which is elsewhere if it is a link.
    stands: Option<PathBuf>,
}

impl<'p> Root<'p> {
    fn new(spelled: &'p Path, resolved: PathBuf) -> Self {
        let stands = standing(spelled).filter(|stands| *stands != resolved);
        Self {
            spelled,
            resolved,
            stands,
        }
    }

    /// The directories in which a path below it is found. Below it no directory is a link.
    fn directories(&self, path: &Path) -> Vec<PathBuf> {
        let inside = path
            .parent()
            .and_then(|p| p.strip_prefix(self.spelled).ok());
        let inside = inside.unwrap_or(Path::new(""));
        let roots = [&self.resolved].into_iter().chain(&self.stands);
        roots.map(|root| root.join(inside)).collect()
    }
}

impl Walk<'_> {
    /// A path that the user gave.
    fn given(&mut self, path: &Path) {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // It may be missing for this moment only, while its directory is written.
                if let Some(Ok(parent)) = path.parent().map(|parent| fs::metadata(here(parent))) {
                    self.note_change(&parent);
                }
                return self.unreadable(path, &error);
            }
        };
        if !metadata.is_dir() {
            let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let directory = standing(path).and_then(|path| Some(path.parent()?.to_owned()));
            return self.file(path, resolved, directory.into_iter().collect());
        }
        let root = match fs::canonicalize(path) {
            Ok(resolved) => Root::new(path, resolved),
            Err(error) => return self.unreadable(path, &error),
        };
        let problems_before = self.reading.found.problems.len();
        let mut found = false;
        self.directory(path, &root, 0, &mut found);
        if !found && self.reading.found.problems.len() == problems_before {
            self.problem(
                path,
                "the directory holds no manifests (`*.yaml`, `*.yml`)",
                &format!("check the path, and whether its volume is mounted; {UNSHARE}"),
            );
        }
    }

    fn directory(&mut self, path: &Path, root: &Root<'_>, depth: usize, found: &mut bool) {
        if depth > DEPTH_MAX {
            return self.problem(
                path,
                "directories are nested too deeply",
                "move the manifests up, or give the path itself",
            );
        }
        if let Ok(metadata) = fs::metadata(path) {
            self.note_change(&metadata);
        }
        let entries = match entries(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if is_passed_over(&name) {
                continue;
            }
            // Kubernetes mounts a ConfigMap's files as links, so links are followed, but not out of the
            // directory that was given.
            let Ok(target) = fs::canonicalize(&path) else {
                if is_manifest_name(&name) {
                    self.problem(
                        &path,
                        "the link leads nowhere",
                        "remove it, or restore what it points to",
                    );
                }
                continue;
            };
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if target.is_dir() {
                // A linked directory could lead in a circle; skipping it would make the set smaller unseen.
                if is_link {
                    self.problem(
                        &path,
                        "a link to a directory is not followed",
                        "give the directory as a path of its own, or begin the link's name with `_`",
                    );
                } else {
                    self.directory(&path, root, depth + 1, found);
                }
            } else if is_manifest_name(&name) {
                *found = true;
                if target.starts_with(&root.resolved) {
                    let directories = root.directories(&path);
                    self.file(&path, target, directories);
                } else {
                    self.problem(
                        &path,
                        "the link leads out of the directory",
                        "give its target as a path of its own",
                    );
                }
            }
        }
    }

    /// `resolved` is `path` without links. It is what is read, so that it is what was looked at. The file counts as
    /// being in each of the `directories`, and in the one that it is really in.
    fn file(&mut self, path: &Path, resolved: PathBuf, mut directories: Vec<PathBuf>) {
        self.note_version(path, &resolved);
        if let Some(source) = self.seen.get(&resolved).copied() {
            return self.again(source, directories, &resolved);
        }
        self.seen.insert(resolved.clone(), None);
        directories.extend(resolved.parent().map(Path::to_owned));
        let metadata = match fs::metadata(&resolved) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(path, &error),
        };
        self.note_change(&metadata);
        // Opening a FIFO would wait for ever.
        if !metadata.is_file() {
            return self.problem(
                path,
                "cannot be read: not a regular file",
                "give a file, or a directory of files",
            );
        }
        let length = metadata.len();
        if length > FILE_BYTES_MAX {
            return self.too_large(path);
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
        let mut bytes = Vec::new();
        // It may grow while it is read.
        let read = File::open(&resolved)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.unreadable(path, &error);
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return self.too_large(path);
        }
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
                let name = self.manner.name(path);
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

    /// Another way to a file. Without a source, it is one that could not be read.
    fn again(&mut self, source: Option<usize>, directories: Vec<PathBuf>, resolved: &Path) {
        let Reading { sources, found, .. } = &mut self.reading;
        let ways = directories.iter().cloned();
        found
            .again
            .extend(ways.map(|way| (way, resolved.to_owned())));
        match source.and_then(|source| sources.get_mut(source)) {
            Some(source) => source.is_found_in(directories),
            None => found.suspects.extend(directories),
        }
    }

    /// Links through [`VOLUME_LINK`] lead into one directory, unless it is swapped between two of them.
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

    /// By the inode too: `rsync` and `tar` set the time of a file back to what it was elsewhere.
    fn note_change(&mut self, metadata: &Metadata) {
        let instant = |seconds, nanoseconds| {
            DateTime::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or(0))
        };
        let changed = instant(metadata.ctime(), metadata.ctime_nsec());
        let modified = instant(metadata.mtime(), metadata.mtime_nsec());
        self.reading.changed = self.reading.changed.max(changed).max(modified);
    }

    fn too_large(&mut self, path: &Path) {
        let message = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
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
                "let the user that sharekeeper runs as read it".to_owned()
            }
            _ => "check its disk, or whether its volume is still mounted; nothing is decided without it"
                .to_owned(),
        };
        self.problem(path, &message, &help);
    }

    fn problem(&mut self, path: &Path, message: &str, help: &str) {
        let problem = Diagnostic::of_path(&self.manner.name(path), message, help);
        self.reading.found.problems.push(problem);
        self.reading.found.suspects.extend(might_govern(path));
    }
}

/// What is in a directory, in the order of the names.
pub(super) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// The directories that a `Restriction` at a path that cannot be read might be about. What is no directory is a file,
/// which governs where it is found and where it really is. What does not even exist is told by its name.
fn might_govern(path: &Path) -> Vec<PathBuf> {
    let stands = standing(path).unwrap_or_else(|| path.to_owned());
    let is_directory = match fs::metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(_) => !is_manifest_name(&path.to_string_lossy()),
    };
    if is_directory {
        return vec![stands];
    }
    let resolved = fs::canonicalize(path).ok();
    let files = [Some(stands), resolved].into_iter().flatten();
    files
        .filter_map(|file| Some(file.parent()?.to_owned()))
        .collect()
}

/// Where a path stands, without links before its last name. That may be one.
fn standing(path: &Path) -> Option<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Some(fs::canonicalize(here(parent)).ok()?.join(name)),
        _ => fs::canonicalize(path).ok(),
    }
}

/// Whether an entry of a directory is not looked at.
pub(super) fn is_passed_over(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// An empty path is the parent of a relative one.
pub(super) fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Of the names of manifests.
pub(super) const ENDINGS: [&str; 2] = [".yaml", ".yml"];

pub(super) fn is_manifest_name(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}
