//! `suspend`, `resume`, and parked images.

use crate::binary::Bench;
use crate::{FRANKFURT, TOKYO, holds, ids};

/// One image in each of two regions, none shared yet.
fn bench() -> Bench {
    let bench = Bench::new();
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
    let document = bench.json(&["suspend", "--reason", "freeze", "--until", "8h"], 0);
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
        &bench.told(&["resume"], 1),
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
            "say which, or `--all`",
        ],
    );
    // One that is wrong ends none.
    holds(
        &bench.told(&["resume", "1", "7"], 1),
        &["no suspension 7 is in force, so nothing was ended"],
    );
    // A part of one cannot be ended.
    holds(
        &bench.told(&["resume", "--image", "img-b"], 1),
        &[
            "no suspension is of just this (image img-b)",
            "by the number that `sharekeeper status` shows",
        ],
    );
    holds(
        &bench.told(&["resume", "one"], 64),
        &["by its number, as `sharekeeper status` shows it"],
    );
    assert_eq!(
        bench.text(&["resume", "--image", "img-a"], 0),
        "ended suspension 2 of image img-a\n"
    );
    // The one that is left needs no word that says which.
    let document = bench.json(&["resume"], 0);
    assert_eq!(document["ended"][0]["id"], 1);
    assert_eq!(document["unparked"], serde_json::json!([]));
    assert_eq!(bench.json(&["reconcile"], 0)["summary"]["shared"], 3);
}

#[test]
fn resume_all_ends_all() {
    let bench = bench();
    for reason in ["x", "y"] {
        bench.run(&["suspend", "--reason", reason], 0);
    }
    let document = bench.json(&["resume", "--all"], 0);
    assert_eq!(document["ended"].as_array().map(Vec::len), Some(2));
}

#[test]
fn resume_of_nothing_makes_no_state() {
    let bench = bench();
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
    let bench = bench();
    for (arguments, status, words) in [
        (&[] as &[_], 64, "--reason <TEXT>"),
        (&["--reason", " "], 64, "say why"),
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
            "leave it out to mean always",
        ),
        (&["--reason", "x", "--region", "tokyo"], 64, "ap-tokyo"),
    ] {
        let arguments = [&["suspend"], arguments].concat();
        holds(&bench.told(&arguments, status), &[words]);
        let document = bench.json(&arguments, status);
        holds(document["error"].as_str().expect("says why"), &[words]);
    }
    assert!(!bench.path("state").exists(), "and leaves nothing behind");
}

#[test]
fn s20_an_image_that_somebody_else_keeps_cancelling_is_parked_until_a_person_resumes_it() {
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
        &["parked since 2", "`sharekeeper resume --image` it"],
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
        &bench.told(&["resume"], 1),
        &["nothing is suspended; 1 image is parked: say which with `--image`, or `--all`"],
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
