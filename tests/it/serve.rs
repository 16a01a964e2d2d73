//! Tests the status server over loopback sockets: who may connect, for how long, and how many requests at a
//! time.

use crate::support::board;
mod client;
mod load;

use std::rc::Rc;
use std::time::Duration;

use crate::support::board::{Shown, bad, change, good};
use client::{Kept, body, call, exchange, get, header, served, status};
use sharekeeper::history::WriteResult;
use sharekeeper::host::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOKEN: &str = "correct-horse-battery";

#[tokio::test]
async fn each_route_answers_with_its_kind_and_head_without_a_body() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        for (path, kind, part) in [
            (
                "/",
                "text/html; charset=utf-8",
                "All 1,204 shares of 804 images are as desired",
            ),
            (
                "/?show=all&utm=x",
                "text/html; charset=utf-8",
                "img-00000000",
            ),
            ("/status.json", "application/json", "\"format_version\":1"),
            (
                "/metrics",
                "text/plain; version=0.0.4; charset=utf-8",
                "sharekeeper_build_info 1",
            ),
            ("/healthz", "text/plain; charset=utf-8", "ok"),
            ("/readyz", "text/plain; charset=utf-8", "ok"),
            (
                "/page.css",
                "text/css; charset=utf-8",
                "prefers-color-scheme",
            ),
            ("/page.js", "text/javascript; charset=utf-8", "EventSource"),
            ("/icon.svg", "image/svg+xml", "<svg"),
        ] {
            let reply = get(address, path).await;
            assert_eq!(status(&reply), 200, "{path}");
            assert_eq!(header(&reply, "content-type"), Some(kind), "{path}");
            assert!(body(&reply).contains(part), "{path}");
            let head = call(address, "HEAD", path, "localhost", "").await;
            assert_eq!((status(&head), body(&head)), (200, ""), "{path}");
            let length = |reply: &str| header(reply, "content-length").map(str::to_owned);
            assert_eq!(length(&head), length(&reply), "{path}");
        }
        let head = call(address, "HEAD", "/events", "localhost", "").await;
        assert_eq!((status(&head), body(&head)), (200, ""));
        for path in [
            "/nothing",
            "//",
            "/status.json/",
            "/../etc/passwd",
            "/page.css.map",
        ] {
            assert_eq!(status(&get(address, path).await), 404, "{path}");
        }
        let reply = get(address, "/?region=mars").await;
        assert_eq!(status(&reply), 400);
        assert!(body(&reply).starts_with("`region` cannot be `mars`: give a region"));
    })
    .await;
}

/// Lets simulated time pass.
async fn pass(time: Duration) {
    let clock = SystemClock::start();
    clock.sleep_until(clock.monotonic() + time).await;
}

#[tokio::test(start_paused = true)]
async fn health_is_reported_with_its_reasons() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| {
        let shown = Rc::clone(&shown);
        async move {
            shown.health.borrow_mut().ready = Err(vec!["not seen\nyet".into(), "broken".into()]);
            pass(Duration::from_secs(6)).await;
            let reply = get(address, "/readyz").await;
            assert_eq!(
                (status(&reply), body(&reply)),
                (503, "not seen yet\nbroken\n")
            );
            assert_eq!(status(&get(address, "/healthz").await), 200);
            shown.health.borrow_mut().alive = Err("stuck".into());
            pass(Duration::from_secs(6)).await;
            let reply = get(address, "/healthz").await;
            assert_eq!((status(&reply), body(&reply)), (503, "stuck\n"));
            let many = (0..4_500).map(|n| format!("scope {n}: not observed yet"));
            shown.health.borrow_mut().ready = Err(many.collect());
            pass(Duration::from_secs(6)).await;
            let reply = get(address, "/readyz").await;
            assert_eq!(body(&reply).lines().count(), 101);
            assert!(body(&reply).ends_with("and 4400 more\n"));
        }
    })
    .await;
}

#[tokio::test]
async fn o4_s23_no_page_of_somebody_else_gets_in_frames_us_or_changes_anything() {
    let shown = Rc::new(Shown::new(bad()));
    served(&shown, None, |address| {
        let shown = Rc::clone(&shown);
        async move {
            let version = shown.board.borrow().version();
            for host in ["evil.example", "evil.example:80", "10.0.0.1", ""] {
                for path in ["/", "/healthz", "/status.json", "/events", "/nothing"] {
                    let reply = call(address, "GET", path, host, "").await;
                    assert_eq!(status(&reply), 421, "{host} {path}");
                }
            }
            let reply = exchange(address, "GET / HTTP/1.0\r\n\r\n").await;
            assert_eq!(status(&reply), 421, "no Host");
            for host in [&*address.to_string(), "localhost:1", "a.localhost", "STATUS.example.com"] {
                assert_eq!(status(&call(address, "GET", "/", host, "").await), 200, "{host}");
            }
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"] {
                let more = "Origin: https://evil.example\r\nContent-Length: 0\r\n";
                let reply = call(address, method, "/", "localhost", more).await;
                assert_eq!(status(&reply), 405, "{method}");
                assert_eq!(header(&reply, "allow"), Some("GET, HEAD"));
            }
            for (path, host) in [("/", "localhost"), ("/page.js", "localhost"), ("/x", "localhost"), ("/", "evil.example")] {
                let reply = call(address, "GET", path, host, "Origin: https://evil.example\r\n").await;
                assert_eq!(header(&reply, "content-security-policy"), Some("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"));
                assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
                assert_eq!(header(&reply, "referrer-policy"), Some("no-referrer"));
                assert_eq!(header(&reply, "cross-origin-resource-policy"), Some("same-origin"));
                assert_eq!(header(&reply, "cache-control"), Some("no-store"));
                let head = reply.split("\r\n\r\n").next().expect("headers").to_lowercase();
                assert!(!head.contains("access-control-") && !head.contains("set-cookie"), "{head}");
            }
            assert_eq!(shown.board.borrow().version(), version);
        }
    })
    .await;
}

