//! Tests `history` and `history verify`, and what both report after old entries were removed by rotation.

use serde_json::json;

use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::Bench;

/// A bench that has shared three images in two regions: three intents and three outcomes.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench.run(&["reconcile"], 0);
    bench
}

/// The number of entries that `history` returns with these flags.
#[track_caller]
fn count(bench: &Bench, flags: &[&str]) -> usize {
    let document = bench.json(&[&["history"], flags].concat(), 0);
    document["entries"].as_array().expect("entries").len()
}

#[test]
fn each_attempt_is_listed_with_its_line_and_its_answer() {
    let bench = bench();
    let text = bench.text(&["history", "--image", "img-b"], 0);
    holds(
        &text,
        &[
            "default/ap-tokyo/img-b  SHARE declared by manifests/tokyo.yaml:8\n",
            "default/ap-tokyo/img-b  SHARE done as lhbp-",
            "[RequestId ",
        ],
    );
    let document = bench.json(&["history", "--image", "img-b"], 0);
    let [intent, outcome] = document["entries"].as_array().expect("entries").as_slice() else {
        panic!("an intent and an outcome: {document:#}");
    };
    assert_eq!(intent["event"], "intent");
    assert_eq!(intent["permission"], "share");
    assert_eq!(intent["cause"], "declared");
    assert_eq!(
        intent["source"],
        json!({"file": "manifests/tokyo.yaml", "line": 8})
    );
    assert_eq!(outcome["event"], "outcome");
    assert_eq!(outcome["intent"], intent["seq"]);
    assert_eq!(outcome["result"], "applied");
    assert!(outcome["request_id"].is_string());
}

#[test]
fn filters_narrow_and_say_so_where_they_leave_nothing() {
    let bench = bench();
    for (flags, left) in [
        (&[] as &[_], 6),
        (&["--region", FRANKFURT], 2),
        (&["--region", FRANKFURT, "--region", TOKYO], 6),
        (&["--image", "img-a"], 4),
        (&["--image", "img-a", "--region", TOKYO], 2),
        (&["--account", "other"], 0),
        (&["--since", "1h"], 6),
        (&["--until", "1h"], 0),
        (
            &[
                "--since",
                "2020-01-01T00:00:00Z",
                "--until",
                "2021-01-01T00:00:00Z",
            ],
            0,
        ),
        (&["--limit", "2"], 2),
        (&["-n", "0"], 6),
    ] {
        assert_eq!(count(&bench, flags), left, "{flags:?}");
    }
    assert_eq!(
        bench.text(&["history", "--account", "other"], 0),
        "No matching entry is recorded.\n"
    );
    holds(
        &bench.text(&["history", "--limit", "5"], 0),
        &["Older entries are left out; `--limit 0` shows all.\n     2  "],
    );
    let newest = bench.json(&["history", "--limit", "1"], 0);
    assert_eq!(newest["entries"][0]["seq"], 6);
    assert_eq!(newest["truncated"], true);
    assert_eq!(
        bench.json(&["history", "--limit", "6"], 0)["truncated"],
        false
    );
    for (flags, words) in [
        (["--since", "yesterday"], "nor a duration like `8h`"),
        (["--since", "300000years"], "omit it to set no limit"),
        (["--image", "lhbp-1"], "img-"),
        (["--region", "tokyo"], "ap-tokyo"),
    ] {
        holds(
            &bench.stderr(&[&["history"], &flags as &[_]].concat(), 64),
            &[words],
        );
    }
}

#[test]
fn a_directory_that_was_never_used_has_no_history() {
    let bench = Bench::new();
    for command in [&["history"] as &[_], &["history", "verify"]] {
        assert_eq!(bench.text(command, 0), "Nothing is recorded.\n");
    }
    let document = bench.json(&["history", "verify"], 0);
    assert_eq!(
        (&document["sound"], &document["entries"]),
        (&true.into(), &0.into())
    );
}

#[test]
fn s19_verify_proves_an_untouched_history_and_finds_a_changed_one() {
    let bench = bench();
    let document = bench.json(&["history", "verify"], 0);
    assert_eq!(
        (&document["sound"], &document["entries"]),
        (&true.into(), &6.into())
    );
    let hash = document["hash"].as_str().expect("a hash");
    assert_eq!(
        bench.text(&["history", "verify"], 0),
        format!("Sound: 6 entries, the newest is 6 with hash {hash}.\n")
    );
    // The database refuses the change by a trigger. `history verify` detects a change that was made after the trigger
    // was removed.
    let database = bench.database();
    let change = "UPDATE history SET body = replace(body, 'img-b', 'img-c') WHERE seq = 3";
    let refused = database.execute(change, []).expect_err("refused");
    holds(&refused.to_string(), &["append-only"]);
    database
        .execute_batch("DROP TRIGGER history_is_not_changed")
        .expect("dropped");
    let body = "UPDATE history SET body = replace(body, 'share', 'shase') WHERE seq = 4";
    assert_eq!(database.execute(body, []).expect("changed"), 1);
    drop(database);

    let document = bench.json(&["history", "verify"], 1);
    assert_eq!(document["sound"], false);
    assert_eq!(document["broken_at"], 4);
    assert_eq!(document["entries"], json!(null));
    holds(
        &bench.text(&["history", "verify"], 1),
        &[
            "Broken at entry 4: ",
            "Do not trust the history from this entry on",
            "restore the state directory from a backup",
        ],
    );
}

#[test]
fn d12_rotation_keeps_the_newest_and_the_chain() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b", "img-c"]);
    bench.run(&["reconcile", "--history-max", "2"], 0);
    let status = bench.json(&["status"], 0);
    let (kept, rotated) = (&status["history"]["entries"], &status["history"]["rotated"]);
    assert!(kept.as_u64().is_some_and(|kept| kept <= 4), "{status}");
    assert_eq!(
        kept.as_u64().zip(rotated.as_u64()).map(|(a, b)| a + b),
        Some(6)
    );
    holds(
        &bench.text(&["status"], 0),
        &["older ones were rotated out"],
    );
    assert_eq!(bench.json(&["history", "verify"], 0)["head"], 6);
}
