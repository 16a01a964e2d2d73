//! Tests the guards that users meet: caps, windows, protection, an implausible observation, and manifests with
//! errors.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;
use sharekeeper::host::{Clock, SystemClock};

use super::{FRANKFURT, TOKYO, borrowed, holds, ids, numbered};
use crate::support::binary::{Bench, command, stdout};

/// The images that were cancelled, according to the history.
fn cancelled(bench: &Bench) -> Vec<String> {
    let history = bench.json(&["history", "--limit", "0"], 0);
    let entries = history["entries"].as_array().expect("entries");
    entries
        .iter()
        .filter(|entry| entry["event"] == "intent" && entry["permission"] == "cancel")
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().expect("a key").to_owned();
            format!("{} {}", part("region"), part("image_id"))
        })
        .collect()
}

fn outcomes(document: &Value) -> BTreeMap<&str, Vec<&str>> {
    let mut outcomes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for image in document["images"].as_array().expect("images") {
        let word = |name: &str| image[name].as_str().expect("a word");
        outcomes
            .entry(word("outcome"))
            .or_default()
            .push(word("image_id"));
    }
    outcomes
}

#[test]
fn s7_a_cap_withholds_all_cancels_and_names_the_flags() {
    let bench = Bench::new();
    let images = numbered(1..=14);
    bench.share(TOKYO, &borrowed(&images));
    bench.share(FRANKFURT, &["img-0001", "img-0002"]);
    bench.declare("tokyo", TOKYO, &borrowed(&images));
    bench.declare("frankfurt", FRANKFURT, &["img-0001", "img-0002"]);
    bench.run(&["adopt", "--all"], 0);
    // The manifest no longer names eleven images, asks for `unshared` for one, and adds a new one.
    let left = ["img-0001", "img-0002", "img-0003, state: unshared"];
    bench.declare("tokyo", TOKYO, &[&left as &[_], &["img-new"]].concat());
    bench.declare("frankfurt", FRANKFURT, &["img-0001"]);

    let prune = ["reconcile", "--prune", "owned"];
    let document = bench.json(&prune, 3);
    let outcomes = outcomes(&document);
    assert_eq!(outcomes["shared"], ["img-new"], "{document:#}");
    assert_eq!(outcomes["cancelled"], ["img-0002"], "the other scope's");
    assert_eq!(
        outcomes["withheld"].len(),
        12,
        "the eleven, and what is declared"
    );
    assert_eq!(cancelled(&bench), ["eu-frankfurt img-0002"]);

    // A share made in this run does not raise the limit of a percentage cap. The next run counts it.
    let message = why_withheld(&document);
    holds(&message, &["--max-cancels 11 --max-cancels-percent 79"]);
    let message = &why_withheld(&bench.json(&prune, 3));
    let (what, flags) = message
        .split_once("if all of them are intended: ")
        .expect("flags");
    holds(
        what,
        &[
            "11 images would be pruned here",
            "`--max-cancels 10` (the default) and `--max-cancels-percent 25` (the default)",
            "no CANCEL is made",
        ],
    );
    assert_eq!(flags, "--max-cancels 11 --max-cancels-percent 74");
    holds(&bench.text(&["plan", "--prune", "owned"], 0), &[message]);
    holds(
        &bench.text(&prune, 3),
        &["~ 12 images to cancel: ", message],
    );

    // A cap that is one lower than needed withholds the changes. These values are the exact minimum.
    for (count, percent) in [("10", "74"), ("11", "73")] {
        let flags = ["--max-cancels", count, "--max-cancels-percent", percent];
        bench.run(&[&prune as &[_], &flags].concat(), 3);
    }
    assert_eq!(cancelled(&bench).len(), 1);
    let flags: Vec<_> = flags.split(' ').collect();
    let document = bench.json(&[&prune as &[_], &flags].concat(), 0);
    assert_eq!(document["summary"]["cancelled"], 12);
}

/// The message of the first withheld image.
fn why_withheld(document: &Value) -> String {
    let images = document["images"].as_array().expect("a list").iter();
    let mut withheld = images.filter(|image| image["outcome"] == "withheld");
    let message = withheld.next().and_then(|image| image["message"].as_str());
    message.expect("a message").to_owned()
}

