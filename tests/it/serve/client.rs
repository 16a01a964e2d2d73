//! A simple HTTP client for the tests of the status port. It sends and reads raw bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use sharekeeper::serve::{Settings, StatusServer, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::board::Shown;

/// Binds a port on loopback, and returns the server and its address.
pub(crate) fn bound(token: Option<&str>) -> (StatusServer, SocketAddr) {
    let settings = Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        hosts: vec!["status.example.com".into()],
        token: token.map(|token| Token::new(token).expect("a token")),
    };
    let port = StatusServer::bind(settings).expect("a port");
    let address = port.address();
    (port, address)
}

/// Serves `shown` while the future of `test` runs.
pub(crate) async fn served<F: Future<Output = ()>>(
    shown: &Rc<Shown>,
    token: Option<&str>,
    test: impl FnOnce(SocketAddr) -> F,
) {
    let (port, address) = bound(token);
    tokio::select! {
        never = shown.serve(port) => match never {},
        () = test(address) => {}
    }
}

/// Sends a request on a connection that the server closes, and returns the reply.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.expect("a reply");
    String::from_utf8(reply).expect("text")
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    call(address, "GET", path, "localhost", "").await
}

pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    host: &str,
    more: &str,
) -> String {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    exchange(address, &request).await
}

pub(crate) fn status(reply: &str) -> u16 {
    let code = reply.split(' ').nth(1).unwrap_or_default();
    code.parse()
        .unwrap_or_else(|_| panic!("no status: {reply}"))
}

pub(crate) fn header<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let head = reply.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

pub(crate) fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A connection that stays open for several requests.
pub(crate) struct Kept(pub(crate) TcpStream);

impl Kept {
    pub(crate) async fn new(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    pub(crate) async fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.expect("sent");
    }

    /// Reads until the reply contains `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = self.0.read_u8().await;
            read.push(byte.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&read))
            }));
        }
        String::from_utf8(read).expect("text")
    }
}
