//! Tests that overload of the status port by many or slow readers does not disturb the engine, and that probes are
//! still answered.

use std::cell::Cell;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::future::join_all;
use sharekeeper::history::WriteResult;
use sharekeeper::host::{Clock, SystemClock};
use sharekeeper::model::{Monotonic, Timestamp};
use sharekeeper::serve::{CONNECTIONS_MAX, TRANSFERS_MAX, border};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Kept, body, bound, call, get, header, served, status};
use super::pass;
use crate::support::board::{self, Shown, StandStill, change, good};

/// Sends a request on an open connection and reads the whole reply.
async fn ask(kept: &mut Kept, path: &str, more: &str) -> (String, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    kept.0.write_all(request.as_bytes()).await.expect("sent");
    let head = kept.until("\r\n\r\n").await;
    let length = header(&head, "content-length").expect("a length");
    let mut bytes = vec![0; length.parse().expect("a number")];
    kept.0.read_exact(&mut bytes).await.expect("a whole body");
    (head, bytes)
}

/// Requests a document and reads only the head of the reply.
async fn ask_and_stop(address: SocketAddr, path: &str, more: &str) -> (Kept, String) {
    let mut kept = Kept::new(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    kept.0.write_all(request.as_bytes()).await.expect("sent");
    let head = kept.until("\r\n\r\n").await;
    (kept, head)
}

#[tokio::test(start_paused = true)]
async fn b3_repeated_requests_cost_one_snapshot_and_document_a_second() {
    let shown = Rc::new(Shown::new(good()));
    let (clock, bytes) = (SystemClock::start(), Cell::new(0_u32));
    served(&shown, None, |address| {
        let bytes = &bytes;
        async move {
            let reader = async || {
                let mut kept = Kept::new(address).await;
                for _ in 0..30 {
                    let (_, reply) = ask(&mut kept, "/status.json", "").await;
                    assert!(reply.ends_with(b"}\n"));
                    bytes.set(bytes.get() + u32::try_from(reply.len()).expect("few"));
                }
            };
            join_all((0..8).map(|_| reader())).await;
        }
    })
    .await;
    let seconds = clock.monotonic().since_start().as_secs_f64();
    let (snapshots, rendered) = (shown.snapshots.get() as f64, shown.rendered() as f64);
    assert!(snapshots <= seconds + 1.0, "{snapshots} in {seconds} s");
    assert!(rendered <= snapshots, "{rendered} of {snapshots}");
    let sent = f64::from(bytes.get()) / f64::from(64 << 20);
    assert!(sent > 2.0, "{sent}");
    assert!(
        seconds >= sent - 1.0,
        "sent at a pace: {sent} in {seconds} s"
    );
}

#[tokio::test(start_paused = true)]
async fn b3_of_constant_changes_the_engine_gives_one_snapshot_a_second() {
    let shown = Rc::new(Shown::new(good()));
    let clock = SystemClock::start();
    served(&shown, None, |address| {
        let (shown, clock) = (&shown, &clock);
        async move {
            let ends = clock.monotonic() + Duration::from_secs(10);
            let reader = async |path| {
                let (mut kept, mut count) = (Kept::new(address).await, 0);
                while clock.monotonic() < ends {
                    let asked_at_version = shown.board.borrow().version();
                    let (_, reply) = ask(&mut kept, path, "").await;
                    if path == "/status.json" {
                        let document: serde_json::Value =
                            serde_json::from_slice(&reply).expect("JSON");
                        let version = document["version"].as_u64().expect("a number");
                        assert!(
                            version >= asked_at_version,
                            "nothing older than the request"
                        );
                    }
                    count += 1;
                }
                count
            };
            let readers = join_all((0..8).map(|n| reader(["/status.json", "/"][n % 2])));
            let writer = async {
                while clock.monotonic() < ends {
                    shown.change(|board| board.answered(change(1, WriteResult::Applied)));
                    pass(Duration::from_millis(70)).await;
                }
            };
            let (counts, ()) = tokio::join!(readers, writer);
            assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
        }
    })
    .await;
    let seconds = usize::try_from(clock.monotonic().since_start().as_secs()).expect("few");
    let (snapshots, rendered) = (shown.snapshots.get(), shown.rendered());
    assert!(snapshots <= seconds + 2, "{snapshots} in {seconds} s");
    assert!(rendered <= 2 * snapshots, "{rendered} of {snapshots}");
}

#[tokio::test(start_paused = true)]
async fn b3_new_queries_are_rendered_at_a_pace_and_delay_no_plain_page() {
    let shown = Rc::new(Shown::new(good()));
    let clock = SystemClock::start();
    served(&shown, None, |address| {
        let clock = &clock;
        async move {
            let ends = clock.monotonic() + Duration::from_secs(5);
            let reader = async |n: usize| {
                let (mut kept, mut codes) = (Kept::new(address).await, Vec::new());
                while clock.monotonic() < ends {
                    let path = format!("/?q=reader-{n}-{}", codes.len());
                    let (head, _) = ask(&mut kept, &path, "").await;
                    if status(&head) == 503 {
                        assert_eq!(header(&head, "retry-after"), Some("10"));
                        pass(Duration::from_millis(10)).await;
                    }
                    codes.push(status(&head));
                }
                codes
            };
            let plain = async {
                while clock.monotonic() < ends {
                    assert_eq!(status(&get(address, "/").await), 200);
                    pass(Duration::from_millis(300)).await;
                }
            };
            let (codes, ()) = tokio::join!(join_all((0..20).map(reader)), plain);
            let codes = codes.concat();
            assert!(codes.contains(&200) && codes.contains(&503));
            assert!(codes.iter().all(|code| matches!(code, 200 | 503)));
        }
    })
    .await;
    let seconds = clock.monotonic().since_start().as_secs_f64();
    let rendered = shown.rendered() as f64;
    assert!(
        rendered <= seconds * 20.0 + 2.0,
        "{rendered} in {seconds} s"
    );
    assert!(rendered > 20.0, "{rendered}: others are served meanwhile");
}

#[tokio::test(start_paused = true)]
async fn b3_an_engine_that_hangs_is_reported_beside_the_last_snapshot() {
    let shown = Shown::new(good());
    let (port, address) = bound(None);
    let (engine, its_port) = border(StandStill::start());
    let test = async {
        assert_eq!(status(&get(address, "/healthz").await), 200);
        // The engine does not feed the port yet.
        let reply = get(address, "/").await;
        assert_eq!(
            (status(&reply), header(&reply, "retry-after")),
            (503, Some("10"))
        );
        pass(Duration::from_secs(31)).await;
        for path in ["/healthz", "/readyz"] {
            let reply = get(address, path).await;
            assert_eq!(status(&reply), 503, "{path}");
            let words = "sharekeeper has been stuck for ";
            assert!(body(&reply).starts_with(words), "{}", body(&reply));
        }
        let mut feed = Box::pin(engine.feed(&shown));
        let page = tokio::select! {
            never = &mut feed => match never {},
            page = async {
                assert_eq!(status(&get(address, "/healthz").await), 200);
                get(address, "/").await
            } => page,
        };
        assert_eq!(status(&page), 200);
        // From here on, the engine makes no progress.
        let version = shown.board.borrow().version();
        shown.change(|board| board.answered(change(1, WriteResult::Applied)));
        pass(Duration::from_secs(5)).await;
        let again = get(address, "/").await;
        assert_eq!(status(&again), 200);
        assert!(again.contains(&format!("data-version=\"{version}\"")));
        assert_eq!(status(&get(address, "/healthz").await), 200, "for a while");
        pass(Duration::from_secs(31)).await;
        assert_eq!(status(&get(address, "/healthz").await), 503);
        drop(feed);
    };
    tokio::select! {
        served = port.serve(its_port) => panic!("{served:?}"),
        () = test => {}
    }
}

#[tokio::test(start_paused = true)]
async fn b3_a_probe_asks_the_engine_for_nothing() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        for path in ["/healthz", "/readyz"].repeat(20) {
            assert_eq!(status(&get(address, path).await), 200, "{path}");
        }
    })
    .await;
    assert_eq!((shown.snapshots.get(), shown.rendered()), (0, 0));
}

