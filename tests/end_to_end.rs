//! Runs the Python end-to-end suite (`tests/e2e`), which drives the real binary against a strict stand-in
//! of the API that shares no code with it.

mod python;

use std::io::Write;
use std::process::Command;

#[test]
fn the_end_to_end_suite_passes() {
    let version = Command::new("python3").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return python::skip_unless_required(
            "python3 is not found, so the end-to-end suite did not run",
        );
    }
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
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{}:\n{said}", output.status);
    // What was measured is worth seeing though nothing failed.
    let measured = said.lines().filter(|line| line.starts_with("measured: "));
    let measured: String = measured.map(|line| format!("{line}\n")).collect();
    let _ = std::io::stderr().write_all(measured.as_bytes());
}
