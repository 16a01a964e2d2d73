//! Tests the simulator over real sockets: which of its paths accept which Host header.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::Region;

const WORLD: &str =
    "{metadata: {account: default, role: server}, accounts: [{roles: [{name: server}]}]}";

/// Sends a GET over its own connection, and returns the whole answer.
async fn get(address: SocketAddr, target: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}

#[tokio::test]
async fn the_metadata_service_accepts_only_its_name_and_loopback() {
    let world = World::parse(WORLD).expect("a world");
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start(local, world).await.expect("listens");
    let address = server.address();
    let path = metadata::CREDENTIALS;
    // The form of a request to a proxy.
    let absolute = format!("http://{}{path}", metadata::HOST);
    let own = address.to_string();
    for (target, host, status) in [
        (path, own.as_str(), "200"),
        (path, "localhost", "200"),
        (path, metadata::HOST, "200"),
        (absolute.as_str(), metadata::HOST, "200"),
        (path, "rebound.example", "421"),
        ("/_sim/state", own.as_str(), "200"),
        ("/_sim/state", metadata::HOST, "421"),
    ] {
        let answer = get(address, target, host).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{target} {host}: {answer}");
        let named = target.ends_with(path) && status == "200";
        assert_eq!(answer.ends_with("\r\n\r\nserver"), named, "{answer}");
    }
    server.stop().await.expect("nothing to keep");
}

#[tokio::test]
async fn n9_an_answered_change_is_already_saved() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = WorldFiles::new(directory.path());
    let server = Server::start_kept(&files, String::new()).await;
    let server = server.expect("it listens");
    let address = server.address();
    let tokyo = Region::new("ap-tokyo").expect("a region");
    for (name, count) in [("img-a", 1), ("img-b", 2), ("img-c", 3)] {
        let body = format!(r#"{{"images": [{{"id": "{name}", "regions": ["ap-tokyo"]}}]}}"#);
        let answer = post(address, "/_sim/images", &body).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        // The files after a process is killed immediately after its answer.
        let left = files.load().expect("a world");
        assert_eq!(left.images_in(0, tokyo).count(), count, "{name}");
    }
    server.stop().await.expect("it is kept");
}

/// Sends a POST over its own connection, and returns the whole answer.
async fn post(address: SocketAddr, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}
