//! sharekeeper: makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML manifests. A module
//! uses only the modules above it in this file; see `ARCHITECTURE.md`.

// Values, valid by construction. They know neither files nor the network.

pub mod words;

pub mod model;

pub mod windows;

pub mod desired;

pub mod observation;

pub mod inventory;

pub mod attempts;

pub mod history;

// Ports to the outside world, and the clients that use them.

pub mod ledger;

pub mod host;

pub mod pace;

pub mod api;

// Decisions. They are pure: the time and a random number are arguments.

pub mod resolve;

pub mod plan;

pub mod execute;

// Readers that turn files, API replies and the state directory into values.

pub mod manifest;

pub mod listing;

pub mod store;

// The loop: observe, plan, execute.

pub mod engine;

// What the daemon needs to run without end, and what it shows.

pub mod status;

pub mod schedule;

pub mod source;

pub mod webhooks;

// Output for people and for other programs.

pub mod report;

pub mod doctor;

pub mod metrics;

pub mod web;

pub mod serve;

// The modules that join all parts.

pub mod daemon;

pub mod sim;

pub mod cli;
