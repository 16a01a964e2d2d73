//! Runs promtool, the tool of Prometheus, on the alert rules, on the tests of the rules, and on the output of
//! `/metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use sharekeeper::metrics::metrics;

use super::boards::{calls, every_kind, extra, now};
use super::path;

/// The tool with its arguments. Returns `None` and reports it if the tool is not found.
fn promtool(arguments: &[&str]) -> Option<Command> {
    let program = std::env::var_os("SHAREKEEPER_TEST_PROMTOOL");
    let program = program.unwrap_or_else(|| "promtool".into());
    let found = Command::new(&program).arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("SHAREKEEPER_TEST_REQUIRE_PROMTOOL");
        assert!(
            required.is_none_or(|value| value != "1"),
            "promtool is not found, and SHAREKEEPER_TEST_REQUIRE_PROMTOOL=1"
        );
        // If stderr is closed, nobody reads the message, so the error is ignored.
        let _ = writeln!(std::io::stderr(), "skipped: promtool is not found");
        return None;
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(path("examples/monitoring"))
        .stdin(Stdio::null());
    Some(command)
}

pub(crate) fn passes(arguments: &[&str]) {
    let Some(mut command) = promtool(arguments) else {
        return;
    };
    let output = command.output().expect("promtool starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{arguments:?}:\n{said}");
}

#[test]
fn the_rules_are_good() {
    passes(&["check", "rules", "--lint-fatal", "alerts.yaml"]);
}

#[test]
fn the_rules_fire_when_they_should_and_only_then() {
    passes(&["test", "rules", "alerts_test.yaml"]);
}

#[test]
fn the_output_follows_the_format_and_its_conventions() {
    let Some(mut command) = promtool(&["check", "metrics"]) else {
        return;
    };
    let shown = metrics(&every_kind(62), &calls(3), &extra(), now());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(shown.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
