//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod client;
mod credentials;
pub mod error;
mod gate;
mod reply;
pub mod sign;
pub mod wire;

pub use client::{
    Calls, Connection, DEFAULT_RATE, Modified, ReadClient, Shared, WriteClient, WritePermit,
};
pub use credentials::CredentialError;
