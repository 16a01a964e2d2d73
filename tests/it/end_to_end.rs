//! Runs the Python end-to-end suite (`tests/e2e`), which drives the real binary against a strict stand-in for the API
//! that shares no code with it. Each file of the suite is one test here.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::python;

/// Declares one test for each file of the suite, and the list of these files.
macro_rules! suite {
    ($($file:ident),+ $(,)?) => {
        const FILES: &[&str] = &[$(stringify!($file)),+];
        $(
            #[test]
            fn $file() {
                passes(stringify!($file));
            }
        )+
    };
}

suite! {
    test_accounts,
    test_convergence,
    test_daemon,
    test_faults,
    test_guards_and_exit,
    test_identity,
    test_kill,
    test_memory,
    test_output,
    test_ownership,
    test_rate,
    test_secrets,
    test_signals,
    test_standin,
    test_state,
}

#[test]
fn every_file_of_the_suite_is_a_test() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let files = std::fs::read_dir(directory).expect("the suite is there");
    let files: BTreeSet<_> = files
        .filter_map(|file| {
            let name = file.expect("a file").file_name().into_string().ok()?;
            let stem = name.strip_suffix(".py")?;
            stem.starts_with("test_").then(|| stem.to_owned())
        })
        .collect();
    let listed: BTreeSet<_> = FILES.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(files, listed);
}

fn passes(file: &str) {
    let version = Command::new("python3").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return python::skip_unless_required(
            "python3 is not found, so the end-to-end suite did not run",
        );
    }
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "-v", &format!("e2e.{file}")])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .env("SHAREKEEPER_BIN", env!("CARGO_BIN_EXE_sharekeeper"))
        .output()
        .expect("python3 starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{}:\n{text}", output.status);
    // The measurements are printed even if nothing fails, because they are useful then too.
    let measured = text.lines().filter(|line| line.starts_with("measured: "));
    let measured: String = measured.map(|line| format!("{line}\n")).collect();
    let _ = std::io::stderr().write_all(measured.as_bytes());
}
