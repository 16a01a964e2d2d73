//! Questions to git about the repository that holds manifests. No answer changes anything there, and nothing is fetched.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::host::{Program, ProgramError, Programs};

/// For one question to git. A repository that is slower than this is not worth waiting for.
const DEADLINE: Duration = Duration::from_secs(5);
/// Nothing is asked, fetched or locked: a lock of ours would be taken for a change under way.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("LC_ALL", "C"),
];

/// The program `git`, asked through a port.
pub(super) struct Git<'p, P>(pub(super) &'p P);

impl<P: Programs> Git<'_, P> {
    /// A repository's own settings can name programs to run. git reads them only where it trusts the repository, and
    /// of those that reading the state would start, the one that stays running is switched off.
    pub(super) async fn run(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Vec<u8>, ProgramError> {
        let common = ["-c".into(), "core.fsmonitor=false".into(), "-C".into()];
        let arguments = common
            .into_iter()
            .chain([directory.into()])
            .chain(arguments)
            .collect();
        let program = Program {
            name: "git",
            arguments,
            environment: &ENVIRONMENT,
            passed_on: &[],
            deadline: DEADLINE,
            output_max: Program::SHORT,
        };
        self.0.run(program).await
    }
}
