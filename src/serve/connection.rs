//! One connection, and how long it may last.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::state::{Caller, Shared};
use super::{Show, answer, events};
use crate::host::Clock;

/// A request's headers come within this time, and on a connection that is kept, the next request.
pub(super) const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Request line and headers together.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// A connection begins no other request after this time.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// What is under way then has so long to be read.
pub(super) const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn serve<S: Show + 'static>(stream: TcpStream, shared: Rc<Shared<S>>) {
    // Without it, the second half of a small reply waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let caller = Rc::new(Caller {
        local: local.ip(),
        streams: Cell::new(false),
    });
    let service = service_fn(|request| {
        let response = answer::respond(&request, &caller, &shared);
        async { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A connection that ends badly is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = aged(&shared, &caller) => {}
    }
    connection.as_mut().graceful_shutdown();
    let clock = shared.show.clock();
    tokio::select! {
        _ = connection => {}
        () = clock.sleep_until(clock.monotonic() + LAST_ANSWER_WITHIN) => {}
    }
}

/// Returns when the connection has lasted long enough.
async fn aged<S: Show>(shared: &Shared<S>, caller: &Caller) {
    let clock = shared.show.clock();
    let began = clock.monotonic();
    clock.sleep_until(began + CONNECTION_AGE_MAX).await;
    if caller.streams.get() {
        clock.sleep_until(began + events::STREAM_AGE_MAX).await;
    }
}