#[test]
fn s7_protection_outlives_its_manifest() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a, protect: true", "img-b"]);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-b"]);
    let document = bench.json(&["reconcile", "--prune", "owned"], 3);
    holds(
        document["images"][0]["message"].as_str().expect("why"),
        &[
            "was protected when a manifest last named it",
            "declare it `unshared`",
        ],
    );
    assert_eq!(cancelled(&bench), [""; 0]);
}

#[test]
fn s1_only_pruning_cancels_what_no_manifest_names() {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-foreign"]);
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-a"]);
    holds(
        &bench.text(&["reconcile"], 0),
        &["In sync: 1 already as desired"],
    );
    holds(
        &bench.text(&["plan"], 0),
        &[
            "Left alone: 2 shared images that no manifest names, 1 of them shared by sharekeeper (`--prune owned` would cancel it)",
        ],
    );
    assert_eq!(cancelled(&bench), [""; 0]);
    bench.run(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(cancelled(&bench), ["ap-tokyo img-b"]);
    bench.run(&["reconcile", "--prune", "exclusive"], 0);
    assert_eq!(
        cancelled(&bench),
        ["ap-tokyo img-b", "ap-tokyo img-foreign"]
    );
}

#[test]
fn m17_a_region_that_no_manifest_names_is_left_alone_and_reported() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench.run(&["reconcile"], 0);
    std::fs::remove_file(bench.path("manifests/tokyo.yaml")).expect("removed");
    let document = bench.json(&["reconcile", "--prune", "exclusive"], 0);
    let warning = document["warnings"][0].as_str().expect("a warning");
    holds(
        warning,
        &[
            "1 image that sharekeeper shared",
            "default/ap-tokyo",
            "`sharekeeper adopt --release`",
        ],
    );
    assert_eq!(cancelled(&bench), [""; 0]);
    // This is the command that the message proposes.
    bench.run(
        &[
            "adopt",
            "--release",
            "--account",
            "default",
            "--region",
            TOKYO,
        ],
        0,
    );
    let document = bench.json(&["plan"], 0);
    assert_eq!(document["warnings"], serde_json::json!([]));
}

/// Writes an account document whose only window is `window`.
fn windows(bench: &Bench, window: &str) {
    bench.write(
        "manifests/account.yaml",
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: default}}\nspec:\n  windows: [{window}]\n"
        ),
    );
}

#[test]
fn s7_a_window_withholds_the_causes_it_names_and_no_others() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.run(&["reconcile"], 0);
    bench.declare(
        "tokyo",
        TOKYO,
        &["img-a, until: 2020-01-01T00:00:00Z", "img-new"],
    );
    windows(
        &bench,
        "{kind: deny, timeZone: UTC, causes: [pruned], reason: end of year freeze}",
    );
    let document = bench.json(&["reconcile", "--prune", "owned"], 3);
    let outcomes = outcomes(&document);
    assert_eq!(outcomes["shared"], ["img-new"]);
    assert_eq!(outcomes["cancelled"], ["img-a"], "expiry is not pruning");
    assert_eq!(outcomes["withheld"], ["img-b"]);
    holds(
        document["images"][1]["message"].as_str().expect("why"),
        &["end of year freeze", "change the account's `spec.windows`"],
    );
}

#[test]
fn s7_a_closed_window_says_when_it_opens() {
    let bench = Bench::new();
    // The window opens in three days, so that the test works even if midnight passes during the run.
    let opens = SystemClock::start().now() + TimeDelta::days(3);
    let day = opens.format("%a").to_string().to_lowercase();
    windows(
        &bench,
        &format!("{{kind: allow, timeZone: UTC, days: [{day}]}}"),
    );
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let opening = format!("opens {} 00:00 UTC", opens.format("%Y-%m-%d"));
    for (command, status) in [("plan", 0), ("reconcile", 3)] {
        holds(
            &bench.text(&[command], status),
            &[
                "no window that allows `declared` changes is active",
                &opening,
            ],
        );
    }
    let plan = bench.json(&["plan"], 0);
    assert_eq!(ids(&plan["changes"]), [""; 0]);
    assert_eq!(ids(&plan["withheld"]), ["img-a"]);
    assert_eq!(bench.json(&["reconcile"], 3)["calls"]["writes"], 0);
    windows(&bench, "{kind: allow, timeZone: UTC}");
    bench.run(&["reconcile"], 0);
}

