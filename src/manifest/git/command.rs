//! Runs git in the repository that holds manifests. No command changes anything there, and nothing is fetched.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{CommandError, CommandRunner, ExternalCommand};

/// Time for one question to git. Waiting longer for a slow repository is not worth it.
const DEADLINE: Duration = Duration::from_secs(5);
/// Time for a list of the files of a repository, which may be large.
const LIST_DEADLINE: Duration = Duration::from_secs(10);
/// Length of such a list in bytes: enough for half a million files.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// git must not prompt, fetch or take a lock: a lock of ours would look like an operation in progress.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("LC_ALL", "C"),
];

/// The program `git`, run through a [`CommandRunner`].
pub(in crate::manifest) struct Git<'p, P>(pub(in crate::manifest) &'p P);

/// A pathspec that matches this path literally, relative to the directory that the command runs in.
pub(super) fn literal(path: impl AsRef<OsStr>) -> OsString {
    let mut pathspec = OsString::from(":(literal)");
    pathspec.push(path);
    pathspec
}

impl<P: CommandRunner> Git<'_, P> {
    /// Runs git in a directory. A repository's settings can name programs to run. git reads them only where it trusts
    /// the repository; of those programs, the one that stays running (fsmonitor) is switched off.
    pub(super) async fn run(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Vec<u8>, CommandError> {
        self.run_within(directory, arguments, DEADLINE, ExternalCommand::SHORT, &[])
            .await
    }

    /// The top of the work tree that holds a directory.
    pub(super) async fn top(&self, directory: &Path) -> Result<PathBuf, CommandError> {
        let arguments = ["rev-parse", "--show-toplevel"].map(OsString::from);
        let output = self.run(directory, arguments).await?;
        let line = output.strip_suffix(b"\n").unwrap_or(&output);
        Ok(PathBuf::from(OsStr::from_bytes(line)))
    }

    /// [`Self::run`] for the contents of a file. `None` if they are too long to be kept.
    pub(super) async fn contents(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let contents = self.run(directory, arguments).await?;
        Ok(((contents.len() as u64) < ExternalCommand::SHORT).then_some(contents))
    }

    /// [`Self::run`] for a list that may be long. `None` if it is too long to be kept.
    pub(super) async fn list(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        self.list_with(directory, arguments, &[]).await
    }

    /// [`Self::list`] with environment variables that are passed on to git.
    pub(super) async fn list_with(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        passed_on: &'static [&'static str],
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let list = self
            .run_within(
                directory,
                arguments,
                LIST_DEADLINE,
                LIST_BYTES_MAX,
                passed_on,
            )
            .await?;
        Ok(((list.len() as u64) < LIST_BYTES_MAX).then_some(list))
    }

    async fn run_within(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        deadline: Duration,
        output_max: u64,
        passed_on: &'static [&'static str],
    ) -> Result<Vec<u8>, CommandError> {
        let common = ["-c".into(), "core.fsmonitor=false".into(), "-C".into()];
        let arguments = common
            .into_iter()
            .chain([directory.into()])
            .chain(arguments)
            .collect();
        let program = ExternalCommand {
            name: "git",
            arguments,
            environment: &ENVIRONMENT,
            passed_on,
            deadline,
            output_max,
        };
        self.0.run(program).await
    }
}
