//! Tests how `plan` and `reconcile` show names and policies: an id always appears with its name, and the output says
//! what a person must do about an ambiguous name or policy.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};

use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout};

/// A bench whose cloud has exactly the images of its world. `--sim` would add the images that manifests name.
pub(super) struct Cloud {
    pub(super) bench: Bench,
    simulator: Simulator,
}

impl Cloud {
    pub(super) fn new(images: &[Value]) -> Self {
        Self::with(json!({"accounts": [{"name": "default", "images": images}]}))
    }

    pub(super) fn with(world: Value) -> Self {
        let bench = Bench::new();
        bench.write("world.json", &world.to_string());
        let world = bench.path("world.json");
        let simulator = Simulator::with(&["--world", world.to_str().expect("a path")]);
        Self { bench, simulator }
    }

    /// Runs a command and asserts its exit status.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], status: i32) -> Output {
        let output = command(arguments)
            .args([
                "--state-dir",
                "state",
                "--endpoint",
                self.simulator.endpoint(),
            ])
            .envs(self.simulator.credentials())
            .current_dir(self.bench.path("."))
            .output()
            .expect("the binary starts");
        let code = output.status.code();
        let said = format!("{}\n{}", stdout(&output), stderr(&output));
        assert_eq!(code, Some(status), "{arguments:?}\n{said}");
        output
    }

    #[track_caller]
    pub(super) fn text(&self, arguments: &[&str], status: i32) -> String {
        stdout(&self.run(arguments, status))
    }

    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str], status: i32) -> Value {
        document(&self.run(&[arguments, &["-o", "json"]].concat(), status))
    }

    /// Writes a document that asks for names in both regions. The entries begin in line 7.
    pub(super) fn name(&self, entries: &str) {
        let text = format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: fixed, labels: {{team: web}}}}\n\
             spec:\n  regions: [{TOKYO}, {FRANKFURT}]\n  images:\n{entries}"
        );
        self.bench.write("manifests/fixed.yaml", &text);
    }

    /// Writes a policy for `golden-*` in Tokyo that keeps the newest image. `more` is additional text of its spec.
    pub(super) fn policy(&self, more: &str) {
        let text = format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: golden, labels: {{team: web}}}}\n\
             spec:\n  region: {TOKYO}\n  match: {{name: \"golden-*\"}}\n{more}"
        );
        self.bench.write("manifests/golden.yaml", &text);
    }
}

/// An image of one region with a `CreatedTime` in October on the day `day`.
pub(super) fn image(region: &str, id: &str, name: &str, day: u32, shared: bool) -> Value {
    json!({
        "id": id, "name": name, "regions": [region], "shared": shared,
        "createdTime": format!("2026-10-{day:02}T00:00:00Z"),
    })
}

/// The rows of a list that have this name.
pub(super) fn of_name<'d>(list: &'d Value, name: &str) -> Vec<&'d Value> {
    let rows = list.as_array().expect("a list").iter();
    rows.filter(|row| row["image_name"] == name).collect()
}

#[test]
fn a_change_has_its_name_document_labels_and_note() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, false),
        image(FRANKFURT, "img-b", "golden-1", 2, false),
    ]);
    cloud.name(
        "    - {name: golden-1, state: shared, protect: true, note: why, until: 2099-01-01T00:00:00Z}\n",
    );
    holds(
        &cloud.text(&["plan"], 0),
        &[
            "  + img-a           golden-1  declared  manifests/fixed.yaml:7  until 2099-01-01T00:00:00Z  note: why\n",
            "  + img-b           golden-1  declared  manifests/fixed.yaml:7  until 2099-01-01T00:00:00Z  note: why\n",
        ],
    );
    let plan = cloud.json(&["plan"], 0);
    let changes = of_name(&plan["changes"], "golden-1");
    let ids: Vec<_> = changes.iter().map(|change| &change["image_id"]).collect();
    assert_eq!(ids, ["img-a", "img-b"]);
    let first = changes[0];
    assert_eq!(first["document"], "fixed");
    assert_eq!(first["labels"], json!({"team": "web"}));
    assert_eq!(first["protect"], true);
    assert_eq!(first["until"], "2099-01-01T00:00:00Z");
    assert_eq!(first["note"], "why");
    let verdicts = of_name(&plan["verdicts"], "golden-1");
    assert_eq!(verdicts[0]["verdict"], "declared");
    holds(
        &cloud.text(&["reconcile"], 0),
        &["img-a           golden-1  shared as lhbp-", "In sync"],
    );
    let done = cloud.json(&["reconcile"], 0);
    assert_eq!(of_name(&done["images"], "golden-1").len(), 2);
}

