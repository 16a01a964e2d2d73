//! Tests how failures are reported: one cause is reported once, however many images it affects; images that were not
//! tried are not failures; a closed stdout is not an error.

use std::process::Stdio;

use serde_json::json;

use super::{FRANKFURT, TOKYO, borrowed, holds, numbered};
use crate::support::binary::{Bench, command, stderr, stdout};
use crate::support::closed_port::ClosedPort;

/// A bench with images in every region.
fn everywhere() -> Bench {
    let bench = Bench::new();
    for (number, region) in sharekeeper::model::Region::all().enumerate() {
        let image = format!("img-{number}");
        bench.declare(region.as_str(), region.as_str(), &[&image]);
    }
    bench
}

#[test]
fn n10_a_dead_access_point_is_one_line_in_plan_and_one_cause_in_json() {
    let bench = everywhere();
    let port = ClosedPort::reserve();
    let endpoint = port.url();
    let run = |arguments: &[&str]| {
        let mut command = command(&[arguments, &["--endpoint", &endpoint]].concat());
        command
            .args(["--state-dir", "state"])
            .current_dir(bench.path("."));
        command.env("TENCENTCLOUD_SECRET_ID", "AKIDtest");
        command.env("TENCENTCLOUD_SECRET_KEY", "key");
        command.output().expect("the binary")
    };
    let planned = run(&["plan"]);
    assert_eq!(planned.status.code(), Some(1), "{}", stderr(&planned));
    let all = format!("{}{}", stdout(&planned), stderr(&planned));
    assert_eq!(all.matches("connection refused").count(), 1, "{all}");
    holds(
        &all,
        &[
            "! account default, 15 regions (",
            "15 images left unchanged",
        ],
    );
    let planned = run(&["plan", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    let causes = document["causes"].as_array().expect("a list");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["kind"], "not_seen");
    assert_eq!(causes[0]["images"], 15);
    assert_eq!(causes[0]["regions"].as_array().map(Vec::len), Some(15));
}

#[test]
fn n10_observe_only_reports_a_dead_access_point_once() {
    let bench = everywhere();
    let policy = "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {name: golden}\nspec:\n  \
                  regions: [ap-tokyo, ap-bangkok, ap-seoul, eu-frankfurt]\n  match: {name: 'golden-*'}\n  \
                  keep: {newest: 1}\n";
    bench.write("manifests/policy.yaml", policy);
    let port = ClosedPort::reserve();
    let endpoint = port.url();
    for arguments in [
        &["images"][..],
        &["import", "--out", "found"],
        &["lock"],
        &["adopt", "--all"],
    ] {
        let mut command = command(&[arguments, &["--endpoint", &endpoint]].concat());
        command
            .args(["--state-dir", "state"])
            .current_dir(bench.path("."));
        command.env("TENCENTCLOUD_SECRET_ID", "AKIDtest");
        command.env("TENCENTCLOUD_SECRET_KEY", "key");
        let output = command.output().expect("the binary");
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let all = format!("{}{}", stdout(&output), stderr(&output));
        let count = all.matches("connection refused").count();
        assert_eq!(count, 1, "{arguments:?}: {all}");
        assert!(all.contains("regions ("), "{arguments:?}: {all}");
    }
}

#[test]
fn n10_a_revoked_key_is_one_account_line() {
    let bench = everywhere();
    bench.change(|world| {
        world["faults"] = json!([{"action": "DescribeBlueprints", "kind": "error", "code": "AuthFailure.SecretIdNotFound"}]);
    });
    let planned = bench.run(&["plan"], 1);
    let all = format!("{}{}", stdout(&planned), stderr(&planned));
    assert_eq!(all.matches("SecretIdNotFound").count(), 1, "{all}");
    holds(
        &all,
        &["the SecretId is unknown or disabled", "[RequestId "],
    );
    let document = bench.json(&["reconcile"], 1);
    let causes = document["causes"].as_array().expect("a list");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["kind"], "account_broken");
    assert_eq!(causes[0]["code"], "AuthFailure.SecretIdNotFound");
    assert!(causes[0]["request_id"].is_string());
    let message = causes[0]["message"].as_str().expect("a text");
    let remedy = causes[0]["remedy"].as_str().expect("a text");
    assert!(!message.contains(remedy), "{message}");
}

#[test]
fn n10_one_missing_permission_is_one_cause_of_all_regions() {
    let bench = Bench::new();
    bench.declare("a", TOKYO, &borrowed(&numbered(1..=8)));
    bench.declare("b", FRANKFURT, &borrowed(&numbered(11..=18)));
    bench.change(|world| {
        world["accounts"][0]["deny"] = json!(["ModifyImageSharePermission"]);
    });
    let text = bench.text(&["reconcile"], 4);
    assert_eq!(text.matches("UnauthorizedOperation").count(), 1, "{text}");
    holds(&text, &["Problems\n", "16 images blocked or not tried"]);
    let document = bench.json(&["reconcile"], 4);
    let causes = document["causes"].as_array().expect("a list");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["kind"], "permission_missing");
    assert_eq!(causes[0]["images"], 16);
    assert_eq!(
        causes[0]["remedy"],
        "allow lighthouse:ModifyImageSharePermission for this key in CAM"
    );
}

