//! The summary that a daemon leaves for `status`: it fits into its file whatever the fleet is, it contains the worst
//! images, and in some cases `status` does not show it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sharekeeper::host::{Presence, ProcessIdentity};
use sharekeeper::model::Timestamp;
use sharekeeper::plan::{Verdict, Withheld};
use sharekeeper::report::{DaemonSummary, DaemonView, StatusDocument};
use sharekeeper::status::{Board, PassResult};
use sharekeeper::store::{HistoryExtent, Holder, SUMMARY_BYTES_MAX, StateSummary};

use crate::support::board::{
    at, bad, decision, fleet, good, hostile, id, load, now, pass, plan, problem, scope,
};

const PID: u32 = 4711;

fn process() -> ProcessIdentity {
    ProcessIdentity {
        pid: PID,
        boot_id: "boot".into(),
        pid_namespace: None,
        start_ticks: 12,
    }
}

fn holder(pid: u32) -> Holder {
    Holder {
        pid,
        host: "host".into(),
        command: "run".into(),
        since: now(),
    }
}

/// The summary that a daemon leaves of a board, within the size limit of the file.
fn left(board: &Board) -> Vec<u8> {
    let text = DaemonSummary::of(board, &process(), now()).to_json();
    assert!(text.len() <= SUMMARY_BYTES_MAX, "{} bytes", text.len());
    assert!(text.len() > 2, "it is a document");
    text
}

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("JSON")
}

fn view(text: &[u8], presence: Presence, holder: Option<&Holder>, now: Timestamp) -> DaemonView {
    DaemonView::of(text, holder, |_| Some(presence), now)
}

/// The `status` document of a state that was used before, with this view of its daemon.
fn document(daemon: DaemonView) -> StatusDocument {
    let summary = StateSummary {
        owner: Some("owner".into()),
        schema: 1,
        is_older: false,
        holder: None,
        scopes: BTreeMap::new(),
        accounts: BTreeMap::new(),
        newest: None,
        suspensions: Vec::new(),
        history: HistoryExtent::default(),
    };
    StatusDocument::new("state", summary, Vec::new(), daemon, now())
}

fn live(text: &[u8]) -> DaemonView {
    let view = view(text, Presence::Running, Some(&holder(PID)), now());
    assert!(matches!(view, DaemonView::Live(_)), "{view:?}");
    view
}

#[test]
fn nm3_a_small_fleet_is_summarized_completely() {
    for board in [good(), bad()] {
        let summary = value(&left(&board));
        assert_eq!(
            summary["scopes"].as_array().map(Vec::len),
            Some(board.scopes().len())
        );
        assert_eq!(
            (&summary["more_scopes"], &summary["more_images"]),
            (&json!(0), &json!(0))
        );
        for (scope, status) in board.scopes() {
            let scopes = summary["scopes"].as_array().expect("a list");
            let is_it = |summary: &&Value| {
                (&summary["account"], &summary["region"])
                    == (
                        &json!(scope.account.as_str()),
                        &json!(scope.region.as_str()),
                    )
            };
            let summary = scopes.iter().find(is_it).expect("each scope");
            let counts = status.counts();
            assert_eq!(summary["counts"]["images"], counts.total());
            assert_eq!(summary["counts"]["drifted"], counts.drifted);
            assert_eq!(summary["counts"]["blocked"], counts.blocked);
            assert_eq!(summary["counts"]["withheld"], counts.withheld);
        }
    }
}

