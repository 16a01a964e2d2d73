//! Stand-ins for the tests of proxies: a proxy on loopback that connects every tunnel to one port, whatever host is
//! requested, and a server that ends TLS with the certificate of the tests and forwards the requests.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the proxy answers requests.
#[derive(Clone, Copy)]
pub(crate) enum Conduct {
    /// The proxy connects each tunnel (CONNECT, SOCKS 5) to this port on loopback.
    LeadTo(u16),
    /// The proxy answers every request with these bytes and closes the connection.
    Answer(&'static [u8]),
}

/// A proxy that records the requests that it receives.
pub(crate) struct ProxyStandIn {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ProxyStandIn {
    pub(crate) fn start(conduct: Conduct) -> Self {
        let (listener, port) = listen();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let notes = Arc::clone(&notes);
                // If a client closes its connection, only the thread of that connection ends.
                thread::spawn(move || serve(stream, conduct, &notes));
            }
        });
        Self { port, heard }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the received requests. A SOCKS request is recorded as a line such as
    /// `SOCKS5 user:password host:port`.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

fn serve(mut stream: TcpStream, conduct: Conduct, notes: &Mutex<Vec<String>>) -> Option<()> {
    let mut first = [0];
    stream.peek(&mut first).ok()?;
    let asked = match first {
        [5] => socks(&mut stream)?,
        _ => head(&mut stream)?,
    };
    notes.lock().expect("no panic").push(asked.clone());
    match conduct {
        Conduct::Answer(bytes) => {
            if first == [5] {
                grant_socks(&mut stream)?;
                head(&mut stream)?;
            }
            stream.write_all(bytes).ok()
        }
        Conduct::LeadTo(port) => {
            match first {
                [5] => grant_socks(&mut stream)?,
                _ => stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?,
            }
            join(
                stream,
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?,
            )
        }
    }
}

/// Reads everything up to the empty line, and then the body, whose length is known.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.extend(byte);
    }
    let head = String::from_utf8(bytes).ok()?;
    let lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().expect("a length"))
    });
    let mut body = vec![0; lengths.sum()];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// Reads the SOCKS 5 greeting, the user and password, and the target, which is a host name.
fn socks(stream: &mut TcpStream) -> Option<String> {
    let [_, count] = take(stream)?;
    let mut methods = vec![0; count.into()];
    stream.read_exact(&mut methods).ok()?;
    let mut user = String::from("nobody");
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).ok()?;
        let [_version] = take(stream)?;
        user = format!("{}:{}", text(stream)?, text(stream)?);
        stream.write_all(&[1, 0]).ok()?;
    } else {
        stream.write_all(&[5, 0]).ok()?;
    }
    let [_, _, _, 3] = take(stream)? else {
        return None;
    };
    let (host, port) = (text(stream)?, u16::from_be_bytes(take(stream)?));
    Some(format!("SOCKS5 {user} {host}:{port}"))
}

fn take<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads a text that follows a byte with its length.
fn text(stream: &mut TcpStream) -> Option<String> {
    let [length] = take(stream)?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

fn grant_socks(stream: &mut TcpStream) -> Option<()> {
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).ok()
}

/// Forwards bytes in both directions until one side closes.
fn join(one: TcpStream, other: TcpStream) -> Option<()> {
    let (mut from, mut to) = (one.try_clone().ok()?, other.try_clone().ok()?);
    let there = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    let (mut from, mut to) = (other, one);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    there.join().ok()?.ok()
}

/// The path of a certificate file of the tests. `server.pem` is valid for `*.intl.tencentcloudapi.com` and signed by
/// the CA in `ca.pem`.
pub(crate) fn certificate(name: &str) -> PathBuf {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    PathBuf::from(data).join(name)
}

/// Ends TLS on loopback and forwards each request to `address`. Returns the port.
pub(crate) fn tls_in_front_of(address: &str) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificate("server.pem")).expect("a file");
    let chain = chain.map(|it| it.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).expect("a key");
    // Another test may have installed the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).expect("a pair"));
    let (listener, port) = listen();
    let address = address.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, address) = (Arc::clone(&config), address.clone());
            thread::spawn(move || {
                let tls = ServerConnection::new(config).expect("a session");
                let mut tls = StreamOwned::new(tls, stream);
                let mut behind = TcpStream::connect(address).expect("it listens");
                while let Some(request) = head(&mut tls) {
                    behind.write_all(request.as_bytes()).ok()?;
                    tls.write_all(head(&mut behind)?.as_bytes()).ok()?;
                    tls.flush().ok()?;
                }
                Some(())
            });
        }
    });
    port
}
