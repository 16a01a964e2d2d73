//! The private copy of a git repository: a bare repository that only this process uses, and a checked-out tree while it is
//! read.
//!
//! git checks everything that is used of it. A commit is checked out anew each time it is read, so that a tree that a crash
//! left half written is never read. A damaged copy is removed and fetched again.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::resolved_ref::{self, ResolvedRef};
use super::{GitRef, Repository};
use crate::host::{CommandError, CommandRunner, ExternalCommand, spawn_blocking};

/// For all that one run of git has to do, network included.
const DEADLINE: Duration = Duration::from_secs(60);
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
/// Files among the packs, of which each fetch leaves three, before what no ref needs is thrown away.
const PACK_FILES_MAX: usize = 60;

/// What prevented the private copy from giving a commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateCopyError {
    #[error("could not fetch: {0}")]
    Fetch(#[source] CommandError),
    #[error("what was fetched is no commit: {0}")]
    NoCommit(#[source] CommandError),
    #[error("could not make a directory for the commit: {0}")]
    TreeDirectory(#[source] io::Error),
    #[error("could not check out the commit: {0}")]
    CheckOut(#[source] CommandError),
    #[error("could not prepare the private copy: {0}")]
    Prepare(#[source] io::Error),
    /// git could not create the bare repository or repack it.
    #[error("could not prepare the private copy: {0}")]
    PrepareRepository(#[source] CommandError),
    #[error("could not remove the damaged private copy: {0}")]
    Discard(#[source] io::Error),
}

pub(super) struct PrivateCopy {
    home: PathBuf,
    bare: PathBuf,
    /// Where a commit is checked out.
    tree: PathBuf,
    url: String,
    reference: GitRef,
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
            resolved: None,
            is_plain_http: url.is_plain_http(),
            is_checked: false,
        }
    }

    /// Fetches, and says which commit it is now. A damaged copy is thrown away first.
    pub(super) async fn fetch<P: CommandRunner>(
        &mut self,
        programs: &P,
    ) -> Result<String, PrivateCopyError> {
        let error = match self.try_fetch(programs).await {
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
        self.try_fetch(programs).await
    }

    async fn try_fetch<P: CommandRunner>(
        &mut self,
        programs: &P,
    ) -> Result<String, PrivateCopyError> {
        self.prepare(programs).await?;
        let reference = self
            .resolve(programs)
            .await
            .map_err(PrivateCopyError::Fetch)?;
        let refspec = format!("+{reference}:{FETCHED}");
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--force",
            "--",
            &self.url,
            &refspec,
        ];
        self.git(programs, &fetch)
            .await
            .map_err(PrivateCopyError::Fetch)?;
        self.commit_of(FETCHED, programs)
            .await
            .map_err(PrivateCopyError::NoCommit)
    }

    /// The full name of what is to be fetched. What the repository does not have is left for the fetch to say.
    async fn resolve<P: CommandRunner>(&mut self, programs: &P) -> Result<String, CommandError> {
        let name = &self.reference;
        if name.is_exact() {
            return Ok(name.to_string());
        }
        let candidates = resolved_ref::candidates(name);
        let list = ["ls-remote", "--quiet", "--", &self.url];
        let list: Vec<_> = (list.into_iter())
            .chain(candidates.iter().map(String::as_str))
            .collect();
        let listed = self.git(programs, &list).await?;
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

    /// A directory with what is in a commit. A damaged copy is thrown away, once, and fetched anew.
    pub(super) async fn check_out<P: CommandRunner>(
        &mut self,
        commit: &str,
        programs: &P,
    ) -> Result<PathBuf, PrivateCopyError> {
        let error = match self.try_check_out(commit, programs).await {
            Ok(tree) => return Ok(tree),
            Err(error) => error,
        };
        if self.is_checked || self.is_sound(programs).await {
            return Err(error);
        }
        self.discard().await?;
        if self.try_fetch(programs).await? != commit {
            return Err(error);
        }
        self.try_check_out(commit, programs).await
    }

    async fn try_check_out<P: CommandRunner>(
        &self,
        commit: &str,
        programs: &P,
    ) -> Result<PathBuf, PrivateCopyError> {
        let tree = self.tree.clone();
        let made =
            spawn_blocking(move || remove(&tree).and_then(|()| private_directory(&tree))).await;
        made.map_err(PrivateCopyError::TreeDirectory)?;
        let mut work_tree = OsString::from("--work-tree=");
        work_tree.push(&self.tree);
        for arguments in [
            &["read-tree", commit] as &[_],
            &["checkout-index", "--all", "--force", "--quiet"],
        ] {
            let arguments = arguments.iter().map(OsString::from);
            let arguments = std::iter::once(work_tree.clone()).chain(arguments);
            self.run(programs, arguments)
                .await
                .map_err(PrivateCopyError::CheckOut)?;
        }
        Ok(self.tree.clone())
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
        let plain_http = self.is_plain_http.then_some(PLAIN_HTTP);
        let settings = SETTINGS.into_iter().chain(plain_http);
        let mut all: Vec<_> = settings
            .flat_map(|setting| ["-c".into(), setting.into()])
            .collect();
        let mut directory = OsString::from("--git-dir=");
        directory.push(&self.bare);
        all.push(directory);
        all.extend(arguments);
        let program = ExternalCommand {
            name: "git",
            arguments: all,
            environment: &ENVIRONMENT,
            passed_on: &PASSED_ON,
            deadline: DEADLINE,
            output_max: ExternalCommand::SHORT,
        };
        programs.run(program).await
    }
}

/// Removes everything in `home` but `bare`, and locks in it whose owner was killed. The number of its pack files; `None`
/// if there is no repository yet.
fn tidy(home: &Path, bare: &Path) -> io::Result<Option<usize>> {
    private_directory(home)?;
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        if path != bare {
            remove(&path)?;
        }
    }
    if !bare.join("HEAD").is_file() {
        return remove(bare).map(|()| None);
    }
    for directory in [bare, &bare.join("refs/sharekeeper")] {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "lock") {
                fs::remove_file(&path)?;
            }
        }
    }
    let packs = fs::read_dir(bare.join("objects/pack"));
    Ok(Some(packs.map_or(0, Iterator::count)))
}

/// Makes a directory that nobody else can enter, or makes it so.
fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let is_directory = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if is_directory {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}
