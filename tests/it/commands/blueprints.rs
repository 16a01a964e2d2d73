//! Tests the output about blueprints that are not ready, failed, left over, or owned by another account.

use serde_json::{Value, json};

use super::{TOKYO, holds, ids};
use crate::support::binary::{Bench, command, document, stderr};

/// A bench whose account has the given images and blueprints.
fn bench(images: &Value, blueprints: &Value) -> Bench {
    let bench = Bench::new();
    bench.change(|world| {
        let mut images = images.clone();
        for image in images.as_array_mut().expect("images") {
            image["regions"] = json!([TOKYO]);
            image["shared"] = true.into();
        }
        world["accounts"][0]["images"] = images;
        world["accounts"][0]["blueprints"] = blueprints.clone();
    });
    bench
}

/// A bench with images that are shared as blueprints in every kind of state.
fn every_state() -> Bench {
    let images = json!([
        {"id": "img-fine"},
        {"id": "img-bad", "blueprintId": "lhbp-000000bb", "blueprintState": "CREATEFAILED"},
        {"id": "img-odd", "blueprintState": "BRAND_NEW"},
        {"id": "img-none", "blueprintState": ""},
        {"id": "img-soon", "blueprintId": "lhbp-000000aa", "blueprintState": "SYNCING"},
    ]);
    let bench = bench(&images, &json!([]));
    let all = ["img-fine", "img-bad", "img-odd", "img-none", "img-soon"];
    bench.declare("all", TOKYO, &all);
    bench
}

#[test]
fn c13_t4_plan_and_reconcile_report_unusable_blueprints() {
    let bench = every_state();
    let plan = bench.json(&["plan", "--detailed-exitcode"], 0);
    assert_eq!(ids(&plan["blocked"]), ["img-bad"]);
    assert_eq!(ids(&plan["pending"]), ["img-soon"]);
    assert_eq!(
        plan["summary"],
        json!({"share": 0, "cancel": 0, "withheld": 0, "blocked": 1, "in_sync": 3, "pending": 1})
    );
    holds(
        &bench.text(&["plan"], 0),
        &[
            "shared as lhbp-000000bb, which is CREATEFAILED",
            "shared; not ready yet: lhbp-000000aa is SYNCING",
            "1 blocked, 1 pending, 3 in sync",
        ],
    );
    let document = bench.json(&["reconcile", "--no-wait"], 4);
    let summary = &document["summary"];
    for (outcome, count) in [
        ("in_sync", 3),
        ("blocked", 1),
        ("pending", 1),
        ("failed", 0),
    ] {
        assert_eq!(summary[outcome], count, "{summary}");
    }
    assert_eq!(document["calls"]["writes"], 0);
    let warnings = document["warnings"].to_string();
    holds(
        &warnings,
        &["BRAND_NEW", "img-odd", "without a state", "img-none"],
    );
    holds(
        &bench.text(&["reconcile", "--no-wait"], 4),
        &[
            "shared; not ready yet",
            "1 blocked, 1 pending, 3 already as desired",
        ],
    );
    holds(
        &bench.stderr(&["reconcile", "--no-wait"], 4),
        &["BRAND_NEW"],
    );
    holds(&bench.stderr(&["plan"], 0), &["BRAND_NEW"]);
}

#[test]
fn c13_the_environment_and_the_timeout_end_the_wait_too() {
    let bench = every_state();
    bench.declare("all", TOKYO, &["img-soon"]);
    let arguments = ["reconcile", "--sim", "-o", "json", "--state-dir", "state"];
    let output = command(&arguments)
        .env("SHAREKEEPER_NO_WAIT", "1")
        .current_dir(bench.path("."))
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(document(&output)["images"][0]["outcome"], "pending");
    let late = bench.json(&["reconcile", "--timeout", "1s"], 4);
    assert_eq!(late["images"][0]["outcome"], "pending");
    assert_eq!(late["summary"]["pending"], 1);
    holds(
        &bench.text(&["reconcile", "--timeout", "1s"], 4),
        &["Timed out: 1 pending"],
    );
}

/// A bench with one image that the account owns, one that was deleted, and one that another account owns.
fn strangers() -> Bench {
    let images = json!([
        {"id": "img-mine", "name": "mine"},
        {"id": "img-gone", "blueprintId": "lhbp-000000cc", "deleted": true},
    ]);
    let beside = json!([
        {"id": "lhbp-foreign", "imageId": "img-theirs", "regions": [TOKYO], "type": "SHARED"},
    ]);
    bench(&images, &beside)
}

