//! SERVE: the read-only HTTP port: who may ask, how long, and how much at a time.
//!
//! It answers GET and HEAD, changes nothing, and knows nothing of what it serves but where to get it. Everything runs on
//! the thread of who calls it: a client can hold up a connection of its own, and no more. Bounded: connections, event
//! streams, large documents under way, header bytes, and the time of each.

mod access;
mod answer;
mod connection;
mod events;
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

use state::Shared;

/// Connections at a time; who comes then waits. A page and its files take a browser six.
pub const CONNECTIONS_MAX: usize = 64;
/// After this long, accepting is tried again where it failed: the process is out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where and for whom to listen.
pub struct Settings {
    /// Address and port; port 0 picks one.
    pub listen: SocketAddr,
    /// Names that a request's Host may be, beyond loopback names and the address that was called.
    pub hosts: Vec<String>,
    /// What a client must know; without it, everybody who can connect may read.
    pub token: Option<Token>,
}

/// What is served. Called on the thread that serves.
pub trait Show {
    /// Reads the board.
    fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T;
    /// The metrics, in Prometheus' text format.
    fn metrics(&self) -> String;
    /// Whether the process does its work.
    fn health(&self) -> Health;
    /// Returns once the board's version is above `version`.
    fn changed(&self, version: u64) -> impl Future<Output = ()>;
    /// Time.
    fn clock(&self) -> &impl Clock;
}

/// Whether the process does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// It runs; or why it should be started anew, in one line.
    pub alive: Result<(), String>,
    /// It has seen everything and is not failing; or why not, in one line each.
    pub ready: Result<(), Vec<String>>,
}

/// A port that is listened on.
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl Port {
    /// Takes the address. Clients are served once [`Port::serve`] runs.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            settings,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever. Dropped, it ends every connection.
    pub async fn serve(self, show: Rc<impl Show + 'static>) {
        let shared = Rc::new(Shared::new(self.settings, show));
        let mut connections = FuturesUnordered::new();
        let mut resumes = None;
        loop {
            let accepted = async {
                if let Some(at) = resumes {
                    shared.show.clock().sleep_until(at).await;
                }
                self.listener.accept().await
            };
            tokio::select! {
                accepted = accepted, if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        resumes = None;
                        let served = connection::serve(stream, Rc::clone(&shared));
                        // A fault in what shows the work must not end the work.
                        connections.push(AssertUnwindSafe(served).catch_unwind());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the status port cannot take a connection");
                        resumes = Some(shared.show.clock().monotonic() + ACCEPT_PAUSE);
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
