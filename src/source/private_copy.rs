//! The private copy of a git repository: a bare repository that only this process uses, and a checked-out tree while it is
//! read.
//!
//! git checks everything that is used of it. A commit is checked out anew each time it is read, so that a tree that a crash
//! left half written is never read. A damaged copy is removed and fetched again.
//!
//! What a fetch brings is bounded as every server can do it, by a depth of one commit, and as most can, by the size of a
//! file; a server that does not know the latter sends all files. What it may take is one time for the whole, and not
//! a minimum of progress: only git knows its progress, each protocol has its own silences, and a server that sends
//! a byte now and then would never be given up.

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

/// For what one run of git has to do on this machine alone.
const DEADLINE: Duration = Duration::from_secs(60);
/// For a fetch while a good commit waits to be used.
const SHORT_FETCH: Duration = Duration::from_secs(60);
/// Length of the list of a commit's files in bytes: enough for two million.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// Nothing is asked of a person, and messages are in the language that they are told in.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
    ("LC_ALL", "C"),
];
/// How git finds keys, proxies and certificates.
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
/// For every run, over whatever the user's own settings say: no hooks, no other programs, no other protocols, nothing in
/// the background, and a pack for each fetch, so that packs count fetches.
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
/// What was fetched last.
const FETCHED: &str = "refs/sharekeeper/fetched";
/// The last commit whose manifests were good.
const GOOD: &str = "refs/sharekeeper/good";
/// Files among the packs, of which each fetch leaves four at most, before what no ref needs is thrown away.
const PACK_FILES_MAX: usize = 60;

/// What prevented the private copy from giving a commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateCopyError {
    #[error("could not fetch: {0}")]
    Fetch(#[source] CommandError),
    #[error("could not fetch: {0}; `--git-timeout` gives it more time")]
    FetchTooSlow(#[source] CommandError),
    /// The time was not the one that was asked for.
    #[error("could not fetch: {0}; the next try gets the time of `--git-timeout`")]
    ShortFetchTooSlow(#[source] CommandError),
    #[error("what was fetched is no commit: {0}")]
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
        "could not check out the commit: the list of its files is not understood; use another version of git"
    )]
    UnknownList,
    #[error("could not prepare the private copy: {0}")]
    Prepare(#[source] io::Error),
    /// git could not create the bare repository or repack it.
    #[error("could not prepare the private copy: {0}")]
    PrepareRepository(#[source] CommandError),
    #[error("could not remove the damaged private copy: {0}")]
    Discard(#[source] io::Error),
}

/// How long a fetch may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as people allow.
    Full,
    /// A minute at most, for there is a good commit that could be used meanwhile.
    Short,
}

pub(super) struct PrivateCopy {
    home: PathBuf,
    bare: PathBuf,
    /// Where a commit is checked out.
    tree: PathBuf,
    url: String,
    reference: GitRef,
    /// The manifests within it.
    dir: PathBuf,
    /// What one fetch may take, or the question what a name stands for.
    timeout: Duration,
    /// What the reference stood for when it was last asked about.
    resolved: Option<ResolvedRef>,
    is_plain_http: bool,
    /// Looked for damage, or thrown away, since it last served.
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
        // Relative to the process's directory, which git would take for its own.
        let home = std::path::absolute(home).unwrap_or_else(|_| home.clone());
        // What was good of another repository, or of another part of it, is not good here.
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

    /// Fetches, and says which commit it is now. A damaged copy is thrown away first.
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

    /// Fetches the commit that a full name stands for. What a fetch that fails leaves is removed.
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
            tracing::debug!(%error, "what a fetch left could not be removed");
        }
        Err(error)
    }

    /// The full name of what is to be fetched. What the repository does not have is left for the fetch to say.
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

    /// The last commit whose manifests were good, if it is there.
    pub(super) async fn good<P: CommandRunner>(&self, programs: &P) -> Option<String> {
        self.commit_of(GOOD, programs).await.ok()
    }

    /// Keeps a commit as good.
    pub(super) async fn keep<P: CommandRunner>(&self, commit: &str, programs: &P) {
        if let Err(error) = self.git(programs, &["update-ref", GOOD, commit]).await {
            tracing::warn!(%error, "the next start needs the repository: the good commit could not be noted");
        }
    }

    /// A directory with what is read of a commit. A damaged copy is thrown away, once, and fetched anew.
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

    /// Fetches what the copy lacks though it is not too large, as far as the server gives it, and checks out again. To git's
    /// own check, a file that was lost is one that the server left out.
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
            tracing::debug!(%error, "what the private copy lacks could not be fetched");
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
        // It refuses names by which a file would be written elsewhere.
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

    /// Where git keeps what it checked out of.
    pub(super) fn git_directory(&self) -> &Path {
        &self.bare
    }

    /// Removes what [`Self::check_out`] made.
    pub(super) async fn clear(&self) {
        let tree = self.tree.clone();
        if let Err(error) = spawn_blocking(move || remove(&tree)).await {
            tracing::debug!(%error, "the checked out commit could not be removed");
        }
    }

    /// Makes the copy ready to fetch into, whatever an earlier process left of it.
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

    /// Whether the copy is as git left it. Once it said so, it is not asked again until it has served.
    async fn is_sound<P: CommandRunner>(&mut self, programs: &P) -> bool {
        self.is_checked = true;
        let check = self.git(programs, &["fsck", "--no-dangling", "--no-progress"]);
        !matches!(check.await, Err(CommandError::Failed { .. }))
    }

    async fn discard(&self) -> Result<(), PrivateCopyError> {
        tracing::warn!("the private copy of the repository is damaged: it is fetched anew");
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
