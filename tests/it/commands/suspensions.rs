//! Tests `suspend` and `resume`, and images that are parked after failures.

use super::{FRANKFURT, TOKYO, holds, ids};
use crate::support::binary::Bench;

/// A bench with images in each of two regions, none of them shared yet.
fn bench() -> Bench {
    let bench = Bench::new().used();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench
}

#[test]
fn suspended_images_are_withheld_and_every_command_says_why() {
    let bench = bench();
    let text = bench.text(
        &["suspend", "--image", "img-a", "--reason", "being rebuilt"],
        0,
    );
    holds(
        &text,
        &[
            "image img-a: suspended by tester@",
            "being rebuilt",
            "`sharekeeper resume 1` ends it",
        ],
    );
    let plan = bench.json(&["plan"], 0);
    assert_eq!(ids(&plan["changes"]), ["img-b"]);
    assert_eq!(ids(&plan["withheld"]), ["img-a", "img-a"]);
    let reason = plan["withheld"][0]["reason"].as_str().expect("a reason");
    holds(reason, &["being rebuilt", "`sharekeeper resume 1` ends it"]);
    holds(
        &bench.text(&["plan"], 0),
        &["~ img-a", "being rebuilt", "2 withheld"],
    );

    let text = bench.text(&["reconcile"], 3);
    holds(
        &text,
        &["being rebuilt", "Not in sync: 1 shared, 2 withheld"],
    );
    let document = bench.json(&["reconcile"], 3);
    assert_eq!(document["synced"], false);
    assert_eq!(document["summary"]["withheld"], 2);
    assert_eq!(document["calls"]["writes"], 0);
    let image = &document["images"][0];
    assert_eq!(image["outcome"], "withheld");
    assert_eq!(image["message"], reason);

    let status = bench.json(&["status"], 0);
    let suspension = &status["suspensions"][0];
    assert_eq!(suspension["reason"], "being rebuilt");
    assert_eq!(suspension["over"], false);
    holds(&bench.text(&["status"], 0), &["image img-a", reason]);
}

#[test]
fn labels_pick_what_is_suspended() {
    let bench = bench();
    bench.run(&["suspend", "-l", "from=tokyo", "--reason", "x"], 0);
    let plan = bench.json(&["plan"], 0);
    assert_eq!(plan["changes"][0]["region"], FRANKFURT);
    assert_eq!(plan["summary"]["withheld"], 2);
}

#[test]
fn until_ends_a_suspension_by_itself() {
    let bench = bench();
    let document = bench.json(
        &["suspend", "--all", "--reason", "freeze", "--until", "8h"],
        0,
    );
    assert!(document["suspension"]["until"].is_string(), "{document}");
    holds(
        &bench.text(&["plan"], 0),
        &["suspended until 2", "3 withheld"],
    );
    bench
        .database()
        .execute(
            "UPDATE suspensions SET until = '2020-01-01T00:00:00.000000000Z'",
            [],
        )
        .expect("changed");
    let text = bench.text(&["status"], 0);
    assert!(!text.contains("suspended"), "{text}");
    assert_eq!(
        bench.json(&["status"], 0)["suspensions"][0]["over"],
        true,
        "it is over, and was not ended"
    );
    holds(
        &bench.stderr(&["resume"], 1),
        &["nothing is suspended or parked"],
    );
    assert_eq!(bench.json(&["reconcile"], 0)["summary"]["shared"], 3);
}

#[test]
fn resume_ends_what_is_meant() {
    let bench = bench();
    bench.run(&["suspend", "--region", TOKYO, "--reason", "moving day"], 0);
    bench.run(&["suspend", "--image", "img-a", "--reason", "audit"], 0);
    let document = bench.json(&["resume"], 1);
    holds(
        document["error"].as_str().expect("says which there are"),
        &[
            "there are 2 suspensions: 1 (moving day), 2 (audit)",
            "name one, or give `--all`",
        ],
    );
    // One wrong id makes the command end no suspension at all.
    holds(
        &bench.stderr(&["resume", "1", "7"], 1),
        &["no suspension 7 is in force, so nothing was ended"],
    );
    // A part of a suspension cannot be ended.
    holds(
        &bench.stderr(&["resume", "--image", "img-b"], 1),
        &[
            "no suspension has exactly this selection (image img-b)",
            "by the number that `sharekeeper status` shows",
        ],
    );
    holds(
        &bench.stderr(&["resume", "one"], 64),
        &["the number of a suspension, which `sharekeeper status` shows"],
    );
    assert_eq!(
        bench.text(&["resume", "--image", "img-a"], 0),
        "ended suspension 2 of image img-a\n"
    );
    // Only one suspension is left, so `resume` needs no id.
    let document = bench.json(&["resume"], 0);
    assert_eq!(document["ended"][0]["id"], 1);
    assert_eq!(document["unparked"], serde_json::json!([]));
    assert_eq!(bench.json(&["reconcile"], 0)["summary"]["shared"], 3);
}