#[test]
fn a_name_that_no_image_has_is_blocked_and_ends_with_4() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-9-beta", 1, false),
        image(FRANKFURT, "img-b", "golden-9", 2, false),
    ]);
    cloud.name("    - {name: golden-9, state: shared}\n");
    holds(
        &cloud.text(&["plan"], 0),
        &[
            "! golden-9 ",
            "`golden-9-beta`",
            "manifests/fixed.yaml:7",
            "1 blocked",
        ],
    );
    let plan = cloud.json(&["plan"], 0);
    let blocked = of_name(&plan["blocked"], "golden-9");
    assert_eq!(blocked.len(), 1, "{plan:#}");
    assert_eq!(blocked[0]["image_id"], Value::Null);
    assert_eq!(blocked[0]["region"], TOKYO);
    assert_eq!(blocked[0]["action"], "share");
    assert_eq!(blocked[0]["source"]["line"], 7);
    assert_eq!(plan["summary"]["blocked"], 1);
    let done = cloud.json(&["reconcile"], 4);
    let rows = of_name(&done["images"], "golden-9");
    let missing = rows.iter().find(|row| row["image_id"].is_null());
    assert_eq!(missing.expect("a row")["outcome"], "blocked");
    assert_eq!(done["summary"]["blocked"], 1);
    assert_eq!(
        done["summary"]["shared"], 1,
        "elsewhere it is shared: {done:#}"
    );
    holds(
        &cloud.text(&["reconcile"], 4),
        &["! golden-9 ", "1 blocked"],
    );
}

#[test]
fn reasons_begin_in_one_column_however_long_a_name_is() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, false),
        image(TOKYO, "img-0123456789abcdef", "golden-2", 1, false),
    ]);
    cloud.bench.write(
        "manifests/fixed.yaml",
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: fixed}}\nspec:\n  region: {TOKYO}\n  \
             images:\n{}",
            ["golden-1", "golden-2", "x", "a-name-of-more-than-fifteen-letters"]
                .map(|name| format!("    - {{name: {name}, state: shared}}\n"))
                .concat()
        ),
    );
    for command in [&["plan"], &["reconcile"] as &[_]] {
        let text = cloud.text(command, if command[0] == "plan" { 0 } else { 4 });
        let begin = |word: &str| -> BTreeSet<usize> {
            let lines = text
                .lines()
                .filter(|line| line.contains(" golden-") || line.starts_with("  ! "));
            lines.filter_map(|line| line.find(word)).collect()
        };
        let missing = begin("  no image here has the name");
        assert_eq!(missing.len(), 1, "{command:?}: {missing:?}\n{text}");
        if command[0] == "plan" {
            assert_eq!(begin("  declared"), missing, "{text}");
        }
    }
}

#[test]
fn a_name_that_two_images_have_holds_both() {
    let cloud = Cloud::with(json!({
        "allowDoubleNames": true,
        "accounts": [{"name": "default", "images": [
            image(TOKYO, "img-a", "golden-9", 1, false),
            image(TOKYO, "img-b", "golden-9", 2, false),
            image(FRANKFURT, "img-c", "golden-9", 2, false),
        ]}],
    }));
    cloud.name("    - {name: golden-9, state: shared}\n");
    let plan = cloud.json(&["plan"], 0);
    let reason = plan["blocked"][0]["reason"].as_str().expect("a reason");
    holds(reason, &["img-a, img-b"]);
    assert_eq!(plan["summary"]["share"], 1, "{plan:#}");
    cloud.run(&["reconcile"], 4);
}

