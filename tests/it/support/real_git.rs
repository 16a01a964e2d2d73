//! Support code that the tests with the real git share.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Whether git is installed. If it is not, reports on the real stderr that a test is skipped, or fails if git is
/// required.
pub(crate) fn is_there() -> bool {
    if Command::new("git").arg("--version").output().is_ok() {
        return true;
    }
    let required = std::env::var_os("SHAREKEEPER_TEST_REQUIRE_GIT");
    assert!(
        required.is_none_or(|value| value != "1"),
        "git is not found, and SHAREKEEPER_TEST_REQUIRE_GIT=1"
    );
    // If stderr is closed, nobody reads the message, so the error is ignored.
    let _ = writeln!(std::io::stderr(), "skipped: git is not found");
    false
}

/// A git command in `directory` without the settings of the user who runs the tests. Its home directory is `home`.
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
