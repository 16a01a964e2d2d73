//! The read-only HTTP port: who may ask, how long, and how much at a time.
//!
//! It answers GET and HEAD, changes nothing, and knows what it serves only through [`StatusSource`]. Everything
//! runs on the thread of the caller: a client can hold up its own connection and nothing else. Connections, event
//! streams, large documents in transfer, header bytes and the time of each have a limit.

mod access;
mod connection;
mod events;
mod respond;
mod state;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::net::TcpListener;

use crate::host::Clock;
use crate::status::Board;

pub use access::{Token, TokenError};

use state::ServerState;

/// The most connections at a time; further clients wait. For a page and its files, a browser opens six.
pub const CONNECTIONS_MAX: usize = 64;
/// Time until accepting is tried again after an error; the process is out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where and for whom to listen.
pub struct Settings {
    /// Address and port; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Names that a Host header may have, besides loopback names and the address that was called.
    pub hosts: Vec<String>,
    /// Without a token, everybody who can connect may read.
    pub token: Option<Token>,
}

/// What the server shows. Its methods run on the thread that serves.
pub trait StatusSource {
    fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T;
    /// All metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
    /// Liveness and readiness of the process.
    fn health(&self) -> Health;
    /// Returns once the board's version is above `version`.
    fn changed(&self, version: u64) -> impl Future<Output = ()>;
    fn clock(&self) -> &impl Clock;
}

/// Liveness and readiness of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Or why the process should be restarted, in one line.
    pub alive: Result<(), String>,
    /// Everything has been observed and nothing fails; or why not, one reason a line.
    pub ready: Result<(), Vec<String>>,
}

/// The status server on its socket.
pub struct StatusServer {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl StatusServer {
    /// Binds the address. Clients are served once [`StatusServer::serve`] runs.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            settings,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever. Dropping the future ends every connection.
    pub async fn serve(self, source: Rc<impl StatusSource + 'static>) {
        let state = Rc::new(ServerState::new(self.settings, source));
        let mut connections = FuturesUnordered::new();
        let mut resumes = None;
        loop {
            let accepted = async {
                if let Some(at) = resumes {
                    state.source.clock().sleep_until(at).await;
                }
                self.listener.accept().await
            };
            tokio::select! {
                accepted = accepted, if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        resumes = None;
                        let served = connection::serve(stream, Rc::clone(&state));
                        // A panic while showing the work must not end the work.
                        connections.push(AssertUnwindSafe(served).catch_unwind());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the status port cannot take a connection");
                        resumes = Some(state.source.clock().monotonic() + ACCEPT_PAUSE);
                    }
                },
                Some(ended) = connections.next() => {
                    if ended.is_err() {
                        tracing::error!("a fault in sharekeeper ended a connection of the status port; please report it");
                    }
                }
            }
        }
    }
}
