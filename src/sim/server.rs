//! The simulator's HTTP interface: it reads calls, passes them to the [`Cloud`], and performs delays and faults on the
//! connection. The cloud makes all decisions.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
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
use super::bakery::SimTime;
use super::call::IncomingCall;
use super::cloud::{Cloud, LinkDelay, Reply};
use super::faults::ReplyFault;
use super::journal::{Journal, KeepError, WorldFiles};
use super::metadata;
use super::world::World;
use crate::host::{Clock, SystemClock};
use crate::model::is_loopback;

/// The API's limit on the size of a request.
const BODY_BYTES_MAX: usize = 10 << 20;

/// The path that identifies the answering simulator.
pub const IDENTITY: &str = "/_sim/identity";

/// Why a simulator with a saved world does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port is available to listen on.
    #[error("cannot start the simulator: {0}")]
    Listen(#[from] io::Error),
    /// Its world cannot be read or written.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

/// The simulator on a socket. It runs until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<SimState>,
    task: tokio::task::JoinHandle<()>,
}

struct SimState {
    cloud: Mutex<KeptCloud>,
    clock: SystemClock,
    identity: String,
}

/// A cloud, and the journal of its changes if it is saved.
struct KeptCloud {
    cloud: Cloud,
    journal: Option<Journal>,
}

/// Ends the connection without a reply.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault of the simulator's world")
    }
}

impl std::error::Error for HangUp {}

impl Server {
    /// Listens on `address` (port 0 picks one) and serves `world`, which ends with the server.
    pub async fn start(address: SocketAddr, world: World) -> io::Result<Self> {
        let cloud = KeptCloud {
            cloud: Cloud::new(world),
            journal: None,
        };
        Self::serve(TcpListener::bind(address).await?, cloud, String::new())
    }

    /// Serves the world in `files` on a local port, and saves its changes. No other process may do this at the same time.
    /// `identity` distinguishes it from later servers on the same port.
    pub async fn start_kept(files: &WorldFiles, identity: String) -> Result<Self, StartError> {
        let (cloud, journal) = Journal::open(files)?;
        let cloud = KeptCloud {
            cloud,
            journal: Some(journal),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self::serve(listener, cloud, identity)?)
    }

