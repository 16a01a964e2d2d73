//! The Tencent dialect: names, signature, error codes, access points. The only module that knows
//! them; everything else speaks of images, permissions and classes of failure.

mod endpoint;
pub mod sign;
pub mod wire;

pub use endpoint::{Endpoint, EndpointError};
