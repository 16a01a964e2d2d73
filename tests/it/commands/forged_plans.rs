//! Tests `reconcile --plan` with a plan file that an attacker may have written: the file allows nothing that the
//! command line does not allow, and nothing that no manifest asks for.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sharekeeper::plan::SavedPlan;

use super::{FRANKFURT, TOKYO, borrowed, holds, numbered};
use crate::support::binary::{Bench, command, document, stderr};

const APPLY: [&str; 3] = ["reconcile", "--plan", "plan.json"];
const WIDE: [&str; 6] = [
    "--prune",
    "exclusive",
    "--max-cancels",
    "1000",
    "--max-cancels-percent",
    "100",
];
/// The default values, given explicitly.
const NARROW: [&str; 6] = [
    "--prune",
    "none",
    "--max-cancels",
    "10",
    "--max-cancels-percent",
    "25",
];

/// A bench with one image to share, one protected image, and thirty shared images that no manifest names.
fn among_foreign_shares() -> Bench {
    let bench = Bench::new();
    bench.share(TOKYO, &borrowed(&numbered(1..=30)));
    bench.share(TOKYO, &["img-kept", "img-still"]);
    bench.declare(
        "tokyo",
        TOKYO,
        &[
            "img-a",
            "img-kept, state: unshared, protect: true",
            "img-still",
        ],
    );
    bench
}

/// Changes a saved plan as an attacker does: recomputes its digest, and leaves its MAC as it was.
fn forge(bench: &Bench, change: impl FnOnce(&mut Value)) {
    let text = fs::read_to_string(bench.path("plan.json")).expect("a plan");
    let mut plan: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut plan);
    let mut bare = plan.clone();
    bare["digest"] = "".into();
    bare["mac"] = Value::Null;
    // The digest is computed over the fields in the order of the file.
    let bare: SavedPlan = serde_json::from_value(bare).expect("its form is right");
    let bytes = serde_json::to_vec(&bare).expect("JSON");
    plan["digest"] = format!("sha256:{}", hex::encode(Sha256::digest(bytes))).into();
    bench.write("plan.json", &plan.to_string());
}

fn action(region: &str, image: &str, action: &str, cause: &str) -> Value {
    json!({"account": "default", "region": region, "image_id": image, "action": action, "cause": cause, "source": null})
}

fn push(plan: &mut Value, action: Value) {
    plan["actions"]
        .as_array_mut()
        .expect("actions")
        .push(action);
}

/// Asserts that the plan is refused with `status`: nothing is written, and the one document gives the reason without
/// terminal control characters.
#[track_caller]
fn refused(bench: &Bench, flags: &[&str], status: i32, words: &[&str]) {
    let before = bench.shared();
    let document = bench.json(&[&APPLY as &[_], flags].concat(), status);
    let error = document["error"].as_str().expect("says why");
    holds(error, words);
    assert!(!error.chars().any(char::is_control), "{error:?}");
    assert_eq!(bench.shared(), before, "nothing was done");
    let history = bench.json(&["history"], 0);
    assert_eq!(history["entries"], json!([]));
}

#[test]
fn b1_s7_a_plan_that_was_made_with_wider_guards_needs_its_flags_again() {
    let bench = among_foreign_shares();
    bench.run(
        &[&["plan", "--out", "plan.json"] as &[_], &WIDE].concat(),
        0,
    );
    let before = bench.files();
    let repeat = "nothing was done; check the plan, and if all of it is intended, repeat: ";
    let all = WIDE.join(" ");
    for flags in [&[] as &[_], &NARROW] {
        refused(&bench, flags, 64, &["plan.json", repeat, &all]);
    }
    assert_eq!(bench.files(), before, "not even the state was opened");
    // Each of the flags is necessary: without any one of them, the plan is refused.
    for part in WIDE.chunks(2) {
        let others: Vec<_> = WIDE.chunks(2).filter(|flag| *flag != part).collect();
        let message = format!("{repeat}{}", part.join(" "));
        refused(&bench, &others.concat(), 64, &[&message]);
    }
    let document = bench.json(&[&APPLY as &[_], &WIDE].concat(), 3);
    assert_eq!(document["summary"]["cancelled"], 30, "{document:#}");
    assert_eq!(document["summary"]["shared"], 1);
}

