//! The status page in a real browser: how it looks, that it updates itself, and that only its own script runs in it.

use crate::support::board;

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use crate::support::board::{Shown, bad, change, good, hostile, huge, many, wordy};
use crate::support::chromium::Browser;
use serde_json::json;
use sharekeeper::history::WriteResult;
use sharekeeper::model::Scope;
use sharekeeper::plan::Policy;
use sharekeeper::serve::{Settings, StatusServer};
use sharekeeper::status::{Board, RunSettings};

/// JavaScript that finds each text on the page whose contrast is lower than WCAG 2 requires at level AA.
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
    let checked = 0;
    while (texts.nextNode()) {
        const text = texts.currentNode, at = text.parentElement;
        if (!text.data.trim() || !at.checkVisibility()) continue;
        checked += 1;
        const [a, b] = [light(parse(getComputedStyle(at).color)), light(ground(at))].sort((a, b) => b - a);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) faint.push(text.data.trim() + " " + ratio);
    }
    return checked > 50 ? faint : ["only " + checked + " texts"];
})()"#;

/// JavaScript that finds the elements that are wider than their place, so that a reader has to scroll sideways.
const STICKS_OUT: &str = r#"(() => {
    const wide = (at) => at.scrollWidth > at.clientWidth;
    const outside = (at) => at.getBoundingClientRect().right > document.documentElement.clientWidth;
    const culprits = wide(document.documentElement) ? [...document.querySelectorAll("body *")].filter(outside) : [];
    const tables = [...document.querySelectorAll(".scroll")].filter(wide);
    return [...culprits, ...tables].map((at) => at.outerHTML.slice(0, 300));
})()"#;

/// JavaScript that finds what is too narrow: columns and values with room for less than twelve characters, rows that are
/// high because a column is narrow, and activities that do not fit on one line.
const CRAMPED: &str = r#"(() => {
    const probe = document.createElement("span");
    probe.textContent = "0".repeat(100);
    probe.style.position = "absolute";
    document.body.append(probe);
    const ch = probe.getBoundingClientRect().width / 100;
    probe.remove();
    const found = [];
    const said = (what, at, size) => found.push(what + " " + Math.round(size) + ": " + at.outerHTML.slice(0, 200));
    for (const cell of document.querySelectorAll("th, td")) {
        const box = cell.getBoundingClientRect(), style = getComputedStyle(cell);
        if (!cell.checkVisibility() || cell.closest("thead") && style.display === "block") continue;
        const room = style.display === "block" ? box.width - parseFloat(style.paddingLeft) : box.width;
        if (room < 12 * ch && box.width > 1) said("narrow", cell, room / ch);
    }
    for (const row of document.querySelectorAll("tr")) {
        if (getComputedStyle(row).display !== "table-row") continue;
        const height = row.getBoundingClientRect().height;
        if (height > 240) said("high", row, height);
    }
    let checked = 0;
    for (const doing of document.querySelectorAll(".doing")) {
        checked += 1;
        const lines = doing.getBoundingClientRect().height / parseFloat(getComputedStyle(doing).lineHeight);
        if (lines > 1.2) said("lines", doing, lines);
        const cell = doing.closest("td").getBoundingClientRect();
        if (doing.getBoundingClientRect().right > cell.right) said("cut off", doing, cell.right);
    }
    for (const cell of document.querySelectorAll(".cells a")) {
        checked += 1;
        if (cell.getBoundingClientRect().width < 12 * ch) said("narrow", cell, cell.getBoundingClientRect().width / ch);
    }
    return checked ? found : ["nothing was checked"];
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

/// Serves a board to a browser while `test` runs. Does nothing where there is no browser.
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
    // The server is gone. The page must say so, with a time in UTC like every other time on the page.
    browser
        .until("/^○ not connected; shown as of \\d\\d:\\d\\d:\\d\\d UTC$/.test(document.querySelector('#live').textContent)")
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
async fn n12_nothing_is_cramped_or_sticks_out_at_any_width() {
    let evil = "<b>".repeat(20);
    for board in [good(), bad(), many(3, 500), wordy(), hostile(&evil)] {
        browsed(board, async |browser, url, _| {
            for width in [360, 480, 600, 768, 832, 900, 1_000, 1_100, 1_280, 1_600, 2_560] {
                browser.appear(width, "light").await;
                for query in ["", "?show=all", "?image=img-00000001"] {
                    browser.open(&format!("{url}{query}")).await;
                    browser.until(LIVE).await;
                    let open = "document.querySelectorAll('details').forEach((one) => { one.open = true; })";
                    browser.evaluate(open).await;
                    for measure in [STICKS_OUT, CRAMPED] {
                        assert_eq!(browser.evaluate(measure).await, json!([]), "{width} {query}");
                    }
                }
            }
            assert_eq!(browser.complaints().await, [""; 0]);
        })
        .await;
    }
}

#[tokio::test]
async fn n2_a_command_can_be_copied_and_times_are_utc() {
    let settings = RunSettings {
        policy: Policy::DEFAULT,
        state_dir: Some("/var/lib/sharekeeper".into()),
        manifests: vec!["/etc/manifests".into()],
        uses_sim: false,
        endpoint: None,
        pid: 4_711,
    };
    let board = bad().with_run_settings(Arc::new(settings));
    browsed(board, async |browser, url, shown| {
        browser.appear(1_280, "light").await;
        browser.open(url).await;
        browser.until(LIVE).await;
        let counts = "[document.querySelectorAll('.command button').length > 0,
            document.querySelectorAll('.command button').length === document.querySelectorAll('.command code').length]";
        assert_eq!(browser.evaluate(counts).await, json!([true, true]));
        browser.evaluate("document.querySelector('.command button').focus()").await;
        shown.change(|board| board.answered(change(7, WriteResult::Applied)));
        let version = shown.board.borrow().version();
        browser.until(&format!("document.querySelector('main').dataset.version === '{version}'")).await;
        let kept = "document.activeElement.textContent + document.querySelectorAll('.command button').length";
        let buttons = "'Copy' + document.querySelectorAll('.command code').length";
        assert_eq!(browser.evaluate(kept).await, browser.evaluate(buttons).await);
        // The button copies the command. Where the browser forbids that, it selects the command for a copy by hand.
        browser.evaluate("document.activeElement.click()").await;
        browser
            .evaluate("new Promise((done) => { const look = () => document.activeElement.textContent === 'Copied'
                || String(getSelection()).startsWith('sharekeeper') ? done() : requestAnimationFrame(look); look(); })")
            .await;
        assert_eq!(browser.complaints().await, [""; 0]);
    })
    .await;
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
        // The headline and the title change too.
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
        // If a foreign script got into the page after all, the policy would stop it.
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
