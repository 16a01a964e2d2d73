//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod calls;
mod client;
mod clocks;
pub mod error;
mod gate;
mod identity;
pub mod keys;
#[cfg(test)]
mod liberal_tests;
mod owner;
mod probe;
mod proof;
mod reply;
mod request;
pub mod retry;
mod shared;
pub mod sign;
pub mod wire;
mod write;

pub use calls::{ActionTally, Calls, Tally, Turn};
pub use client::{Answered, Connection, DEFAULT_RATE, ReadClient};
pub use clocks::{ApiClocks, ClockNews};
pub use keys::{Exposure, KeyError, Keyring, Keys, Provenance, Surroundings};
pub use owner::Owner;
pub use probe::Look;
pub use shared::Shared;
pub use write::{Modified, WriteClient, WritePermit};
