//! Tests what users see when the key may not change some of the images.

use serde_json::{Value, json};

use super::{TOKYO, borrowed, holds, numbered};
use crate::support::binary::Bench;

const DENIED: &str = "UnauthorizedOperation.NoPermission";

/// A bench with 23 images to share. The API refuses writes to `denied`.
fn bench(denied: &[String]) -> Bench {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &borrowed(&numbered(1..=23)));
    deny(&bench, denied);
    bench
}

fn deny(bench: &Bench, denied: &[String]) {
    let rules = denied.iter().map(|image| {
        json!({"action": "ModifyImageSharePermission", "image": image, "kind": "error", "code": DENIED})
    });
    let rules: Vec<_> = rules.collect();
    bench.change(|world| world["faults"] = rules.into());
}

fn counts(document: &Value) -> [&Value; 4] {
    ["shared", "blocked", "failed", "not_tried"].map(|outcome| &document["summary"][outcome])
}

#[test]
fn c2_three_denied_images_of_twenty_three_block_themselves_alone() {
    let bench = bench(&numbered(1..=3));
    let document = bench.json(&["reconcile"], 4);
    assert_eq!(counts(&document), [20, 3, 0, 0]);
    let images = document["images"].as_array().expect("a list");
    let requests: std::collections::BTreeSet<_> = images
        .iter()
        .map(|image| image["request_id"].as_str().expect("its own"))
        .collect();
    assert_eq!(requests.len(), 23, "each has the RequestId of its own call");
    let history = bench.text(&["history"], 0);
    assert_eq!(history.matches(DENIED).count(), 3, "{history}");
}

#[test]
fn c2_not_tried_is_one_line_and_the_next_run_begins_with_it() {
    // These are the images that the first run tries first: it splits 23 images into five parts and begins each in the
    // middle.
    let unlucky = [3, 7, 12, 17, 21].map(|number| format!("img-{number:04}"));
    let bench = bench(&unlucky);
    let text = bench.text(&["reconcile"], 4);
    let line = "! default/ap-tokyo: 23 images blocked or not tried: 5 different images were denied, and none was permitted: UnauthorizedOperation.NoPermission";
    holds(&text, &[line, "[RequestId ", "5 blocked, 18 not tried"]);
    assert!(!text.contains("failed"), "{text}");
    assert_eq!(text.matches(DENIED).count(), 1, "n10: {text}");
    assert_eq!(text.matches("[RequestId ").count(), 1, "n10: {text}");
    let plan = bench.json(&["plan"], 0);
    assert_eq!(
        plan["summary"]["share"], 23,
        "a plan makes no call, so that nothing is denied it"
    );
    let document = bench.json(&["reconcile"], 4);
    assert_eq!(counts(&document), [18, 5, 0, 0]);
    deny(&bench, &[]);
    let document = bench.json(&["reconcile"], 0);
    assert_eq!(counts(&document), [5, 0, 0, 0]);
}

#[test]
fn c2_a_missing_role_is_the_finding_of_one_image_and_of_no_other() {
    let bench = bench(&[]);
    bench.change(|world| world["accounts"][0]["role"] = json!("missing"));
    let document = bench.json(&["reconcile"], 4);
    assert_eq!(counts(&document), [0, 1, 0, 22]);
    let images = document["images"].as_array().expect("a list");
    for image in images {
        let is_blocked = image["outcome"] == "blocked";
        assert_eq!(image["request_id"].is_string(), is_blocked, "{image:#}");
        assert_eq!(image["error_code"], "ResourceNotFound.RoleNotFound");
    }
    let history = bench.json(&["history"], 0);
    let rejected = history.to_string().matches("\"rejected\"").count();
    assert_eq!(rejected, 1, "{history:#}");
}
