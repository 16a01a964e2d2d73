//! Tests flags that limit a command to an unknown account, region or image, or to an empty selection.

use serde_json::json;

use super::{FRANKFURT, TOKYO, holds, ids};
use crate::support::binary::{Bench, stderr};

const NOTHING: &str =
    "nothing to do: the manifests name 2 images, and the flags exclude all of them";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write(
        "manifests/account.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\nspec: {}\n",
    );
    bench.declare("tokyo", TOKYO, &["img-aaaa", "img-bbbb"]);
    bench
}

#[test]
fn n4_a_name_that_nobody_knows_is_an_error_with_a_suggestion() {
    let bench = bench();
    for (flags, words) in [
        (
            &["--account", "prdo"][..],
            "know the account `prdo`: did you mean `prod`?",
        ),
        (
            &["--account", "nowhere"],
            "know the account `nowhere`; known are `default`, `prod`",
        ),
        (
            &["--image", "img-aaab"],
            "know the image `img-aaab`: did you mean `img-aaaa`?",
        ),
        (
            &["-l", "form=tokyo"],
            "no document has a label `form`: did you mean `from`?",
        ),
        (
            &["-l", "from=tokio"],
            "no document has the label `from=tokio`: did you mean `from=tokyo`?",
        ),
        (
            &["-l", "from=x"],
            "no document has the label `from=x`; the values are `tokyo`",
        ),
    ] {
        for command in ["plan", "reconcile"] {
            let document = bench.json(&[&[command], flags].concat(), 64);
            holds(document["error"].as_str().expect("says why"), &[words]);
        }
    }
    // The command reports all unknown values at once.
    let printed = bench.stderr(
        &["plan", "--account", "prdo", "--image", "img-x", "-l", "a=b"],
        64,
    );
    holds(&printed, &["`prdo`", "`img-x`", "`a`"]);
    holds(
        &bench.stderr(&["explain", "img-aaaa", "--account", "prdo"], 64),
        &["did you mean `prod`?"],
    );
    for command in [&["images"][..], &["import", "--out", "found"]] {
        let printed = bench.stderr(&[command, &["--account", "prdo"]].concat(), 64);
        holds(&printed, &["know the account `prdo`: did you mean `prod`?"]);
    }
    let printed = bench.stderr(&["plan", "--image", "golden-ubuntu-1.5.1"], 64);
    holds(
        &printed,
        &["an image id is `img-`", "`sharekeeper images --match NAME`"],
    );
    assert!(
        !bench.state().join("state.db").exists(),
        "nothing was begun"
    );
}

#[test]
fn n4_broken_manifests_come_first() {
    let bench = bench();
    bench.declare("broken", TOKYO, &["img-x, untill: never"]);
    bench.run(&["plan", "--account", "prdo"], 1);
    // The documents that were left out may have this label, so it is not reported as unknown.
    bench.run(&["reconcile", "--partial-ok", "-l", "from=broken"], 4);
}

#[test]
fn n4_a_known_name_that_picks_nothing_is_one_warning() {
    let bench = bench();
    for flags in [
        &["--region", FRANKFURT][..],
        &["--account", "prod"],
        &["--account", "default", "--region", FRANKFURT],
    ] {
        for command in ["plan", "reconcile"] {
            let arguments = [&[command], flags].concat();
            let output = bench.run(&arguments, 0);
            assert_eq!(
                stderr(&output).matches("warning").count(),
                1,
                "{}",
                stderr(&output)
            );
            assert_eq!(bench.json(&arguments, 0)["warnings"], json!([NOTHING]));
            let required = [&arguments[..], &["--require-match"]].concat();
            holds(
                &bench.stderr(&required, 64),
                &[NOTHING, "`--require-match`"],
            );
        }
    }
    let all = bench.json(&["reconcile", "--require-match"], 0);
    assert_eq!(all["warnings"], json!([]));
}

#[test]
fn n4_what_documents_select_by_name_needs_an_observation() {
    let bench = bench();
    bench.write(
        "manifests/names.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: names}\nspec:\n  region: eu-frankfurt\n  images:\n    - {name: golden, state: shared}\n",
    );
    bench.run(
        &["plan", "--region", FRANKFURT, "--image", "img-unheard"],
        0,
    );
    bench.run(&["plan", "--region", TOKYO, "--image", "img-unheard"], 64);
}

#[test]
fn g9_what_is_to_be_pruned_is_no_selection_of_nothing() {
    let bench = bench();
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-aaaa"]);
    for (prune, warned) in [("owned", false), ("none", true)] {
        let arguments = ["plan", "--image", "img-bbbb", "--prune", prune];
        let output = bench.run(&arguments, 0);
        assert_eq!(
            stderr(&output).contains("nothing to do"),
            warned,
            "{}",
            stderr(&output)
        );
        let plan = bench.json(&arguments, 0);
        assert_eq!(ids(&plan["changes"]).len(), usize::from(!warned), "{plan}");
    }
}