#[test]
fn a_region_that_is_not_seen_tries_no_name_and_ends_with_1() {
    let cloud = Cloud::with(json!({
        "accounts": [{"name": "default", "deny": ["DescribeImagesToShare"], "images": [
            image(TOKYO, "img-a", "golden-9", 1, false),
        ]}],
    }));
    cloud.name("    - {name: golden-9, state: shared}\n");
    let done = cloud.json(&["reconcile"], 1);
    assert_eq!(done["summary"]["not_tried"], 2, "{done:#}");
    let rows = of_name(&done["images"], "golden-9");
    assert!(
        rows.iter().all(|row| row["outcome"] == "not_tried"),
        "{done:#}"
    );
    cloud.run(&["plan"], 1);
}

#[test]
fn a_name_that_means_another_image_says_what_it_was() {
    let images = |new: bool| {
        let mut images = vec![
            image(TOKYO, "img-old", "golden-1", 1, false),
            image(FRANKFURT, "img-f", "golden-1", 1, false),
        ];
        if new {
            images[0]["name"] = "golden-1-retired".into();
            images[0]["shared"] = true.into();
            images.push(image(TOKYO, "img-new", "golden-1", 9, false));
        }
        images
    };
    let cloud = Cloud::new(&images(false));
    cloud.name("    - {name: golden-1, state: shared}\n");
    cloud.run(&["reconcile"], 0);
    let later = Cloud::new(&images(true));
    let later = Cloud {
        bench: cloud.bench,
        simulator: later.simulator,
    };
    holds(
        &later.text(&["plan"], 0),
        &[
            "+ img-new         golden-1          declared  manifests/fixed.yaml:7  was img-old\n",
            "+ img-f           golden-1  declared  manifests/fixed.yaml:7\n",
        ],
    );
    let plan = later.json(&["plan"], 0);
    let changes = plan["changes"].as_array().expect("a list");
    let new = changes
        .iter()
        .find(|change| change["image_id"] == "img-new");
    assert_eq!(new.expect("the new one")["was_image_id"], "img-old");
}

#[test]
fn what_policies_keep_is_shown_and_is_no_failure() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-new", "golden-2", 9, true),
        image(TOKYO, "img-old", "golden-1", 1, true),
        image(TOKYO, "img-rc", "golden-3-rc1", 10, false),
    ]);
    cloud.policy("  exclude: [{name: \"*-rc*\"}]\n  keep: {newest: 1, unshareAfter: 24h}\n");
    let text = cloud.text(&["reconcile"], 0);
    holds(
        &text,
        &[
            "  By policy:\n",
            "= img-old         golden-1      overlap until ",
            "= img-rc          golden-3-rc1  excluded: ",
            "In sync",
        ],
    );
    let plan = cloud.json(&["plan", "--detailed-exitcode"], 0);
    let old = of_name(&plan["verdicts"], "golden-1")[0];
    assert_eq!(old["verdict"], "overlap");
    assert_eq!(old["policies"], json!({"golden": "overlap"}));
    assert!(old["until"].is_string());
    let none = cloud.json(&["plan", "--image", "img-new"], 0);
    assert_eq!(none["verdicts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_retention_takes_back_names_the_policy_and_its_line() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-new", "golden-2", 9, true),
        image(TOKYO, "img-old", "golden-1", 1, true),
    ]);
    cloud.policy("  keep: {newest: 1}\n");
    holds(
        &cloud.text(&["plan"], 0),
        &["- img-old         golden-1  retention by policy golden  manifests/golden.yaml:3\n"],
    );
    let change = &cloud.json(&["plan"], 0)["changes"][0];
    assert_eq!(
        (&change["cause"], &change["document"]),
        (&json!("retention"), &json!("golden"))
    );
}

