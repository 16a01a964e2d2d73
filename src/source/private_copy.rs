//! Keeps the private copy of a git repository: a bare repository that only this process uses, and a tree that is checked
//! out only while it is read.
//!
//! git verifies everything that is used from the copy. A commit is checked out again each time it is read, so that a tree
//! left half written by a crash is never read. A damaged copy is removed and fetched again.
//!
//! The size of a fetch is limited by a depth of one commit, which every server supports, and by the size of single files,
//! which most servers support; a server that does not support it sends all files. The time of a fetch is limited as a
//! whole, and not by a minimum of progress: only git knows its progress, each protocol has its own pauses, and a server
//! that sends a byte now and then would never be given up.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::checkout::{CommitFiles, LEFT_OUT_FROM, WantedFiles, command_lines};
use super::copy_files::{private_directory, remove, remove_leftovers, tidy};
use super::resolved_ref::{self, ResolvedRef};
use super::{GitRef, Repository};
use crate::host::{CommandError, CommandRunner, ExternalCommand, spawn_blocking};

/// The time limit of one run of git that works on this machine alone.
const DEADLINE: Duration = Duration::from_secs(60);
/// The time limit of a fetch while a good commit waits to be used.
const SHORT_FETCH: Duration = Duration::from_secs(60);
/// Length of the list of a commit's files in bytes: enough for two million.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// git must not ask a person anything, and its messages must be in English.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
    ("LC_ALL", "C"),
];
/// The variables with which git finds keys, proxies and certificates.
const PASSED_ON: [&str; 14] = [
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];
/// Settings for every run, which override the user's own: no hooks, no other programs, no other protocols, nothing in the
/// background. Each fetch makes one pack, so that the number of packs tells the number of fetches.
const SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "protocol.file.allow=always",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "gc.auto=0",
    "maintenance.auto=false",
];
const PLAIN_HTTP: &str = "protocol.http.allow=always";
/// The ref of the commit that was fetched last.
const FETCHED: &str = "refs/sharekeeper/fetched";
/// The ref of the last commit whose manifests were good.
const GOOD: &str = "refs/sharekeeper/good";
/// How many pack files there may be before the copy is repacked without what no ref needs. Each fetch leaves four of them
/// at most.
const PACK_FILES_MAX: usize = 60;

