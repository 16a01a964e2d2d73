//! Causes, holds and the commands that a person can copy.

use super::*;

/// A board of one account whose key was revoked: in each of three regions 20 images, of which the first `to_share` are to
/// be shared and the others to be cancelled.
fn revoked(to_share: usize) -> Board {
    let mut board = board::empty();
    for region in ["ap-tokyo", "ap-seoul", "eu-frankfurt"] {
        let place = scope("prod", region);
        board.add_scopes([&place].into_iter());
        let why = Unobserved {
            code: Some("AuthFailure.SecretIdNotFound".into()),
            request_id: Some(format!("r-{region}")),
            account_broken: true,
            remedy: Some("check it".into()),
            ..Unobserved::new("AuthFailure.SecretIdNotFound: no (check it)")
        };
        let verdict = || Verdict::Unobserved(Box::new(why.clone()));
        let images = (0..20).map(|n| match n < to_share {
            true => (id(n), decision(verdict())),
            false => (id(n), board::cancel(Cause::Declared, verdict())),
        });
        let unseen = Plan {
            view: sharekeeper::plan::View::Unobserved(why.clone()),
            ..plan(&place, images)
        };
        board.planned(&unseen, at(40));
    }
    board
}

#[test]
fn n10_the_document_has_each_cause_once_with_what_it_holds_up() {
    let board = revoked(20);
    let causes = &document(&board, "")["causes"];
    let [cause] = &**causes.as_array().expect("a list") else {
        panic!("{causes:#}");
    };
    assert_eq!(cause["account"], "prod");
    assert_eq!(cause["regions"].as_array().map(Vec::len), Some(3));
    assert_eq!(cause["kind"], "account_broken");
    assert_eq!(cause["code"], "AuthFailure.SecretIdNotFound");
    assert_eq!(cause["message"], "AuthFailure.SecretIdNotFound: no");
    assert_eq!(cause["remedy"], "check it");
    assert_eq!(cause["request_id"], "r-ap-seoul");
    assert_eq!(cause["images"], 60);
    let one = &document(&board, "region=ap-tokyo")["causes"][0];
    assert_eq!(one["images"], 20, "as far as the query asks: {one:#}");
}

fn settings(policy: Policy) -> Arc<RunSettings> {
    Arc::new(RunSettings {
        policy,
        state_dir: Some("/var/lib/share keeper".into()),
        manifests: vec!["/etc/manifests".into()],
        uses_sim: true,
        endpoint: None,
        pid: 4_711,
    })
}

