//! Tests the text of the status page and of its JSON document: what they contain, and that foreign text is
//! escaped in them.

mod causes;
mod document;
mod fleets;
mod headline;

use crate::support::board;

use std::sync::Arc;

use crate::support::board::{at, bad, decision, good, hostile, huge, id, now, pass, plan, scope};
use serde_json::Value;
use sharekeeper::history::WriteResult;
use sharekeeper::inventory::Suspension;
use sharekeeper::model::{Cause, Selector};
use sharekeeper::model::{ImageId, ImageName};
use sharekeeper::observation::Unobserved;
use sharekeeper::plan::{
    Decision, Plan, Policy, Prune, Stray, UndocumentedState, Verdict, Withheld,
};
use sharekeeper::resolve::{Resolution, ResolvedImage, ResolvedVerdict};
use sharekeeper::status::{Board, ClosedWindow, Holds, PassResult, RunSettings};
use sharekeeper::web::{PAGE_CSS, PAGE_ICON, PAGE_JS, Query, page, write_board_document};

fn shown(board: &Board, query: &str) -> String {
    page(board, &Query::parse(query).expect("a query"), now())
}

fn written(board: &Board, query: &str) -> Vec<u8> {
    let (query, mut bytes) = (Query::parse(query).expect("a query"), Vec::new());
    write_board_document(&mut bytes, board, &query, now()).expect("memory");
    bytes
}

fn document(board: &Board, query: &str) -> Value {
    serde_json::from_slice(&written(board, query)).expect("JSON")
}

/// The text that a person reads: the page without its tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace('\n', " ")
}

/// Number of image rows in the list.
fn rows(html: &str) -> usize {
    html.matches("data-label=\"wanted\"").count()
}

/// Number of rows of images whose share ends.
fn ends(html: &str) -> usize {
    html.matches("data-label=\"ends\"").count()
}

#[test]
fn when_all_is_well_the_page_says_so_first() {
    let html = shown(&good(), "");
    assert!(
        html.contains(
            "<title>= All 1,204 shares of 804 images are as desired · sharekeeper</title>"
        )
    );
    let text = text(&html);
    for words in [
        "All 1,204 shares of 804 images are as desired",
        "1,204 in sync",
        "https://git.example.com/platform/images.git, main",
        "commit 3f786850e387",
        "read 9 min ago",
        "default / eu-frankfurt",
        "Not as desired: 0",
        "Next to expire",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!html.contains("banner"));
}

