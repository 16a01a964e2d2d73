//! Tests the text of the status page and of its JSON document: what they contain, and that foreign text is
//! escaped in them.

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
        "told once at the top, and once among what happened"
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
fn a_page_of_30_000_images_shows_only_so_many_rows() {
    let board = huge();
    let listed = |query: &str| {
        let html = shown(&board, query);
        assert!(html.len() < 400_000, "{query}: {} bytes", html.len());
        (rows(&html), ends(&html))
    };
    assert_eq!(listed(""), (200, 10));
    assert_eq!(listed("page=8"), (200, 10));
    assert_eq!(listed("show=all&page=150"), (200, 10));
    assert_eq!(listed("show=all&page=151"), (0, 10));
    assert_eq!(listed("show=expiring&page=150"), (0, 200));
    assert_eq!(listed("show=all&page=18446744073709551615"), (0, 10));
    assert_eq!(listed("q=img-00000003"), (15, 0));
    let html = shown(&board, "show=all&page=2");
    assert!(html.contains("href=\"?show=all\">‹ previous</a>"));
    assert!(html.contains("href=\"?show=all&amp;page=3\">next ›</a>"));
    assert!(text(&html).contains("page 2 of 150"));
}

/// The links in the table of accounts and regions, one list for each page.
fn scopes_page_by_page(board: &Board) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(String::new()));
    while let Some(query) = next.take() {
        let html = shown(board, &query);
        let table = html.split("id=\"scopes\"").nth(1).expect("a table");
        let (table, after) = table.split_once("</table>").expect("an end");
        let links = table
            .split("<th scope=\"row\" class=\"scope\"><a href=\"?")
            .skip(1);
        let links = links.map(|rest| rest.split('"').next().expect("an end").to_owned());
        pages.push(links.collect());
        let pager = after.split("<h2>").next().expect("what follows the table");
        let link = pager.split("rel=\"next\" href=\"?").nth(1);
        next = link.map(|rest| rest.split('"').next().expect("an end").to_owned());
    }
    pages
}

#[test]
fn b3_a_page_of_3_000_accounts_and_regions_adds_up_what_is_in_sync_and_shows_the_rest_first() {
    let failed = || Verdict::Failed(Box::new(board::problem("occupied", Some("Odd"), None)));
    let board = board::fleet(200, |account, region| match (account, region) {
        (7, 3) => Verdict::Act,
        (9, 2) => Verdict::Withheld(Box::new(Withheld::Parked(at(-4_000)))),
        (199, 14) => failed(),
        _ => Verdict::InSync,
    });
    let html = shown(&board, "");
    assert!(html.len() < 200_000, "{} bytes", html.len());
    let pages = scopes_page_by_page(&board);
    assert_eq!(
        pages.iter().map(Vec::len).collect::<Vec<_>>(),
        [100, 100, 3]
    );
    let first = [
        "account=team-009&amp;region=ap-chengdu",
        "account=team-199&amp;region=sa-saopaulo",
        "account=team-007&amp;region=ap-guangzhou",
    ];
    assert_eq!(pages[0][..3], first, "a person is needed before a call is");
    let accounts = pages.concat().split_off(3);
    let expected: Vec<_> = (0..200).map(|n| format!("account=team-{n:03}")).collect();
    assert_eq!(accounts, expected, "each account once");
    let text = text(&html);
    for words in [
        "team-000 15 regions",
        "team-007 14 regions",
        "60,000",
        "page 1 of 3",
    ] {
        assert!(text.contains(words), "{words}");
    }
    // The page of one account lists each of its regions.
    let html = shown(&board, "account=team-009");
    assert_eq!(
        html.matches("<a href=\"?account=team-009&amp;region=")
            .count(),
        15
    );
    assert!(!html.contains("page 1 of"));
}

#[test]
fn b3_where_nothing_is_seen_of_3_000_accounts_and_regions_the_page_stays_small_and_leads_to_each() {
    let why = Unobserved::new("the network is down");
    let board = board::fleet(200, |_, _| Verdict::Unobserved(Box::new(why.clone())));
    let html = shown(&board, "");
    assert!(html.len() < 400_000, "{} bytes", html.len());
    assert!(text(&html).contains("and 180 more causes, which hold up 54,000 images; they come first among accounts and regions"));
    let pages = scopes_page_by_page(&board);
    assert!(pages.iter().all(|page| page.len() == 100));
    assert_eq!(pages.concat().len(), 3_000, "each has a row of its own");
    let own = shown(&board, "account=team-150&region=ap-tokyo");
    let banner = own.split("banner").nth(1).expect("a banner");
    assert!(
        text(banner).contains("No account or region can be readteam-150, 15 regions: Not seen"),
        "{banner}"
    );
}

