//! The read-only HTTP port: who may ask, how long, and how much at a time.
//!
//! It answers GET and HEAD, changes nothing, and knows what it serves only as a [`Snapshot`]. It runs beside the engine,
//! on a thread of its own ([`StatusServer::spawn`]): a client can hold up its own connection and nothing else.
//! Connections, event streams, documents in transfer, bytes that slow readers hold, rendering, header bytes and the time
//! of each have a limit.

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

/// Time until accepting is tried again after an error; the process is out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Clients that wait for the port to turn to them, in the kernel.
const BACKLOG: u32 = 1024;
/// Bytes that the kernel keeps for a client that does not take them. Left to itself it would take megabytes for each.
const KERNEL_BYTES_MAX: u32 = 256 * 1024;

/// Where and for whom to listen.
pub struct Settings {
    /// Address and port; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Names that a Host header may have, besides loopback names and the address that was called.
    pub hosts: Vec<String>,
    /// Without a token, everybody who can connect may read.
    pub token: Option<Token>,
}

/// The status server on its socket.
pub struct StatusServer {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl StatusServer {
    /// Binds the address. Clients are served once [`StatusServer::spawn`] or [`StatusServer::serve`] runs. Must be called
    /// in a runtime, which the server need not run in.
    pub fn bind(settings: Settings) -> io::Result<Self> {
        let socket = match settings.listen {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As tokio and std do it: an address whose old connections linger can be used.
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

    /// Serves until the engine's end of the border is gone. Dropping the future ends every connection.
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

/// Accepts and serves connections for ever.
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
        // A panic while showing the work must not end the port.
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
            // Those that are here go first: a new one may end them.
            biased;
            Some(ended) = connections.next() => {
                let ended: thread::Result<()> = ended;
                if ended.is_err() {
                    tracing::error!("a fault in sharekeeper ended a connection of the status port; please report it");
                }
            }
            accepted = accepted => match accepted {
                Ok((stream, _)) => {
                    resumes = None;
                    connections.extend(serve(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the status port cannot take a connection");
                    resumes = Some(clock.monotonic() + ACCEPT_PAUSE);
                }
            },
        }
    }
}
