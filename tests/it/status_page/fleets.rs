//! Pages of many images, accounts and regions: they stay small and lead to each of them.

use super::*;

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
fn b3_a_page_of_3_000_scopes_sums_up_synced_and_shows_rest_first() {
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
fn b3_a_page_of_3_000_unobserved_scopes_is_small_and_links_to_each() {
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