#[test]
fn t8_import_leaves_out_what_is_not_the_accounts_own_and_names_it() {
    let bench = strangers();
    let document = bench.json(&["import"], 0);
    assert_eq!(
        document["files"],
        json!([{"file": "manifests/default-ap-tokyo.yaml", "images": 1}])
    );
    assert_eq!(ids(&document["strays"]), ["img-gone", "img-theirs"]);
    assert_eq!(document["strays"][1]["blueprint_id"], "lhbp-foreign");
    holds(
        &bench.text(&["import"], 0),
        &["Left out: 2 blueprints", "lhbp-foreign of img-theirs"],
    );
}

#[test]
fn t8_nothing_is_imported_where_the_accounts_own_images_cannot_be_listed() {
    let bench = strangers();
    bench.change(|world| world["accounts"][0]["deny"] = json!(["DescribeImagesToShare"]));
    let document = bench.json(&["import"], 1);
    assert_eq!(document["files"], json!([]));
    assert_eq!(document["unseen"][0]["region"], TOKYO);
    holds(
        &document["unseen"][0]["reason"].to_string(),
        &["account's own"],
    );
    // Images that manifests already name need no check of their owner.
    bench.declare("all", TOKYO, &["img-mine", "img-gone", "img-theirs"]);
    assert_eq!(bench.json(&["import"], 0)["named_already"], 3);
}

#[test]
fn t8_prune_exclusive_leaves_strays_alone_and_says_so() {
    let bench = strangers();
    bench.share(TOKYO, &["img-kept"]);
    bench.declare("kept", TOKYO, &["img-kept"]);
    let exclusive = ["--prune", "exclusive"];
    let plan = bench.json(&[&["plan"] as &[_], &exclusive].concat(), 0);
    assert_eq!(ids(&plan["changes"]), ["img-mine"]);
    assert_eq!(ids(&plan["strays"]), ["img-gone", "img-theirs"]);
    assert_eq!(plan["unmanaged"], json!({"ours": 0, "foreign": 0}));
    // The reads are: blueprints, own images, instances, and blueprints again to see that the change took effect.
    assert_eq!(plan["budget"]["reads"], 4, "{}", plan["budget"]);
    holds(
        &bench.text(&[&["plan"] as &[_], &exclusive].concat(), 0),
        &[
            "Not this account's own images: 2 blueprints",
            "lhbp-000000cc of img-gone",
        ],
    );
    let document = bench.json(&[&["reconcile"] as &[_], &exclusive].concat(), 0);
    assert_eq!(document["summary"]["cancelled"], 1);
    assert_eq!(document["calls"]["writes"], 1);
    holds(
        &bench.text(&[&["reconcile"] as &[_], &exclusive].concat(), 0),
        &["In sync", "lhbp-foreign of img-theirs"],
    );
    // Without pruning, the owner of these blueprints is not read, so it is not reported.
    let plan = bench.json(&["plan"], 0);
    assert_eq!(plan["unmanaged"], json!({"ours": 0, "foreign": 2}));
    assert_eq!(plan["strays"], json!([]));
}

#[test]
fn t8_a_list_of_own_images_that_does_not_add_up_withholds_every_prune() {
    for kind in ["wrongTotal", "missingRow", "duplicateRow"] {
        let images = json!([{"id": "img-mine"}, {"id": "img-more"}]);
        let bench = bench(&images, &json!([]));
        bench.declare("none", TOKYO, &["img-more"]);
        bench.change(|world| {
            world["faults"] = json!([{"action": "DescribeImagesToShare", "kind": kind}]);
        });
        let document = bench.json(&["reconcile", "--prune", "exclusive"], 3);
        assert_eq!(document["summary"]["withheld"], 1, "{kind}");
        assert_eq!(document["calls"]["writes"], 0, "{kind}");
        let printed = document["images"].to_string();
        holds(&printed, &["account's own", "inconsistent listings"]);
    }
}

#[test]
fn t5_a_deleted_image_names_the_blueprint_to_delete() {
    let bench = strangers();
    bench.declare("gone", TOKYO, &["img-gone, state: unshared"]);
    let document = bench.json(&["reconcile"], 4);
    assert_eq!(document["summary"]["blocked"], 1);
    assert_eq!(document["calls"]["writes"], 2);
    let printed = document["images"][0]["message"].to_string();
    holds(
        &printed,
        &[
            "lhbp-000000cc",
            "delete the blueprint",
            "the manifest is right",
        ],
    );
}
