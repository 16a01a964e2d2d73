//! Tests `import` and `adopt`, which bring existing shares of an account under the control of sharekeeper.

use std::fs;

use serde_json::json;

use super::{FRANKFURT, TOKYO, borrowed, holds, ids, numbered};
use crate::support::binary::Bench;

/// A bench without manifests. Somebody else has shared images whose names look like names that people give.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-a", "img-b"]);
    bench.share(FRANKFURT, &["img-a"]);
    bench.change(|world| {
        let images = world["accounts"][0]["images"]
            .as_array_mut()
            .expect("images");
        images[0]["name"] = "the \"golden\": one # not a comment".into();
    });
    bench
}

fn manifests(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("manifests")).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_first_plan_after_an_import_is_empty_by_region_and_by_account() {
    for (by, files) in [
        (
            "region",
            &["default-ap-tokyo.yaml", "default-eu-frankfurt.yaml"] as &[_],
        ),
        ("account", &["default.yaml"]),
    ] {
        let bench = bench();
        let text = bench.text(&["import", "--by", by], 0);
        holds(
            &text,
            &[
                "image",
                "The first plan with these manifests is empty",
                "`sharekeeper adopt --all`",
            ],
        );
        assert_eq!(manifests(&bench), files);
        let first = fs::read_to_string(bench.path("manifests").join(files[0])).expect("a file");
        holds(
            &first,
            &[
                "# Images that were shared when `sharekeeper import` ran, 2",
                "    - name: \"the \\\"golden\\\": one # not a comment\"\n      state: shared\n    - ",
            ],
        );
        let flags = ["--detailed-exitcode", "--prune", "exclusive"];
        let plan = bench.json(&[&["plan"], &flags as &[_]].concat(), 0);
        assert_eq!(plan["summary"]["in_sync"], 3);
        assert_eq!(plan["unmanaged"], json!({"ours": 0, "foreign": 0}));
    }
}

#[test]
fn import_writes_what_no_manifest_names_and_only_that() {
    let bench = bench();
    bench.declare("mine", TOKYO, &["img-a"]);
    let document = bench.json(&["import"], 0);
    assert_eq!(document["named_already"], 1);
    assert_eq!(
        document["files"],
        json!([
            {"file": "manifests/default-ap-tokyo.yaml", "images": 1},
            {"file": "manifests/default-eu-frankfurt.yaml", "images": 1}
        ])
    );
    holds(
        &bench.text(&["import"], 0),
        &[
            "3 shared images already named by manifests",
            "Nothing to import",
        ],
    );
    assert_eq!(
        bench.json(&["plan", "--detailed-exitcode"], 0)["summary"]["in_sync"],
        3
    );
}

#[test]
fn import_leaves_what_a_policy_matches_to_the_policy() {
    let bench = bench();
    bench.write(
        "manifests/policy.yaml",
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: golden}}\nspec:\n  region: {TOKYO}\n  \
             match: {{name: '*golden*'}}\n  keep: {{newest: 1}}\n"
        ),
    );
    let document = bench.json(&["import"], 0);
    assert_eq!(document["named_already"], 1, "{document:#}");
    assert_eq!(
        document["files"],
        json!([
            {"file": "manifests/default-ap-tokyo.yaml", "images": 1},
            {"file": "manifests/default-eu-frankfurt.yaml", "images": 1}
        ])
    );
}

#[test]
fn import_narrows_and_writes_elsewhere() {
    let bench = bench();
    let flags = ["--region", TOKYO, "--image", "img-b", "--out", "found/here"];
    let document = bench.json(&[&["import"], &flags as &[_]].concat(), 0);
    assert_eq!(
        document["files"],
        json!([{"file": "found/here/default-ap-tokyo.yaml", "images": 1}])
    );
    assert_eq!(manifests(&bench), [""; 0]);
}

#[test]
fn import_replaces_no_file_and_then_writes_none() {
    let bench = bench();
    fs::create_dir(bench.path("out")).expect("a directory");
    bench.write("out/default-eu-frankfurt.yaml", "mine\n");
    let document = bench.json(&["import", "--out", "out"], 1);
    holds(
        document["error"].as_str().expect("says why"),
        &[
            "out/default-eu-frankfurt.yaml: it already exists",
            "`--out DIR`",
        ],
    );
    let kept = fs::read_to_string(bench.path("out/default-eu-frankfurt.yaml"));
    assert_eq!(kept.expect("a file"), "mine\n");
    assert!(!bench.path("out/default-ap-tokyo.yaml").exists());
    bench.write("file", "");
    holds(
        &bench.stderr(&["import", "--out", "file"], 1),
        &["it is a file, but import writes to a directory"],
    );
}

#[test]
fn import_writes_nothing_of_what_it_could_not_read() {
    let bench = bench();
    bench.change(|world| world["accounts"][0]["deny"] = json!(["DescribeBlueprints"]));
    let document = bench.json(&["import", "--region", TOKYO], 1);
    assert_eq!(document["files"], json!([]));
    assert_eq!(document["unseen"][0]["region"], TOKYO);
    assert_eq!(
        bench.text(&["import", "--region", TOKYO], 1),
        "Nothing was written: 1 region could not be read.\n"
    );
    assert_eq!(manifests(&bench), [""; 0]);
}

