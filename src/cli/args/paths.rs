//! Where a command finds the manifests.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct Paths {
    /// Manifest files, or directories that hold `*.yaml` and `*.yml`
    #[arg(value_name = "PATH", default_value = "manifests", env = "SHAREKEEPER_PATH", value_delimiter = None)]
    pub paths: Vec<PathBuf>,
}
