//! Tests the real HTTP transport with servers that misbehave. Each server follows one script and reports the
//! requests that it received.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::closed_port::ClosedPort;
use sharekeeper::host::{
    Header, HttpTransport, Method, ProxySettings, Reply, ReplyBody, Request, Transport,
    TransportError,
};

/// A server that answers the first request of each connection with the bytes of `script`, and then closes the
/// connection. It sends the text of each request to the receiver.
fn server(script: &'static [&'static [u8]]) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for answer in script {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") || !request.ends_with(b"{}") {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let _ = heard.send(String::from_utf8_lossy(&request).into_owned());
            // In some scripts, the client closes its connection before the answer.
            let _ = stream.write_all(answer);
        }
    });
    (port, hears)
}

fn request(url: String, deadline: Duration) -> Request {
    let header = Header {
        name: "content-type",
        value: "application/json".into(),
        secret: false,
    };
    let secret = Header {
        name: "authorization",
        value: "TC3 secret".into(),
        secret: true,
    };
    Request {
        method: Method::Post,
        url,
        headers: vec![header, secret],
        body: b"{}".to_vec(),
        deadline,
        reads: ReplyBody::Whole,
    }
}

fn send(url: String, deadline: Duration) -> Result<Reply, TransportError> {
    send_request(request(url, deadline))
}

fn send_request(request: Request) -> Result<Reply, TransportError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let transport = HttpTransport::new(ProxySettings::default()).expect("a client");
    runtime.block_on(transport.send(request))
}

fn exchange(script: &'static [&'static [u8]]) -> Result<Reply, TransportError> {
    let (port, _hears) = server(script);
    send(format!("http://127.0.0.1:{port}/"), Duration::from_secs(20))
}

#[test]
fn a_reply_comes_whole_with_status_and_date() {
    let reply = exchange(&[b"HTTP/1.1 503 Busy\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Length: 4\r\n\r\nbusy"]);
    let reply = reply.expect("any status is a reply");
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (503, b"busy".as_slice())
    );
    assert_eq!(reply.date.as_deref(), Some("Tue, 24 Nov 2026 00:00:00 GMT"));
}

#[test]
fn localhost_names_are_loopback_without_a_resolver() {
    let (port, hears) = server(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let url = format!("http://ap-tokyo.localhost:{port}/");
    assert!(send(url, Duration::from_secs(20)).is_ok());
    let heard = hears.recv().expect("arrived").to_lowercase();
    assert!(
        heard.contains(&format!("host: ap-tokyo.localhost:{port}")),
        "{heard}"
    );
    assert!(
        !heard.contains("accept-encoding"),
        "t9: no compression is asked for: {heard}"
    );
}

#[test]
fn t1_a_refused_connection_is_known_not_to_have_been_sent() {
    let port = ClosedPort::reserve();
    match send(port.url(), Duration::from_secs(20)) {
        Err(TransportError::NotSent(detail)) => assert!(detail.contains("refused"), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t12_a_name_that_does_not_exist_is_known_not_to_have_been_sent() {
    let error = send(
        "https://no-such-host.invalid/".into(),
        Duration::from_secs(20),
    );
    assert!(
        matches!(error, Err(TransportError::NotSent(_))),
        "{error:?}"
    );
}

#[test]
fn t2_t6_a_cut_connection_or_body_leaves_the_outcome_open() {
    let scripts: [&'static [&'static [u8]]; 4] = [
        &[b""],
        &[b"HTTP/1.1 200 OK\r\nContent-"],
        &[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Resp"],
        &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Res\r\n"],
    ];
    for script in scripts {
        let reply = exchange(script);
        assert!(
            matches!(reply, Err(TransportError::Lost(_))),
            "{script:?}: {reply:?}"
        );
    }
}

#[test]
fn t4_a_request_is_never_repeated_by_the_transport() {
    let (port, hears) = server(&[b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let reply = send(format!("http://127.0.0.1:{port}/"), Duration::from_secs(20));
    assert!(reply.is_err());
    assert!(hears.recv().is_ok());
    assert!(hears.try_recv().is_err(), "it arrived once");
}

#[test]
fn t5_a_server_that_never_answers_ends_at_the_deadline() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    match send(
        format!("http://127.0.0.1:{port}/"),
        Duration::from_millis(100),
    ) {
        Err(TransportError::Lost(detail)) => assert_eq!(detail, "no reply within 0.1 s"),
        other => panic!("{other:?}"),
    }
    drop(listener);
}

#[test]
fn t9_a_reply_without_end_is_cut_off() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let sender = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("a request") > 0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        let mut sent = 0;
        while stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
            assert!(sent < 64 << 20, "the client goes on reading");
        }
    });
    let reply = send(format!("http://127.0.0.1:{port}/"), Duration::from_secs(20));
    assert!(
        matches!(&reply, Err(TransportError::Lost(detail)) if detail.contains("larger")),
        "{reply:?}"
    );
    sender.join().expect("the client hung up");
}

/// A server whose body begins and never ends: it sends one byte, and then waits until the client has gone.
fn endless_body() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("a request") > 0);
        let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
        let _ = stream.write_all(begun);
        while stream.read(&mut request).is_ok_and(|read| read > 0) {}
    });
    port
}

#[test]
fn r5_a_body_that_is_not_needed_makes_no_reply_a_lost_one() {
    let within = |url: String| {
        let reads = ReplyBody::Within {
            wait: Duration::from_millis(200),
            bytes_max: 8,
        };
        send_request(Request {
            reads,
            ..request(url, Duration::from_secs(20))
        })
    };
    let scripts: [(&'static [&'static [u8]], &[u8]); 4] = [
        (
            &[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Resp"],
            b"{\"Resp",
        ),
        (
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Res\r\n"],
            b"{\"Res",
        ),
        (
            &[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"],
            b"",
        ),
        (
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
            b"",
        ),
    ];
    for (script, body) in scripts {
        let (port, _hears) = server(script);
        let reply = within(format!("http://127.0.0.1:{port}/")).expect("a reply");
        assert_eq!((reply.status, reply.is_whole), (200, false), "{script:?}");
        assert_eq!(reply.body, body, "{script:?}");
    }
    let reply = within(format!("http://127.0.0.1:{}/", endless_body())).expect("a reply");
    assert_eq!(
        (reply.status, reply.is_whole, reply.body.as_slice()),
        (200, false, b"x".as_slice())
    );
    // A body may be incomplete, but incomplete headers are a lost reply.
    let (port, _hears) = server(&[b"HTTP/1.1 200 OK\r\nContent-"]);
    let reply = within(format!("http://127.0.0.1:{port}/"));
    assert!(matches!(reply, Err(TransportError::Lost(_))), "{reply:?}");
    let (port, _hears) =
        server(&[b"HTTP/1.1 429 No\r\nRetry-After: 120\r\nContent-Length: 2\r\n\r\nno"]);
    let reply = within(format!("http://127.0.0.1:{port}/")).expect("a reply");
    assert_eq!(
        (reply.is_whole, reply.retry_after.as_deref()),
        (true, Some("120"))
    );
}

#[test]
fn t11_s14_a_redirect_is_a_reply_and_nothing_goes_to_its_target() {
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    target.set_nonblocking(true).expect("can be");
    let location = format!(
        "http://127.0.0.1:{}/",
        target.local_addr().expect("bound").port()
    );
    let answer = format!("HTTP/1.1 307 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let script: &'static [&'static [u8]] = Vec::leak(vec![&*Vec::leak(answer.into_bytes())]);
    assert_eq!(exchange(script).expect("a reply").status, 307);
    assert!(target.accept().is_err(), "nobody came");
}