#[test]
fn b1_s7_a_narrower_command_line_is_a_bound_where_the_plan_has_defaults() {
    let bench = among_foreign_shares();
    bench.run(&["plan", "--out", "plan.json"], 0);
    let flags = ["--max-cancels", "3", "--max-cancels-percent", "0"];
    let needed = "(--max-cancels 3, --max-cancels-percent 0)";
    let repeat = "repeat: --max-cancels 10 --max-cancels-percent 25";
    refused(&bench, &flags, 64, &[needed, repeat]);
    // Environment variables count as flags.
    let output = command(&[&APPLY as &[_], &["--sim", "-o", "json"]].concat())
        .args(["--state-dir", "state"])
        .env("SHAREKEEPER_MAX_CANCELS", "3")
        .current_dir(bench.path("."))
        .output()
        .expect("the binary starts");
    let document = document(&output);
    assert_eq!(document["exit_code"], 64);
    let error = document["error"].as_str().expect("says why");
    holds(error, &["repeat: --max-cancels 10"]);
}

#[test]
fn b1_s1_a_wider_command_line_does_what_was_planned_and_no_more() {
    let bench = among_foreign_shares();
    bench.declare("frankfurt", FRANKFURT, &["img-b"]);
    bench.run(&["plan", "--out", "plan.json", "--region", TOKYO], 0);
    let document = bench.json(&[&APPLY as &[_], &WIDE].concat(), 3);
    assert_eq!(document["summary"]["shared"], 1);
    assert_eq!(document["summary"]["cancelled"], 0);
    assert_eq!(document["summary"]["withheld"], 1, "what is protected");
    assert_eq!(bench.shared().len(), 33);
}

#[test]
fn b1_s7_forged_bounds_are_refused() {
    let forgeries: [(&str, Value, &str); 4] = [
        ("prune", "exclusive".into(), "repeat: --prune exclusive"),
        ("max_cancels", 1000.into(), "repeat: --max-cancels 1000"),
        (
            "max_cancels_percent",
            100.into(),
            "repeat: --max-cancels-percent 100",
        ),
        (
            "accept_lost",
            json!({"default/ap-tokyo": 5}),
            "repeat: --accept-lost default/ap-tokyo=5",
        ),
    ];
    let bench = among_foreign_shares();
    for (name, value, repeat) in forgeries {
        bench.run(&["plan", "--out", "plan.json"], 0);
        forge(&bench, |plan| {
            plan["policy"][name] = value;
            for image in numbered(1..=30) {
                push(plan, action(TOKYO, &image, "cancel", "pruned"));
            }
        });
        refused(&bench, &[], 64, &[repeat]);
        refused(&bench, &NARROW, 64, &[repeat]);
    }
}

#[test]
fn b1_s1_actions_that_the_bounds_of_the_plan_do_not_give_are_stale() {
    let bench = among_foreign_shares();
    let prune = |plan: &mut Value| {
        for image in numbered(1..=30) {
            push(plan, action(TOKYO, &image, "cancel", "pruned"));
        }
    };
    bench.run(&["plan", "--out", "plan.json"], 0);
    forge(&bench, prune);
    for flags in [&[] as &[_], &NARROW, &WIDE] {
        refused(&bench, flags, 5, &["stale", "30 actions"]);
    }
    // The plan stays within the flags, but does more than the caps allow.
    forge(&bench, |plan| plan["policy"]["prune"] = "exclusive".into());
    refused(&bench, &["--prune", "exclusive"], 5, &["stale"]);
    let caps = [&WIDE[..2], &["--max-cancels", "29"]].concat();
    refused(&bench, &caps, 5, &["stale"]);
}

