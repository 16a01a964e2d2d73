//! Tells the compiler which commit the binary is built from: `SHAREKEEPER_COMMIT` and `SOURCE_DATE_EPOCH` if they are set,
//! as packagers set them, else what git says of this directory, else that it is unknown. A build depends on nothing else,
//! so that it can be reproduced, and runs this anew only if one of these has changed.

#[path = "build/version.rs"]
mod version;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use version::Built;

const COMMIT: &str = "SHAREKEEPER_COMMIT";
const EPOCH: &str = "SOURCE_DATE_EPOCH";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/version.rs");
    for variable in [COMMIT, EPOCH] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let directory = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let git = Git::of(&directory);
    let (commit, epoch) = match (given(COMMIT), &git) {
        (Some(commit), _) => (Some(commit), None),
        (None, Some(git)) => (
            git.answer(&["rev-parse", "HEAD"]),
            git.answer(&["show", "-s", "--no-show-signature", "--format=%ct", "HEAD"]),
        ),
        (None, None) => (None, None),
    };
    if let Some(git) = &git {
        git.files_to_watch();
    }
    let built = Built::new(commit.as_deref(), given(EPOCH).or(epoch).as_deref());
    let package = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=BUILD_COMMIT={}", built.commit);
    println!("cargo::rustc-env=BUILD_VERSION={}", built.version(&package));
}

/// The repository whose top is the directory. One further up is somebody else's, as where the source is vendored.
struct Git<'a>(&'a Path);

impl<'a> Git<'a> {
    fn of(directory: &'a Path) -> Option<Self> {
        let git = Self(directory);
        let top = git.answer(&["rev-parse", "--show-toplevel"])?;
        let top = Path::new(&top).canonicalize().ok()?;
        (top == directory.canonicalize().ok()?).then_some(git)
    }

    /// What git prints, if it can say something.
    fn answer(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.0)
            // Set in a hook, they would name another repository.
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_COMMON_DIR")
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let text = text.trim();
        (output.status.success() && !text.is_empty()).then(|| text.to_owned())
    }

    /// Has this run anew once another commit is checked out. Cargo takes a file that is not there for one that has changed.
    fn files_to_watch(&self) {
        let branch = self.answer(&["symbolic-ref", "-q", "HEAD"]);
        let names = ["HEAD", "logs/HEAD", "packed-refs"]
            .into_iter()
            .map(str::to_owned);
        for name in names.chain(branch) {
            // In a worktree, `.git` is a file, and what it names is elsewhere.
            let Some(path) = self.answer(&["rev-parse", "--git-path", &name]) else {
                continue;
            };
            let path = self.0.join(path);
            if path.is_file() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
}