#[test]
fn s10_what_is_found_shared_is_pruned_only_once_it_is_adopted() {
    let bench = Bench::new();
    let images = numbered(1..=5);
    bench.share(TOKYO, &borrowed(&images));
    bench.declare("tokyo", TOKYO, &borrowed(&images));
    let prune = ["reconcile", "--prune", "owned"];
    bench.run(&prune, 0);
    let named = ["img-0001", "img-0002", "img-0003", "img-0004"];
    bench.declare("tokyo", TOKYO, &named);
    assert_eq!(
        bench.json(&prune, 0)["calls"]["writes"],
        0,
        "it is not ours"
    );

    // An image that no manifest names is adopted by its id.
    let dry = ["adopt", "--image", "img-0005", "--dry-run"];
    holds(
        &bench.text(&dry, 0),
        &[
            "+ default/ap-tokyo/img-0005 as lhbp-",
            "1 image would be adopted",
        ],
    );
    assert_eq!(
        bench.json(&prune, 0)["calls"]["writes"],
        0,
        "it is a dry run"
    );
    let document = bench.json(&["adopt", "--image", "img-0005"], 0);
    assert_eq!(ids(&document["adopted"]), ["img-0005"]);
    holds(&bench.text(&["status"], 0), &["1 image ours, 1 adopted"]);
    holds(
        &bench.text(&["history"], 0),
        &["adopted by tester@", "`sharekeeper adopt`"],
    );
    holds(&bench.text(&prune, 0), &["- img-0005        cancelled"]);
}

#[test]
fn s7_what_was_adopted_is_pruned_within_the_caps() {
    let bench = Bench::new();
    let images = numbered(1..=12);
    bench.share(TOKYO, &borrowed(&images));
    bench.declare("tokyo", TOKYO, &borrowed(&images));
    let text = bench.text(&["adopt", "--all"], 0);
    holds(&text, &["12 images adopted: `--prune owned` cancels"]);
    assert_eq!(
        bench.text(&["adopt", "--all"], 0),
        "Nothing to adopt: the shared images are already ours.\n"
    );
    let prune = ["reconcile", "--prune", "owned"];
    bench.declare("tokyo", TOKYO, &borrowed(&images[4..]));
    let document = bench.json(&prune, 3);
    assert_eq!(document["summary"]["withheld"], 4, "a third is too much");
    bench.declare("tokyo", TOKYO, &borrowed(&images[3..]));
    let document = bench.json(&prune, 0);
    assert_eq!(document["summary"]["cancelled"], 3, "a quarter is not");
}

#[test]
fn what_is_released_stays_shared_and_is_no_longer_pruned() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let dry = bench.json(&["adopt", "--release", "--image", "img-b", "--dry-run"], 0);
    assert_eq!(ids(&dry["released"]), ["img-b"]);
    holds(
        &bench.text(&["adopt", "--release", "--image", "img-b"], 0),
        &[
            "- default/ap-tokyo/img-b\n",
            "1 image released: still shared",
        ],
    );
    assert_eq!(
        bench.text(&["adopt", "--release", "--image", "img-b"], 0),
        "Nothing to release: none of these images is ours.\n"
    );
    assert_eq!(
        bench.json(&["reconcile", "--prune", "owned"], 0)["calls"]["writes"],
        0
    );
    assert_eq!(bench.shared().len(), 2);
}

#[test]
fn adopt_complains_of_what_should_be_shared_and_is_not() {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-b", "img-other"]);
    bench.declare(
        "tokyo",
        TOKYO,
        &["img-a", "img-b", "img-down, state: unshared"],
    );
    bench.declare(
        "frankfurt",
        FRANKFURT,
        &["img-c, until: 2020-01-01T00:00:00Z"],
    );
    bench.change(|world| {
        let images = world["accounts"][0]["images"]
            .as_array_mut()
            .expect("images");
        images.push(json!({"id": "img-down", "regions": [TOKYO]}));
    });
    let document = bench.json(&["adopt", "--all"], 4);
    assert_eq!(ids(&document["adopted"]), ["img-b"]);
    assert_eq!(
        ids(&document["not_shared"]),
        ["img-a"],
        "and what is not to be shared is no matter"
    );
    // An image that no manifest names must exist in at least one region, but not in all.
    let document = bench.json(&["adopt", "--image", "img-other"], 0);
    assert_eq!(ids(&document["adopted"]), ["img-other"]);
    let text = bench.text(&["adopt", "--image", "img-nowhere"], 4);
    holds(
        &text,
        &[
            "! default/ap-tokyo/img-nowhere is not shared, so there is nothing to adopt",
            "! default/eu-frankfurt/img-nowhere",
            "Nothing was adopted.",
        ],
    );
}

#[test]
fn adopt_wants_to_know_which_images_and_where() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    for (flags, status, words) in [
        (&[] as &[_], 64, "or `--all` for all of them"),
        (
            &["--region", "ap-seoul"],
            1,
            "the manifests name nothing in region ap-seoul",
        ),
        (
            &["-l", "team=nobody"],
            1,
            "the manifests name nothing in label team=nobody",
        ),
        (&["--image", "golden"], 64, "img-"),
    ] {
        let document = bench.json(&[&["adopt"], flags].concat(), status);
        holds(document["error"].as_str().expect("says why"), &[words]);
    }
}

#[test]
fn adopt_takes_nothing_that_it_could_not_see() {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-a"]);
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.change(|world| world["accounts"][0]["deny"] = json!(["DescribeBlueprints"]));
    let document = bench.json(&["adopt", "--all"], 1);
    assert_eq!(document["unseen"], json!(["default/ap-tokyo"]));
    holds(
        &bench.text(&["adopt", "--all"], 1),
        &["! default/ap-tokyo could not be read\nNothing was adopted.\n"],
    );
}
