//! Runs the Python end-to-end suite (`tests/e2e`), which drives the real binary against a strict stand-in
//! of the API that shares no code with it.

mod python;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

/// How many files of the suite run at once: each mostly waits for the pace of the API.
const AT_ONCE: usize = 2;

#[test]
fn the_end_to_end_suite_passes() {
    let version = Command::new("python3").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return python::skip_unless_required(
            "python3 is not found, so the end-to-end suite did not run",
        );
    }
    let modules = modules();
    assert!(!modules.is_empty(), "the suite has no files");
    let waiting = Mutex::new(modules.into_iter());
    let ended = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no thread panicked").next();
                    let Some(module) = next else { return };
                    let output = run(&module);
                    let mut ended = ended.lock().expect("no thread panicked");
                    ended.push((module, output));
                }
            });
        }
    });
    let mut failed = String::new();
    for (module, output) in ended.into_inner().expect("no thread panicked") {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if !output.status.success() {
            failed += &format!("{module}: {}:\n{said}\n", output.status);
        }
        // What was measured is worth seeing though nothing failed.
        let measured = said.lines().filter(|line| line.starts_with("measured: "));
        let measured: String = measured.map(|line| format!("{line}\n")).collect();
        let _ = std::io::stderr().write_all(measured.as_bytes());
    }
    assert!(failed.is_empty(), "{failed}");
}

/// The suite's files as Python modules, in the order of their names.
fn modules() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let files = std::fs::read_dir(directory).expect("the suite is there");
    let mut modules: Vec<_> = files
        .filter_map(|file| {
            let name = file.expect("a file").file_name().into_string().ok()?;
            let stem = name.strip_suffix(".py")?;
            stem.starts_with("test_").then(|| format!("e2e.{stem}"))
        })
        .collect();
    modules.sort();
    modules
}

fn run(module: &str) -> Output {
    Command::new("python3")
        .args(["-B", "-m", "unittest", "-v", module])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .env("SHAREKEEPER_BIN", env!("CARGO_BIN_EXE_sharekeeper"))
        .output()
        .expect("python3 starts")
}
