//! The paths of the manifests for a command.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct Paths {
    /// Manifest files, or directories that hold `*.yaml` and `*.yml`; in the variable, `:` separates them, as in `PATH`
    #[arg(value_name = "PATH", default_value = "manifests", env = "SHAREKEEPER_PATH", value_delimiter = None)]
    pub paths: Vec<PathBuf>,
}

impl Paths {
    /// Splits each path at `:`, because the variable holds a list, and drops empty parts.
    pub(super) fn split(&mut self) {
        let each = self.paths.iter().flat_map(std::env::split_paths);
        self.paths = each.filter(|path| !path.as_os_str().is_empty()).collect();
    }
}