#[test]
fn what_is_in_use_is_withheld_in_the_normal_course_and_ends_with_0() {
    let cloud = Cloud::with(json!({
        "accounts": [{"name": "default", "images": [
            image(TOKYO, "img-new", "golden-2", 9, true),
            image(TOKYO, "img-old", "golden-1", 1, true),
        ], "instances": [{"id": "lhins-1", "region": TOKYO, "image": "img-old"}]}],
    }));
    cloud.policy("  keep: {newest: 1}\n");
    let text = cloud.text(&["reconcile"], 0);
    holds(
        &text,
        &[
            "~ img-old         golden-1",
            "lhins-1",
            "withheld in normal operation",
        ],
    );
    let done = cloud.json(&["reconcile"], 0);
    assert_eq!(done["summary"]["withheld"], 1, "{done:#}");
    assert_eq!(
        of_name(&done["images"], "golden-1")[0]["outcome"],
        "withheld"
    );
}

#[test]
fn a_policy_that_holds_still_ends_with_3_and_says_why() {
    let cloud = Cloud::new(&[image(TOKYO, "img-new", "golden-2", 9, false)]);
    cloud.policy("  keep: {newest: 1}\n  lock: required\n");
    let done = cloud.json(&["reconcile"], 3);
    let hold = &done["policy_holds"][0];
    assert_eq!(
        (&hold["policy"], &hold["region"]),
        (&json!("golden"), &json!(TOKYO))
    );
    let reason = hold["reason"].as_str().expect("a reason");
    holds(reason, &["sharekeeper lock"]);
    holds(
        &cloud.text(&["reconcile"], 3),
        &["is held: ", "1 held by policy"],
    );
    let plan = cloud.json(&["plan"], 0);
    assert_eq!(plan["policy_holds"].as_array().map(Vec::len), Some(1));
    holds(&cloud.text(&["plan"], 0), &["1 held by policy"]);
}

#[test]
fn f1_f10_what_is_held_names_no_call_and_no_line_that_asks() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, true),
        image(FRANKFURT, "img-b", "golden-1", 1, false),
    ]);
    cloud.name("    - {name: golden-1, state: shared}\n");
    cloud
        .bench
        .declare("other", TOKYO, &["img-a, state: unshared"]);
    let plan = cloud.json(&["plan"], 0);
    let held = &plan["withheld"][0];
    assert_eq!(held["image_id"], "img-a", "{plan:#}");
    for nothing in ["action", "source", "document"] {
        assert_eq!(held[nothing], Value::Null, "{nothing}: {held:#}");
    }
    holds(held["reason"].as_str().expect("a reason"), &["conflict: "]);
    for text in [
        cloud.text(&["plan"], 0),
        cloud.text(&["reconcile", "--region", TOKYO], 3),
    ] {
        holds(&text, &["~ img-a           golden-1  conflict: "]);
        for wrong in ["no manifest names it", "to share:", "to cancel:"] {
            assert!(!text.contains(wrong), "{wrong}: {text}");
        }
    }
    let text = cloud.text(&["explain", "img-a"], 0);
    holds(
        &text,
        &[
            "; nothing is done to it until that is settled.",
            "Plan: nothing: conflict: ",
        ],
    );
    assert!(!text.contains("is asked for"), "{text}");
    let explained = cloud.json(&["explain", "img-a"], 0);
    let image = &explained["images"][0];
    assert_eq!(image["plan"]["action"], Value::Null, "{image:#}");
    assert_eq!(image["decided_by"], Value::Null, "{image:#}");
}

