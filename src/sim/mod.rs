//! A believable cloud: the API that sharekeeper uses, over the real wire protocol, with faults.
//!
//! A feature for users (try, demonstrate, test a pipeline) and the bed that our own tests lie in. It
//! shares the wire types and the signature with the client; it knows nothing of manifests, plans or the
//! engine, so that it cannot agree with their bugs.
//!
//! [`World`] is the file format; [`Cloud`] is the state machine, without sockets or a clock of its own;
//! [`Server`] gives it an HTTP face. What the real service's documentation leaves open is played at its
//! worst, and said so beside the setting.

mod account;
mod actions;
mod admin;
mod auth;
mod call;
mod cloud;
mod faults;
mod image;
mod issued;
mod limiter;
mod metadata;
mod offered;
mod role_config;
mod roles;
mod rows;
mod server;
mod sts;
mod units;
mod world;

pub use account::{Account, Image};
pub use cloud::Cloud;
pub use metadata::CREDENTIALS as METADATA_CREDENTIALS;
pub use server::Server;
pub use world::{World, WorldError};
