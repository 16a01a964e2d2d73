//! `schema`: prints the JSON Schema of manifests, for editors.

use std::io;

use super::output::{self, Failure};
use crate::manifest;
use crate::report::ExitStatus;

pub(super) async fn run() -> Result<ExitStatus, Failure> {
    let schema = serde_json::to_string_pretty(&manifest::schema()).map_err(io::Error::from)?;
    output::print_raw(format!("{schema}\n").as_bytes())?;
    Ok(ExitStatus::Done)
}