/// Why the private copy could not give a commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateCopyError {
    #[error("could not fetch: {0}")]
    Fetch(#[source] CommandError),
    #[error("could not fetch: {0}; `--git-timeout` gives it more time")]
    FetchTooSlow(#[source] CommandError),
    /// The fetch had less time than the setting allows.
    #[error("could not fetch: {0}; the next try gets the time of `--git-timeout`")]
    ShortFetchTooSlow(#[source] CommandError),
    #[error("the fetched object is not a commit: {0}")]
    NoCommit(#[source] CommandError),
    #[error("could not make a directory for the commit: {0}")]
    TreeDirectory(#[source] io::Error),
    #[error("could not check out the commit: {0}")]
    CheckOut(#[source] CommandError),
    #[error("could not check out the commit: {0}")]
    WriteTree(#[source] io::Error),
    #[error(
        "could not check out the commit: the list of its files is longer than {} MiB; keep the manifests in a repository of their own",
        LIST_BYTES_MAX >> 20
    )]
    ListTooLong,
    #[error(
        "could not check out the commit: the format of the list of its files is unknown; use another version of git"
    )]
    UnknownList,
    #[error("could not prepare the private copy: {0}")]
    Prepare(#[source] io::Error),
    /// git could not create the bare repository, or could not repack it.
    #[error("could not prepare the private copy: {0}")]
    PrepareRepository(#[source] CommandError),
    #[error("could not remove the damaged private copy: {0}")]
    Discard(#[source] io::Error),
}

/// How long a fetch may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as the settings allow.
    Full,
    /// A minute at most, because a good commit could be used meanwhile.
    Short,
}

pub(super) struct PrivateCopy {
    home: PathBuf,
    bare: PathBuf,
    /// The directory in which a commit is checked out.
    tree: PathBuf,
    url: String,
    reference: GitRef,
    /// The path of the manifests within it.
    dir: PathBuf,
    /// How long one fetch may take, and likewise the question which ref a name means.
    timeout: Duration,
    /// The ref that the reference meant when the server was last asked.
    resolved: Option<ResolvedRef>,
    is_plain_http: bool,
    /// Whether the copy was checked for damage, or discarded, since it last worked.
    is_checked: bool,
}

impl PrivateCopy {
    pub(super) fn of(repository: &Repository) -> Self {
        let Repository {
            url,
            reference,
            dir,
            home,
            timeout,
            ..
        } = repository;
        // A relative path refers to this process's directory, but git would take it as relative to its own.
        let home = std::path::absolute(home).unwrap_or_else(|_| home.clone());
        // A commit that was good for another repository, or for another part of this one, is not known to be good here.
        let dir = dir.as_deref().unwrap_or(Path::new(""));
        let identity = format!("{}\0{reference}\0{}", url.as_str(), dir.display());
        let name = hex::encode(&Sha256::digest(identity)[..8]);
        Self {
            bare: home.join(format!("{name}.git")),
            tree: home.join("tree"),
            home,
            url: url.as_str().to_owned(),
            reference: reference.clone(),
            dir: dir.to_owned(),
            timeout: *timeout,
            resolved: None,
            is_plain_http: url.is_plain_http(),
            is_checked: false,
        }
    }

    /// Fetches, and returns the current commit. A damaged copy is discarded first.
    pub(super) async fn fetch<P: CommandRunner>(
        &mut self,
        patience: Patience,
        programs: &P,
    ) -> Result<String, PrivateCopyError> {
        let error = match self.try_fetch(patience, programs).await {
            Ok(commit) => {
                self.is_checked = false;
                return Ok(commit);
            }
            Err(error) => error,
        };
        if self.is_checked || self.is_sound(programs).await {
            return Err(error);
        }
        self.discard().await?;
        self.try_fetch(Patience::Full, programs).await
    }

    async fn try_fetch<P: CommandRunner>(
        &mut self,
        patience: Patience,
        programs: &P,
    ) -> Result<String, PrivateCopyError> {
        self.prepare(programs).await?;
        let too_slow = match patience {
            Patience::Short if self.timeout > SHORT_FETCH => PrivateCopyError::ShortFetchTooSlow,
            _ => PrivateCopyError::FetchTooSlow,
        };
        let deadline = match patience {
            Patience::Full => self.timeout,
            Patience::Short => self.timeout.min(SHORT_FETCH),
        };
        let reference = self
            .resolve(deadline, programs)
            .await
            .map_err(|error| fetch_error(error, too_slow))?;
        self.fetch_objects(&reference, &[], deadline, programs)
            .await
            .map_err(|error| fetch_error(error, too_slow))?;
        self.commit_of(FETCHED, programs)
            .await
            .map_err(PrivateCopyError::NoCommit)
    }

    /// Fetches the commit that a full name refers to. Removes the leftovers of a fetch that failed.
    async fn fetch_objects<P: CommandRunner>(
        &self,
        reference: &str,
        more: &[&str],
        deadline: Duration,
        programs: &P,
    ) -> Result<(), CommandError> {
        let filter = format!("--filter=blob:limit={LEFT_OUT_FROM}");
        let refspec = format!("+{reference}:{FETCHED}");
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            &filter,
            "--no-tags",
            "--no-recurse-submodules",
            "--force",
        ];
        let names = ["--", &self.url, &refspec];
        let fetch = fetch.iter().chain(more).chain(&names).map(OsString::from);
        let program = self.program(fetch, deadline, ExternalCommand::SHORT);
        let Err(error) = programs.run(program).await else {
            return Ok(());
        };
        let bare = self.bare.clone();
        if let Err(error) = spawn_blocking(move || remove_leftovers(&bare)).await {
            tracing::debug!(%error, "the leftovers of a fetch could not be removed");
        }
        Err(error)
    }

    /// Returns the full name of the ref to fetch. A ref that the repository lacks is reported by the fetch.
    async fn resolve<P: CommandRunner>(
        &mut self,
        deadline: Duration,
        programs: &P,
    ) -> Result<String, CommandError> {
        let name = &self.reference;
        if name.is_exact() {
            return Ok(name.to_string());
        }
        let candidates = resolved_ref::candidates(name);
        let list = ["ls-remote", "--quiet", "--", &self.url];
        let list: Vec<_> = (list.into_iter())
            .chain(candidates.iter().map(String::as_str))
            .collect();
        let list = list.into_iter().map(OsString::from);
        let program = self.program(list, deadline, ExternalCommand::SHORT);
        let listed = programs.run(program).await?;
        let Some(resolved) = ResolvedRef::of(name, &listed) else {
            return Ok(name.to_string());
        };
        if let Some(notice) = resolved.notice(name, self.resolved.as_ref()) {
            tracing::warn!("{notice}");
        }
        let full = resolved.full.clone();
        self.resolved = Some(resolved);
        Ok(full)
    }

    /// Returns the last commit whose manifests were good, if the copy still has it.
    pub(super) async fn good<P: CommandRunner>(&self, programs: &P) -> Option<String> {
        self.commit_of(GOOD, programs).await.ok()
    }

    /// Records a commit as good.
    pub(super) async fn keep<P: CommandRunner>(&self, commit: &str, programs: &P) {
        if let Err(error) = self.git(programs, &["update-ref", GOOD, commit]).await {
            tracing::warn!(%error, "the next start needs the repository: the good commit could not be recorded");
        }
    }

    /// Checks out the files to be read of a commit and returns their directory. A damaged copy is discarded and fetched
    /// again, but only once.
    pub(super) async fn check_out<P: CommandRunner>(
        &mut self,
        commit: &str,
        programs: &P,
    ) -> Result<PathBuf, PrivateCopyError> {
        let error = match self.try_check_out(commit, programs).await {
            Ok(wanted) if wanted.is_one_lacking && !self.is_checked => {
                return self.check_out_anew(commit, programs).await;
            }
            Ok(_) => return Ok(self.tree.clone()),
            Err(error) => error,
        };
        if self.is_checked || self.is_sound(programs).await {
            return Err(error);
        }
        self.discard().await?;
        if self.try_fetch(Patience::Full, programs).await? != commit {
            return Err(error);
        }
        self.try_check_out(commit, programs).await?;
        Ok(self.tree.clone())
    }

    /// Fetches files that the copy lacks although they are not too large, as far as the server sends them, and checks out
    /// again. git's own check does not find them: it takes a lost file for one that the server left out.
    async fn check_out_anew<P: CommandRunner>(
        &mut self,
        commit: &str,
        programs: &P,
    ) -> Result<PathBuf, PrivateCopyError> {
        self.is_checked = true;
        let reference = self.resolved.as_ref().map(|resolved| resolved.full.clone());
        let reference = reference.unwrap_or_else(|| self.reference.to_string());
        let fetched = self
            .fetch_objects(&reference, &["--refetch"], self.timeout, programs)
            .await;
        if let Err(error) = fetched {
            tracing::debug!(%error, "the files that the private copy lacks could not be fetched");
        }
        self.try_check_out(commit, programs).await?;
        Ok(self.tree.clone())
    }

    async fn try_check_out<P: CommandRunner>(
        &self,
        commit: &str,
        programs: &P,
    ) -> Result<WantedFiles, PrivateCopyError> {
        let tree = self.tree.clone();
        let made =
            spawn_blocking(move || remove(&tree).and_then(|()| private_directory(&tree))).await;
        made.map_err(PrivateCopyError::TreeDirectory)?;
        // `read-tree` refuses names by which a file would be written outside of the tree.
        self.git(programs, &["read-tree", commit])
            .await
            .map_err(PrivateCopyError::CheckOut)?;
        let files = self.files(commit, programs).await?;
        let first = files.first();
        let tree = self.tree.clone();
        let made = spawn_blocking(move || files.make_placeholders(&tree).map(|()| files)).await;
        let files = made.map_err(PrivateCopyError::WriteTree)?;
        self.check_out_files(first, programs).await?;
        let (tree, dir) = (self.tree.clone(), self.dir.clone());
        let taken = spawn_blocking(move || files.take_wanted(&tree, &dir)).await;
        let mut wanted = taken.map_err(PrivateCopyError::WriteTree)?;
        self.check_out_files(std::mem::take(&mut wanted.paths), programs)
            .await?;
        Ok(wanted)
    }

    async fn files<P: CommandRunner>(
        &self,
        commit: &str,
        programs: &P,
    ) -> Result<CommitFiles, PrivateCopyError> {
        let list = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit];
        let program = self.program(list.map(OsString::from), DEADLINE, LIST_BYTES_MAX);
        let listed = programs.run(program).await;
        let listed = listed.map_err(PrivateCopyError::CheckOut)?;
        if listed.len() as u64 >= LIST_BYTES_MAX {
            return Err(PrivateCopyError::ListTooLong);
        }
        CommitFiles::parse(&listed).ok_or(PrivateCopyError::UnknownList)
    }

    async fn check_out_files<P: CommandRunner>(
        &self,
        paths: Vec<PathBuf>,
        programs: &P,
    ) -> Result<(), PrivateCopyError> {
        let mut work_tree = OsString::from("--work-tree=");
        work_tree.push(&self.tree);
        for paths in command_lines(paths) {
            let command = ["checkout-index", "--force", "--quiet", "--"].map(OsString::from);
            let arguments = std::iter::once(work_tree.clone()).chain(command);
            self.run(programs, arguments.chain(paths))
                .await
                .map_err(PrivateCopyError::CheckOut)?;
        }
        Ok(())
    }

    /// The directory in which git keeps the commits.
    pub(super) fn git_directory(&self) -> &Path {
        &self.bare
    }

    /// Removes the directory that [`Self::check_out`] made.
    pub(super) async fn clear(&self) {
        let tree = self.tree.clone();
        if let Err(error) = spawn_blocking(move || remove(&tree)).await {
            tracing::debug!(%error, "the checked-out commit could not be removed");
        }
    }

    /// Prepares the copy for a fetch, whatever an earlier process left of it.
    async fn prepare<P: CommandRunner>(&self, programs: &P) -> Result<(), PrivateCopyError> {
        let (home, bare) = (self.home.clone(), self.bare.clone());
        let prepared = spawn_blocking(move || tidy(&home, &bare)).await;
        let packs = prepared.map_err(PrivateCopyError::Prepare)?;
        let failed = PrivateCopyError::PrepareRepository;
        match packs {
            None => {
                let mut arguments: Vec<_> = ["init", "--bare", "--quiet", "--template="]
                    .map(OsString::from)
                    .to_vec();
                arguments.push(self.bare.clone().into());
                self.run(programs, arguments).await.map_err(failed)?;
            }
            Some(packs) if packs > PACK_FILES_MAX => {
                self.git(programs, &["repack", "-a", "-d", "-q"])
                    .await
                    .map_err(failed)?;
                self.git(programs, &["prune", "--expire=now"])
                    .await
                    .map_err(failed)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the copy is undamaged. It is checked at most once until a fetch has succeeded.
    async fn is_sound<P: CommandRunner>(&mut self, programs: &P) -> bool {
        self.is_checked = true;
        let check = self.git(programs, &["fsck", "--no-dangling", "--no-progress"]);
        !matches!(check.await, Err(CommandError::Failed { .. }))
    }

    async fn discard(&self) -> Result<(), PrivateCopyError> {
        tracing::warn!("the private copy of the repository is damaged: it is fetched again");
        let bare = self.bare.clone();
        let removed = spawn_blocking(move || remove(&bare)).await;
        removed.map_err(PrivateCopyError::Discard)
    }

    async fn commit_of<P: CommandRunner>(
        &self,
        name: &str,
        programs: &P,
    ) -> Result<String, CommandError> {
        let name = format!("{name}^{{commit}}");
        let arguments = ["rev-parse", "--verify", &name];
        let output = self.git(programs, &arguments).await?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    async fn git<P: CommandRunner>(
        &self,
        programs: &P,
        arguments: &[&str],
    ) -> Result<Vec<u8>, CommandError> {
        let arguments = arguments.iter().map(OsString::from);
        self.run(programs, arguments).await
    }

    async fn run<P: CommandRunner>(
        &self,
        programs: &P,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Vec<u8>, CommandError> {
        let program = self.program(arguments, DEADLINE, ExternalCommand::SHORT);
        programs.run(program).await
    }

    fn program(
        &self,
        arguments: impl IntoIterator<Item = OsString>,
        deadline: Duration,
        output_max: u64,
    ) -> ExternalCommand {
        let plain_http = self.is_plain_http.then_some(PLAIN_HTTP);
        let settings = SETTINGS.into_iter().chain(plain_http);
        let mut all: Vec<_> = settings
            .flat_map(|setting| ["-c".into(), setting.into()])
            .collect();
        let mut directory = OsString::from("--git-dir=");
        directory.push(&self.bare);
        all.push(directory);
        all.extend(arguments);
        ExternalCommand {
            name: "git",
            arguments: all,
            environment: &ENVIRONMENT,
            passed_on: &PASSED_ON,
            deadline,
            output_max,
        }
    }
}

fn fetch_error(
    error: CommandError,
    too_slow: fn(CommandError) -> PrivateCopyError,
) -> PrivateCopyError {
    match error {
        CommandError::TooSlow { .. } => too_slow(error),
        CommandError::NotRun { .. } | CommandError::Failed { .. } => PrivateCopyError::Fetch(error),
    }
}
