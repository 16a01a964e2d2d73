//! sharekeeper: makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML
//! manifests. The modules stand in the order in which data flows; see `ARCHITECTURE.md`.

pub mod words;

pub mod model;

pub mod windows;

pub mod manifest;

pub mod desired;

pub mod observation;

pub mod inventory;

pub mod attempts;

pub mod history;

pub mod ledger;

pub mod plan;

pub mod execute;

pub mod host;

pub mod pace;

pub mod api;

pub mod listing;

pub mod store;

pub mod engine;

pub mod status;

pub mod schedule;

pub mod source;

pub mod webhooks;

pub mod report;

pub mod doctor;

pub mod metrics;

pub mod web;

pub mod serve;

pub mod daemon;

pub mod sim;

pub mod cli;
