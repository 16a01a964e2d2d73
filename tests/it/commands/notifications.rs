//! Tests which messages a webhook receives from a daemon that is killed and started again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::TOKYO;
use super::sim_beside::Daemon;
use crate::support::binary::Bench;

/// This is longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts a webhook receiver on loopback that accepts everything. The channel gets the kinds of the transitions in
/// each message.
fn receiver() -> (u16, Receiver<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let document = take(&mut stream.expect("a client"));
            let transitions = document["transitions"].as_array().expect("a list").iter();
            let kind =
                |transition: &Value| transition["kind"].as_str().unwrap_or("none").to_owned();
            // The test may have ended, and then nobody receives.
            let _ = heard.send(transitions.map(kind).collect());
        }
    });
    (port, hears)
}

/// Reads the document of one request and answers the request.
fn take(stream: &mut TcpStream) -> Value {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).expect("a request");
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(document) = serde_json::from_str(body)
        {
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).expect("answered");
            return document;
        }
        assert!(read > 0, "half a request: {text}");
    }
}

/// Waits until `what` holds, and asserts that no message arrives meanwhile.
fn until(hears: &Receiver<Vec<String>>, what: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if what() {
            return;
        }
        let more = hears.recv_timeout(Duration::from_millis(10));
        assert!(more.is_err(), "{more:?}");
    }
    panic!("it never holds");
}

#[test]
fn g9_a_daemon_that_is_killed_repeatedly_reports_the_same_once() {
    for observe_only in [false, true] {
        let bench = Bench::new();
        let (port, hears) = receiver();
        let webhook = format!(
            "webhooks: [{{name: a, format: json, url: 'http://127.0.0.1:{port}/', on: [stalled, recovered]}}]"
        );
        bench.write("webhooks.yaml", &webhook);
        bench.write("manifests/broken.yaml", "kind: Nonsense\n");
        let mut arguments = vec!["manifests", "--notify", "webhooks.yaml"];
        arguments.extend(observe_only.then_some("--observe-only"));
        let start = || Daemon::start(&bench, &arguments, "broken.yaml");
        let daemon = start();
        let message = hears.recv_timeout(PATIENCE).expect("a message");
        assert_eq!(message, ["stalled"]);
        let is_kept = || match observe_only {
            true => bench.state().join("observed.json").exists(),
            false => {
                let rows = bench
                    .database()
                    .query_row("SELECT count(*) FROM told", [], |row| row.get::<_, i64>(0));
                rows == Ok(1)
            }
        };
        until(&hears, is_kept);
        daemon.kill();
        for _ in 0..2 {
            start().kill();
        }
        let daemon = start();
        // The next message says that the problem is over, and no other message follows.
        std::fs::remove_file(bench.path("manifests/broken.yaml")).expect("removed");
        bench.declare("tokyo", TOKYO, &["img-a"]);
        let message = hears.recv_timeout(PATIENCE).expect("a message");
        assert_eq!(message, ["recovered"], "observe only: {observe_only}");
        daemon.kill();
    }
}
