//! Tests what all commands have in common: the result goes to stdout, everything else to stderr, and `-o json` prints
//! one document.

use serde_json::Value;

use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::{Bench, command, document, sharekeeper, stderr, stdout};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.share(FRANKFURT, &["img-foreign"]);
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.declare("frankfurt", FRANKFURT, &["img-c"]);
    bench
}

/// Each command with a field of its document, in an order in which each command has something to report.
const COMMANDS: [(&[&str], &str); 19] = [
    (&["validate"], "documents"),
    (&["plan"], "changes"),
    (&["reconcile"], "images"),
    (&["reconcile", "--prune", "owned"], "summary"),
    (&["images"], "images"),
    (&["explain", "img-a"], "images"),
    (&["explain", "ResourceInUse.ImageInUse"], "meaning"),
    (&["lock", "--check"], "policies"),
    (&["import", "--out", "found"], "files"),
    (&["adopt", "--image", "img-foreign"], "adopted"),
    (
        &["adopt", "--release", "--image", "img-foreign"],
        "released",
    ),
    (&["suspend", "--all", "--reason", "x"], "suspension"),
    (&["status"], "suspensions"),
    (&["resume"], "ended"),
    (&["history"], "entries"),
    (&["history", "verify"], "sound"),
    (&["plan", "--out", "plan.json"], "budget"),
    (&["doctor"], "checks"),
    (&["doctor", "--cam-policy"], "policies"),
];

/// Runs a command on the bench. `validate` needs no state directory.
fn run(bench: &Bench, arguments: &[&str]) -> std::process::Output {
    if arguments[0] == "validate" {
        bench.real(arguments)
    } else {
        bench.run(arguments, 0)
    }
}

#[test]
fn each_command_prints_text_without_colour_into_a_pipe() {
    let bench = bench();
    for (arguments, _) in COMMANDS {
        let output = run(&bench, arguments);
        let text = stdout(&output);
        assert!(text.ends_with('\n'), "{arguments:?}: {text}");
        assert!(!text.contains('\u{1b}'), "{arguments:?}: {text}");
        assert!(!stderr(&output).contains('\u{1b}'), "{}", stderr(&output));
        assert!(!text.lines().any(|line| line.ends_with(' ')), "{text}");
    }
    let text = bench.text(&["history", "--color", "always"], 0);
    assert!(text.contains('\u{1b}'), "colour that is asked for is there");
}

#[test]
fn each_command_prints_one_document() {
    let bench = bench();
    for (arguments, part) in COMMANDS {
        let output = run(&bench, &[arguments, &["-o", "json"]].concat());
        let document = document(&output);
        assert_ne!(document[part], Value::Null, "{arguments:?}: {document}");
        assert_eq!(stdout(&output).lines().count(), 1, "{arguments:?}");
    }
}

