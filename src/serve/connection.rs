//! One connection and its limits in time: for headers, for its age, and for the last response.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::state::{ConnectionState, ServerState};
use super::{StatusSource, events, respond};
use crate::host::Clock;

/// Time for a request's headers, and on a kept connection, until the next request.
pub(super) const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of request line and headers together.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Age after which a connection begins no other request.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Time that a response in transfer has after that.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

pub(super) async fn serve<S: StatusSource + 'static>(stream: TcpStream, state: Rc<ServerState<S>>) {
    // Otherwise the second half of a small response waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let connection_state = Rc::new(ConnectionState {
        local: local.ip(),
        has_stream: Cell::new(false),
    });
    let service = service_fn(|request| {
        let response = respond::respond(&request, &connection_state, &state);
        async { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A connection that ends with an error concerns only its client.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = outlived(&state, &connection_state) => {}
    }
    connection.as_mut().graceful_shutdown();
    let clock = state.source.clock();
    tokio::select! {
        _ = connection => {}
        () = clock.sleep_until(clock.monotonic() + SHUTDOWN_GRACE) => {}
    }
}

/// Returns when the connection is too old for another request.
async fn outlived<S: StatusSource>(state: &ServerState<S>, connection_state: &ConnectionState) {
    let clock = state.source.clock();
    let began = clock.monotonic();
    clock.sleep_until(began + CONNECTION_AGE_MAX).await;
    if connection_state.has_stream.get() {
        clock.sleep_until(began + events::STREAM_AGE_MAX).await;
    }
}
