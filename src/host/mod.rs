//! The ports: time, network, randomness, other programs, and notifications of changed files. Everything that a run
//! needs from the machine comes through one of these, so that a simulation can supply all of it.
//!
//! The real implementations are [`SystemClock`], [`HttpTransport`], [`SystemRng`], [`SystemCommandRunner`] and
//! [`SystemWatch`]; no other module reads a clock, opens a connection, asks for random numbers or starts a program.

mod clock;
mod command;
mod disk;
mod harden;
mod http;
mod init;
mod near;
mod no_connection;
mod process;
mod process_group;
mod process_identity;
mod proxy;
mod signals;
mod spawn_blocking;
mod steady;
mod supervisor;
mod system;
mod terminal;
mod watch;

use std::future::Future;
use std::time::Duration;

use crate::model::{Monotonic, Timestamp};

pub use clock::{SystemClock, SystemRng};
pub use command::{CommandError, CommandRunner, ExternalCommand, SystemCommandRunner};
pub use disk::{free_space, may_write};
pub use harden::keep_memory_private;
pub use http::{HttpTransport, HttpTransportError};
pub use init::run_below_init;
pub use near::METADATA_HOST;
pub use process::{ProcessCounts, process_counts};
pub use process_group::kill_programs;
pub use process_identity::{Presence, ProcessIdentity};
pub use proxy::{Proxy, ProxyError, ProxySettings};
pub use signals::{is_signal_ignored, receive_signals};
pub use spawn_blocking::spawn_blocking;
pub use steady::SteadyClock;
pub use supervisor::Supervisor;
pub use system::System;
pub use terminal::{TerminalSize, is_reader_gone, terminal_size};
pub use watch::{Places, SystemWatch, Watch};

/// Wall time for signing and for expiry, monotonic time for waiting. They are separate methods because they fail
/// differently: the wall clock jumps.
pub trait Clock {
    /// The machine's wall clock, in UTC.
    fn now(&self) -> Timestamp;
    /// Time that only moves forward.
    fn monotonic(&self) -> Monotonic;
    /// Returns once `monotonic()` is at or after `at`.
    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()>;
}

/// One HTTP exchange: no redirects, no retries, no more than `deadline`.
pub trait Transport {
    /// Sends the request and reads the reply.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>>;
}

/// Random numbers for jitter; not for cryptography.
pub trait Rng {
    /// A number in `[0, 1)`.
    fn next_f64(&self) -> f64;
}

/// Everything that a run needs from the machine.
pub trait Host: Clock + Transport + Rng {}
impl<T: Clock + Transport + Rng> Host for T {}

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Has no body. Used for the metadata of the machine that this runs on.
    Get,
    /// Used for every call of the API.
    Post,
}

pub struct Request {
    pub method: Method,
    /// The absolute URL, with its query.
    pub url: String,
    /// The headers in order; the transport adds `content-length`.
    pub headers: Vec<Header>,
    /// The exact bytes that were signed.
    pub body: Vec<u8>,
    /// The limit for connecting, sending and reading together. Reading the body counts only if it is needed.
    pub deadline: Duration,
    /// The part of the reply's body that is needed.
    pub reads: ReplyBody,
}

/// The part of a reply's body that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// All of it: a reply without its whole body counts as lost.
    Whole,
    /// The reply counts by its status, and holds the part of its body that arrives within these limits.
    Within {
        /// The wait for the body, from the end of the reply's headers.
        wait: Duration,
        bytes_max: usize,
    },
}

/// A request header. A secret header is marked, so that no lower layer prints it.
pub struct Header {
    /// The name in lower case.
    pub name: &'static str,
    /// The value as it is sent, in printable ASCII.
    pub value: String,
    /// Set for the signature and the session token.
    pub secret: bool,
}

/// The reply to a request, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The `Date` header, for detecting a wrong clock.
    pub date: Option<String>,
    /// The `Retry-After` header: seconds, or a date.
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
    /// Whether the body is complete. Always true if [`ReplyBody::Whole`] was requested.
    pub is_whole: bool,
}

/// Why there is no reply. The variant decides whether a write may simply be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection was never made, so the server saw nothing.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// Sent, at least in part, so the server may have acted on it.
    #[error("{0}")]
    Lost(String),
}