#[test]
fn each_command_prints_one_document_on_failure_too() {
    let bench = bench();
    bench.write("manifests/broken.yaml", "kind: ImageShares\n");
    bench.write("file", "");
    for (arguments, status) in [
        (&["validate"] as &[_], 1),
        (&["plan"], 1),
        (&["plan", "--out"], 64),
        (&["reconcile"], 1),
        (&["reconcile", "--plan", "nowhere.json"], 1),
        (&["reconcile", "--max-cancels", "x"], 64),
        (&["images"], 1),
        (&["images", "--region", "x"], 64),
        (&["explain", "img-a"], 1),
        (&["explain", "FailedOperation.Requesterror2"], 64),
        (&["explain"], 64),
        (&["lock"], 1),
        (&["import"], 1),
        (&["adopt"], 64),
        (&["adopt", "--all"], 1),
        (&["status", "--state-dir", "file"], 1),
        (&["status", "everything"], 64),
        (&["history", "--state-dir", "file"], 1),
        (&["history", "--since", "x"], 64),
        (&["history", "verify", "--state-dir", "file"], 1),
        (&["history", "check"], 64),
        (&["suspend"], 64),
        (
            &["suspend", "--all", "--reason", "x", "--state-dir", "file"],
            1,
        ),
        (&["resume"], 1),
        (&["resume", "x"], 64),
        (&["man", "nothing"], 64),
        (&["doctor", "--read-only"], 64),
        (&["doctor", "--cam-policy"], 1),
    ] {
        let output = command(&[arguments, &["-o", "json"]].concat())
            .env("SHAREKEEPER_STATE_DIR", bench.path("state"))
            .current_dir(bench.path("."))
            .output()
            .expect("the binary starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        let document = document(&output);
        let is_said = document["error"].is_string()
            || document["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty());
        assert!(is_said, "{arguments:?}: {document}");
        assert!(said.starts_with("error"), "{arguments:?}: {said}");
    }
}

#[test]
fn each_command_has_a_manual_page_and_help() {
    for name in [
        "validate",
        "plan",
        "reconcile",
        "images",
        "explain",
        "lock",
        "import",
        "adopt",
        "status",
        "history",
        "suspend",
        "resume",
        "doctor",
        "sim",
        "schema",
        "completions",
        "man",
    ] {
        let page = sharekeeper(&["man", name]);
        holds(&stdout(&page), &[&format!(".TH sharekeeper-{name} 1")]);
        let help = sharekeeper(&[name, "--help"]);
        holds(
            &stdout(&help),
            &[&format!("Usage: sharekeeper {name}"), "Common options:"],
        );
    }
    holds(
        &stdout(&sharekeeper(&["man", "history", "verify"])),
        &[".TH sharekeeper-history-verify 1"],
    );
    let wrong = sharekeeper(&["man", "pln"]);
    holds(
        &stderr(&wrong),
        &["`sharekeeper` has no command `pln`; its commands are: validate, plan,"],
    );
}

/// In a CI job, the runner may interpret a separate line as a command.
#[test]
fn o1_s22_m10_the_name_of_a_file_cannot_add_a_line_or_an_escape() {
    const NAME: &str = "x\n::error::forged\u{1b}[2J\u{202e}";
    let bench = Bench::new();
    let named = bench.path(&format!("manifests/{NAME}.yaml"));
    bench.declare("x", TOKYO, &["img-a"]);
    std::fs::rename(bench.path("manifests/x.yaml"), &named).expect("renamed");
    let names = |arguments: &[&str]| {
        let arguments = [arguments, &["--color", "always", "--log-level", "trace"]].concat();
        let output = bench.real(&[&arguments as &[_], &["--sim"]].concat());
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert!(!text.contains("\n::error"), "{arguments:?}:\n{text}");
        assert!(!text.contains("\u{1b}[2J"), "{arguments:?}:\n{text}");
        assert!(!text.contains('\u{202e}'), "{arguments:?}:\n{text}");
        text.contains("::error::forged")
    };
    for arguments in [&["plan"] as &[_], &["reconcile"], &["history"]] {
        assert!(names(arguments), "{arguments:?} does not name the file");
    }
    std::fs::write(&named, "kind: ImageShare\n").expect("broken");
    assert!(names(&["plan"]), "an error does not name the file");
}

#[test]
fn a_plan_in_text_has_its_columns_in_line() {
    let bench = bench();
    bench.run(&["reconcile"], 0);
    bench.declare(
        "tokyo",
        TOKYO,
        &["img-a, until: 2020-01-01T00:00:00Z", "img-new"],
    );
    let text = bench.text(&["plan", "--prune", "owned"], 0);
    holds(
        &text,
        &[
            "default/ap-tokyo: 1 to share, 2 to cancel\n  To cancel (2):\n",
            "  - img-a           expired   manifests/tokyo.yaml:7\n",
            "  - img-b           pruned    no manifest names it\n  To share (1):\n",
            "  + img-new         declared  manifests/tokyo.yaml:8\n",
            "Plan: 1 to share, 2 to cancel, 1 in sync.\n",
            "Left alone: 1 shared image that no manifest names.\n",
        ],
    );
}