#[test]
fn what_is_wrong_is_there_with_its_reason_remedy_and_reference() {
    let html = shown(&bad(), "");
    assert!(
        html.contains(
            "<title>! 44 of 526 shares of 504 images need a person · sharekeeper</title>"
        )
    );
    let text = text(&html);
    for words in [
        "! The manifests cannot be used",
        "`CANEL` is no state",
        "unknown field `regoin`",
        "! Problems",
        "prod/na-ashburn: Not seen, so nothing is done: page 3 of 7 failed",
        "prod/sa-saopaulo: Given up until sharekeeper is restarted",
        "NotEligible 1 image, to be shared needs a person",
        "make a system-disk image",
        "UnsupportedOperation.ImageUnableToShare",
        "RequestId 0c8d6f0e-4f6c-4b0e-9d0e-52a7b0c1d2e3",
        "GuardTripped 40 images, to be shared need a person see the problem above",
        "accept this with `--accept-lost prod/ap-singapore=40`",
        "all 40 images",
        "remove `protect: true`",
        "in 1 min",
        "manifests/golden.yaml:10",
        "no manifest names it",
        "working since 10 s ago 3 writes answered pending takes about 1 s, at 19 writes a second",
        "! rejected",
        "guard tripped",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert_eq!(
        text.matches("or with `sharekeeper accept").count(),
        2,
        "shown once at the top, and once among what happened"
    );
}

#[test]
fn a_search_a_scope_and_a_reason_narrow_the_list() {
    let board = bad();
    for (query, count) in [
        ("q=IMAGEINUSE", 1),
        ("q=lhbp-9z8y+frankfurt", 0),
        ("q=partners.yaml", 3),
        ("image=img-00000003", 4),
        ("reason=GuardTripped", 40),
        (
            "show=wrong&account=prod&region=na-ashburn&reason=NotObserved",
            12,
        ),
        ("q=prod/na-ash", 12),
        ("q=no-such-thing", 0),
    ] {
        let html = shown(&board, query);
        assert_eq!(rows(&html), count, "{query}");
        assert!(html.contains("Narrowed to"), "{query}");
    }
    let scope = shown(&board, "account=default&region=eu-frankfurt");
    assert!(!scope.contains("prod / ap-singapore"));
    assert!(text(&scope).contains("44 of 526 shares of 504 images need a person"));
    assert!(text(&shown(&board, "image=img-00000003")).contains("Stalled True since 1 min ago"));
}

#[test]
fn o7_o1_foreign_text_cannot_leave_its_place_on_the_page() {
    let evil = "\"'></td><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\n{\"level\":\"info\"}\u{1b}[2J\u{202e}";
    let board = hostile(evil);
    for query in [
        "",
        "show=all",
        "show=expiring",
        "q=img",
        "image=img-00000002",
    ] {
        let html = shown(&board, query);
        for sink in [
            "<script>",
            "<img",
            "\u{1b}",
            "\u{202e}",
            "'>",
            "&amp;amp;\n{",
        ] {
            assert!(!html.contains(sink), "{query}: {sink}");
        }
        assert!(
            html.contains("&quot;&#39;&gt;&lt;/td&gt;&lt;script&gt;"),
            "{query}"
        );
        assert_eq!(html.matches("<script").count(), 1, "{query}: our own");
    }
    let search = format!("q={}", evil.replace('&', "%26"));
    let html = shown(&board, &search);
    assert!(!html.contains("<script>") && html.contains("value=\"&quot;&#39;&gt;"));
    assert!(!html.contains("href=\"?q=\""), "links are encoded");
}

#[test]
fn o7_o1_foreign_text_cannot_leave_its_place_in_the_document() {
    let evil = "\"}\n{\"level\":\"info\"}\u{1b}[2J\u{202e}</script>";
    let text = String::from_utf8(written(&hostile(evil), "")).expect("UTF-8");
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let safe = "\"} {\"level\":\"info\"}\u{fffd}[2J\u{fffd}</script>";
    assert_eq!(document["manifests"]["origin"], safe);
    assert_eq!(document["scopes"][0]["images"][1]["message"], safe);
}

#[test]
fn o4_s23_the_page_has_no_inline_script_and_no_outside_source() {
    for html in [shown(&bad(), ""), shown(&good(), "q=img")] {
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script src=\"page.js\" defer></script>"));
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(inline), "{inline}");
        }
        for (attribute, outside) in html
            .match_indices(" href=\"")
            .chain(html.match_indices(" src=\""))
            .map(|(at, name)| (name, &html[at + name.len()..]))
        {
            let target = outside.split('"').next().expect("an end");
            assert!(
                !target.contains(':') && !target.starts_with('/'),
                "{attribute}{target}"
            );
        }
    }
    for (name, asset) in [("css", PAGE_CSS), ("js", PAGE_JS)] {
        for outside in ["http:", "https:", "@import", "url(", "eval(", "innerHTML"] {
            assert!(!asset.contains(outside), "{name}: {outside}");
        }
    }
    assert!(PAGE_JS.len() < 5_120, "{}", PAGE_JS.len());
    assert!(!PAGE_ICON.contains("<style") && !PAGE_ICON.contains("<script"));
}

