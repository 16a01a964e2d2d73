//! The read-only HTTP port: who may read, for how long, and how much at a time.
//!
//! It answers GET and HEAD, changes nothing, and knows the served data only as a [`Snapshot`]. It runs beside the engine,
//! on its own thread ([`StatusServer::spawn`]), so a client can delay only its own connection. Connections, event
//! streams, documents in transfer, bytes held by slow readers, rendering, header bytes and the time of each are limited.

mod access;
mod body;
mod border;
mod connection;
mod documents;
mod encoding;
mod events;
mod pace;
mod places;
mod port_thread;
mod rendered;
mod respond;
mod state;
mod watched_stream;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::host::Clock;

pub use access::{Token, TokenError};
pub use border::{EngineEnd, Health, PortEnd, Snapshot, StatusSource, border};
pub use places::{CONNECTIONS_MAX, TRANSFERS_MAX};
pub use port_thread::PortThread;

use places::{Connection, Places};
use state::ServerState;

/// Pause after an error before the next accept, for example when the process has no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The most clients that may wait in the kernel to be accepted.
const BACKLOG: u32 = 1024;
/// Bytes that the kernel buffers for a client that does not read them. By default it would buffer megabytes for each
/// client.
const KERNEL_BYTES_MAX: u32 = 256 * 1024;

/// The address to listen on, and who may read.
pub struct Settings {
    /// Address and port; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Allowed names in a Host header, besides loopback names and the called address.
    pub hosts: Vec<String>,
    /// The required token; without one, everybody who can connect may read.
    pub token: Option<Token>,
}

/// The status server with its bound socket.
pub struct StatusServer {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl StatusServer {
    /// Binds the address. Clients are served once [`StatusServer::spawn`] or [`StatusServer::serve`] runs. This must be
    /// called inside a runtime, but the server may run in another one.
    pub fn bind(settings: Settings) -> io::Result<Self> {
        let socket = match settings.listen {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As in tokio and std: allows an address with lingering old connections.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.set_send_buffer_size(KERNEL_BYTES_MAX)?;
        socket.bind(settings.listen)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
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

    /// Serves until the engine's end of the border is dropped. Dropping the future ends every connection.
    pub async fn serve<C>(self, engine: PortEnd<C>) -> io::Result<()>
    where
        C: Clock + Send + Sync + 'static,
    {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let state = Rc::new(ServerState::new(self.settings, engine));
        tokio::select! {
            () = accept(listener, &state) => {}
            () = state.documents.forget_unused() => {}
            () = state.engine.ended() => {}
        }
        Ok(())
    }
}

/// Accepts and serves connections forever.
async fn accept<C>(listener: tokio::net::TcpListener, state: &Rc<ServerState<C>>)
where
    C: Clock + Send + Sync + 'static,
{
    let clock = state.engine.clock();
    let places = Places::new();
    let serve = |stream: TcpStream| {
        let local = stream.local_addr().ok()?.ip();
        let place = places.take(Connection::new(local, clock.clone()));
        let served = connection::serve(stream, place, Rc::clone(state));
        // A panic in one connection must not end the port.
        Some(AssertUnwindSafe(served).catch_unwind())
    };
    let mut connections = FuturesUnordered::new();
    let mut resumes = None;
    loop {
        let accepted = async {
            if let Some(at) = resumes {
                clock.sleep_until(at).await;
            }
            listener.accept().await
        };
        tokio::select! {
            // Existing connections go first, because a new one may evict them.
            biased;
            Some(ended) = connections.next() => {
                let ended: thread::Result<()> = ended;
                if ended.is_err() {
                    tracing::error!("a bug in sharekeeper ended a connection of the status port; please report it");
                }
            }
            accepted = accepted => match accepted {
                Ok((stream, _)) => {
                    resumes = None;
                    connections.extend(serve(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the status port cannot accept a connection");
                    resumes = Some(clock.monotonic() + ACCEPT_PAUSE);
                }
            },
        }
    }
}
