use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HOST, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::admin;
use super::call::Arrival;
use super::cloud::{Cloud, Reply, Way};
use super::faults::Broken;
use super::metadata;
use super::world::World;
use crate::host::{Clock, SystemClock};
use crate::model::is_loopback;

/// The API's limit of a request.
const BODY_BYTES_MAX: usize = 10 << 20;

/// The simulator on a socket. Ends when stopped or dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    cloud: Mutex<Cloud>,
    clock: SystemClock,
}

/// Ends the connection without a word.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault of the simulator's world")
    }
}

impl std::error::Error for HangUp {}

impl Server {
    /// Listens on `address` (port 0 picks one) and serves `world`.
    pub async fn start(address: SocketAddr, world: World) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (cloud, clock) = (Mutex::new(Cloud::new(world)), SystemClock::start());
        let shared = Arc::new(Shared { cloud, clock });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The present state, to begin with another time.
    pub fn world(&self) -> World {
        self.shared.cloud().world()
    }

    /// Changes what it serves, between two calls.
    pub fn change<T>(&self, change: impl FnOnce(&mut Cloud) -> T) -> T {
        change(&mut self.shared.cloud())
    }

    /// Ends it, and every connection.
    pub async fn stop(self) {
        self.task.abort();
        // Aborted is what it was asked to be.
        let _ = self.task.await;
    }
}

impl Shared {
    /// A panic while the lock was held left the state as it was between two lines, which a simulator
    /// can live with.
    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections die with this task.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of file descriptors, for example: those who wait will try again.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it, the second half of a small reply waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(request, Arc::clone(&shared)));
    // A connection that ends badly is the client's affair, or a fault of the world's.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, HangUp> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .map_err(|_| HangUp)?
        .to_bytes();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // tccli, given `--endpoint http://…`, sends and signs the scheme as part of the host.
    let host = header(HOST).unwrap_or_default().to_owned();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    if path.starts_with("/_sim/") || path.starts_with(metadata::ROOT) {
        return Ok(own_path(&shared, &host, method, path, &body));
    }
    if (method, path) != ("POST", "/") {
        return Ok(document(
            404,
            r#"{"error":"the API is called with POST /"}"#.into(),
        ));
    }
    let lower = |name: &hyper::header::HeaderName| name.as_str().to_owned();
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((lower(name), value.to_str().ok()?.to_owned())));
    let arrival = Arrival {
        host,
        headers: headers.collect(),
        body: body.to_vec(),
    };
    call(&shared, &arrival).await
}

/// The simulator's own paths and the metadata service. A page that a browser shows cannot get here by pointing a name
/// of its own at this address.
fn own_path(
    shared: &Shared,
    host: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Response<Full<Bytes>> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let of_metadata = path.starts_with(metadata::ROOT);
    let welcome = is_loopback(name) || (of_metadata && name == metadata::HOST);
    if !welcome {
        return document(
            421,
            r#"{"error":"these paths answer only to a loopback Host"}"#.into(),
        );
    }
    if of_metadata {
        let now = shared.clock.now();
        let (status, text) = metadata::handle(&mut shared.cloud(), method, path, now);
        return text_document(status, text, "text/plain");
    }
    let now = shared.clock.monotonic();
    let (status, answer) = admin::handle(&mut shared.cloud(), method, path, body, now);
    document(status, answer.to_string())
}

/// One call of the API, with what the world does to it.
async fn call(shared: &Shared, arrival: &Arrival) -> Result<Response<Full<Bytes>>, HangUp> {
    let clock = &shared.clock;
    let wait = |length: Duration| clock.sleep_until(clock.monotonic() + length);
    let Way { there, back } = shared.cloud().draw_way(&arrival.host);
    if !there.is_zero() {
        wait(there).await;
    }
    let Reply { body, date, broken } =
        shared
            .cloud()
            .answer(arrival, clock.monotonic(), clock.now());
    if !back.is_zero() {
        wait(back).await;
    }
    let mut response = document(200, body.to_string());
    match broken {
        None => {}
        Some(Broken::Late(length)) => wait(length).await,
        Some(Broken::Silence(length)) => {
            wait(length).await;
            return Err(HangUp);
        }
        Some(Broken::Truncate) => {
            let longer = HeaderValue::from(body.to_string().len() * 2);
            response
                .headers_mut()
                .insert(hyper::header::CONTENT_LENGTH, longer);
        }
        Some(Broken::Instead {
            status,
            content_type,
            body,
            location,
        }) => {
            response = text_document(status, body.to_owned(), content_type);
            if let Some(Ok(location)) = location.map(HeaderValue::try_from) {
                response.headers_mut().insert(LOCATION, location);
            }
        }
    }
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::try_from(date) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

fn document(status: u16, body: String) -> Response<Full<Bytes>> {
    text_document(status, body, "application/json")
}

fn text_document(status: u16, body: String, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
