//! Tests what commands report, do and record if the key may write but may not read.

use serde_json::{Value, json};

use super::{TOKYO, holds};
use crate::support::binary::Bench;

/// `img-a` is shared already, `img-b` and `img-c` are not. The manifest wants `img-a` and `img-b` shared, and `img-c`
/// unshared.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-a"]);
    bench.write(
        "manifests/tokyo.yaml",
        &[
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: tokyo}\nspec:",
            "  region: ap-tokyo\n  images:",
            "    - {id: img-a, state: shared}\n    - {id: img-b, state: shared}\n    - {id: img-c, state: unshared}\n",
        ]
        .join("\n"),
    );
    bench.change(|world| world["accounts"][0]["deny"] = json!(["DescribeBlueprints"]));
    bench
}

fn outcomes(document: &Value) -> Vec<(&str, &str, &str)> {
    let images = document["images"].as_array().expect("images").iter();
    let rows = images.map(|image| {
        let word = |name| image[name].as_str().expect("a word");
        (word("image_id"), word("outcome"), word("actual"))
    });
    rows.collect()
}

#[test]
fn c4_t6_each_declared_image_costs_one_write_and_is_then_in_sync() {
    let bench = bench();
    let first = bench.json(&["reconcile"], 0);
    assert_eq!(
        outcomes(&first),
        [
            ("img-a", "in_sync", "unknown"),
            ("img-b", "shared", "unknown"),
            ("img-c", "cancelled", "unknown")
        ]
    );
    assert_eq!(
        (&first["calls"]["writes"], &first["by_word"]),
        (&json!(3), &json!(3))
    );
    let entries = bench.json(&["history"], 0)["entries"]
        .as_array()
        .map(Vec::len);
    let again = bench.json(&["reconcile"], 0);
    assert_eq!(again["calls"]["writes"], 0, "{again:#}");
    assert_eq!(again["summary"]["in_sync"], 3);
    assert_eq!(
        bench.json(&["history"], 0)["entries"]
            .as_array()
            .map(Vec::len),
        entries
    );
    holds(
        &bench.text(&["reconcile"], 0),
        &["3 already as desired, 3 by the API's answers alone"],
    );
    let plan = bench.json(&["plan"], 0);
    assert_eq!(
        (&plan["changes"], &plan["by_word"]),
        (&json!([]), &json!(3))
    );
    holds(
        &bench.text(&["plan"], 0),
        &["3 images as desired, 3 by the API's answers alone"],
    );
}

#[test]
fn c4_an_acknowledged_state_is_trusted_as_long_as_a_person_says() {
    let bench = bench();
    bench.json(&["reconcile"], 0);
    let anew = bench.json(&["reconcile", "--trust-acknowledged", "0s"], 0);
    assert_eq!(anew["calls"]["writes"], 3);
    let plan = bench.json(&["plan", "--trust-acknowledged", "0s"], 0);
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(3));
    holds(
        &bench.stderr(&["reconcile", "--trust-acknowledged", "soon"], 64),
        &["--trust-acknowledged", "a duration has a form such as"],
    );
}

#[test]
fn c4_a_reversed_desired_state_is_written_whatever_was_acknowledged() {
    let bench = bench();
    bench.json(&["reconcile"], 0);
    let manifest = std::fs::read_to_string(bench.path("manifests/tokyo.yaml")).expect("a file");
    bench.write(
        "manifests/tokyo.yaml",
        &manifest.replace("img-b, state: shared", "img-b, state: unshared"),
    );
    let turned = bench.json(&["reconcile"], 0);
    assert_eq!(turned["calls"]["writes"], 1, "{turned:#}");
    assert_eq!(bench.shared(), [(TOKYO.to_owned(), "img-a".to_owned())]);
}
