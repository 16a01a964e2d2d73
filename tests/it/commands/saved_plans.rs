//! Tests `plan --out` and `reconcile --plan`: the run makes exactly the changes that were reviewed, or no change.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{FRANKFURT, TOKYO, holds, ids};
use crate::support::binary::Bench;

const PLAN: [&str; 3] = ["plan", "--out", "plan.json"];
const APPLY: [&str; 3] = ["reconcile", "--plan", "plan.json"];

/// A bench with a saved plan: two images to share, one to cancel, and one in sync.
fn planned() -> Bench {
    let bench = Bench::new().used();
    bench.share(TOKYO, &["img-still"]);
    bench.declare(
        "tokyo",
        TOKYO,
        &["img-a", "img-down, state: unshared", "img-still"],
    );
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    let printed = bench.stderr(&PLAN, 0);
    holds(
        &printed,
        &[
            "saved: `sharekeeper reconcile manifests --plan plan.json --state-dir state --sim` does exactly this",
        ],
    );
    bench
}

/// Asserts that the plan is refused as stale: nothing is changed, and the document lists `moved`.
#[track_caller]
fn stale(bench: &Bench, moved: Value) {
    let before = bench.shared();
    let document = bench.json(&APPLY, 5);
    holds(
        document["error"].as_str().expect("says so"),
        &[
            "stale, so nothing was done",
            "make a new one with `sharekeeper plan --out`",
        ],
    );
    let mut found = document["moved"].clone();
    for item in found.as_array_mut().expect("a list") {
        item.as_object_mut().expect("an object").remove("reason");
    }
    assert_eq!(found, moved, "{document:#}");
    assert_eq!(bench.shared(), before, "nothing was done");
    let history = bench.json(&["history"], 0);
    assert_eq!(history["entries"], json!([]));
}

#[test]
fn p9_a_saved_plan_is_done_exactly_and_no_more_the_second_time() {
    let bench = planned();
    let saved = fs::read_to_string(bench.path("plan.json")).expect("a plan");
    let saved: Value = serde_json::from_str(&saved).expect("JSON");
    assert_eq!(saved["kind"], "sharekeeper-plan");
    let actions = saved["actions"].as_array().expect("actions");
    let actions: Vec<_> = actions
        .iter()
        .map(|a| (&a["region"], &a["image_id"], &a["action"]))
        .collect();
    assert_eq!(
        json!(actions),
        json!([
            [TOKYO, "img-a", "share"],
            [TOKYO, "img-down", "cancel"],
            [FRANKFURT, "img-a", "share"]
        ])
    );
    let document = bench.json(&APPLY, 0);
    assert_eq!(document["summary"]["shared"], 2);
    assert_eq!(document["summary"]["cancelled"], 1);
    // A change that is already made does not make the plan stale: a run that was killed can be repeated.
    let document = bench.json(&APPLY, 0);
    assert_eq!(document["calls"]["writes"], 0);
    assert_eq!(document["summary"]["in_sync"], 4);
}

#[test]
fn p9_a_plan_is_stale_once_a_manifest_has_changed() {
    let bench = planned();
    bench.declare("frankfurt", FRANKFURT, &["img-a", "img-new"]);
    let new = json!({"account": "default", "region": FRANKFURT, "image_id": "img-new", "planned": null, "now": "share"});
    stale(&bench, json!([new]));
    holds(
        &bench.text(&APPLY, 5),
        &["  default/eu-frankfurt/img-new: planned nothing, now SHARE"],
    );
    fs::remove_file(bench.path("manifests/frankfurt.yaml")).expect("removed");
    let gone = json!({"account": "default", "region": FRANKFURT, "image_id": "img-a", "planned": "share", "now": null});
    stale(&bench, json!([gone]));
    holds(&bench.text(&APPLY, 5), &["(no manifest asks for it)"]);
}

#[test]
fn p9_a_plan_is_stale_once_the_world_has_changed() {
    let bench = planned();
    bench.cancel(TOKYO, &["img-still"]);
    let moved = json!({"account": "default", "region": TOKYO, "image_id": "img-still", "planned": null, "now": "share"});
    stale(&bench, json!([moved]));
    holds(
        &bench.text(&APPLY, 5),
        &["  default/ap-tokyo/img-still: planned nothing, now SHARE"],
    );
}