/// Sends a request from a separate thread and blocks until the answer arrives.
fn ask_blocking(address: SocketAddr, path: &str) -> String {
    use std::io::Write;
    let path = path.to_owned();
    let asked = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        reply
    });
    asked.join().expect("no fault")
}

#[tokio::test]
async fn b3_the_port_answers_while_the_engines_thread_is_busy_and_ends_with_it() {
    let (port, address) = bound(None);
    let (engine, its_port) = border(StandStill::start());
    let thread = port.spawn(its_port).expect("a thread");
    // The test runs on the thread of the engine. Here this thread is blocked until the answer arrives.
    for path in ["/healthz", "/page.css"] {
        assert_eq!(status(&ask_blocking(address, path)), 200, "{path}");
    }
    let shown = Shown::new(good());
    tokio::select! {
        never = engine.feed(&shown) => match never {},
        page = get(address, "/") => assert_eq!(status(&page), 200),
    }
    // The feed was dropped, and the engine's end of the channel with it.
    assert!(thread.ended().await, "in good order");
    let late = TcpStream::connect(address).await;
    assert_eq!(
        late.expect_err("nobody").kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

/// A clock that panics on the thread of the port as soon as the flag is set.
struct Faulty(StandStill, Arc<AtomicBool>);

impl Clock for Faulty {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Monotonic {
        let is_port = std::thread::current().name() == Some("status-port");
        assert!(
            !is_port || !self.1.load(Ordering::Relaxed),
            "a fault, as asked for"
        );
        self.0.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.0.sleep_until(at)
    }
}

#[tokio::test]
async fn b3_a_fault_on_the_ports_thread_ends_the_port_and_not_the_work() {
    let (port, address) = bound(None);
    let is_faulty = Arc::new(AtomicBool::new(false));
    let (engine, its_port) = border(Faulty(StandStill::start(), Arc::clone(&is_faulty)));
    let thread = port.spawn(its_port).expect("a thread");
    let shown = Shown::new(good());
    let test = async {
        assert_eq!(status(&get(address, "/").await), 200);
        is_faulty.store(true, Ordering::Relaxed);
        let _cut_off = TcpStream::connect(address).await.expect("a connection");
        assert!(!thread.ended().await, "by a fault");
        for n in 0..3 {
            shown.change(|board| board.answered(change(n, WriteResult::Applied)));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        never = engine.feed(&shown) => match never {},
        () = test => {}
    }
}

#[tokio::test]
async fn b4_documents_are_packed_for_who_accepts_it() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        let mut kept = Kept::new(address).await;
        for path in ["/", "/status.json", "/metrics"] {
            let (head, plain) = ask(&mut kept, path, "Accept-Encoding: gzip;q=0, br\r\n").await;
            assert_eq!(header(&head, "content-encoding"), None, "{path}");
            assert_eq!(header(&head, "vary"), Some("Accept-Encoding"), "{path}");
            let (head, packed) = ask(&mut kept, path, "Accept-Encoding: br, gzip\r\n").await;
            assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{path}");
            assert_eq!(header(&head, "vary"), Some("Accept-Encoding"), "{path}");
            let mut unpacked = Vec::new();
            let mut decoder = GzDecoder::new(&*packed);
            decoder.read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, plain, "{path}");
            assert!(
                path == "/metrics" || packed.len() * 5 < plain.len(),
                "{path}"
            );
            let accepts = "Accept-Encoding: gzip\r\n";
            let head = call(address, "HEAD", path, "localhost", accepts).await;
            assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{path}");
            let length = packed.len().to_string();
            assert_eq!(header(&head, "content-length"), Some(&*length), "{path}");
        }
        let (head, _) = ask(&mut kept, "/page.js", "Accept-Encoding: gzip\r\n").await;
        assert_eq!(header(&head, "content-encoding"), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b4_who_takes_nothing_is_cut_off_and_holds_up_nobody_meanwhile() {
    let shown = Rc::new(Shown::new(board::huge()));
    served(&shown, None, |address| async move {
        let (mut slow, head) = ask_and_stop(address, "/status.json", "").await;
        assert_eq!(status(&head), 200);
        assert_eq!(status(&get(address, "/healthz").await), 200);
        pass(Duration::from_secs(14)).await;
        // The server does not cut off a reader that makes slow progress.
        for seconds in [14, 16] {
            let mut some = vec![0; 4 << 20];
            // Simulated time goes on whenever nothing is ready, even while the bytes are on their way.
            tokio::time::resume();
            slow.0
                .read_exact(&mut some)
                .await
                .expect("it is still sent");
            tokio::time::pause();
            pass(Duration::from_secs(seconds)).await;
        }
        let mut rest = Vec::new();
        let ended = slow.0.read_to_end(&mut rest).await;
        let whole = rest.ends_with(b"}\n");
        assert!(ended.is_err() || !whole, "cut off");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b4_slow_readers_hold_so_many_bytes_and_no_more() {
    let shown = Rc::new(Shown::new(board::huge()));
    served(&shown, None, |address| {
        let shown = &shown;
        async move {
            // All readers share the same bytes.
            let mut slow =
                join_all((0..20).map(|_| ask_and_stop(address, "/status.json", ""))).await;
            assert_eq!(shown.rendered(), 1);
            let length = header(&slow[0].1, "content-length").expect("a length");
            let length: usize = length.parse().expect("a number");
            let mut refused = 0;
            for _ in 0..6 {
                shown.change(|board| board.answered(change(1, WriteResult::Applied)));
                pass(Duration::from_millis(1_100)).await;
                let (kept, head) = ask_and_stop(address, "/status.json", "").await;
                if status(&head) == 503 {
                    assert_eq!(header(&head, "retry-after"), Some("10"));
                    refused += 1;
                }
                slow.push((kept, head));
            }
            let held = (6 - refused + 1) * length;
            assert!(held < (24 << 20) + length, "{held} of {length} each");
            assert!(refused > 0);
            // Cheap requests of other readers are not refused.
            let packed = "Accept-Encoding: gzip\r\n";
            let (_, head) = ask_and_stop(address, "/status.json", packed).await;
            assert_eq!(status(&head), 200);
            for path in ["/", "/metrics", "/healthz"] {
                assert_eq!(status(&get(address, path).await), 200, "{path}");
            }
            // After the slow readers are cut off, there is room again.
            drop(slow);
            pass(Duration::from_secs(16)).await;
            shown.change(|board| board.answered(change(1, WriteResult::Applied)));
            pass(Duration::from_millis(1_100)).await;
            let (_, head) = ask_and_stop(address, "/status.json", "").await;
            assert_eq!(status(&head), 200);
        }
    })
    .await;
}

/// The status of a probe, and the time that it took.
async fn probe(address: SocketAddr) -> (u16, Duration) {
    let clock = SystemClock::start();
    let reply = get(address, "/healthz").await;
    (status(&reply), clock.monotonic().since_start())
}

#[tokio::test(start_paused = true)]
async fn b8_probes_are_answered_at_once_beside_idle_connections() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        for sent in [
            "",
            "GET / HTTP/1.1\r\nHost: local",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] {
            let mut idle = Vec::new();
            for _ in 0..4 * CONNECTIONS_MAX {
                let mut one = TcpStream::connect(address).await.expect("a connection");
                // The server may have closed the connection already.
                let _ = one.write_all(sent.as_bytes()).await;
                idle.push(one);
            }
            for _ in 0..3 {
                let (code, took) = probe(address).await;
                assert_eq!(code, 200);
                assert!(took < Duration::from_secs(1), "{took:?}: {sent}");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b8_who_is_idle_makes_room_and_who_is_answered_does_not() {
    let shown = Rc::new(Shown::new(good()));
    served(&shown, None, |address| async move {
        let mut idle = Kept::new(address).await;
        idle.ask("/healthz").await;
        idle.until("ok\n").await;
        let mut stream = Kept::new(address).await;
        stream.ask("/events").await;
        stream.until("\n\n").await;
        let mut others = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut one = Kept::new(address).await;
            one.ask("/healthz").await;
            one.until("ok\n").await;
            others.push(one);
        }
        let mut last = others.pop().expect("many");
        last.ask("/healthz").await;
        last.until("ok\n").await;
        let mut rest = Vec::new();
        let _ = idle.0.read_to_end(&mut rest).await;
        assert_eq!(rest, b"", "the first that was idle is gone");
        stream.until(":\n\n").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b8_probes_are_answered_while_as_much_is_carried_as_may_be() {
    let shown = Rc::new(Shown::new(board::huge()));
    served(&shown, None, |address| async move {
        let mut carried = Vec::new();
        for _ in 0..TRANSFERS_MAX / 2 {
            let mut stream = Kept::new(address).await;
            stream.ask("/events").await;
            stream.until("\n\n").await;
            carried.push(stream);
            let (slow, head) = ask_and_stop(address, "/status.json", "").await;
            assert_eq!(status(&head), 200);
            carried.push(slow);
        }
        let reply = get(address, "/").await;
        assert_eq!(
            (status(&reply), header(&reply, "retry-after")),
            (503, Some("10"))
        );
        // These are streams that reconnect repeatedly, and connections that send no request.
        let mut more = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            let mut stream = Kept::new(address).await;
            stream.ask("/events").await;
            assert_eq!(status(&stream.until("\r\n\r\n").await), 503);
            more.push(stream);
            more.push(Kept::new(address).await);
            let (code, took) = probe(address).await;
            assert_eq!(code, 200);
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        // No connection that was already served was cut off in favour of these.
        carried[0].until("\n\n").await;
    })
    .await;
}