#[test]
fn b1_s1_actions_that_no_manifest_asks_for_are_stale() {
    let bench = among_foreign_shares();
    let elsewhere = json!({"account": "other", "region": TOKYO, "image_id": "img-0001", "action": "cancel", "cause": "declared", "source": null});
    let forgeries = [
        action(TOKYO, "img-0001", "cancel", "declared"),
        action(TOKYO, "img-0001", "cancel", "expired"),
        action(TOKYO, "img-0001", "cancel", "retention"),
        action(TOKYO, "img-never", "share", "declared"),
        action(TOKYO, "img-still", "cancel", "declared"),
        action(TOKYO, "img-kept", "cancel", "declared"),
        action(FRANKFURT, "img-0001", "cancel", "declared"),
        elsewhere,
    ];
    for forgery in forgeries {
        bench.run(&["plan", "--out", "plan.json"], 0);
        forge(&bench, |plan| push(plan, forgery.clone()));
        refused(&bench, &[], 5, &["stale", "1 action"]);
    }
    // The forged plan turns the SHARE of an image into a CANCEL.
    bench.run(&["plan", "--out", "plan.json"], 0);
    forge(&bench, |plan| {
        plan["actions"][0]["action"] = "cancel".into()
    });
    refused(&bench, &[], 5, &["stale"]);
}

#[test]
fn b1_s1_a_forged_selection_or_account_gives_nothing() {
    let bench = among_foreign_shares();
    bench.declare("frankfurt", FRANKFURT, &["img-b"]);
    bench.run(&["plan", "--out", "plan.json", "--region", TOKYO], 0);
    forge(&bench, |plan| plan["selector"] = json!({}));
    refused(
        &bench,
        &["--region", TOKYO],
        64,
        &["made for everything", TOKYO],
    );
    // With a wider selection, actions are missing in the plan, so it is stale. With a selection that matches nothing,
    // no action of the plan is left, so it is stale, too.
    refused(&bench, &[], 5, &["stale"]);
    forge(&bench, |plan| {
        plan["selector"] = json!({"labels": {"\u{1b}[2J": "\u{1b}[2J"}});
    });
    refused(&bench, &[], 5, &["stale"]);
    refused(&bench, &["--region", TOKYO], 64, &["made for label"]);
    forge(&bench, |plan| {
        plan["selector"] = json!({"regions": [TOKYO]})
    });
    forge(&bench, |plan| {
        plan["uins"] = json!({"default": "1\u{1b}[2J"})
    });
    refused(&bench, &[], 5, &["stale", "account `default`"]);
}

#[test]
fn b1_s5_a_plan_that_contradicts_itself_is_refused() {
    let bench = among_foreign_shares();
    for last in ["share", "cancel"] {
        bench.run(&["plan", "--out", "plan.json"], 0);
        forge(&bench, |plan| {
            let more = action(TOKYO, "img-a", last, "declared");
            push(plan, more);
        });
        refused(
            &bench,
            &[],
            1,
            &["more than one action for default/ap-tokyo/img-a"],
        );
    }
}

#[test]
fn b1_s21_what_is_no_plan_file_is_neither_awaited_nor_read_whole() {
    let bench = among_foreign_shares();
    let made = Command::new("mkfifo").arg(bench.path("fifo")).status();
    assert!(made.expect("mkfifo is there").success());
    let large = fs::File::create(bench.path("large")).expect("a file");
    large.set_len((64 << 20) + 1).expect("a sparse file");
    for (file, words) in [
        ("fifo", "it is not a file"),
        ("manifests", "it is not a file"),
        ("/dev/zero", "it is not a file"),
        ("large", "it is larger than 67108864 bytes"),
    ] {
        let document = bench.json(&["reconcile", "--plan", file], 1);
        let error = document["error"].as_str().expect("says why");
        holds(error, &["the saved plan", file, words]);
        let key = bench.json(&["plan", "--out", "plan.json", "--plan-key-file", file], 1);
        let error = key["error"].as_str().expect("says why");
        holds(error, &["the plan key file", file]);
    }
    // A plan from a pipe is read, too.
    bench.run(&["plan", "--out", "plan.json"], 0);
    let mut process = command(&["reconcile", "--plan", "/dev/stdin", "--sim"])
        .args(["--state-dir", "state"])
        .current_dir(bench.path("."))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let text = fs::read(bench.path("plan.json")).expect("a plan");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(&text).expect("it reads");
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(bench.shared().len(), 33);
}

