//! The headline, which says the most urgent fact and never more than is known.

use super::*;

#[test]
fn the_page_says_when_there_is_nothing_to_go_by() {
    let headline = |board: &Board| {
        let html = shown(board, "");
        let title = html
            .split("<title>")
            .nth(1)
            .and_then(|rest| rest.split(" · ").next());
        title.expect("a title").to_owned()
    };
    let mut board = Board::new(at(0), true);
    assert_eq!(headline(&board), "… No manifests have been read yet");
    assert!(shown(&board, "").contains("Observe only"));
    board.manifests_failed(vec!["a.yaml:1:1: no".into()], at(1));
    assert_eq!(
        headline(&board),
        "! No work is done: the manifests cannot be used"
    );
    assert_eq!(headline(&board::empty()), "… Nothing has been observed yet");
    let mut board = good();
    board.manifests_failed(vec!["a.yaml:1:1: no".into()], at(1));
    assert!(headline(&board).starts_with("! The manifests cannot be used"));
}

#[test]
fn what_is_not_observed_yet_is_not_taken_for_the_desired_state() {
    let (tokyo, seoul) = (scope("default", "ap-tokyo"), scope("default", "ap-seoul"));
    let mut board = board::empty();
    board.add_scopes([&tokyo, &seoul].into_iter());
    board.pass_began(&seoul, at(40));
    assert_eq!(title(&board), "… Nothing has been observed yet");
    let images = [(id(1), decision(Verdict::InSync))];
    pass(&mut board, &plan(&tokyo, images), PassResult::Synced);
    assert_eq!(
        title(&board),
        "… 1 of 1 image as desired; 1 of 2 scopes not observed yet"
    );
    assert_eq!(document(&board, "")["awaiting_first_observation"], 1);
    let only_tokyo = document(&board, "region=ap-tokyo");
    assert_eq!(only_tokyo["awaiting_first_observation"], 0);
    pass(&mut board, &plan(&seoul, []), PassResult::Synced);
    assert_eq!(title(&board), "= The image is as desired");
    assert_eq!(document(&board, "")["awaiting_first_observation"], 0);
    // In the grid of many regions, a first pass is no sync.
    let mut many = board::fleet(2, |_, _| Verdict::InSync);
    let new = scope("zzz", "ap-tokyo");
    many.add_scopes([&new].into_iter());
    many.pass_began(&new, at(550));
    let grid = text(&shown(&many, ""));
    assert!(grid.contains("… ap-tokyo not observed yet"), "{grid}");
}

#[test]
fn b5_c7_a_state_that_is_lost_is_the_first_thing_that_is_said() {
    let why = "/state/state.db was <b>removed</b>\n";
    let mut board = good();
    assert_eq!(document(&board, "").get("state"), None);
    board.state_lost(why.into(), at(1));
    let html = shown(&board, "");
    assert!(html.contains("<title>! Nothing is done: the state cannot be used any longer"));
    assert!(html.contains("/state/state.db was &lt;b&gt;removed"));
    assert!(text(&html).contains("the state"), "among what is recent");
    // The document reports the lost state for every part that is requested.
    let document = document(&board, "region=eu-frankfurt");
    assert_eq!(document["state"], "lost");
    let said = document["state_problem"].as_str().expect("why");
    assert!(
        said.starts_with("/state/state.db was") && !said.contains('\n'),
        "{said:?}"
    );
    assert_eq!(document["transitions"][0]["kind"], "stalled");
}

#[test]
fn n7_what_is_only_observed_is_never_said_to_be_on_its_way() {
    let decisions = || vec![decision(Verdict::Act), decision(Verdict::InSync)];
    let board = planned(true, decisions());
    let said = format!("{} {}", text(&shown(&board, "")), document(&board, ""));
    for words in [
        "on its way",
        "a call is ahead",
        "a call is pending",
        "no person",
    ] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    assert!(title(&board).contains("1 of 2 images as desired; nothing is done about the rest"));
    assert!(said.contains("nothing is written (`--observe-only`); it would be shared"));
    assert!(
        board.summary().contains("observe only"),
        "{}",
        board.summary()
    );
    assert!(title(&planned(false, decisions())).contains("the rest is on its way"));
}