#[test]
fn s7_a_sudden_loss_withholds_until_a_person_accepts_it() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b", "img-c", "img-d"]);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-a", "img-b", "img-c"]);
    bench.cancel(TOKYO, &["img-a", "img-b"]);
    let plan = bench.json(&["plan", "--prune", "owned"], 0);
    assert_eq!(ids(&plan["changes"]), ["img-a", "img-b"]);
    assert_eq!(ids(&plan["withheld"]), ["img-d"]);
    holds(
        plan["withheld"][0]["reason"].as_str().expect("why"),
        &[
            "2 of 4 images that sharekeeper shared here are suddenly not shown",
            "the right account and credentials",
            "accept this with `--accept-lost default/ap-tokyo=2`",
        ],
    );
    let document = bench.json(&["reconcile", "--prune", "owned", "--accept-lost", "2"], 0);
    let outcomes = outcomes(&document);
    assert_eq!(outcomes["shared"], ["img-a", "img-b"]);
    assert_eq!(outcomes["cancelled"], ["img-d"]);
}

#[test]
fn m3_partial_ok_shares_from_the_good_files_and_cancels_nothing() {
    let bench = Bench::new();
    bench.share(TOKYO, &["img-down", "img-foreign"]);
    bench.declare("good", TOKYO, &["img-up", "img-down, state: unshared"]);
    bench.declare("broken", TOKYO, &["img-x, untill: never"]);
    let document = bench.json(&["reconcile", "--prune", "exclusive"], 1);
    assert_eq!(document["errors"][0]["file"], "manifests/broken.yaml");

    let arguments = ["reconcile", "--prune", "exclusive", "--partial-ok"];
    let document = bench.json(&arguments, 4);
    assert_eq!(document["errors"][0]["file"], "manifests/broken.yaml");
    let outcomes = outcomes(&document);
    assert_eq!(outcomes["shared"], ["img-up"]);
    assert_eq!(outcomes["withheld"], ["img-down", "img-foreign"]);
    holds(
        &bench.stderr(&arguments, 4),
        &[
            "`until`",
            "continuing without 1 file",
            "nothing is cancelled",
        ],
    );
    assert_eq!(cancelled(&bench), [""; 0]);
}

#[test]
fn guards_that_are_misspelt_or_out_of_range_are_refused() {
    let bench = Bench::new();
    for (flags, words) in [
        (
            ["--prune", "all"],
            "[possible values: none, owned, exclusive]",
        ),
        (["--max-cancels-percent", "101"], "0..=100"),
        (["--max-cancels", "many"], "--max-cancels"),
        (["--history-max", "0"], "a number from 1 up"),
        (["--timeout", "500000000000years"], "longer than a year"),
    ] {
        let document = bench.json(&[&["reconcile"], &flags as &[_]].concat(), 64);
        holds(document["error"].as_str().expect("says why"), &[words]);
    }
}

#[test]
fn n13_a_cap_says_what_it_is_and_where_it_comes_from() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b", "img-c", "img-d"]);
    bench.run(&["reconcile"], 0);
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let prune = ["reconcile", "--prune", "owned"];
    let typed = bench.json(&[&prune[..], &["--max-cancels", "1"]].concat(), 3);
    let words = "`--max-cancels 1` (from the command line); so no CANCEL is made; if all of them are intended: --max-cancels 3";
    holds(&why_withheld(&typed), &[words]);
    let set = command(&[&prune[..], &["--sim", "--state-dir", "state"]].concat())
        .env("SHAREKEEPER_MAX_CANCELS", "2")
        .current_dir(bench.path(""))
        .output()
        .expect("the binary starts");
    assert_eq!(set.status.code(), Some(3));
    holds(
        &stdout(&set),
        &["`--max-cancels 2` (from SHAREKEEPER_MAX_CANCELS)"],
    );
}
