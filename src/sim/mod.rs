//! A believable cloud: the part of the API that sharekeeper uses, over the real wire protocol, with faults.
//!
//! Users try sharekeeper with it, demonstrate it and test pipelines with it; our own tests use it too. It shares the wire
//! types and the signature with the client, but no manifests, plans or engine, so it cannot repeat their bugs.
//!
//! [`World`] is the file format, [`Cloud`] the state machine without sockets or a clock, and [`Server`] its HTTP
//! interface. Where the documentation of the real service is unclear, the simulator shows the worst possible behaviour,
//! and the setting's comment says so.

mod account;
mod action;
mod admin;
mod admin_call;
mod admin_images;
mod auth;
mod bakery;
mod builds;
mod call;
mod change;
mod cloud;
mod cvm;
mod faults;
mod image;
mod instances;
mod journal;
mod lighthouse;
mod limiter;
mod metadata;
mod paging;
mod role_config;
mod roles;
mod rows;
mod server;
mod sts;
mod temporary_keys;
mod tracked;
mod units;
mod world;
mod world_build;
mod world_image;
mod world_instance;

pub use account::Account;
pub use cloud::Cloud;
pub use journal::{KeepError, WorldFiles};
pub use metadata::CREDENTIALS as METADATA_CREDENTIALS;
pub use server::{IDENTITY, Server, StartError};
pub use world::{World, WorldError};
pub use world_image::{Image, PlacedImage};