#[test]
fn f14_a_cause_is_reported_once_where_only_policies_are_held() {
    let cloud = Cloud::with(json!({"accounts": [{
        "name": "default", "deny": ["DescribeImagesToShare"],
    }]}));
    cloud.policy("  keep: {newest: 1}\n");
    let policy = std::fs::read_to_string(cloud.bench.path("manifests/golden.yaml"));
    let policy = policy.expect("the policy");
    let both = format!("regions: [{TOKYO}, {FRANKFURT}]");
    let policy = policy.replace(&format!("region: {TOKYO}"), &both);
    cloud.bench.write("manifests/golden.yaml", &policy);
    const REMEDY: &str = "(allow lighthouse:DescribeImagesToShare for this key in CAM)";
    let planned = cloud.run(&["plan"], 1);
    assert_eq!(stderr(&planned).matches(REMEDY).count(), 0);
    assert_eq!(stdout(&planned).matches(REMEDY).count(), 1);
    const HELD: &str =
        "! default/ap-tokyo, default/eu-frankfurt: nothing is done here: not observed: ";
    holds(
        &stdout(&planned),
        &[
            HELD,
            "[RequestId ",
            "No plan: 2 regions could not be observed.",
        ],
    );
    let done = cloud.run(&["reconcile"], 1);
    holds(&stdout(&done), &[HELD]);
    assert_eq!(stdout(&done).matches(REMEDY).count(), 1);
    assert_eq!(stderr(&done).matches(REMEDY).count(), 1, "while it runs");
    assert!(!stdout(&done).contains("0 images"), "{}", stdout(&done));
}

#[test]
fn f13_f14_a_denied_action_is_named_once_with_one_remedy() {
    let world = |denied: &str| {
        Cloud::with(json!({"accounts": [{
            "name": "default", "deny": [denied],
            "images": [
                image(TOKYO, "img-old", "golden-1", 1, true),
                image(TOKYO, "img-new", "golden-2", 9, true),
            ],
        }]}))
    };
    for (denied, status) in [
        ("DescribeInstances", 3),
        ("ModifyImageSharePermission", 4),
        ("DescribeBlueprints", 3),
    ] {
        let cloud = world(denied);
        cloud.policy("  keep: {newest: 1}\n");
        let done = cloud.run(&["reconcile"], status);
        let remedy = format!("(allow lighthouse:{denied} for this key in CAM)");
        let said = format!("{}{}", stdout(&done), stderr(&done));
        holds(&said, &[remedy.as_str()]);
        for doubled in ["let this key list", "allow the action"] {
            assert!(!said.contains(doubled), "{said}");
        }
    }
}

#[test]
fn f21_a_stale_plan_names_the_verdict_that_moved() {
    let before = [image(TOKYO, "img-a", "golden-1", 1, false)];
    let cloud = Cloud::new(&before);
    cloud.policy("  keep: {newest: 1}\n");
    cloud.run(&["plan", "--out", "plan.json"], 0);
    let [old] = before;
    let later = Cloud::new(&[old, image(TOKYO, "img-b", "golden-2", 9, false)]);
    let later = Cloud {
        bench: cloud.bench,
        simulator: later.simulator,
    };
    let refused = later.run(&["reconcile", "--plan", "plan.json"], 5);
    let said = format!("{}{}", stdout(&refused), stderr(&refused));
    holds(
        &said,
        &[
            "img-a: planned SHARE, now nothing (superseded)",
            "img-b: planned nothing, now SHARE (newest by policy `golden`)",
        ],
    );
}

#[test]
fn f17_the_command_for_a_saved_plan_repeats_what_was_typed() {
    let cloud = Cloud::new(&[image(TOKYO, "img-a", "golden-1", 1, false)]);
    cloud.policy("  keep: {newest: 1}\n");
    let printed = stderr(&cloud.run(&["plan", "--out", "plan.json"], 0));
    let endpoint = cloud.simulator.endpoint();
    let typed = format!("--plan plan.json --state-dir state --endpoint {endpoint}");
    holds(&printed, &[typed.as_str()]);
}
