//! One exchange with the API as bytes and headers: names and formats of requests and replies, the signature, and the
//! meaning of a reply. It must not know clients, credential sources or rates.

pub(super) mod reply;
pub(super) mod request;
pub mod sign;
pub mod wire;
