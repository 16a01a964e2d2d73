//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod client;
mod credentials;
mod endpoint;
pub mod error;
mod gate;
pub mod sign;
pub mod wire;

pub use client::{
    Calls, Connection, DEFAULT_RATE, Modified, ReadClient, Shared, WriteClient, WritePermit,
};
pub use credentials::CredentialError;
pub(crate) use endpoint::is_loopback;
pub use endpoint::{Endpoint, EndpointError};
