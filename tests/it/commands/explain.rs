//! Tests `explain` for an image, for a name and for an error code.

use serde_json::{Value, json};

use super::names::{Cloud, image};
use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::{sharekeeper, stderr, stdout};

/// The twelve error codes that ModifyImageSharePermission documents.
const CODES: [&str; 12] = [
    "UnsupportedOperation.ImageAlreadyShared",
    "UnsupportedOperation.ImageOccupied",
    "ResourceInUse.ImageInUse",
    "UnsupportedOperation.ImageUnableToShare",
    "InvalidParameterValue.InvalidImageIdMalformed",
    "ResourceNotFound.ImageIdNotFound",
    "ResourceNotFound.RoleNotFound",
    "UnsupportedOperation.AssumeRoleFailed",
    "UnauthorizedOperation.NoPermission",
    "FailedOperation.ImageOperationFailed",
    "FailedOperation.RequestError",
    "InternalError.RequestError",
];

/// The statuses of the preconditions of an image, in their order.
fn statuses(image: &Value) -> Vec<&str> {
    let checks = image["preconditions"].as_array().expect("a list").iter();
    checks
        .map(|check| check["status"].as_str().expect("a word"))
        .collect()
}

#[test]
fn each_precondition_has_the_value_seen_and_the_remedy() {
    let with = |id: &str, field: &str, value: Value| {
        let mut image = image(TOKYO, id, id, 1, false);
        image[field] = value;
        image
    };
    let cloud = Cloud::new(&[
        image(TOKYO, "img-good", "good", 1, false),
        image(TOKYO, "img-shared", "shared-1", 1, true),
        with("img-import", "source", "EXTERNAL_IMPORT".into()),
        with("img-whole", "class", "InstanceImage".into()),
        with("img-noinit", "cloudInit", false.into()),
        with("img-os", "osAccepted", false.into()),
        with("img-making", "state", "CREATING".into()),
    ]);
    for (id, failed) in [
        ("img-shared", 0),
        ("img-import", 1),
        ("img-whole", 2),
        ("img-noinit", 3),
        ("img-os", 4),
        ("img-making", 5),
    ] {
        let document = cloud.json(&["explain", id, "--region", TOKYO], 0);
        let image = &document["images"][0];
        let all = statuses(image);
        assert_eq!(all.len(), 6);
        let at: Vec<_> = (0..6).filter(|&at| all[at] == "failed").collect();
        assert_eq!(at, [failed], "{id}: {all:?}");
        let check = &image["preconditions"][failed];
        assert!(check["remedy"].is_string(), "{check}");
        assert_eq!(image["verdict"], "unnamed");
    }
    let good = cloud.json(&["explain", "good", "--region", TOKYO], 0);
    assert_eq!(statuses(&good["images"][0]), ["passed"; 6]);
    holds(
        &cloud.text(&["explain", "img-whole", "--region", TOKYO], 0),
        &[
            "default/ap-tokyo  img-whole  img-whole\n",
            "! not a full-instance image",
            "ImageClass is InstanceImage: full-instance images cannot be shared",
            "Verdict: unnamed; no document sets its state.",
            "Last attempts: none is recorded.",
            "To have it shared:",
        ],
    );
}

#[test]
fn the_deciding_document_is_shown_in_every_region() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-2", 2, false),
        image(TOKYO, "img-old", "golden-1", 1, true),
        image(FRANKFURT, "img-b", "golden-2", 2, false),
    ]);
    cloud.policy("  keep: {newest: 1, unshareAfter: 24h}\n");
    cloud.name("    - {name: golden-2, state: shared, protect: true, note: why}\n");
    cloud.run(&["reconcile"], 0);
    let text = cloud.text(&["explain", "golden-2"], 0);
    holds(
        &text,
        &[
            "default/ap-tokyo  img-a  golden-2\n",
            "default/eu-frankfurt  img-b  golden-2\n",
            "Verdict: declared; shared, declared by `fixed`, protected, note: why  manifests/fixed.yaml:7\n",
            "Policy golden: newest  manifests/golden.yaml:3\n",
            "Plan: nothing: already as desired\n",
            "SHARE done as lhbp-",
            "remove `protect: true` from its entry",
        ],
    );
    let document = cloud.json(&["explain", "golden-1", "--region", TOKYO], 0);
    let old = &document["images"][0];
    assert_eq!(
        (&old["image_id"], &old["verdict"]),
        (&json!("img-old"), &json!("overlap"))
    );
    assert_eq!(old["policies"][0]["policy"], "golden");
    assert_eq!(old["plan"]["outcome"], "nothing");
    let elsewhere = cloud.json(&["explain", "golden-1"], 0);
    assert_eq!(elsewhere["absent_from"][0]["region"], FRANKFURT);
}