#[test]
fn n7_what_is_held_without_an_end_does_not_pass_by_itself() {
    use sharekeeper::windows::Closed;
    let suspended = |until| {
        Withheld::Suspended(Suspension {
            id: 1,
            reason: "hands off".into(),
            until,
            since: at(0),
            by: "me@here".into(),
            selector: Default::default(),
        })
    };
    let closed = |opens| {
        Withheld::WindowClosed(Closed {
            opens,
            reason: "a window is active".into(),
        })
    };
    for (why, ends) in [
        (suspended(None), false),
        (suspended(Some(at(900))), true),
        (closed(None), false),
        (closed(Some(at(900))), true),
        (Withheld::Protected, false),
    ] {
        let shown = format!("{why:?}");
        let board = planned(false, vec![decision(Verdict::Withheld(Box::new(why)))]);
        let title = title(&board);
        assert_eq!(
            title.contains("no person is needed"),
            ends,
            "{shown}: {title}"
        );
        assert_eq!(
            title.contains("until a person changes that"),
            !ends,
            "{title}"
        );
        let held = &document(&board, "")["summary"]["held"];
        assert_eq!(*held, u64::from(!ends), "{shown}");
        assert!(!title.contains("on its way"), "{title}");
    }
}

#[test]
fn n15_what_is_written_moves_though_nothing_of_it_is_seen_yet() {
    let place = scope("default", "ap-singapore");
    let mut board = board::empty();
    board.add_scopes([&place].into_iter());
    board.pass_began(&place, at(500));
    board.planned(
        &plan(&place, (0..2_000).map(|n| (id(n), decision(Verdict::Act)))),
        at(510),
    );
    let progress = |board: &Board| {
        let shown = &document(board, "")["scopes"][0];
        let acknowledged = shown["writes_acknowledged"].as_u64();
        acknowledged.zip(shown["writes_planned"].as_u64())
    };
    assert_eq!(progress(&board), Some((0, 2_000)));
    for n in 0..480 {
        board.answered(board::change(n, WriteResult::Applied));
    }
    for refused in [
        WriteResult::Rejected,
        WriteResult::Unknown,
        WriteResult::NotSent,
    ] {
        board.answered(board::change(480, refused));
    }
    assert_eq!(progress(&board), Some((480, 2_000)));
    let said = text(&shown(&board, ""));
    assert_eq!(
        said.matches("480 of 2,000").count(),
        4,
        "title, headline, counts, row: {said}"
    );
    assert!(title(&board).ends_with("0 of 2,000 images as desired; 480 of 2,000 changes written"));
    let counts = &document(&board, "")["summary"];
    assert_eq!(
        (&counts["in_sync"], &counts["pending"]),
        (&0.into(), &2_000.into())
    );
    // A later observation in the same pass confirms these writes, and the other writes continue.
    let seen = (0..2_000).map(|n| {
        (
            id(n),
            decision(if n < 480 {
                Verdict::InSync
            } else {
                Verdict::Act
            }),
        )
    });
    board.planned(&plan(&place, seen), at(560));
    assert_eq!(progress(&board), Some((480, 2_000)));
    board.pass_began(&place, at(570));
    assert_eq!(progress(&board), None, "the next pass has not observed yet");
}

#[test]
fn n15_an_image_in_several_regions_is_counted_as_what_it_is() {
    let board = good();
    assert!(title(&board).ends_with("All 1,204 shares of 804 images are as desired"));
    let alone = planned(
        false,
        vec![decision(Verdict::InSync), decision(Verdict::InSync)],
    );
    assert!(title(&alone).ends_with("All 2 images are as desired"));
    // Both sentences are true together: there were no problems, and writes were answered.
    let said = text(&shown(&board, ""));
    assert!(
        said.contains("Problems that began or ended None since the process started."),
        "{said}"
    );
    assert!(
        said.contains("Last writes Writes that were answered"),
        "{said}"
    );
}
