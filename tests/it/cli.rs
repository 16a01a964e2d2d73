//! The command line where it calls no API: what it prints on which stream, and its exit status.

#[path = "../../build/version.rs"]
mod version;

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::binary::{command, document, sharekeeper, stderr, stdout, use_state};

#[test]
fn what_is_asked_for_is_printed_and_ends_with_0() {
    for (arguments, words) in [
        (&["--help"] as &[_], "Exit status:"),
        (&["--version"], "sharekeeper 0."),
        (&["reconcile", "--help"], "SHAREKEEPER_TIMEOUT"),
        (&["schema"], "https://json-schema.org/draft/2020-12/schema"),
        (&["completions", "bash"], "_sharekeeper()"),
        (&["completions", "zsh"], "#compdef sharekeeper"),
        (&["man"], ".TH sharekeeper"),
        (&["validate", "manifests"], "Valid: 3 documents, 12 images."),
        (
            &["-o", "text", "validate", "manifests"],
            "Valid: 3 documents",
        ),
    ] {
        let output = sharekeeper(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stdout(&output).contains(words),
            "{arguments:?}: {}",
            stdout(&output)
        );
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_64_and_says_what_is_near() {
    for (arguments, words) in [
        (&["reconcil"] as &[_], "'reconcile'"),
        (&["plan", "--detailed-exitcod"], "'--detailed-exitcode'"),
        (&["plan", "--region", "ap-singapur"], "ap-singapore"),
        (&["plan", "--image", "lhbp-1"], "img-"),
        (&["plan", "--endpoint", "http://example.com"], "use https"),
        (
            &["plan", "--sim", "--endpoint", "http://127.0.0.1:1"],
            "cannot be used with",
        ),
        (&["reconcile", "--timeout", "soon"], "`10m`"),
        (&["reconcile", "--timeout", "0s"], "must not be zero"),
        (&["plan", "-l", "team"], "KEY=VALUE"),
        (
            &["doctor", "--sim", "--sim-reset"],
            "`sharekeeper plan --sim --sim-reset`",
        ),
        (&["doctor", "--read-only"], "--cam-policy"),
        (&["doctor", "--region", "ap-singapur"], "ap-singapore"),
        (&["docto"], "'doctor'"),
        (&["run", "--interval", "10ms"], "less than a second"),
        (&["run", "--listen", "here"], "`127.0.0.1:7979`"),
        (&["run", "--listen", "0.0.0.0:7979"], "--listen-open"),
        (
            &["run", "--git", "https://user:word@example.com/x"],
            "credential",
        ),
        (&["run", "--git=-u"], "--git"),
        (
            &["run", "elsewhere", "--git", "https://example.com/x"],
            "`--path`",
        ),
        (&["run", "--path", "share"], "--git"),
        (&[], "Usage:"),
    ] {
        let output = sharekeeper(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(
            stderr(&output).contains(words),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
    let output = sharekeeper(&["plan", "--regoin", "x", "-o", "json"]);
    assert!(
        document(&output)["error"]
            .as_str()
            .is_some_and(|error| error.contains("--region"))
    );
}

#[test]
fn validate_needs_neither_network_nor_credentials_and_counts() {
    let output = sharekeeper(&[
        "validate",
        "manifests",
        "examples/multi-region",
        "-o",
        "json",
    ]);
    let document = document(&output);
    assert_eq!(
        (&document["documents"], &document["images"]),
        (&7.into(), &44.into())
    );
    assert_eq!(document["errors"], serde_json::json!([]));
}

#[test]
fn m1_what_cannot_be_read_ends_with_1_and_a_document() {
    let empty = tempfile::tempdir().expect("a directory");
    let empty = empty.path().to_str().expect("text");
    for command in ["validate", "plan", "reconcile"] {
        for (path, words) in [
            ("no-such-directory", "does not exist"),
            (empty, "holds no manifests"),
        ] {
            let output = sharekeeper(&[command, path, "-o", "json"]);
            assert_eq!(output.status.code(), Some(1), "{command} {path}");
            assert_eq!(document(&output)["errors"][0]["file"], path);
            assert!(stderr(&output).contains(words), "{}", stderr(&output));
        }
    }
}

#[test]
fn without_credentials_it_names_what_it_tried() {
    let output = sharekeeper(&["plan", "manifests", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = document(&output)["error"]
        .as_str()
        .expect("says why")
        .to_owned();
    for words in [
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        "environment",
        "profile `default`",
        "file (",
        "tke-oidc",
        "cvm-role",
        "--sim",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn c10_s12_a_file_that_others_can_read_is_used_with_a_warning() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("keys");
    std::fs::write(
        &path,
        "[default]\nsecret_id = AKID\nsecret_key = hunter2hunter2\n",
    )
    .expect("is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let output = command(&["plan", "manifests", "--endpoint", "http://127.0.0.1:1"])
        .env("TENCENTCLOUD_CREDENTIALS_FILE", &path)
        .output()
        .expect("the binary starts");
    let stderr = stderr(&output);
    let remedy = format!("`chmod 600 {}`", path.display());
    assert_eq!(stderr.matches(&remedy).count(), 1, "{stderr}");
    let shown = format!("{stderr}{}", String::from_utf8_lossy(&output.stdout));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn credentials_that_are_half_set_end_it_before_anything_is_called() {
    let output = command(&["plan", "manifests", "--endpoint", "http://127.0.0.1:1"])
        .env("TENCENTCLOUD_SECRET_ID", "AKID")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    let words = "TENCENTCLOUD_SECRET_ID is set, but TENCENTCLOUD_SECRET_KEY is not";
    assert!(stderr.contains(words), "{stderr}");
}

#[test]
fn s13_an_account_that_cannot_be_verified_is_held_still() {
    let arguments = [
        "plan",
        "examples/multi-region",
        "--endpoint",
        "http://127.0.0.1:1",
        "--image",
        "img-web1tyo",
    ];
    let output = command(&arguments)
        .env("TENCENTCLOUD_SECRET_ID", "AKIDtest")
        .env("TENCENTCLOUD_SECRET_KEY", "key")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "nobody listens there");
    let said = format!("{}{}", stdout(&output), stderr(&output));
    for words in ["100000000001", "`prod`", "127.0.0.1:1", "remove `uin`"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn s13_with_sim_the_keys_are_of_the_accounts_that_the_manifests_name() {
    let state = tempfile::tempdir().expect("a directory");
    let state = state.path().to_str().expect("text");
    let arguments = [
        "reconcile",
        "examples/multi-region",
        "--sim",
        "--state-dir",
        state,
        "-o",
        "json",
    ];
    for written in [32, 0] {
        let output = sharekeeper(&arguments);
        let document = document(&output);
        assert_eq!(document["exit_code"], 0, "{document:#}");
        assert_eq!(document["calls"]["writes"], written, "{document:#}");
    }
}

#[test]
fn flags_narrow_the_scope_before_and_after_the_verb() {
    let state = tempfile::tempdir().expect("a directory");
    let state = state.path().to_str().expect("text");
    let base = [
        "--state-dir",
        state,
        "-o",
        "json",
        "plan",
        "manifests",
        "--sim",
    ];
    for (narrow, left) in [
        (&[] as &[_], 12),
        (&["--region", "ap-singapore"], 4),
        (&["--region", "ap-singapore", "--region", "eu-frankfurt"], 9),
        (&["--image", "img-demo2026"], 1),
        (&["-l", "team=partners"], 3),
        (&["-l", "team=partners", "--region", "ap-singapore"], 1),
    ] {
        let output = sharekeeper(&[&base, narrow].concat());
        let document = document(&output);
        assert_eq!(
            document["changes"].as_array().map(Vec::len),
            Some(left),
            "{narrow:?}: {document}"
        );
        assert_eq!(
            stderr(&output).contains("nothing to do"),
            left == 0,
            "{narrow:?}"
        );
    }
}

/// The commands that print a result and then end.
const PRINTING: [&[&str]; 18] = [
    &["validate", "manifests"],
    &["validate", "manifests", "-o", "json"],
    &["validate", "no-such-directory", "-o", "json"],
    &["plan", "manifests", "--sim"],
    &["plan", "manifests", "--sim", "-o", "json"],
    &["reconcile", "manifests", "--sim"],
    &["reconcile", "manifests", "--sim", "-o", "json"],
    &["status", "--sim"],
    &["history", "--sim", "-o", "json"],
    &["suspend", "--all", "--sim", "--reason", "x"],
    &["doctor", "manifests", "--sim"],
    &["doctor", "manifests", "--cam-policy"],
    &["schema"],
    &["completions", "bash"],
    &["man"],
    &["man", "history", "verify"],
    &["--help"],
    &["--version"],
];

#[test]
fn p2_s24_output_that_cannot_be_written_is_an_error() {
    for arguments in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let (gone, closed) = std::io::pipe().expect("a pipe");
        drop(gone);
        let full = Stdio::from(full.expect("a full device"));
        for (what, stdout, status) in [("full", full, 1), ("gone", Stdio::from(closed), 141)] {
            let state = tempfile::tempdir().expect("a directory");
            // `suspend` refuses a state that was never used.
            use_state(&state.path().join("sim"));
            let output = command(arguments)
                .env("SHAREKEEPER_STATE_DIR", state.path())
                .stdout(stdout)
                .output()
                .expect("the binary starts");
            let said = stderr(&output);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{arguments:?} {what}: {said}"
            );
            assert!(!said.contains("panicked"), "{arguments:?} {what}: {said}");
        }
    }
}

/// If nobody can read stderr, the work is still done and its result is still printed.
#[test]
fn p2_a_stderr_that_cannot_be_written_changes_nothing() {
    for arguments in [
        &["validate", "manifests"] as &[_],
        &["reconcile", "manifests", "--sim", "--log-level", "trace"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let (gone, closed) = std::io::pipe().expect("a pipe");
        drop(gone);
        let full = Stdio::from(full.expect("a full device"));
        for (what, stderr) in [("full", full), ("gone", Stdio::from(closed))] {
            let state = tempfile::tempdir().expect("a directory");
            let output = command(arguments)
                .env("SHAREKEEPER_STATE_DIR", state.path())
                .args(["-o", "json"])
                .stderr(stderr)
                .output()
                .expect("the binary starts");
            assert_eq!(output.status.code(), Some(0), "{arguments:?} {what}");
            document(&output);
        }
    }
}

/// If stdout is closed, nobody wants the result. But no other file may get the descriptor number of stdout, because the
/// result would then be written into that file.
#[test]
fn p2_s18_with_closed_streams_the_work_is_done_and_the_state_sound() {
    let state = tempfile::tempdir().expect("a directory");
    let sharekeeper = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("SHAREKEEPER_STATE_DIR", state.path());
        command
    };
    for closed in [">&- 2>&- <&-", ">&-"] {
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("exec \"$0\" \"$@\" {closed}")])
            .arg(env!("CARGO_BIN_EXE_sharekeeper"))
            .args(["reconcile", "manifests", "--sim", "--log-level", "trace"])
            .env_clear()
            .env("HOME", state.path())
            .env("SHAREKEEPER_STATE_DIR", state.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::null())
            .status()
            .expect("a shell");
        assert_eq!(status.code(), Some(0), "{closed}");
        let verify = sharekeeper(&["history", "verify", "--sim", "-o", "json"])
            .output()
            .expect("the binary starts");
        assert_eq!(document(&verify)["sound"], true);
        let again = sharekeeper(&["reconcile", "manifests", "--sim", "-o", "json"])
            .output()
            .expect("the binary starts");
        assert_eq!(document(&again)["summary"]["in_sync"], 12, "{closed}");
    }
}

/// The variables that narrow a run, and what the run would widen to without a value.
const NARROWING: [(&str, &str); 4] = [
    ("SHAREKEEPER_ACCOUNT", "every account"),
    ("SHAREKEEPER_REGION", "every region"),
    ("SHAREKEEPER_IMAGE", "every image"),
    ("SHAREKEEPER_SELECTOR", "every document"),
];
const BLANKS: [&str; 3] = ["", " ", "\t\n"];

#[test]
fn t1_an_empty_variable_that_narrows_the_run_ends_it_with_64() {
    let commands: [&[&str]; 9] = [
        &["plan"],
        &["reconcile"],
        &["run"],
        &["doctor"],
        &["adopt", "--all"],
        &["suspend", "--all", "--reason", "x"],
        &["import"],
        &["history"],
        &["resume", "--all"],
    ];
    for arguments in commands {
        let has_labels = !matches!(arguments[0], "import" | "history" | "resume");
        for (name, words) in NARROWING {
            if name == "SHAREKEEPER_SELECTOR" && !has_labels {
                continue;
            }
            for blank in BLANKS {
                let state = tempfile::tempdir().expect("a directory");
                let output = command(arguments)
                    .env("SHAREKEEPER_STATE_DIR", state.path())
                    .env(name, blank)
                    .output()
                    .expect("the binary starts");
                let said = stderr(&output);
                assert_eq!(
                    output.status.code(),
                    Some(64),
                    "{arguments:?} {name}: {said}"
                );
                let expected =
                    format!("{name} is set but empty, which would widen the run to {words}");
                assert!(said.contains(&expected), "{arguments:?}: {said}");
                assert_eq!(stdout(&output), "");
                let left = std::fs::read_dir(state.path()).expect("a directory");
                assert_eq!(left.count(), 0, "{arguments:?}: nothing is done");
            }
        }
    }
    // All variables are empty at once, and the JSON document names each of them.
    let mut all = command(&["plan", "-o", "json"]);
    all.envs(NARROWING.map(|(name, _)| (name, "")));
    let output = all.output().expect("the binary starts");
    let error = document(&output)["error"].to_string();
    for (name, _) in NARROWING {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn t1_an_empty_variable_is_fine_beside_a_flag_or_without_guards() {
    let state = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.envs(NARROWING.map(|(name, _)| (name, "")));
        command.env("SHAREKEEPER_STATE_DIR", state.path());
        command.output().expect("the binary starts")
    };
    let flags = [
        "--account",
        "default",
        "--region",
        "ap-singapore",
        "--image",
        "img-6pb6lrmy",
    ];
    for arguments in [
        &["validate", "manifests"] as &[_],
        &["status"],
        &["history", "verify"],
        &[&["history"], &flags[..]].concat(),
        &[
            &["plan", "manifests", "--sim", "-l", "team=platform"],
            &flags[..],
        ]
        .concat(),
    ] {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    // A flag with an empty value is still refused.
    for flag in ["--account=", "--region=", "--image=", "--selector="] {
        let output = sharekeeper(&["plan", "manifests", "--sim", flag]);
        assert_eq!(output.status.code(), Some(64), "{flag}");
    }
}

#[test]
fn t1_any_other_empty_variable_counts_as_unset() {
    let common = [
        "OUTPUT",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "COLOR",
        "STATE_DIR",
        "PATH",
        "ENDPOINT",
    ];
    let guards = ["PRUNE", "MAX_CANCELS", "MAX_CANCELS_PERCENT", "ACCEPT_LOST"];
    let working = [
        "PARTIAL_OK",
        "HISTORY_MAX",
        "TIMEOUT",
        "ALLOW_OLDER_COMMIT",
        "ALLOW_UNKNOWN_COMMIT",
    ];
    let watching = [
        "INTERVAL",
        "OBSERVE_ONLY",
        "DEBOUNCE",
        "POLL",
        "GIT",
        "REF",
        "GIT_INTERVAL",
    ];
    let showing = [
        "LISTEN",
        "LISTEN_OPEN",
        "ALLOW_HOST",
        "NOTIFY",
        "WARN_BEFORE",
        "SIM",
    ];
    let all = [
        &common[..],
        &guards,
        &working,
        &watching,
        &showing,
        &["OUT", "DETAILED_EXITCODE"],
    ]
    .concat();
    for blank in BLANKS {
        let bare = |arguments: &[&str]| {
            let home = tempfile::tempdir().expect("a directory");
            let mut command = command(arguments);
            command.env("HOME", home.path());
            command.envs(
                all.iter()
                    .map(|name| (format!("SHAREKEEPER_{name}"), blank)),
            );
            (command.output().expect("the binary starts"), home)
        };
        let (output, home) = bare(&["reconcile", "--sim"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{blank:?}: {}",
            stderr(&output)
        );
        assert!(
            stdout(&output).contains("In sync: 8 shared, 4 cancelled"),
            "{}",
            stdout(&output)
        );
        assert!(
            home.path()
                .join(".local/state/sharekeeper/sim/state.db")
                .is_file()
        );
        let (output, _home) = bare(&["plan", "--sim"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{blank:?}: {}",
            stderr(&output)
        );
        // The binary can print this message only after it has read all other settings.
        let (output, _home) = bare(&["run", "--listen", "0.0.0.0:7979"]);
        assert!(
            stderr(&output).contains("`--listen-open` if"),
            "{}",
            stderr(&output)
        );
        let (output, _home) = bare(&[
            "run",
            "--listen",
            "0.0.0.0:7979",
            "--listen-open",
            "--git",
            "-",
        ]);
        assert!(stderr(&output).contains("--git"), "{}", stderr(&output));
    }
}

#[test]
fn t1_an_empty_variable_that_guards_something_ends_it_with_64() {
    for (arguments, name, words) in [
        (
            &["reconcile"] as &[_],
            "PLAN",
            "widen the run from a saved plan to everything",
        ),
        (
            &["reconcile"],
            "PLAN_KEY_FILE",
            "a plan by anybody could be executed",
        ),
        (&["plan"], "PLAN_KEY_FILE", "allow unsigned plans"),
        (
            &["run"],
            "LISTEN_TOKEN_FILE",
            "let everybody who reaches the port read it",
        ),
        (&["run"], "GIT_PATH", "all manifests of the repository"),
    ] {
        for blank in BLANKS {
            let output = command(arguments)
                .env(format!("SHAREKEEPER_{name}"), blank)
                .output()
                .expect("the binary starts");
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(64), "{name}: {said}");
            assert!(
                said.contains(&format!("SHAREKEEPER_{name} is set but empty")),
                "{said}"
            );
            assert!(said.contains(words), "{name}: {said}");
        }
    }
}

#[test]
fn nc3_help_is_of_a_command_or_a_topic() {
    for (subject, words) in [
        (&["help"] as &[_], "Everyday:\n"),
        (&["help", "plan"], "Usage: sharekeeper plan"),
        (
            &["help", "history", "verify"],
            "Usage: sharekeeper history verify",
        ),
        (&["help", "exit-codes"], "  143          stopped by SIGTERM"),
        (&["help", "environment"], "  SHAREKEEPER_STATE_DIR\n"),
        (&["man", "help"], "exit\\-codes"),
    ] {
        let output = sharekeeper(subject);
        assert_eq!(output.status.code(), Some(0), "{subject:?}");
        assert!(
            stdout(&output).contains(words),
            "{subject:?}: {}",
            stdout(&output)
        );
        assert_eq!(stderr(&output), "");
    }
    let output = sharekeeper(&["help", "everything"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("topics are: exit-codes, environment"));
}

#[test]
fn n11_help_and_warnings_name_variables_and_quote_no_value() {
    for arguments in [
        &["run", "--help"] as &[_],
        &["help", "environment"],
        &["validate", "manifests"],
    ] {
        let output = command(arguments)
            .env("SHAREKEEPER_GIT", "https://user:hunter2@example.com/a.git")
            .env("SHAREKEEPER_STATEDIR", "hunter2")
            .env("SHAREKEEPER_PORT_7979_TCP", "tcp://hunter2:7979")
            .output()
            .expect("the binary starts");
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
        let is_told = stderr(&output)
            .contains("SHAREKEEPER_STATEDIR is not known; did you mean SHAREKEEPER_STATE_DIR?");
        // clap prints the help of a flag before any variable is checked.
        assert_eq!(
            is_told,
            !arguments.contains(&"--help"),
            "{arguments:?}: {said}"
        );
        assert!(!stderr(&output).contains("PORT"), "{said}");
    }
}

#[test]
fn n11_a_variable_may_hold_several_paths_and_an_argument_is_one() {
    let both = "manifests::examples/minimal";
    let output = command(&["validate"])
        .env("SHAREKEEPER_PATH", both)
        .output()
        .expect("the binary starts");
    assert_eq!(stdout(&output), "Valid: 4 documents, 13 images.\n");
    let output = sharekeeper(&["validate", both]);
    assert_eq!(output.status.code(), Some(1), "it is the name of no file");
}

#[test]
fn nc2_the_version_contains_the_commit_and_its_day() {
    let output = sharekeeper(&["--version"]);
    let said = stdout(&output);
    let package = env!("CARGO_PKG_VERSION");
    let commit = env!("BUILD_COMMIT");
    let beginning = format!("sharekeeper {package} ({commit}");
    assert!(
        said.starts_with(&beginning) && said.ends_with(")\n"),
        "{said}"
    );
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--show-prefix", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let git = git.ok().filter(|output| output.status.success());
    let git = git.map(|output| stdout(&output));
    let is_given = std::env::var_os("SHAREKEEPER_COMMIT").is_some();
    // An empty prefix means that this directory is the root of the repository.
    if let Some(head) = git
        .as_deref()
        .and_then(|text| text.strip_prefix('\n'))
        .filter(|_| !is_given)
    {
        assert_eq!(commit, &head[..7]);
    }
}

#[test]
fn nc2_what_is_not_known_of_a_build_is_said_so() {
    let version = |commit, epoch| version::Built::new(commit, epoch).version("0.1.0");
    let hash = "ABC12345f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5";
    for (commit, epoch, expected) in [
        (
            Some(hash),
            Some("1795872462\n"),
            "0.1.0 (abc1234 2026-11-28)",
        ),
        (Some("abc1234"), None, "0.1.0 (abc1234)"),
        (None, Some("0"), "0.1.0 (unknown 1970-01-01)"),
        (Some("v1.2"), Some("soon"), "0.1.0 (unknown)"),
        (Some("abc12"), Some("-1"), "0.1.0 (unknown)"),
        (None, Some("951782400"), "0.1.0 (unknown 2000-02-29)"),
        (None, Some("1077926399"), "0.1.0 (unknown 2004-02-27)"),
        (None, Some("4107542400"), "0.1.0 (unknown 2100-03-01)"),
        (None, Some("1798761599"), "0.1.0 (unknown 2026-12-31)"),
    ] {
        assert_eq!(version(commit, epoch), expected, "{commit:?} {epoch:?}");
    }
}

#[test]
fn n6_what_is_about_a_repository_needs_one_and_leaves_no_room_for_paths() {
    let url = "https://git.example.com/images.git";
    for (arguments, variables, words) in [
        (&["--ref", "main"][..], &[][..], "`--ref` without `--git`"),
        (
            &["--path", "prod", "--git-timeout", "1m"],
            &[],
            "`--path`, `--git-timeout` without `--git`",
        ),
        (
            &["--git-interval", "1m"],
            &[],
            "`--git-interval` without `--git`",
        ),
        (
            &[],
            &[("SHAREKEEPER_REF", "main")],
            "SHAREKEEPER_REF without `--git`",
        ),
        (
            &[],
            &[("SHAREKEEPER_GIT_PATH", "prod")],
            "SHAREKEEPER_GIT_PATH without `--git`",
        ),
        (
            &["manifests", "--git", url],
            &[],
            "`PATH` together with `--git`",
        ),
        (
            &["manifests"],
            &[("SHAREKEEPER_GIT", url)],
            "`PATH` together with `--git`",
        ),
        (
            &["--git", url],
            &[("SHAREKEEPER_PATH", "manifests")],
            "SHAREKEEPER_PATH together with `--git`",
        ),
    ] {
        let state = tempfile::tempdir().expect("a directory");
        let output = command(&[&["run", "--sim", "--listen", "off"], arguments].concat())
            .env("SHAREKEEPER_STATE_DIR", state.path())
            .envs(variables.iter().copied())
            .output()
            .expect("the binary starts");
        let said = stderr(&output);
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?} {variables:?}: {said}"
        );
        assert!(said.contains(words), "{arguments:?} {variables:?}: {said}");
    }
}

#[test]
fn n13_commands_of_other_tools_lead_to_the_right_command() {
    for (arguments, words) in [
        (&["apply"][..], "sharekeeper reconcile"),
        (&["sync"], "sharekeeper reconcile"),
        (&["diff"], "sharekeeper plan"),
        (&["get"], "sharekeeper status"),
        (&["get"], "sharekeeper images"),
        (&["delete"], "state: unshared"),
        (&["delete"], "--prune owned"),
        (&["reconcile", "--dry-run"], "sharekeeper plan"),
        (&["run", "--dry-run=client"], "sharekeeper plan"),
    ] {
        let output = sharekeeper(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        let json = sharekeeper(&[arguments, &["-o", "json"]].concat());
        let error = document(&json)["error"].to_string();
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}