#[tokio::test]
async fn o5_with_a_token_only_who_has_it_reads_and_health_is_open() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, Some(TOKEN), |address| async move {
        for path in [
            "/",
            "/status.json",
            "/metrics",
            "/events",
            "/page.js",
            "/nothing",
        ] {
            for wrong in ["", "Authorization: Bearer wrong\r\n"] {
                let reply = call(address, "GET", path, "localhost", wrong).await;
                assert_eq!(status(&reply), 401, "{path}");
                let asks = header(&reply, "www-authenticate").expect("a challenge");
                assert!(asks.starts_with("Basic "), "{asks}");
                assert!(!reply.contains(TOKEN));
            }
        }
        for path in ["/healthz", "/readyz"] {
            assert_eq!(status(&get(address, path).await), 200, "{path}");
        }
        let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
        let reply = call(address, "GET", "/", "localhost", &bearer).await;
        assert_eq!(status(&reply), 200);
        // The header has `me:` and the token in Base64, as a browser sends it.
        let basic = "Authorization: Basic bWU6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5\r\n";
        assert_eq!(
            status(&call(address, "GET", "/", "localhost", basic).await),
            200
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn o6_who_does_not_finish_a_request_or_sends_no_next_one_is_cut_off() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        for sent in ["", "GET / HTTP/1.1\r\nHost: local"] {
            // Without a time limit this would wait forever. The paused clock advances only while every task is
            // idle.
            assert_eq!(exchange(address, sent).await, "", "{sent}");
        }
        let reply = exchange(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(
            status(&reply),
            200,
            "answered, and then closed for want of another"
        );
    })
    .await;
}

#[tokio::test]
async fn o6_large_headers_are_refused() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        let large = format!("X-Large: {}\r\n", "x".repeat(8_192));
        assert_eq!(
            status(&call(address, "GET", "/healthz", "localhost", &large).await),
            431
        );
        let many = "X: y\r\n".repeat(200);
        assert_eq!(
            status(&call(address, "GET", "/healthz", "localhost", &many).await),
            431
        );
        let fits = format!("X-Large: {}\r\n", "x".repeat(7_000));
        assert_eq!(
            status(&call(address, "GET", "/healthz", "localhost", &fits).await),
            200
        );
    })
    .await;
}

#[tokio::test]
async fn o6_event_streams_leave_room_for_everything_else() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        let mut streams = Vec::new();
        for _ in 0..32 {
            let mut one = Kept::new(address).await;
            one.ask("/events").await;
            one.until("\n\n").await;
            streams.push(one);
        }
        let reply = get(address, "/events").await;
        assert_eq!(status(&reply), 503);
        assert_eq!(header(&reply, "retry-after"), Some("10"));
        assert_eq!(status(&get(address, "/").await), 200);
        streams.pop();
        // The server only notices that a client has gone when it uses that connection again, so that the test
        // repeats its request.
        loop {
            let mut one = Kept::new(address).await;
            one.ask("/events").await;
            if status(&one.until("\r\n\r\n").await) == 200 {
                break;
            }
        }
    })
    .await;
}

/// Reads the next event without the chunk framing of a body of unknown length.
async fn event(stream: &mut Kept) -> String {
    loop {
        let frame = stream.until("\n\n").await;
        let start = frame.find("event:").or_else(|| frame.find(':'));
        if let Some(start) = start {
            return frame[start..].trim_end().to_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_sent_at_once_at_most_once_a_second_with_heartbeats() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| {
        let shown = Rc::clone(&shown);
        async move {
            let event_of = |version: u64| format!("event: changed\ndata: {version}");
            let version = || shown.board.borrow().version();
            let mut stream = Kept::new(address).await;
            stream.ask("/events").await;
            let head = stream.until("\r\n\r\n").await;
            assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
            assert_eq!(
                event(&mut stream).await,
                event_of(version()),
                "where it stands"
            );
            assert_eq!(event(&mut stream).await, ":", "nothing is new");
            for n in 0..3 {
                shown.change(|board| board.answered(change(n, WriteResult::Applied)));
            }
            assert_eq!(
                event(&mut stream).await,
                event_of(version()),
                "all of it in one"
            );
            shown.change(|board| drop(board.retain_scopes(|_| true, board::now())));
            let clock = SystemClock::start();
            assert_eq!(event(&mut stream).await, event_of(version()));
            let waited = clock.monotonic().since_start();
            assert!(
                waited > Duration::from_millis(900),
                "simulated: a second between two"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn o6_an_event_stream_ends_after_a_while_and_the_page_asks_for_another() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        let mut stream = Kept::new(address).await;
        stream.ask("/events").await;
        let mut all = Vec::new();
        stream.0.read_to_end(&mut all).await.expect("an end");
        let text = String::from_utf8(all).expect("text");
        assert!(text.ends_with("0\r\n\r\n"), "in good order: {text}");
        assert!(text.matches(":\n\n").count() > 50, "it lasted");
    })
    .await;
}

#[tokio::test]
async fn a_fault_in_what_is_shown_ends_its_connection_only() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| {
        let shown = Rc::clone(&shown);
        async move {
            shown.faulty.set(true);
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request).await.expect("sent");
            let mut reply = Vec::new();
            // The connection is cut off; the operating system may report this as an error or as the end of the
            // data.
            let _ = stream.read_to_end(&mut reply).await;
            assert_eq!(reply, b"");
            assert_eq!(status(&get(address, "/healthz").await), 200);
            assert_eq!(status(&get(address, "/").await), 200);
        }
    })
    .await;
}
