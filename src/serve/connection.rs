//! One connection and its time limits: for headers, for its age, for the last response, and for a client that reads
//! nothing.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use super::places::{Connection, Place};
use super::state::ServerState;
use super::watched_stream::WatchedStream;
use super::{events, respond};
use crate::host::Clock;

/// Time limit for a request's headers and, on a kept connection, for the next request.
pub(super) const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The byte limit of request line and headers together. The buffer for outgoing data has the same size, so it holds no
/// second piece of a document.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Age after which a connection accepts no further request.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Additional time for a response in transfer.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// A client that reads no byte for this long is considered gone.
pub(super) const STUCK_MAX: Duration = Duration::from_secs(15);

pub(super) async fn serve<C>(stream: TcpStream, place: Place<C>, state: Rc<ServerState<C>>)
where
    C: Clock + Send + Sync + 'static,
{
    // Otherwise the second half of a small response would wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = &place.connection;
    let service = service_fn(|request: hyper::Request<_>| {
        let (connection, state) = (Rc::clone(connection), Rc::clone(&state));
        let (head, _) = request.into_parts();
        async move { Ok::<_, Infallible>(respond::respond(&head, &connection, &state).await) }
    });
    let mut served = pin!(
        Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(WatchedStream::new(stream, Rc::clone(connection)), service)
    );
    let mut cut_off = pin!(cut_off(connection));
    // A connection error concerns only its client.
    tokio::select! {
        _ = served.as_mut() => return,
        () = &mut cut_off => return,
        () = outlived(connection) => {}
    }
    served.as_mut().graceful_shutdown();
    let clock = &connection.clock;
    tokio::select! {
        _ = served => {}
        () = &mut cut_off => {}
        () = clock.sleep_until(clock.monotonic() + SHUTDOWN_GRACE) => {}
    }
}

/// Returns when the connection must end at once: it makes room for another one, or its client reads nothing.
async fn cut_off<C: Clock>(connection: &Connection<C>) {
    let stuck = async {
        loop {
            let Some(since) = connection.stuck_since() else {
                connection.stuck.notified().await;
                continue;
            };
            connection.clock.sleep_until(since + STUCK_MAX).await;
            if connection.stuck_since() == Some(since) {
                return;
            }
        }
    };
    tokio::select! {
        () = connection.evicted.notified() => {}
        () = stuck => {}
    }
}

/// Returns when the connection is too old for another request.
async fn outlived<C: Clock>(connection: &Connection<C>) {
    let clock = &connection.clock;
    let began = clock.monotonic();
    clock.sleep_until(began + CONNECTION_AGE_MAX).await;
    if connection.has_stream.get() {
        clock.sleep_until(began + events::STREAM_AGE_MAX).await;
    }
}
