//! What the tests that run the real git have in common.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Whether there is a git. Where there is none, says that a test is skipped, past the harness's capture; fails instead
/// where git is required.
pub(crate) fn is_there() -> bool {
    if Command::new("git").arg("--version").output().is_ok() {
        return true;
    }
    let required = std::env::var_os("SHAREKEEPER_TEST_REQUIRE_GIT");
    assert!(
        required.is_none_or(|value| value != "1"),
        "git is not found, and SHAREKEEPER_TEST_REQUIRE_GIT=1"
    );
    // A closed stderr has nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped: git is not found");
    false
}

/// git in `directory`, without the settings of whoever runs the tests: its home is `home`.
pub(crate) fn command(directory: &Path, home: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", home)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
    command
}
