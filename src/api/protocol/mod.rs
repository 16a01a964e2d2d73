//! One exchange with the API as bytes and headers: names and shapes of requests and replies, the signature, and what a
//! reply means. It must not know clients, credentials' sources or rates.

pub(super) mod reply;
pub(super) mod request;
pub mod sign;
pub mod wire;