#[test]
fn b1_s3_a_saved_plan_and_half_a_set_are_refused_for_what_they_are() {
    let bench = among_foreign_shares();
    bench.run(&["plan", "--out", "plan.json"], 0);
    bench.write("manifests/broken.yaml", "kind: ImageShare\n");
    let words = "`--partial-ok` cannot be used with `--plan`: a saved plan covers all manifests";
    refused(&bench, &["--partial-ok"], 64, &[words]);
    // Without that flag, the error is about the manifests.
    let document = bench.json(&APPLY, 1);
    assert_eq!(document["errors"][0]["file"], "manifests/broken.yaml");
}

/// The command that `plan` proposes at the end. It must do exactly what was planned.
fn closing_command(printed: &str) -> String {
    let line = printed.lines().find(|line| line.starts_with("saved: `"));
    let line = line.expect("the closing line");
    line.split('`').nth(1).expect("a command").to_owned()
}

/// Runs a command line as a person does who copies it into a shell.
fn paste(bench: &Bench, line: &str, status: i32) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sharekeeper"));
    let folder = binary.parent().expect("a folder");
    let output = Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", folder)
        .env("HOME", bench.path("home"))
        .env("SHAREKEEPER_STATE_DIR", "state")
        .current_dir(bench.path("."))
        .output()
        .expect("a shell");
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{line}\n{printed}");
    printed
}

#[test]
fn b1_s5_the_command_that_plan_ends_with_carries_the_plan_out() {
    let bench = among_foreign_shares();
    bench.write("the key", "0123456789abcdef0123456789abcdef\n");
    let flags = [
        "--region",
        TOKYO,
        "-l",
        "from=tokyo",
        "--plan-key-file",
        "the key",
    ];
    let plan = ["plan", "--out", "it's a plan.json"];
    let printed = bench.stderr(&[&plan as &[_], &WIDE, &flags].concat(), 0);
    let line = closing_command(&printed);
    holds(
        &printed,
        &["does exactly this, or refuses if anything has changed or these flags are not repeated"],
    );
    assert_eq!(
        line,
        r"sharekeeper reconcile manifests --plan 'it'\''s a plan.json' --prune exclusive --max-cancels 1000 --max-cancels-percent 100 --region ap-tokyo -l from=tokyo --state-dir state --plan-key-file 'the key' --sim"
    );
    let without = line.replace("--prune exclusive ", "");
    holds(&paste(&bench, &without, 64), &["repeat: --prune exclusive"]);
    assert_eq!(bench.shared().len(), 32);
    paste(&bench, &line, 3);
    assert_eq!(
        bench.shared().len(),
        33,
        "a label leaves unnamed images alone"
    );
}

#[test]
fn b1_s5_a_key_proves_who_made_the_plan() {
    use std::os::unix::fs::PermissionsExt;
    const KEY: &str = "CANARY-0123456789abcdef0123456789";
    let bench = among_foreign_shares();
    let close = |name: &str| {
        let closed = fs::Permissions::from_mode(0o600);
        fs::set_permissions(bench.path(name), closed).expect("closed");
    };
    // Editors add a newline, and Windows adds another kind of newline.
    for (name, text) in [
        ("key", format!("{KEY}\n")),
        ("same", format!("{KEY}\r\n")),
        ("other", KEY.replace('9', "8")),
        ("short", "CANARY-too-short\n".into()),
    ] {
        bench.write(name, &text);
        close(name);
    }
    let plan = ["plan", "--out", "plan.json", "--plan-key-file"];
    let keyed = |file| [&APPLY as &[_], &["--plan-key-file", file]].concat();
    bench.run(&["plan", "--out", "plan.json"], 0);
    refused(
        &bench,
        &["--plan-key-file", "key"],
        1,
        &["it has no MAC", "--plan-key-file FILE"],
    );
    let printed = bench.stderr(&[&plan as &[_], &["key"]].concat(), 0);
    assert!(
        !printed.contains("CANARY") && !printed.contains("others than"),
        "{printed}"
    );
    let saved = fs::read_to_string(bench.path("plan.json")).expect("a plan");
    holds(
        &saved,
        &["\"format_version\": 1", "\"mac\": \"hmac-sha256:"],
    );
    assert!(!saved.contains("CANARY"));
    let not_this_key = ["its MAC was not made with this key"];
    refused(&bench, &["--plan-key-file", "other"], 1, &not_this_key);
    for file in ["short", "nowhere"] {
        let printed = bench.stderr(&keyed(file), 1);
        holds(&printed, &["the plan key file", file]);
        assert!(!printed.contains("CANARY"), "{printed}");
        bench.run(&[&plan as &[_], &[file]].concat(), 1);
    }
    // Without a key, only the digest protects the plan, and a warning says so.
    let printed = bench.stderr(&APPLY, 3);
    holds(
        &printed,
        &["is signed, and the signature is not checked without `--plan-key-file`"],
    );
    bench.cancel(TOKYO, &["img-a"]);
    bench.change(|_| ());
    let printed = bench.stderr(&keyed("same"), 3);
    assert!(
        !printed.contains("MAC") && !printed.contains("CANARY"),
        "{printed}"
    );
    // A key without a plan has no effect, so it is a usage error.
    holds(
        &bench.stderr(&["reconcile", "--plan-key-file", "key"], 64),
        &["--plan"],
    );
}

