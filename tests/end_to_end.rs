//! Runs the Python end-to-end suite (`tests/e2e`), which drives the real binary against a strict stand-in of the API.
//!
//! Without `python3` it is skipped with a note, unless `SHAREKEEPER_TEST_REQUIRE_PYTHON=1` says that it must be there.

#![allow(
    clippy::print_stderr,
    reason = "what a test has to say goes through the harness's capture"
)]

use std::process::Command;

#[test]
fn end_to_end_suite_passes() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        let required =
            std::env::var_os("SHAREKEEPER_TEST_REQUIRE_PYTHON").is_some_and(|value| value == "1");
        assert!(
            !required,
            "python3 not found, and SHAREKEEPER_TEST_REQUIRE_PYTHON=1"
        );
        eprintln!("skipped: python3 not found; the end-to-end suite did not run");
        return;
    }
    // The suite's output goes through this test's own, so that a failure shows it.
    let output = Command::new("python3")
        .args([
            "-B",
            "-m",
            "unittest",
            "discover",
            "-v",
            "-s",
            "tests/e2e",
            "-t",
            "tests",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SHAREKEEPER_BIN", env!("CARGO_BIN_EXE_sharekeeper"))
        .output()
        .expect("python3 starts");
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "the end-to-end suite failed ({}):\n{shown}",
        output.status
    );
    eprintln!("{shown}");
}