#[test]
fn nm3_a_large_fleet_is_cut_and_its_totals_are_whole() {
    let blocked = |account: usize, image: usize| match (account, image) {
        (33, 3) => Verdict::Blocked(Box::new(problem(
            "in the way",
            Some("ResourceInUse.ImageInUse"),
            None,
        ))),
        _ => Verdict::InSync,
    };
    let withheld = |_: usize, _: usize| Verdict::Withheld(Box::new(Withheld::Protected));
    for board in [fleet(60, blocked), fleet(60, withheld)] {
        let summary = value(&left(&board));
        let images: usize = board.scopes().values().map(|it| it.images.len()).sum();
        assert_eq!(summary["counts"]["images"], images);
        let listed = summary["scopes"].as_array().map(Vec::len).expect("a list");
        let more = summary["more_scopes"].as_u64().expect("a number");
        assert_eq!(listed as u64 + more, board.scopes().len() as u64);
    }
    let summary = value(&left(&fleet(60, blocked)));
    assert_eq!(
        summary["scopes"][0]["counts"]["blocked"], 20,
        "the worst first"
    );
    assert_eq!(summary["groups"][0]["message"], "in the way");
    let summary = value(&left(&fleet(60, withheld)));
    assert!(
        summary["more_images"]
            .as_u64()
            .is_some_and(|more| more > 300)
    );
    let text = document(live(&left(&fleet(60, withheld)))).text();
    assert!(text.contains("more scopes, none of them worse"), "{text}");
    assert!(
        text.contains("more images that are not in the desired state"),
        "{text}"
    );
}

#[test]
fn nm3_texts_of_any_length_leave_room_for_the_rest() {
    for evil in ["\u{10ffff}", "\"", "\\", "\u{1b}[2J\n", "x"] {
        let evil = evil.repeat(20_000);
        let mut board = hostile(&evil);
        let problems = vec![evil.clone(); 1_000];
        board.manifests_failed(problems, now());
        board.state_lost(evil.clone(), now());
        board.state_hindered(Some(evil));
        let summary = value(&left(&board));
        let problems = &summary["manifests"];
        let listed = problems["problems"].as_array().map(Vec::len);
        let more = problems["more_problems"].as_u64().expect("a number");
        assert_eq!(listed.map(|listed| listed as u64 + more), Some(1_000));
    }
}

#[test]
fn nm3_foreign_text_is_made_safe_once_more_by_who_reads() {
    let evil = "a\u{1b}[2J\u{202e}b\nc";
    let text = String::from_utf8(left(&bad())).expect("text");
    // Anyone who can write the file can put such text into it.
    let forged = text.replace("ap-singapore", "a\\u001b[2J\\u202eb\\nc");
    assert!(text != forged);
    for text in [left(&hostile(evil)), forged.into_bytes()] {
        let document = document(live(&text));
        let plain = anstream::adapter::strip_str(&document.text()).to_string();
        assert!(!plain.contains(['\u{1b}', '\u{202e}']), "{plain}");
        assert!(plain.lines().all(|line| line != "c"), "{plain}");
        let json = serde_json::to_string(&document).expect("a document");
        assert!(!json.contains("\\u001b") && !json.contains('\u{202e}'));
    }
}

#[test]
fn nm3_only_the_process_that_has_the_state_is_shown_as_live() {
    let text = left(&bad());
    let this = holder(PID);
    let other = holder(PID + 1);
    let later = |seconds| now() + TimeDelta::seconds(seconds);
    for (presence, holder, now, expected) in [
        (Presence::Running, Some(&this), later(0), None),
        (Presence::Running, Some(&this), later(60), None),
        (Presence::Running, Some(&this), later(-60), None),
        (Presence::OtherNamespace, Some(&this), later(0), None),
        (Presence::Ended, Some(&this), later(0), Some("has ended")),
        (Presence::OtherBoot, Some(&this), later(0), Some("started")),
        (Presence::Running, None, later(0), Some("no longer")),
        (Presence::OtherNamespace, None, later(0), Some("no longer")),
        (Presence::Running, Some(&other), later(0), Some("no longer")),
        (Presence::Running, Some(&this), later(61), Some("a minute")),
        (Presence::Running, Some(&this), later(-61), Some("future")),
    ] {
        let view = view(&text, presence, holder, now);
        let shown = document(view);
        let json = serde_json::to_value(&shown).expect("a document");
        match expected {
            None => {
                assert_eq!(json["source"], "daemon");
                assert_eq!(json["daemon"]["pid"], PID);
                assert_eq!(json["stale_daemon"], json!(null));
                assert!(
                    shown
                        .text()
                        .starts_with("From the running daemon, process 4711,")
                );
            }
            Some(why) => {
                assert_eq!(
                    (&json["source"], &json["daemon"]),
                    (&json!("state"), &json!(null))
                );
                let reason = json["stale_daemon"]["reason"].as_str().expect("a reason");
                assert!(reason.contains(why), "{why}: {reason}");
                assert!(shown.text().contains(reason));
                assert!(!shown.text().contains("Images:"), "{}", shown.text());
            }
        }
    }
}

