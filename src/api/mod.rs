//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod calls;
mod circuit_breaker;
mod client;
mod clocks;
mod context;
mod credential_status;
pub mod credentials;
pub mod error;
mod identity;
#[cfg(test)]
mod liberal_tests;
mod owner;
mod probe;
pub mod protocol;
pub mod retry;
mod write;

pub use calls::{ActionTally, Calls, Tally, Turn};
pub use client::{Answered, Connection, DEFAULT_RATE, ReadClient};
pub use clocks::{ApiClocks, ClockNews};
pub use context::ClientContext;
pub use credentials::{Exposure, KeyError, Keyring, Keys, Provenance, Surroundings};
pub use owner::Owner;
pub use probe::Look;
pub use write::{Modified, WriteClient, WritePermit};
