//! The status page in a real browser: how it looks, that it keeps itself up to date, and that nothing runs in it but its
//! own script.

mod board;
mod chromium;

use std::net::Ipv4Addr;
use std::rc::Rc;

use board::{Shown, bad, change, hostile, huge};
use chromium::Browser;
use serde_json::json;
use sharekeeper::history::WriteResult;
use sharekeeper::model::Scope;
use sharekeeper::serve::{Settings, StatusServer};
use sharekeeper::status::Board;

/// Contrast that WCAG 2 asks of text (level AA), for each piece of text on the page; what falls short of it.
const TOO_FAINT: &str = r#"(() => {
    const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (at) => {
        for (; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    let looked = 0;
    while (texts.nextNode()) {
        const text = texts.currentNode, at = text.parentElement;
        if (!text.data.trim() || !at.checkVisibility()) continue;
        looked += 1;
        const [a, b] = [light(parse(getComputedStyle(at).color)), light(ground(at))].sort((a, b) => b - a);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) faint.push(text.data.trim() + " " + ratio);
    }
    return looked > 50 ? faint : ["only " + looked + " texts"];
})()"#;

/// What is wider than its place, so that one would have to scroll sideways.
const STICKS_OUT: &str = r#"(() => {
    const wide = (at) => at.scrollWidth > at.clientWidth;
    const outside = (at) => at.getBoundingClientRect().right > document.documentElement.clientWidth;
    const culprits = wide(document.documentElement) ? [...document.querySelectorAll("body *")].filter(outside) : [];
    const tables = [...document.querySelectorAll(".scroll")].filter(wide);
    return [...culprits, ...tables].map((at) => at.outerHTML.slice(0, 300));
})()"#;

fn port() -> (StatusServer, String) {
    let settings = Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        hosts: Vec::new(),
        token: None,
    };
    let port = StatusServer::bind(settings).expect("a port");
    let url = format!("http://{}/", port.address());
    (port, url)
}

/// Serves a board to a browser while `test` runs; `false` where there is no browser.
async fn browsed(board: Board, test: impl AsyncFnOnce(&mut Browser, &str, &Shown)) {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let shown = Rc::new(Shown::new(board));
    let (port, url) = port();
    tokio::select! {
        never = shown.serve(port) => match never {},
        () = test(&mut browser, &url, &shown) => {}
    }
    // The server is gone, and the page says so.
    browser
        .until("document.querySelector('#live').textContent.startsWith('○ not connected')")
        .await;
    browser.end().await;
}

const LIVE: &str = "document.querySelector('#live').textContent === '● live'";

#[tokio::test]
async fn the_page_can_be_read_by_day_by_night_on_a_telephone_and_on_a_wall() {
    for board in [bad, huge] {
        browsed(board(), async |browser, url, _| {
            let mut grounds = Vec::new();
            for (width, scheme) in [
                (1_600, "light"),
                (1_600, "dark"),
                (360, "light"),
                (360, "dark"),
            ] {
                browser.appear(width, scheme).await;
                browser.open(url).await;
                browser.until(LIVE).await;
                let heading = browser
                    .evaluate("document.querySelector('h1').innerText")
                    .await;
                assert!(
                    heading
                        .as_str()
                        .is_some_and(|h| h.ends_with("images need a person"))
                );
                assert_eq!(
                    browser.evaluate(TOO_FAINT).await,
                    json!([]),
                    "{width} {scheme}"
                );
                assert_eq!(
                    browser.evaluate(STICKS_OUT).await,
                    json!([]),
                    "{width} {scheme}"
                );
                let ground = "getComputedStyle(document.body).backgroundColor";
                grounds.push(browser.evaluate(ground).await);
            }
            assert_ne!(grounds[0], grounds[1]);
            assert_eq!(browser.complaints().await, [""; 0]);
        })
        .await;
    }
}

#[tokio::test]
async fn a_change_shows_by_itself_and_takes_nothing_from_who_reads() {
    browsed(bad(), async |browser, url, shown| {
        browser.appear(1_600, "light").await;
        browser.open(url).await;
        browser.until(LIVE).await;
        let prepare = "
            document.querySelector('#q').value = 'half a wo';
            document.querySelector('#older-changes').open = true;
            document.querySelector('tbody a[href*=eu-frankfurt]').focus();
            scrollTo(0, 500);
            window.before = document.querySelector('main');
            [scrollY, document.querySelector('main').innerText.includes('RequestId of-the-change')]";
        assert_eq!(browser.evaluate(prepare).await, json!([500, false]));
        shown.change(|board| {
            let mut change = change(7, WriteResult::Rejected);
            change.request_id = Some("of-the-change".into());
            board.answered(change);
        });
        browser.until("document.querySelector('main').innerText.includes('RequestId of-the-change')").await;
        let after = "[
            document.querySelector('main') !== window.before,
            document.querySelector('#q').value,
            document.querySelector('#older-changes').open,
            document.activeElement.getAttribute('href'),
            scrollY,
            document.querySelector('#live').textContent,
        ]";
        let link = "?account=default&region=eu-frankfurt";
        assert_eq!(
            browser.evaluate(after).await,
            json!([true, "half a wo", true, link, 500, "● live"])
        );
        // The headline and the title follow, too.
        let is_kept = |scope: &Scope| scope.region.as_str() == "eu-frankfurt";
        shown.change(|board| drop(board.retain_scopes(is_kept, board::now())));
        shown.change(|board| board::load(board, "3f786850", 400, board::now()));
        browser.until("document.title === '= All 400 images are as desired · sharekeeper'").await;
        assert_eq!(browser.complaints().await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn o7_o4_nothing_runs_in_the_page_but_its_own_script() {
    let evil = "\"'></td></main><script>window.ran=1</script><img src=x onerror='window.ran=1'><svg onload=window.ran=1>";
    browsed(hostile(evil), async |browser, url, _| {
        for query in [
            "",
            "?show=all",
            "?q=%3Cscript%3Ewindow.ran%3D1%3C/script%3E",
        ] {
            browser.open(&format!("{url}{query}")).await;
            browser.until(LIVE).await;
            let foreign =
                "[window.ran === undefined, document.querySelectorAll('script, img, svg').length]";
            assert_eq!(browser.evaluate(foreign).await, json!([true, 1]), "{query}");
        }
        assert_eq!(browser.complaints().await, [""; 0]);
        // If something got in after all, the policy would stop it.
        let inject = "
            const script = document.createElement('script');
            script.textContent = 'window.ran = 1';
            document.body.append(script);
            window.ran === undefined";
        assert_eq!(browser.evaluate(inject).await, true);
        let complaints = browser.complaints().await;
        assert!(
            complaints
                .iter()
                .any(|said| said.contains("Content Security Policy")),
            "{complaints:?}"
        );
    })
    .await;
}