#[test]
fn b1_s5_whoever_has_no_key_can_change_nothing() {
    let bench = among_foreign_shares();
    bench.write("key", "0123456789abcdef0123456789abcdef");
    let key = ["--plan-key-file", "key"];
    bench.run(&[&["plan", "--out", "plan.json"] as &[_], &key].concat(), 0);
    let printed = bench.stderr(&[&["plan", "--out", "plan.json"] as &[_], &key].concat(), 0);
    holds(
        &printed,
        &["users other than the owner may access key", "chmod 600 key"],
    );
    // The forged plan keeps the old MAC and has a new digest, or has no MAC.
    forge(&bench, |plan| plan["actions"] = json!([]));
    refused(&bench, &key, 1, &["its MAC was not made with this key"]);
    forge(&bench, |plan| {
        plan.as_object_mut().expect("an object").remove("mac");
    });
    refused(&bench, &key, 1, &["it has no MAC"]);
}

#[test]
fn b1_the_ci_example_repeats_its_flags_and_pins_what_it_downloads() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = fs::read_to_string(root.join("examples/ci/github.yaml")).expect("an example");
    let lines = || example.lines().map(str::trim);
    let steps: Vec<_> = lines()
        .filter_map(|line| line.strip_prefix("- run: sharekeeper "))
        .collect();
    let step = |name: &str| {
        let found = steps.iter().find(|step| step.starts_with(name));
        found.unwrap_or_else(|| panic!("no step runs {name}"))
    };
    let words = |step: &str| -> Vec<String> { step.split(' ').map(str::to_owned).collect() };
    let (plan, apply) = (words(step("plan ")), words(step("reconcile ")));
    let flags = |words: &[String], file: &str| -> Vec<String> {
        let at = words.iter().position(|word| word == file).expect("a file");
        [&words[1..at], &words[at + 2..]].concat()
    };
    let repeated = flags(&plan, "--out");
    assert!(repeated.contains(&"--prune".to_owned()), "{plan:?}");
    assert_eq!(
        repeated,
        flags(&apply, "--plan"),
        "the same guards in both jobs"
    );
    for pin in [
        // The workflow must check which workflow, event, commit and repository the plan comes from.
        "GITHUB_WORKFLOW_REF",
        "actions/workflows/$workflow/runs?event=pull_request&status=success&head_sha=$head",
        ".merge_commit_sha == env.GITHUB_SHA",
        ".head_repository.full_name == env.GITHUB_REPOSITORY",
        // The plan must not be stored among the files of the checkout.
        "--dir \"$RUNNER_TEMP/plan\"",
    ] {
        assert!(example.contains(pin), "no `{pin}`");
    }
    assert!(!example.contains("actions/artifacts?name="), "from any run");
    // The binary accepts both commands of the workflow, and the second carries out the plan of the first.
    let bench = among_foreign_shares();
    let plan: Vec<_> = plan.iter().map(String::as_str).collect();
    bench.run(&plan, 0);
    let apply: Vec<_> = apply
        .iter()
        .map(|word| match word.contains("plan.json") {
            true => "plan.json",
            false => word,
        })
        .collect();
    bench.run(&apply, 3);
    assert_eq!(bench.shared().len(), 33, "one more");
}