#[test]
fn p9_a_suspension_holds_for_a_saved_plan_too() {
    let bench = planned();
    bench.run(
        &["suspend", "--image", "img-down", "--reason", "still needed"],
        0,
    );
    let document = bench.json(&APPLY, 3);
    assert_eq!(document["summary"]["shared"], 2);
    assert_eq!(document["summary"]["withheld"], 1);
    holds(
        &bench.text(&APPLY, 3),
        &["~ img-down", "to cancel: ", "still needed"],
    );
    bench.run(&["resume"], 0);
    assert_eq!(bench.json(&APPLY, 0)["summary"]["cancelled"], 1);
}

#[test]
fn p9_a_file_that_is_not_a_plan_as_it_was_made_is_refused() {
    let bench = planned();
    let saved = fs::read_to_string(bench.path("plan.json")).expect("a plan");
    let cut = &saved[..saved.len() / 2];
    for (text, words) in [
        (
            saved.replace("img-down", "img-prod"),
            "its digest does not match",
        ),
        (
            saved.replace("\"max_cancels\": 10", "\"max_cancels\": 99"),
            "its digest does not match",
        ),
        (
            saved.replace("\"format_version\": 1", "\"format_version\": 2"),
            "its format version is 2, but this version of sharekeeper knows 1",
        ),
        (cut.to_owned(), "it is not a saved plan"),
        (
            "kind: ImageShare\n".to_owned(),
            "make one with `sharekeeper plan --out FILE`",
        ),
    ] {
        bench.write("plan.json", &text);
        let document = bench.json(&APPLY, 1);
        holds(
            document["error"].as_str().expect("says why"),
            &["the saved plan plan.json: ", words],
        );
    }
    let document = bench.json(&["reconcile", "--plan", "nowhere.json"], 1);
    holds(
        document["error"].as_str().expect("says why"),
        &["nowhere.json"],
    );
    let history = bench.json(&["history"], 0);
    assert_eq!(history["entries"], json!([]));
}

#[test]
fn p9_flags_that_contradict_the_plan_are_refused() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    let flags = ["--region", TOKYO, "--prune", "owned"];
    bench.run(&[&PLAN as &[_], &flags].concat(), 0);
    for (flags, words) in [
        (
            ["--region", FRANKFURT],
            "the saved plan was made for region ap-tokyo, but the flags select region eu-frankfurt; omit them",
        ),
        (["--prune", "none"], "repeat: --prune owned"),
    ] {
        let document = bench.json(&[&APPLY as &[_], &flags].concat(), 64);
        holds(document["error"].as_str().expect("says why"), &[words]);
    }
    bench.run(&[&APPLY as &[_], &["--partial-ok"]].concat(), 64);
    // The same flags again do not contradict the plan.
    let document = bench.json(&[&APPLY as &[_], &flags].concat(), 0);
    assert_eq!(ids(&document["images"]), ["img-a"]);
}

#[test]
fn s24_what_a_saved_plan_leaves_withheld_is_not_in_sync() {
    let bench = Bench::new().used();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench.run(&["suspend", "--region", FRANKFURT, "--reason", "frozen"], 0);
    for written in [1, 0] {
        bench.run(&PLAN, 0);
        let document = bench.json(&APPLY, 3);
        assert_eq!(document["calls"]["writes"], written);
        assert_eq!(document["summary"]["withheld"], 1);
    }
}

#[test]
fn a_plan_that_cannot_be_saved_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    for file in ["nowhere/plan.json", "manifests"] {
        let document = bench.json(&["plan", "--out", file], 1);
        holds(
            document["error"].as_str().expect("says why"),
            &["cannot save the plan to", file],
        );
    }
    let mut left: Vec<_> = fs::read_dir(bench.path("."))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["manifests", "state"]);
    // A path that is not a regular file is written to, and is not replaced.
    symlink("/dev/null", bench.path("nowhere.json")).expect("a link");
    bench.run(&["plan", "--out", "nowhere.json"], 0);
    let link = fs::symlink_metadata(bench.path("nowhere.json")).expect("a link");
    assert!(link.is_symlink());
}

#[test]
fn p9_p10_a_plan_that_was_made_for_another_uin_is_stale() {
    let bench = Bench::new();
    let account = |name: &str, uin: &str| {
        let text = format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\nspec: {{uin: \"{uin}\"}}\n"
        );
        bench.write(&format!("manifests/{name}.yaml"), &text);
    };
    account("default", "100000000001");
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.stderr(&PLAN, 0);
    account("unrelated", "100000000009");
    account("default", "100000000002");
    let document = bench.json(&APPLY, 5);
    let error = document["error"].as_str().expect("says so");
    holds(error, &["stale", "100000000001", "account `default`"]);
    account("default", "100000000001");
    bench.json(&APPLY, 0);
}