#[test]
fn resume_all_ends_all() {
    let bench = bench();
    for reason in ["x", "y"] {
        bench.run(&["suspend", "--all", "--reason", reason], 0);
    }
    let document = bench.json(&["resume", "--all"], 0);
    assert_eq!(document["ended"].as_array().map(Vec::len), Some(2));
}

#[test]
fn resume_of_nothing_makes_no_state() {
    let bench = Bench::new();
    for arguments in [
        &["resume"] as &[_],
        &["resume", "1"],
        &["resume", "--all"],
        &["resume", "--image", "img-a"],
    ] {
        let document = bench.json(arguments, 1);
        assert!(document["error"].is_string(), "{document}");
    }
    assert!(!bench.path("state").exists());
}

#[test]
fn a_suspension_needs_a_reason_and_an_end_that_is_ahead() {
    let bench = Bench::new();
    for (arguments, status, words) in [
        (&[] as &[_], 64, "--reason <TEXT>"),
        (&["--reason", " "], 64, "give a reason"),
        (
            &["--reason", "x", "--until", "2020-01-01T00:00:00Z"],
            64,
            "`--until` lies in the past",
        ),
        (
            &["--reason", "x", "--until", "tomorrow"],
            64,
            "neither an instant like `2027-01-31T00:00:00Z` nor a duration like `8h`",
        ),
        (
            &["--reason", "x", "--until", "300000years"],
            64,
            "omit it to set no limit",
        ),
        (&["--reason", "x", "--region", "tokyo"], 64, "ap-tokyo"),
    ] {
        let arguments = [&["suspend", "--all"], arguments].concat();
        holds(&bench.stderr(&arguments, status), &[words]);
        let document = bench.json(&arguments, status);
        holds(document["error"].as_str().expect("says why"), &[words]);
    }
    assert!(!bench.path("state").exists(), "and leaves nothing behind");
}

#[test]
fn s20_a_contested_image_is_parked_until_a_person_resumes_it() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    for _ in 0..3 {
        bench.run(&["reconcile"], 0);
        bench.cancel(TOKYO, &["img-a"]);
    }
    let document = bench.json(&["reconcile"], 3);
    assert_eq!(document["calls"]["writes"], 0);
    let message = document["images"][0]["message"].as_str().expect("why");
    holds(
        message,
        &[
            "parked since 2",
            "then run `sharekeeper resume --image` for it",
        ],
    );
    assert_eq!(document["images"][1]["outcome"], "in_sync");
    assert_eq!(
        ids(&bench.json(&["status"], 0)["parked"]),
        ["img-a"],
        "status names it"
    );
    holds(
        &bench.text(&["status"], 0),
        &[
            "1 parked",
            "Parked: default/ap-tokyo/img-a",
            "`sharekeeper resume --image img-a` tries again",
        ],
    );
    holds(
        &bench.stderr(&["resume"], 1),
        &["nothing is suspended; 1 image is parked: name them with `--image`, or give `--all`"],
    );
    assert_eq!(
        bench.text(&["resume", "--image", "img-a"], 0),
        "default/ap-tokyo/img-a is reconciled again\n"
    );
    assert_eq!(bench.json(&["reconcile"], 0)["summary"]["shared"], 1);
}

#[test]
fn a_suspension_that_reaches_nothing_known_is_warned_of() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["reconcile"], 0);
    for (account, warned) in [("default", false), ("defualt", true)] {
        let output = bench.run(
            &["suspend", "--account", account, "--reason", "a launch"],
            0,
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            said.contains("check the names"),
            warned,
            "{account}: {said}"
        );
    }
}

