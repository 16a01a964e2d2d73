//! The ports: time, network, randomness, other programs, and notifications of changed files. Everything that a run takes
//! from the machine comes through one of these, so that a simulation can supply all of it.
//!
//! The real forms are [`SystemClock`], [`HttpTransport`], [`SystemRng`], [`SystemCommandRunner`] and [`SystemWatch`]; no other
//! module reads a clock, connects to anything, asks for randomness or starts a program.

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
pub use signals::is_signal_ignored;
pub use spawn_blocking::spawn_blocking;
pub use steady::SteadyClock;
pub use supervisor::Supervisor;
pub use system::System;
pub use terminal::{TerminalSize, is_reader_gone, terminal_size};
pub use watch::{Places, SystemWatch, Watch};

/// Wall time to sign and to expire by, monotonic time to wait by. They are different methods because
/// they fail differently: the wall clock jumps.
pub trait Clock {
    /// The machine's wall clock, UTC.
    fn now(&self) -> Timestamp;
    /// Time that only moves forward.
    fn monotonic(&self) -> Monotonic;
    /// Returns once `monotonic()` is at or after `at`.
    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()>;
}

/// One HTTP exchange: no redirects, no retries, no more than `deadline`.
pub trait Transport {
    /// Sends and reads the whole reply.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>>;
}

/// Random numbers for jitter; not for cryptography.
pub trait Rng {
    /// A number in `[0, 1)`.
    fn next_f64(&self) -> f64;
}

/// All that a run needs from outside.
pub trait Host: Clock + Transport + Rng {}
impl<T: Clock + Transport + Rng> Host for T {}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Without a body: for the metadata of the machine that this runs on.
    Get,
    /// For every call of the API.
    Post,
}

pub struct Request {
    pub method: Method,
    /// The absolute URL, with its query.
    pub url: String,
    /// In order; `content-length` is the transport's.
    pub headers: Vec<Header>,
    /// The exact bytes that were signed.
    pub body: Vec<u8>,
    /// For connecting, sending and reading together; the body of the reply only where it is needed.
    pub deadline: Duration,
    /// How much of the reply's body is needed.
    pub reads: ReplyBody,
}

/// How much of a reply's body is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// A reply without its whole body is lost.
    Whole,
    /// A reply counts by its status, and holds what of its body arrives within these limits.
    Within {
        /// Counts from the end of the reply's headers.
        wait: Duration,
        bytes_max: usize,
    },
}

/// A request header. A secret one is marked, so that no layer below prints it.
pub struct Header {
    /// The name in lower case.
    pub name: &'static str,
    /// Printable ASCII, as it is sent.
    pub value: String,
    /// Set for the signature and the session token.
    pub secret: bool,
}

/// What came back, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The `Date` header, for a clock that is off.
    pub date: Option<String>,
    /// The `Retry-After` header: seconds, or a date.
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
    /// The body is all that was sent. Always so where [`ReplyBody::Whole`] was asked for.
    pub is_whole: bool,
}

/// No reply. The difference decides whether a write may simply be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection was never made, so the server saw nothing.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// Sent, at least in part: the server may have acted on it.
    #[error("{0}")]
    Lost(String),
}
