//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod call;
mod calls;
mod circuit_breaker;
mod client;
mod clocks;
mod context;
mod credential_status;
pub mod credentials;
pub mod error;
mod exchange;
mod identity;
#[cfg(test)]
mod liberal_tests;
mod owner;
mod owner_lookup;
mod probe;
pub mod protocol;
mod ready_credentials;
pub mod retry;
mod write;

pub use calls::{ActionTally, Calls, Tally, Turn};
pub use client::{Answered, Connection, DEFAULT_RATE, ReadClient};
pub use clocks::{ApiClocks, ClockNews};
pub use context::ClientContext;
pub use credentials::{
    CredentialProvider, Environment, Exposure, KeyError, Provenance, ProviderCache,
};
pub use owner::Owner;
pub use probe::ProbeResult;
pub use write::{Modified, WriteClient, WritePermit};