#[test]
fn n2_what_is_pruned_and_which_caps_hold_is_on_page_and_document() {
    let policy = Policy {
        prune: Prune::Owned,
        max_cancels: 33,
        accept_lost: [(scope("prod", "ap-tokyo"), 7)].into_iter().collect(),
        ..Policy::DEFAULT
    };
    let board = good().with_run_settings(settings(policy));
    let said = text(&shown(&board, ""));
    for words in [
        "Prune: owned",
        "--max-cancels 33 (the default), --max-cancels-percent 25 (the default)",
        "losses that were accepted: prod/ap-tokyo=7",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let expected = serde_json::json!({
        "prune": "owned", "max_cancels": 33, "max_cancels_percent": 25, "accept_lost": {"prod/ap-tokyo": 7}
    });
    assert_eq!(document(&board, "")["policy"], expected);
}

#[test]
fn n2_a_hold_shows_who_why_since_and_until_with_the_command_that_ends_it() {
    let mut board = good();
    let region = scope("default", "eu-frankfurt").region;
    let suspension = |id, until| Suspension {
        id,
        reason: "a freeze <b>".into(),
        until,
        since: at(0),
        by: "me@here".into(),
        selector: Selector {
            regions: [region].into(),
            ..Selector::default()
        },
    };
    let windows = vec![ClosedWindow {
        account: scope("prod", "ap-tokyo").account,
        causes: Cause::ALL.into(),
        opens: Some(at(7_200)),
        reason: "the window `nights` is closed".into(),
    }];
    board.holds_now(Holds {
        suspensions: vec![suspension(3, None), suspension(4, Some(at(3_600)))],
        windows,
    });
    let board = board.with_run_settings(settings(Policy::DEFAULT));
    let html = shown(&board, "");
    let said = text(&html);
    for words in [
        "region eu-frankfurt is suspended by me@here: a freeze &lt;b&gt;",
        "suspension 3, since 10 min ago (2026-03-01 12:00 UTC), until a person ends it",
        "suspension 4, since 10 min ago (2026-03-01 12:00 UTC), until in 50 min (2026-03-01 13:00 UTC)",
        "account prod: changes are not made now: the window `nights` is closed opens in 1 h (2026-03-01 14:00 UTC)",
        "sharekeeper resume 3 --sim --state-dir &#39;/var/lib/share keeper&#39;",
        "sharekeeper resume 4 --sim",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn n10_the_page_says_each_cause_once_with_its_images_below_it() {
    let board = revoked(18).with_run_settings(settings(Policy::DEFAULT));
    let html = shown(&board, "");
    let list = html
        .split("Problems that began or ended")
        .next()
        .expect("a list");
    let said = text(list);
    for (words, times) in [
        ("AuthFailure.SecretIdNotFound", 1),
        ("RequestId", 1),
        ("Remedy: check it", 1),
        ("The credentials do not work", 1),
        ("prod, 3 regions", 1),
        ("54 to be shared, 6 to be cancelled", 1),
        (
            "60 of them are held up by problems that affect many images",
            1,
        ),
        ("kill -HUP 4711", 1),
        (
            "sharekeeper doctor /etc/manifests --account prod --sim --state-dir",
            1,
        ),
    ] {
        assert_eq!(said.matches(words).count(), times, "{words}: {said}");
    }
    let named = html.matches("<a href=\"?image=").count();
    assert!((1..=40).contains(&named), "bounded: {named}");
    assert!(html.contains("<details id=\"held-by-1\">"), "folded");
    assert_eq!(rows(&html), 0, "no image has a row of its own beside that");
    // Each image has a row in this list, and no row repeats the common message.
    let all = text(&shown(&board, "show=all"));
    let all = all
        .split("Problems that began or ended")
        .next()
        .expect("a list");
    assert_eq!(
        all.matches("AuthFailure.SecretIdNotFound").count(),
        1,
        "{all}"
    );
    assert!(
        all.contains("AccountBroken 54 shares of 18 images, to be shared need a person"),
        "{all}"
    );
    assert!(
        all.contains("AccountBroken 6 shares of 2 images, to be cancelled need a person"),
        "{all}"
    );
    // The page of a single image shows its message and its code.
    let one = text(&shown(&board, "image=img-00000003"));
    assert!(
        one.matches("AuthFailure.SecretIdNotFound").count() > 1,
        "{one}"
    );
}

#[test]
fn n10_what_is_to_be_settled_in_many_regions_is_one_sentence() {
    let mut board = board::empty();
    for region in sharekeeper::model::Region::all() {
        let place = scope("prod", region.as_str());
        board.add_scopes([&place].into_iter());
        let mut plan = plan(&place, [(id(1), decision(Verdict::InSync))]);
        plan.policy_holds
            .insert("golden".into(), "a pin is missing".into());
        board.planned(&plan, at(40));
    }
    let said = text(&shown(&board, ""));
    assert_eq!(said.matches("a pin is missing").count(), 1, "{said}");
    assert!(
        said.contains("and 7 more: policy golden: a pin is missing."),
        "{said}"
    );
}

#[test]
fn n10_n2_what_a_person_can_do_is_there_as_a_command() {
    let board = bad().with_run_settings(settings(Policy::DEFAULT));
    let said = text(&shown(&board, ""));
    for words in [
        "sharekeeper accept prod/ap-singapore=40 --sim --state-dir &#39;/var/lib/share keeper&#39;",
        "sharekeeper resume --account default --region ap-singapore --image img-00000007 --sim --state-dir",
        "sharekeeper explain img-00000002 /etc/manifests --account default --region ap-singapore --sim --state-dir",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Without the settings of the process, the page cannot build a command.
    assert!(!shown(&bad(), "").contains("class=\"command\""));
}