#[test]
fn nm3_what_is_no_summary_is_reported_and_not_quoted() {
    let newer = String::from_utf8(left(&good())).expect("text");
    let newer = newer.replacen("\"format_version\":1", "\"format_version\":2", 1);
    for text in [
        "",
        "{}",
        "[]",
        "AKIDsecret",
        "{\"pid\":\"AKIDsecret\"}",
        &newer,
    ] {
        let view = view(
            text.as_bytes(),
            Presence::Running,
            Some(&holder(PID)),
            now(),
        );
        let printed = document(view).text();
        assert!(
            printed.contains("not have the format of this version of sharekeeper"),
            "{printed}"
        );
        assert!(!printed.contains("AKID"), "{printed}");
    }
    let none = document(DaemonView::None).text();
    assert!(
        none.starts_with("No current summary of a running daemon; from the state directory:\n")
    );
}

#[test]
fn nm3_each_part_of_the_daemons_view_has_its_line() {
    let mut board = bad();
    board.manifests_failed(vec!["a.yaml:3:1: is broken".into()], now());
    let text = anstream::adapter::strip_str(&document(live(&left(&board))).text()).to_string();
    for words in [
        "Manifests: ",
        ", commit ",
        "Manifests cannot be used since",
        "a.yaml:3:1: is broken",
        "drifted",
        "blocked",
        "withheld",
        "last seen at",
        "next observation at",
        "RequestId",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn nm3_before_the_first_observation_no_images_are_counted() {
    let lines = |board: &Board| {
        let summary = left(board);
        let json = value(&summary);
        let text = anstream::adapter::strip_str(&document(live(&summary)).text()).to_string();
        assert!(!text.contains("0 of 0"), "{text}");
        (json["awaiting_first_observation"].clone(), text)
    };
    let (tokyo, seoul) = (scope("default", "ap-tokyo"), scope("default", "ap-seoul"));
    let mut board = Board::new(at(0), false);
    let (_, text) = lines(&board);
    assert!(
        text.contains("Images: not known yet: no manifests are loaded\n"),
        "{text}"
    );
    load(&mut board, "c1", 3, at(1));
    board.add_scopes([&tokyo, &seoul].into_iter());
    board.pass_began(&tokyo, at(2));
    let (awaiting, text) = lines(&board);
    assert_eq!(awaiting, 2);
    for line in [
        "Images: not known yet: the first observation has not ended\n",
        "default/ap-tokyo  not observed yet; the first pass is in progress\n",
        "default/ap-seoul  not observed yet; the first observation is due\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let images = [(id(1), decision(Verdict::InSync))];
    pass(&mut board, &plan(&tokyo, images), PassResult::Synced);
    let (awaiting, text) = lines(&board);
    assert_eq!(awaiting, 1);
    let line = "Images: 1 of 1 as desired; 1 of 2 scopes not observed yet\n";
    assert!(text.contains(line), "{text}");
    pass(&mut board, &plan(&seoul, []), PassResult::Synced);
    let summary = left(&board);
    assert_eq!(value(&summary)["awaiting_first_observation"], 0);
    let text = document(live(&summary)).text();
    assert!(text.contains("Images: 1 of 1 as desired\n"), "{text}");
}