    fn serve(listener: TcpListener, cloud: KeptCloud, identity: String) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let state = Arc::new(SimState {
            cloud: Mutex::new(cloud),
            clock: SystemClock::start(),
            identity,
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            task,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the cloud between two calls.
    pub fn change<T>(&self, change: impl FnOnce(&mut Cloud) -> T) -> Result<T, KeepError> {
        self.state.work(change)
    }

    /// Ends the server and every connection. A saved world is then complete in its file.
    pub async fn stop(self) -> Result<(), KeepError> {
        self.task.abort();
        // The error only says that the task was aborted, as requested.
        let _ = self.task.await;
        let mut kept = self.state.lock();
        let KeptCloud { cloud, journal } = &mut *kept;
        match journal.take() {
            Some(journal) => journal.close(cloud),
            None => Ok(()),
        }
    }
}

impl SimState {
    /// The only access to the cloud: the changes of `work` are saved before anybody learns of them.
    fn work<T>(&self, work: impl FnOnce(&mut Cloud) -> T) -> Result<T, KeepError> {
        let mut kept = self.lock();
        let KeptCloud { cloud, journal } = &mut *kept;
        let done = work(cloud);
        if let Some(journal) = journal {
            journal.keep(cloud)?;
        }
        Ok(done)
    }

    /// A panic that held the lock may have left a change incomplete. A simulator can continue with that.
    fn lock(&self) -> MutexGuard<'_, KeptCloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a call whose change could not be saved. The change may exist when the world is read again, as after an
/// error of the real service.
fn not_kept(error: &KeepError) -> Response<Full<Bytes>> {
    let words = format!("the simulator cannot save its world: {error}");
    json_response(500, serde_json::json!({"error": words}).to_string())
}

/// Accepts connections forever. They end with this task.
async fn accept(listener: TcpListener, state: Arc<SimState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // For example, the process has no free file descriptor. Clients retry.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<SimState>) {
    // Otherwise the second half of a small reply would wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(request, Arc::clone(&state)));
    // An error means that the client or a fault of the world ended the connection.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<SimState>,
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
        return Ok(respond_locally(&state, &host, method, path, &body));
    }
    if (method, path) != ("POST", "/") {
        return Ok(json_response(
            404,
            r#"{"error":"the API is called with POST /"}"#.into(),
        ));
    }
    let lower = |name: &hyper::header::HeaderName| name.as_str().to_owned();
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((lower(name), value.to_str().ok()?.to_owned())));
    let incoming = IncomingCall {
        host,
        headers: headers.collect(),
        body: body.to_vec(),
    };
    call(&state, &incoming).await
}

/// Answers the simulator's own paths and the metadata service. The check of the Host header prevents DNS rebinding: a web
/// page cannot call these paths through its own name that points to this address.
fn respond_locally(
    state: &SimState,
    host: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Response<Full<Bytes>> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let of_metadata = path.starts_with(metadata::ROOT);
    let welcome = is_loopback(name) || (of_metadata && name == metadata::HOST);
    if !welcome {
        return json_response(
            421,
            r#"{"error":"these paths answer only to a loopback Host"}"#.into(),
        );
    }
    if of_metadata {
        let now = state.clock.now();
        let answer = state.work(|cloud| metadata::handle(cloud, method, path, now));
        return match answer {
            Ok((status, text)) => text_response(status, text, "text/plain"),
            Err(error) => not_kept(&error),
        };
    }
    if (method, path) == ("GET", IDENTITY) {
        let identity = serde_json::json!({"identity": state.identity});
        return json_response(200, identity.to_string());
    }
    let time = SimTime {
        now: state.clock.monotonic(),
        wall_time: state.clock.now(),
    };
    match state.work(|cloud| admin::handle(cloud, method, path, body, time)) {
        Ok((status, answer)) => json_response(status, answer.to_string()),
        Err(error) => not_kept(&error),
    }
}

/// Answers one call of the API, with the delays and faults of the world.
async fn call(state: &SimState, incoming: &IncomingCall) -> Result<Response<Full<Bytes>>, HangUp> {
    let clock = &state.clock;
    let wait = |length: Duration| clock.sleep_until(clock.monotonic() + length);
    let delay = match state.work(|cloud| cloud.sample_delay(&incoming.host)) {
        Ok(delay) => delay,
        Err(error) => return Ok(not_kept(&error)),
    };
    let LinkDelay {
        until_arrival,
        until_reply,
    } = delay;
    if !until_arrival.is_zero() {
        wait(until_arrival).await;
    }
    let answer = state.work(|cloud| cloud.answer(incoming, clock.monotonic(), clock.now()));
    let Reply { body, date, fault } = match answer {
        Ok(reply) => reply,
        Err(error) => return Ok(not_kept(&error)),
    };
    if !until_reply.is_zero() {
        wait(until_reply).await;
    }
    let mut response = json_response(200, body.to_string());
    match fault {
        None => {}
        Some(ReplyFault::Delayed(length)) => wait(length).await,
        Some(ReplyFault::HangUpAfter(length)) => {
            wait(length).await;
            return Err(HangUp);
        }
        Some(ReplyFault::Truncate) => {
            let longer = HeaderValue::from(body.to_string().len() * 2);
            response
                .headers_mut()
                .insert(hyper::header::CONTENT_LENGTH, longer);
        }
        Some(ReplyFault::Replaced {
            status,
            content_type,
            body,
            location,
        }) => {
            response = text_response(status, body.to_owned(), content_type);
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

fn json_response(status: u16, body: String) -> Response<Full<Bytes>> {
    text_response(status, body, "application/json")
}

fn text_response(status: u16, body: String, content_type: &'static str) -> Response<Full<Bytes>> {
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