#[test]
fn n8_what_the_end_left_untried_is_one_line_and_no_failure() {
    let bench = Bench::new();
    bench.declare("a", TOKYO, &borrowed(&numbered(1..=80)));
    bench.change(|world| {
        world["faults"] = json!([{"action": "ModifyImageSharePermission", "image": "img-0001", "kind": "error", "code": "UnsupportedOperation.ImageUnableToShare"}]);
    });
    let text = bench.text(&["reconcile", "--timeout", "2s"], 4);
    let line =
        format!(" not tried in default/{TOKYO}: the run ended first; run it again to continue");
    assert_eq!(text.matches(&line).count(), 1, "{text}");
    holds(&text, &["Timed out: ", "not tried, "]);
    let untried = text.find(&line).expect("it is there");
    if let Some(blocked) = text.find("ImageUnableToShare") {
        assert!(
            blocked > untried,
            "what a person must act on stands last: {text}"
        );
    }
    let document = bench.json(&["reconcile", "--timeout", "1ms"], 1);
    assert_eq!(document["summary"]["failed"], 0, "{document:#}");
    bench.run(&["reconcile", "--timeout", "60s"], 4);
}

#[test]
fn n14_a_plan_shows_cancels_first_and_when_shares_begin_and_end() {
    let bench = Bench::new();
    bench.declare(
        "a",
        TOKYO,
        &[
            "img-a, until: 2099-01-31T00:00:00Z, from: 2020-01-01T00:00:00Z, note: for the demo",
            "img-b",
        ],
    );
    bench.write(
        "manifests/z.yaml",
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: gone}}\nspec:\n  region: {TOKYO}\n  images:\n    - {{id: img-z, state: unshared}}\n"
        ),
    );
    let text = bench.text(&["plan"], 0);
    holds(
        &text,
        &["  from 2020-01-01T00:00:00Z  until 2099-01-31T00:00:00Z  note: for the demo\n"],
    );
    let again = bench.text(&["plan"], 0);
    assert_eq!(text, again, "a plan is the same each time");
    let plan = bench.json(&["plan"], 0);
    let first = &plan["changes"][0];
    assert_eq!(first["from"], "2020-01-01T00:00:00Z");
    assert_eq!(first["until"], "2099-01-31T00:00:00Z");
    bench.run(&["reconcile"], 0);
    bench.share(TOKYO, &["img-z"]);
    bench.declare("a", TOKYO, &["img-a", "img-b", "img-new"]);
    let text = bench.text(&["plan"], 0);
    let head =
        format!("default/{TOKYO}: 1 to share, 1 to cancel, 2 in sync\n  To cancel (1):\n  - img-z");
    holds(&text, &[&head, "\n  To share (1):\n  + img-new"]);
}

#[test]
fn n14_many_shares_of_one_document_share_a_line_and_no_cancel_does() {
    let bench = Bench::new();
    let images = numbered(1..=1_200);
    bench.declare("a", TOKYO, &borrowed(&images));
    let text = bench.text(&["plan"], 0);
    assert!(text.lines().count() < 12, "{text}");
    holds(
        &text,
        &["+ 1,200 images  declared  document a", "img-0001, "],
    );
    let plan = bench.json(&["plan"], 0);
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(1_200));
}

#[test]
fn n14_what_is_left_alone_can_be_listed() {
    let bench = Bench::new();
    bench.declare("a", TOKYO, &["img-a"]);
    bench.share(TOKYO, &["img-x"]);
    let text = bench.text(&["plan", "--unmanaged"], 0);
    holds(
        &text,
        &[
            "Left alone: 1 shared image that no manifest names.",
            "  default/ap-tokyo/img-x  ",
            "shared by somebody else",
        ],
    );
    let plan = bench.json(&["plan", "--unmanaged"], 0);
    assert_eq!(plan["unmanaged"]["foreign"], 1);
    assert_eq!(plan["unmanaged"]["images"][0]["image_id"], "img-x");
    assert_eq!(
        plan["unmanaged"]["images"][0]["shared_by_sharekeeper"],
        false
    );
    let plan = bench.json(&["plan"], 0);
    assert_eq!(plan["unmanaged"]["images"], json!(null));
}

/// Runs a command whose stdout is closed from the start, as if its reader had ended.
fn with_closed_stdout(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command(&[arguments, &["--sim", "--state-dir", "state"]].concat());
    command.current_dir(bench.path("."));
    command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
    let ended = command.output().expect("the binary");
    let said = stderr(&ended);
    (ended.status.code(), said)
}

#[test]
fn n14_a_closed_pipe_is_141_without_a_message_and_work_is_finished() {
    let bench = Bench::new();
    bench.declare("a", TOKYO, &["img-a", "img-b"]);
    for arguments in [&["plan"] as &[_], &["plan", "-o", "json"], &["reconcile"]] {
        let (status, said) = with_closed_stdout(&bench, arguments);
        assert_eq!(status, Some(141), "{arguments:?}: {said}");
        assert!(!said.contains("error"), "{arguments:?}: {said}");
    }
    assert_eq!(bench.shared().len(), 2, "the writes were made");
    let document = bench.json(&["reconcile"], 0);
    assert_eq!(document["calls"]["writes"], 0, "and recorded");
}
