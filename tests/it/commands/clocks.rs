//! Tests what the user of each command sees when the clock of this machine and the clock of the API disagree.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sharekeeper::host::{Clock, SystemClock};

use super::{FRANKFURT, TOKYO, holds, ids};
use crate::support::binary::Bench;

/// The time that is `delta` from now, in the format of a manifest.
fn from_now(delta: TimeDelta) -> String {
    let at = SystemClock::start().now() + delta;
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A bench with an image whose share expires at `until`, an image without dates, and an API clock that is off by
/// `offset`.
fn bench(until: TimeDelta, offset: &str) -> Bench {
    let bench = Bench::new().used();
    bench.share(TOKYO, &["img-a"]);
    let until = from_now(until);
    bench.declare("tokyo", TOKYO, &[&format!("img-a, until: \"{until}\"")]);
    bench.declare("frankfurt", FRANKFURT, &["img-b"]);
    set(&bench, offset);
    bench
}

fn set(bench: &Bench, offset: &str) {
    bench.change(|world| world["clockOffset"] = json!(offset));
}

/// The message of the first withheld image.
#[track_caller]
fn why(document: &Value) -> &str {
    let mut images = document["images"].as_array().expect("images").iter();
    let held = images.find(|image| image["outcome"] == "withheld");
    held.expect("one is withheld")["message"]
        .as_str()
        .expect("why")
}

/// The hour and minute of this machine's clock and of the API's clock, in that order.
fn times(offset: TimeDelta) -> [String; 2] {
    [TimeDelta::zero(), offset].map(|delta| from_now(delta)[..13].to_owned())
}

#[test]
fn b2_an_expiry_by_one_clock_alone_is_withheld_with_both_times() {
    for (until, offset, apart) in [
        (TimeDelta::hours(6), "20h", TimeDelta::hours(20)),
        (TimeDelta::hours(-6), "-20h", TimeDelta::hours(-20)),
        (TimeDelta::seconds(100), "200s", TimeDelta::seconds(200)),
    ] {
        let bench = bench(until, offset);
        let plan = bench.json(&["plan"], 0);
        assert_eq!(ids(&plan["changes"]), ["img-b"], "{plan:#}");
        assert_eq!(ids(&plan["withheld"]), ["img-a"]);
        assert_eq!(plan["withheld"][0]["action"], "cancel");
        let reason = plan["withheld"][0]["reason"].as_str().expect("why");
        holds(reason, &["the clocks disagree", "set the clock", "doctor"]);
        let [here, there] = times(apart);
        holds(reason, &[&here, &there]);
        assert_eq!(plan["warnings"].as_array().expect("a list").len(), 1);

        let document = bench.json(&["reconcile"], 3);
        assert_eq!(document["summary"]["withheld"], 1, "{document:#}");
        assert_eq!(
            document["summary"]["shared"], 1,
            "what needs no clock goes on"
        );
        assert!(bench.shared().contains(&(TOKYO.into(), "img-a".into())));
        let warnings = document["warnings"].as_array().expect("a list");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warning = warnings[0].as_str().expect("text");
        holds(
            warning,
            &["account `default`", &here, &there, "set the clock"],
        );
        let printed = bench.stderr(&["reconcile"], 3);
        assert_eq!(printed.matches("the clock of ").count(), 1, "{printed}");

        set(&bench, "0s");
        let expired = until < TimeDelta::zero();
        let document = bench.json(&["reconcile"], 0);
        assert_eq!(document["summary"]["cancelled"], u64::from(expired));
        assert_eq!(document["warnings"], json!([]));
    }
}

#[test]
fn b2_a_suspension_outlives_the_clock_that_calls_it_over() {
    let bench = bench(TimeDelta::hours(48), "20h");
    bench.run(
        &["suspend", "--all", "--reason", "a launch", "--until", "6h"],
        0,
    );
    let document = bench.json(&["reconcile"], 3);
    assert_eq!(document["calls"]["writes"], 0, "{document:#}");
    holds(
        why(&document),
        &["the clocks disagree", "a launch", "resume 1"],
    );
    // These are the commands that the message proposes.
    bench.run(&["resume", "1"], 0);
    bench.run(&["reconcile"], 0);
}

#[test]
fn b2_a_suspension_that_is_over_here_alone_is_kept_and_can_be_ended() {
    let bench = bench(TimeDelta::hours(48), "-20h");
    bench.run(
        &["suspend", "--all", "--reason", "a launch", "--until", "6h"],
        0,
    );
    let over = from_now(TimeDelta::hours(-6)).replace('Z', ".000000000Z");
    let change = "UPDATE suspensions SET until = ?1";
    bench.database().execute(change, [over]).expect("changed");
    // A suspension of something else does not end this one.
    bench.run(&["suspend", "--image", "img-z", "--reason", "other"], 0);
    let document = bench.json(&["reconcile"], 3);
    assert_eq!(document["calls"]["writes"], 0, "{document:#}");
    holds(why(&document), &["the clocks disagree", "resume 1"]);
    assert_eq!(bench.json(&["status"], 0)["suspensions"][0]["over"], true);
    bench.run(&["resume", "1"], 0);
    bench.run(&["reconcile"], 0);
}

#[test]
fn b2_a_saved_plan_is_carried_out_but_for_what_the_clocks_disagree_about() {
    let bench = bench(TimeDelta::hours(6), "0s");
    bench.run(&["plan", "--out", "plan.json"], 0);
    set(&bench, "20h");
    let document = bench.json(&["reconcile", "--plan", "plan.json"], 3);
    assert_eq!(document["summary"]["shared"], 1, "{document:#}");
    assert_eq!(document["summary"]["withheld"], 1);
    assert!(bench.shared().contains(&(TOKYO.into(), "img-a".into())));
}

#[test]
fn b10_a_clock_within_half_a_minute_is_nobodys_business() {
    let bench = bench(TimeDelta::hours(6), "20s");
    let document = bench.json(&["reconcile"], 0);
    assert_eq!(document["warnings"], json!([]));
    let printed = bench.stderr(&["reconcile"], 0);
    assert!(!printed.contains("clock"), "{printed}");
}

#[test]
fn b10_a_clock_that_is_off_is_reported_where_nothing_depends_on_it() {
    let bench = bench(TimeDelta::days(30), "-45s");
    let document = bench.json(&["reconcile"], 0);
    let warnings = document["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    holds(
        warnings[0].as_str().expect("text"),
        &["behind this machine's"],
    );
    assert_eq!(
        bench.json(&["plan"], 0)["warnings"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