#[test]
fn what_a_guard_withholds_is_shown_with_the_remedy() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 2, true),
        image(FRANKFURT, "img-b", "golden-1", 2, true),
    ]);
    cloud.name("    - {name: golden-1, state: unshared, protect: true}\n");
    let document = cloud.json(&["explain", "img-a"], 0);
    let plan = &document["images"][0]["plan"];
    assert_eq!(
        (&plan["action"], &plan["outcome"]),
        (&json!("CANCEL"), &json!("withheld"))
    );
    holds(plan["reason"].as_str().expect("why"), &["protect: true"]);
}

#[test]
fn a_name_that_no_image_has_is_explained() {
    let cloud = Cloud::new(&[image(TOKYO, "img-a", "golden-1-beta", 2, true)]);
    cloud.name("    - {name: golden-1, state: shared}\n");
    let document = cloud.json(&["explain", "golden-1", "--region", TOKYO], 0);
    let name = &document["unresolved"][0];
    assert_eq!(
        (&name["image_id"], &name["source"]["line"]),
        (&Value::Null, &json!(7))
    );
    holds(
        &cloud.text(&["explain", "golden-1", "--region", TOKYO], 0),
        &["`golden-1-beta`"],
    );
}

#[test]
fn what_nobody_knows_ends_with_64_and_says_what_is_near() {
    let cloud = Cloud::new(&[image(TOKYO, "img-a", "golden-1.5.1", 2, true)]);
    for (subject, near) in [("golden-1.5.2", "`golden-1.5.1`"), ("img-b", "`img-a`")] {
        let output = cloud.run(&["explain", subject, "--region", TOKYO], 64);
        holds(&stderr(&output), &[subject, near]);
    }
    let denied = Cloud::with(json!({"accounts": [{
        "name": "default", "deny": ["DescribeImagesToShare", "DescribeBlueprints"],
    }]}));
    let unseen = denied.json(&["explain", "img-a", "--region", TOKYO], 1);
    assert_eq!(unseen["unseen"][0]["region"], TOKYO);
}

#[test]
fn each_error_code_is_explained_without_any_account() {
    for code in CODES {
        let output = sharekeeper(&["explain", code]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        holds(&stdout(&output), &[code, "to ", "what you can do:"]);
        let output = sharekeeper(&["explain", code, "-o", "json"]);
        let document = crate::support::binary::document(&output);
        assert_eq!(document["of_share_permission"], true);
        for part in ["meaning", "on_share", "on_cancel", "remedy"] {
            assert!(document[part].is_string(), "{code}: {part}");
        }
    }
    let wrong = sharekeeper(&["explain", "ResourceInUse.ImageInUsed"]);
    assert_eq!(wrong.status.code(), Some(64));
    holds(&stderr(&wrong), &["`ResourceInUse.ImageInUse`"]);
}

#[test]
fn f8_explain_names_the_remedy_for_an_image_in_use() {
    let cloud = Cloud::with(json!({"accounts": [{
        "name": "default",
        "images": [
            image(TOKYO, "img-old", "golden-1", 1, true),
            image(TOKYO, "img-new", "golden-2", 9, true),
        ],
        "instances": [{"id": "lhins-1", "region": TOKYO, "image": "img-old"}],
    }]}));
    cloud.policy("  keep: {newest: 1}\n");
    holds(
        &cloud.text(&["explain", "golden-1"], 0),
        &[
            "in use by 1 instance: lhins-1; delete these instances",
            "`keep.inUse: cancel`",
        ],
    );
}

#[test]
fn f9_a_cause_that_prevents_observations_is_reported_once() {
    let cloud = Cloud::with(json!({"accounts": [{
        "name": "default", "deny": ["DescribeImagesToShare", "DescribeBlueprints"],
    }]}));
    cloud.name("    - {name: golden-1, state: shared}\n");
    let text = cloud.text(&["explain", "img-a"], 1);
    assert_eq!(text.matches("Not seen:").count(), 1, "{text}");
    holds(
        &text,
        &["Not seen: default/ap-tokyo, default/eu-frankfurt: "],
    );
}
