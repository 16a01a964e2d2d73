//! The dialect of Tencent's API: names, signature, error codes, access points. Only this module knows them; all others
//! use images, permissions and classes of failure.

mod asked;
mod call;
mod call_stats;
mod circuit_breaker;
mod client;
mod clocks;
mod context;
mod credential_status;
pub mod credentials;
pub mod error;
mod exchange;
mod identity;
mod in_flight;
#[cfg(test)]
mod liberal_tests;
mod owner;
mod owner_lookup;
mod probe;
pub mod protocol;
mod ready_credentials;
mod remedy;
pub mod retry;
mod retry_budgets;
mod write;

pub use asked::Asked;
pub use call_stats::{ActionStats, CallBreakdown, CallResult, CallStats, QueuedCall};
pub use client::{Connection, DEFAULT_RATE, ReadClient, TimedReply};
pub use clocks::{ApiClocks, ClockReport};
pub use context::ClientContext;
pub use credentials::{
    CredentialError, CredentialProvider, Environment, Exposure, Provenance, ProviderCache,
};
pub use owner::Owner;
pub use probe::ProbeTarget;
pub use write::{Modified, WriteClient, WritePermit};
