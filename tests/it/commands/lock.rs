//! Tests `lock`, which writes down the images that policies select, and checks whether the lock file is current.

use std::fs;

use serde_json::{Value, json};

use super::names::{Cloud, image};
use super::{TOKYO, holds};
use crate::support::binary::stderr;

/// The lock file of the cloud's manifests.
fn lock_file(cloud: &Cloud) -> String {
    let file = cloud.bench.path("manifests/sharekeeper.lock.yaml");
    fs::read_to_string(file).expect("a lock file")
}

fn cloud(newest: u32) -> Cloud {
    let images: Vec<Value> = (1..=newest)
        .map(|n| image(TOKYO, &format!("img-{n}"), &format!("golden-{n}"), n, false))
        .collect();
    Cloud::new(&images)
}

/// The same bench on a cloud that has newer images.
fn later(bench: Cloud, newest: u32) -> Cloud {
    let mut cloud = cloud(newest);
    std::mem::swap(&mut cloud.bench, &mut { bench }.bench);
    cloud
}

#[test]
fn what_is_selected_is_written_and_a_check_shows_what_is_newer() {
    let first = cloud(2);
    first.policy("  keep: {newest: 1}\n  lock: required\n");
    let missing = first.json(&["lock", "--check"], 2);
    assert_eq!(missing["policies"][0]["state"], "missing");
    assert_eq!(missing["written"], false);
    assert!(!first.bench.path("manifests/sharekeeper.lock.yaml").exists());
    holds(
        &first.text(&["lock"], 0),
        &[
            "+ img-2           golden-2  ap-tokyo",
            "Written: manifests/sharekeeper.lock.yaml",
        ],
    );
    let written = lock_file(&first);
    holds(
        &written,
        &["kind: ImageShareLock", "{id: img-2, name: \"golden-2\""],
    );
    holds(&first.text(&["lock"], 0), &["is already current"]);
    assert_eq!(lock_file(&first), written);
    assert_eq!(
        first.json(&["lock", "--check"], 0)["policies"][0]["state"],
        "current"
    );

    let second = later(first, 3);
    let newer = second.json(&["lock", "--check"], 2);
    let region = &newer["policies"][0]["regions"][0];
    assert_eq!(region["added"][0]["image_name"], "golden-3");
    assert_eq!(region["removed"][0]["image_id"], "img-2");
    assert_eq!(lock_file(&second), written, "a check writes nothing");
    // The locked image is shared, and no newer image is.
    let done = second.json(&["reconcile"], 0);
    assert_eq!(done["images"][0]["image_id"], "img-2", "{done:#}");
    assert_eq!(done["summary"]["shared"], 1);
    second.run(&["lock"], 0);
    holds(&lock_file(&second), &["img-3"]);
}

#[test]
fn a_policy_that_was_changed_makes_the_lock_stale() {
    let cloud = cloud(2);
    cloud.policy("  keep: {newest: 1}\n");
    cloud.run(&["lock"], 0);
    cloud.policy("  keep: {newest: 2}\n");
    let document = cloud.json(&["lock", "--check"], 5);
    assert_eq!(document["policies"][0]["state"], "stale");
    holds(&cloud.text(&["lock", "--check"], 5), &["is stale"]);
    cloud.run(&["lock"], 0);
    cloud.run(&["lock", "--check"], 0);
}

#[test]
fn policies_that_are_not_asked_for_keep_their_entries() {
    let first = cloud(2);
    first.policy("  keep: {newest: 1}\n");
    let golden = fs::read_to_string(first.bench.path("manifests/golden.yaml")).expect("a file");
    let other = golden.replace("name: golden,", "name: other,");
    first.bench.write("manifests/other.yaml", &other);
    first.run(&["lock"], 0);
    let second = later(first, 3);
    second.run(&["lock", "--policy", "other"], 0);
    let text = lock_file(&second);
    let (golden, other) = text.split_once("name: \"other\"").expect("both");
    holds(golden, &["img-2"]);
    holds(other, &["img-3"]);
    let unknown = second.run(&["lock", "--policy", "othr"], 64);
    holds(&stderr(&unknown), &["`othr`", "did you mean `other`?"]);
    fs::remove_file(second.bench.path("manifests/other.yaml")).expect("removed");
    second.run(&["lock"], 0);
    assert!(!lock_file(&second).contains("other"), "its policy is gone");
}

#[test]
fn a_region_that_is_not_seen_ends_with_1_and_writes_nothing() {
    let cloud = Cloud::with(json!({"accounts": [{
        "name": "default", "deny": ["DescribeImagesToShare"],
    }]}));
    cloud.policy("  keep: {newest: 1}\n");
    for arguments in [&["lock"] as &[_], &["lock", "--check"]] {
        let document = cloud.json(arguments, 1);
        assert_eq!(document["unseen"][0]["region"], TOKYO);
        assert_eq!(document["written"], false);
    }
    assert!(!cloud.bench.path("manifests/sharekeeper.lock.yaml").exists());
}