#[test]
fn each_image_is_on_exactly_one_page() {
    let board = huge();
    let mut found = 0;
    let mut next = Some("account=default&region=ap-tokyo&show=all".to_owned());
    while let Some(query) = next.take() {
        let html = shown(&board, &query);
        found += rows(&html);
        let link = html.split("rel=\"next\" href=\"?").nth(1);
        next = link.map(|rest| {
            rest.split('"')
                .next()
                .expect("an end")
                .replace("&amp;", "&")
        });
    }
    assert_eq!(found, 2_000);
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
fn o4_s23_the_page_has_no_inline_script_or_style_and_takes_nothing_from_elsewhere() {
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
fn the_document_carries_what_the_board_has() {
    let document = document(&bad(), "");
    assert_eq!(document["format_version"], 1);
    assert_eq!(document["started"], "2026-03-01T12:00:00Z");
    assert_eq!(
        document["manifests"]["broken_since"],
        "2026-03-01T12:09:00Z"
    );
    assert_eq!(
        document["manifests"]["problems"].as_array().unwrap().len(),
        2
    );
    let summary = &document["summary"];
    for (count, expected) in [
        ("images", 526),
        ("in_sync", 465),
        ("pending", 2),
        ("blocked", 3),
        ("withheld", 43),
        ("waiting", 1),
        ("unknown", 12),
        ("stalled", 44),
    ] {
        assert_eq!(summary[count], expected, "{count}");
    }
    let scopes = document["scopes"].as_array().unwrap();
    let names: Vec<_> = scopes
        .iter()
        .map(|s| {
            format!(
                "{}/{}",
                s["account"].as_str().unwrap(),
                s["region"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(names.len(), 5);
    let mixed = &scopes[0];
    assert_eq!(mixed["activity"], "passing");
    assert_eq!(mixed["writes_answered"], 3);
    assert_eq!(mixed["unmanaged"]["foreign"], 1);
    assert_eq!(mixed["rate"]["per_second"], 19.0);
    let eta = mixed["eta_seconds"].as_f64().expect("a number");
    assert!((eta * 19.0 - 2.0).abs() < 1e-6, "two calls at 19 a second");
    let images = board::by_id(&mixed["images"]);
    let blocked = images["img-00000002"];
    assert_eq!(blocked["reason"], "NotEligible");
    assert_eq!(
        blocked["error_code"],
        "UnsupportedOperation.ImageUnableToShare"
    );
    assert_eq!(blocked["source"]["line"], 10);
    assert_eq!(blocked["conditions"][2]["type"], "Stalled");
    assert_eq!(blocked["conditions"][2]["status"], "True");
    assert_eq!(images["img-00000008"]["next_try"], "2026-03-01T12:11:00Z");
    assert_eq!(scopes[3]["view"]["state"], "unseen");
    assert_eq!(scopes[3]["view"]["error_code"], "InternalError");
    assert_eq!(scopes[4]["activity"], "held");
    assert_eq!(
        document["changes"][0]["result"], "unknown",
        "the newest first"
    );
    assert_eq!(document["transitions"][0]["kind"], "stalled");
}

#[test]
fn c13_t8_what_is_odd_or_not_the_accounts_own_is_on_the_page_and_in_the_document() {
    let mut board = good();
    let clean = text(&shown(&board, ""));
    assert!(!clean.contains("BRAND"), "{clean}");
    let place = scope("default", "ap-singapore");
    let shared = (0..700).map(|n| (id(n), decision(Verdict::InSync)));
    let mut plan = plan(&place, shared);
    let odd = UndocumentedState {
        blueprint: "lhbp-1 is <b>BRAND_NEW</b>".into(),
        state: "BRAND_NEW".into(),
    };
    plan.undocumented_states.insert(id(1), odd);
    for n in 701..704 {
        let stray = Stray {
            blueprint: "lhbp-2".into(),
            ours: false,
        };
        plan.unmanaged.strays.insert(id(n), stray);
    }
    pass(&mut board, &plan, PassResult::Synced);
    let html = shown(&board, "");
    assert!(html.contains("is &lt;b&gt;BRAND_NEW"), "{html}");
    assert!(text(&html).contains(&place.to_string()));
    let document = document(&board, "");
    let warnings = &document["scopes"][0]["warnings"];
    assert_eq!(warnings.as_array().expect("a list").len(), 1);
    assert_eq!(document["scopes"][0]["strays"], 3);
    assert_eq!(document["scopes"][1]["warnings"], serde_json::json!([]));
}

#[test]
fn the_document_is_narrowed_by_its_query() {
    let board = bad();
    let wrong = document(&board, "only=wrong");
    let scopes = wrong["scopes"].as_array().unwrap();
    let images = scopes
        .iter()
        .flat_map(|scope| scope["images"].as_array().unwrap());
    assert!(images.clone().count() > 0);
    for image in images {
        assert_ne!(image["conditions"][0]["status"], "True");
    }
    let place = scope("default", "eu-frankfurt");
    let one = document(
        &board,
        "account=default&region=eu-frankfurt&image=img-00000007",
    );
    assert_eq!(one["scopes"].as_array().unwrap().len(), 1);
    assert_eq!(one["scopes"][0]["region"], place.region.as_str());
    assert_eq!(one["scopes"][0]["images"].as_array().unwrap().len(), 1);
    assert_eq!(one["expiring"].as_array().unwrap().len(), 1);
    assert_eq!(one["summary"]["images"], 400);
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
    let told: Vec<_> = listed
        .iter()
        .map(|it| (&it["image_id"], &it["verdict"]))
        .collect();
    assert_eq!(
        serde_json::to_value(told).expect("JSON"),
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
fn n10_the_document_has_each_cause_once_with_what_it_holds_up() {
    let mut board = board::empty();
    let regions = ["ap-tokyo", "ap-seoul", "eu-frankfurt"];
    for region in regions {
        let scope = scope("prod", region);
        board.add_scopes([&scope].into_iter());
        let why = Unobserved {
            code: Some("AuthFailure.SecretIdNotFound".into()),
            request_id: Some(format!("r-{region}")),
            account_broken: true,
            remedy: Some("check it".into()),
            ..Unobserved::new("AuthFailure.SecretIdNotFound: no (check it)")
        };
        let verdict = Verdict::Unobserved(Box::new(why.clone()));
        let unseen = Plan {
            view: sharekeeper::plan::View::Unobserved(why),
            ..plan(&scope, (0..20).map(|n| (id(n), decision(verdict.clone()))))
        };
        board.planned(&unseen, at(40));
    }
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
    assert_eq!(progress(&board), None, "the next pass has not looked yet");
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

/// A board of one account whose key was revoked: in each region 18 images to share and two to cancel.
fn revoked() -> Board {
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
        let images = (0..20).map(|n| match n {
            0..18 => (id(n), decision(verdict())),
            _ => (id(n), board::cancel(Cause::Declared, verdict())),
        });
        let unseen = Plan {
            view: sharekeeper::plan::View::Unobserved(why.clone()),
            ..plan(&place, images)
        };
        board.planned(&unseen, at(40));
    }
    board.with_run_settings(settings(Policy::DEFAULT))
}

#[test]
fn n10_the_page_says_each_cause_once_with_its_images_below_it() {
    let board = revoked();
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

#[test]
fn n12_many_regions_are_a_grid_of_signs_words_and_links() {
    let board = board::many(3, 20);
    let html = shown(&board, "");
    let grid = html
        .split("<section id=\"scopes\">")
        .nth(1)
        .expect("a grid");
    let grid = grid.split("</section>").next().expect("an end");
    assert_eq!(grid.matches("<li>").count(), 45);
    assert_eq!(grid.matches("<h3>").count(), 3);
    assert_eq!(
        grid.matches("aria-hidden=\"true\">").count(),
        45,
        "each has a sign"
    );
    for words in [
        "= ap-bangkok 20 in sync",
        "… ap-chengdu 20 pending",
        "! ap-hongkong 2 need a person",
    ] {
        assert!(text(grid).contains(words), "{words}: {}", text(grid));
    }
    assert!(grid.contains("<a href=\"?account=team-1&amp;region=ap-tokyo\""));
    // A few images are shown as a table, with the time of each observation and the activity.
    let html = shown(&board, "region=ap-tokyo");
    assert!(!html.contains("class=\"cells\"") && text(&html).contains("activity"));
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
