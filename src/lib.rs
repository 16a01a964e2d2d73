//! sharekeeper: makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML
//! manifests. The modules stand in the order in which data flows; see `ARCHITECTURE.md`.

pub mod model;

pub mod desired;

pub mod api;