#[test]
fn n2_a_suspension_is_shown_though_nothing_is_due() {
    let bench = bench();
    bench.run(&["reconcile"], 0);
    bench.run(&["suspend", "--all", "--reason", "incident, hands off"], 0);
    let words = [
        "everything: suspended by tester@",
        "incident, hands off",
        "`sharekeeper resume 1`",
    ];
    for command in ["plan", "reconcile"] {
        holds(&bench.stderr(&[command], 0), &words);
        let document = bench.json(&[command], 0);
        assert_eq!(document["suspensions"][0]["reason"], "incident, hands off");
        holds(document["warnings"][0].as_str().expect("a warning"), &words);
    }
    // A suspension that applies to none of the selected images is not reported.
    bench.run(&["resume"], 0);
    bench.run(&["suspend", "--region", TOKYO, "--reason", "moving day"], 0);
    let document = bench.json(&["plan", "--region", FRANKFURT], 0);
    assert_eq!(document["suspensions"], serde_json::json!([]));
    assert_eq!(document["warnings"], serde_json::json!([]));
    bench.run(&["resume"], 0);
    assert_eq!(
        bench.json(&["reconcile"], 0)["suspensions"],
        serde_json::json!([])
    );
}

#[test]
fn n2_what_a_withheld_image_says_is_not_said_twice() {
    let bench = bench();
    bench.run(&["suspend", "--all", "--reason", "once is enough"], 0);
    let output = bench.run(&["plan"], 0);
    let said = [
        crate::support::binary::stdout(&output),
        crate::support::binary::stderr(&output),
    ]
    .concat();
    // The suspension is reported once for each image, and not for the whole scope.
    assert_eq!(said.matches("once is enough").count(), 3, "{said}");
    assert_eq!(bench.json(&["plan"], 0)["suspensions"][0]["id"], 1);
}

#[test]
fn n2_a_closed_change_window_is_shown_though_nothing_is_due() {
    let bench = bench();
    bench.run(&["reconcile"], 0);
    bench.write(
        "manifests/account.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: default}\nspec:\n  windows:\n    - {kind: deny, timeZone: UTC, reason: launch week}\n",
    );
    for command in ["plan", "reconcile"] {
        let words = [
            "account default: changes are not made now",
            "no opening was found within a year",
        ];
        holds(&bench.stderr(&[command], 0), &words);
        let document = bench.json(&[command], 0);
        let closed = &document["closed_windows"][0];
        assert_eq!(closed["account"], "default");
        assert_eq!(closed["opens"], serde_json::Value::Null);
        assert_eq!(closed["causes"].as_array().map(Vec::len), Some(6));
    }
}

#[test]
fn n1_suspend_without_a_scope_asks_for_all() {
    let bench = bench();
    for arguments in [
        &["suspend", "--reason", "x"] as &[_],
        &["suspend", "--all", "--image", "img-a", "--reason", "x"],
    ] {
        let document = bench.json(arguments, 64);
        holds(document["error"].as_str().expect("says why"), &["`--all`"]);
    }
    assert_eq!(
        bench.json(&["status"], 0)["suspensions"],
        serde_json::json!([])
    );
}

#[test]
fn n1_a_state_that_nobody_works_with_is_not_spoken_to() {
    let bench = Bench::new();
    let suspend = ["suspend", "--all", "--reason", "incident"];
    let words = [
        "nothing is suspended",
        "was never used",
        "--state-dir",
        "--sim",
    ];
    holds(&bench.stderr(&suspend, 1), &words);
    assert!(!bench.path("state").exists(), "and leaves nothing behind");
    // The same happens if `--sim` is forgotten. The message names the state directory that may be meant.
    let bench = bench.used();
    let forgotten = bench.real(&suspend);
    assert_eq!(forgotten.status.code(), Some(1));
    holds(
        &crate::support::binary::stderr(&forgotten),
        &[
            "was never used",
            "there is a state with `--state-dir state --sim`, used by no process now",
        ],
    );
    bench.run(&suspend, 0);
}

#[test]
fn n1_suspend_says_who_obeys() {
    let bench = bench();
    let suspend = ["suspend", "--all", "--reason", "x"];
    let text = bench.text(&suspend, 0);
    holds(
        &text,
        &["no process works with state/sim now; the next run follows this"],
    );
    assert_eq!(
        bench.json(&suspend, 0)["obeyed_by"],
        serde_json::Value::Null
    );
    let options = sharekeeper::store::Options::new("run", "build-7");
    let now = || sharekeeper::host::Clock::now(&sharekeeper::host::SystemClock::start());
    let store = sharekeeper::store::Store::open(&bench.state(), &options, now).expect("a state");
    let pid = std::process::id();
    holds(
        &bench.text(&suspend, 0),
        &[
            &format!("process {pid} on build-7"),
            "follows this from its next write on",
        ],
    );
    assert_eq!(bench.json(&suspend, 0)["obeyed_by"]["pid"], pid);
    drop(store);
}
