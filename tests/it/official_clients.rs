//! Runs the vendor's own unmodified clients against the simulator, which shows that the simulator speaks the
//! real API.
//!
//! The clients are installed in a virtual environment below `target/`, which the next run uses again.

use crate::support::python;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions are pinned, so that a new release of the vendor cannot break an unrelated change.
const PACKAGES: &str = include_str!("../clients/requirements.txt");

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!(
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&said)
    ))
}

/// Path of a Python that has the packages; installs them if they are missing.
fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official-clients");
    let python = folder.join("bin/python");
    let marker = folder.join("installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGES) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(PACKAGES.split_whitespace()))?;
    std::fs::write(marker, PACKAGES).map_err(|error| error.to_string())?;
    Ok(python)
}

#[test]
fn the_official_sdk_and_tccli_work_against_the_simulator() {
    let python = match install() {
        Ok(python) => python,
        Err(reason) => return python::skip_unless_required(&reason),
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/official.py");
    let tested = run(Command::new(python)
        .arg(script)
        .env("SHAREKEEPER_BIN", env!("CARGO_BIN_EXE_sharekeeper")));
    if let Err(said) = tested {
        panic!("{said}");
    }
}
