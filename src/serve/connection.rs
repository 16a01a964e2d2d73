//! One connection and its limits in time: for headers, for its age, for the last response, and for a client that takes
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

/// Time for a request's headers, and on a kept connection, until the next request.
pub(super) const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of request line and headers together. A connection's buffer for what it sends takes no other piece of
/// a document beyond it.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Age after which a connection begins no other request.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Time that a response in transfer has after that.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// A client that takes no byte for so long is gone.
pub(super) const STUCK_MAX: Duration = Duration::from_secs(15);

pub(super) async fn serve<C>(stream: TcpStream, place: Place<C>, state: Rc<ServerState<C>>)
where
    C: Clock + Send + Sync + 'static,
{
    // Otherwise the second half of a small response waits for the client's acknowledgement.
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
    // A connection that ends with an error concerns only its client.
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

/// Returns when the connection is to end at once: it makes room for another, or its client takes nothing.
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
