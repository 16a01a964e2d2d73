//! Tests how a person accepts losses: for the given scope, for one time, and for a daemon that already runs.

use serde_json::{Value, json};

use super::{FRANKFURT, TOKYO, holds, ids};
use crate::support::binary::Bench;

const TOKYO_TWO: &str = "default/ap-tokyo=2";

/// A bench with four images of ours in each of two regions. The manifest now names three of them, so the fourth is to
/// be pruned.
fn bench() -> Bench {
    let bench = Bench::new();
    let all = ["img-a", "img-b", "img-c", "img-d"];
    bench.declare("tokyo", TOKYO, &all);
    bench.declare("frankfurt", FRANKFURT, &all);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &all[..3]);
    bench.declare("frankfurt", FRANKFURT, &all[..3]);
    bench
}

fn cancelled(document: &Value) -> Vec<&str> {
    let images = document["images"].as_array().expect("a list").iter();
    let cancelled = images.filter(|image| image["outcome"] == "cancelled");
    cancelled
        .map(|image| image["region"].as_str().expect("a region"))
        .collect()
}

#[test]
fn c9_a_loss_is_accepted_in_the_scope_that_is_named_and_in_no_other() {
    let bench = bench();
    for region in [TOKYO, FRANKFURT] {
        bench.cancel(region, &["img-a", "img-b"]);
    }
    let reconcile = ["reconcile", "--prune", "owned", "--accept-lost"];
    let printed = bench.stderr(&[&reconcile[..], &["2"]].concat(), 64);
    holds(
        &printed,
        &[
            "`--accept-lost 2` needs an account and region",
            "default/ap-tokyo, default/eu-frankfurt",
            "`--accept-lost default/ap-tokyo=2`",
        ],
    );
    let document = bench.json(&[&reconcile[..], &[TOKYO_TWO]].concat(), 3);
    assert_eq!(cancelled(&document), [TOKYO]);
    // The history records who accepted which loss.
    let history = bench.json(&["history", "--region", TOKYO], 0);
    let entries = history["entries"].as_array().expect("a list");
    let accepted: Vec<_> = entries
        .iter()
        .filter(|entry| entry["event"] == "loss_accepted")
        .collect();
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    assert_eq!(accepted[0]["images"], json!(["img-a", "img-b"]));
    assert_eq!(accepted[0]["by"], "--accept-lost");
}

#[test]
fn c9_a_flag_that_stays_accepts_no_later_loss_of_the_same_size() {
    let bench = bench();
    bench.cancel(TOKYO, &["img-a", "img-b"]);
    let reconcile = [
        "reconcile",
        "--prune",
        "owned",
        "--region",
        TOKYO,
        "--accept-lost",
        "2",
    ];
    assert_eq!(cancelled(&bench.json(&reconcile, 0)), [TOKYO]);
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    // A loss of the same images, or of others, after the acceptance is a new loss.
    for lost in [["img-a", "img-b"], ["img-b", "img-c"]] {
        bench.cancel(TOKYO, &lost);
        let plan = bench.json(
            &[
                "plan",
                "--prune",
                "owned",
                "--region",
                TOKYO,
                "--accept-lost",
                "2",
            ],
            0,
        );
        let warnings = plan["warnings"].to_string();
        holds(
            &warnings,
            &[
                "suddenly not shown",
                "`sharekeeper accept default/ap-tokyo=2`",
            ],
        );
        bench.share(TOKYO, &lost);
    }
    // A new `accept` has effect again, once.
    bench.cancel(TOKYO, &["img-a", "img-b"]);
    bench.run(&["accept", TOKYO_TWO], 0);
    let document = bench.json(&reconcile[..5], 0);
    assert_eq!(ids(&document["images"]).len(), 3, "{document}");
    assert_eq!(cancelled(&document), [TOKYO]);
}

#[test]
fn c9_accept_says_what_is_accepted_and_who_obeys() {
    let unused = Bench::new();
    holds(
        &unused.stderr(&["accept", TOKYO_TWO], 1),
        &["no loss is accepted", "was never used"],
    );
    let bench = bench();
    let text = bench.text(&["accept", TOKYO_TWO, "default/eu-frankfurt=3"], 0);
    holds(
        &text,
        &[
            "default/ap-tokyo: a loss of 2 images is accepted, once",
            "default/eu-frankfurt: a loss of 3 images is accepted, once",
            "the next run follows this",
        ],
    );
    let document = bench.json(&["accept", TOKYO_TWO], 0);
    let expected = json!([{"account": "default", "region": TOKYO, "lost": 2}]);
    assert_eq!(document["accepted"], expected);
    assert_eq!(document["obeyed_by"], Value::Null);
    holds(
        &bench.text(&["history"], 0),
        &["a loss of 2 images accepted by tester@"],
    );
    for (wrong, words) in [
        ("3", "an account, a region and a number are needed"),
        ("default/ap-tokyo=x", "a number of images is needed"),
        (
            "default/ap-tokio=3",
            "not a region that supports image sharing: did you mean `ap-tokyo`?",
        ),
        ("defualt/ap-tokyo=3", "did you mean `default/ap-tokyo`?"),
    ] {
        holds(&bench.stderr(&["accept", wrong], 64), &[words]);
    }
}

#[test]
fn c9_run_asks_for_the_scope_of_a_loss() {
    let bench = bench();
    let printed = bench.stderr(&["run", "--accept-lost", "3", "--listen", "off"], 64);
    holds(&printed, &["`--accept-lost ACCOUNT/REGION=3`"]);
}