#[test]
fn o1_names_and_what_must_be_settled_are_shown_and_found() {
    let place = scope("default", "eu-frankfurt");
    let mut board = good();
    let named = Decision {
        name: Some("golden-<b>1".into()),
        ..decision(Verdict::InSync)
    };
    let mut plan = plan(&place, [(id(7), named)]);
    plan.policy_holds
        .insert("golden".into(), "a pin is <i>missing".into());
    pass(&mut board, &plan, PassResult::Incomplete);
    let html = shown(&board, "");
    assert!(
        html.contains("<title>! 1 name or policy needs a person"),
        "{html}"
    );
    assert!(
        html.contains("policy <b>golden</b>: a pin is &lt;i&gt;missing"),
        "{html}"
    );
    let found = shown(&board, "q=GOLDEN-");
    assert_eq!(rows(&found), 1);
    assert!(
        found.contains("golden-&lt;b&gt;1</a> <small>img-00000007</small>"),
        "{found}"
    );
    let document = document(&board, "region=eu-frankfurt");
    let shown = &document["scopes"][0];
    assert_eq!(shown["images"][0]["image_name"], "golden-<b>1");
    assert_eq!(shown["findings"][0]["kind"], "policy_hold");
    assert_eq!(shown["findings"][0]["subject"], "golden");
}

#[test]
fn f20_what_policies_leave_as_it_is_is_listed_with_its_verdict() {
    let resolved = |name: &str, verdict: ResolvedVerdict| ResolvedImage {
        name: ImageName::new(name).ok(),
        verdict,
        desired: None,
        policies: Default::default(),
        labels: Vec::new(),
        is_held: false,
    };
    let mut board = board::empty();
    let until = at(9_000);
    let images = [
        (
            "img-old",
            resolved("golden-1", ResolvedVerdict::Overlap(until)),
        ),
        (
            "img-soak",
            resolved("golden-3", ResolvedVerdict::Soaking(until)),
        ),
        (
            "img-kept",
            resolved("golden-0", ResolvedVerdict::Kept("<why>".into())),
        ),
        ("img-out", resolved("golden-7", ResolvedVerdict::Superseded)),
    ];
    let images = images.map(|(image, resolved)| (ImageId::new(image).expect("an id"), resolved));
    let resolution = Resolution {
        images: images.into(),
        ..Resolution::default()
    };
    let scope = scope("default", "eu-frankfurt");
    let plan = Plan {
        resolution: Arc::new(resolution),
        ..plan(&scope, [])
    };
    board.pass_began(&scope, at(60));
    board.planned(&plan, now());
    let document = document(&board, "");
    let listed = document["scopes"][0]["policy_images"]
        .as_array()
        .expect("a list");
    let rows: Vec<_> = listed
        .iter()
        .map(|it| (&it["image_id"], &it["verdict"]))
        .collect();
    assert_eq!(
        serde_json::to_value(rows).expect("JSON"),
        serde_json::json!([
            ["img-kept", "kept"],
            ["img-old", "overlap"],
            ["img-soak", "soaking"]
        ])
    );
    assert_eq!(listed[0]["reason"], "<why>");
    assert_eq!(
        listed[1]["until"],
        serde_json::to_value(until).expect("JSON")
    );
    let html = shown(&board, "");
    assert!(!html.contains("<why>"));
    let text = text(&html);
    for words in [
        "Left unchanged by policies: 3",
        "golden-0",
        "kept &lt;why&gt;",
        "overlap",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("golden-7"));
}

/// The title of the page, without the program's name.
fn title(board: &Board) -> String {
    let html = shown(board, "");
    let title = html.split("<title>").nth(1);
    let title = title.and_then(|rest| rest.split(" · ").next());
    title.expect("a title").to_owned()
}

fn planned(observe_only: bool, decisions: Vec<Decision>) -> Board {
    let scope = scope("default", "ap-tokyo");
    let mut board = Board::new(at(0), observe_only);
    board::load(&mut board, "c0ffee", decisions.len(), at(1));
    board.add_scopes([&scope].into_iter());
    let images = decisions.into_iter().enumerate();
    let images = images.map(|(number, decision)| (id(number), decision));
    board.planned(&plan(&scope, images), at(2));
    board
}
