//! Where a command finds the manifests.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct Paths {
    /// Manifest files, or directories that hold `*.yaml` and `*.yml`; the variable separates them as `PATH` does
    #[arg(value_name = "PATH", default_value = "manifests", env = "SHAREKEEPER_PATH", value_delimiter = None)]
    pub paths: Vec<PathBuf>,
}

impl Paths {
    /// Takes each path for a list, as a variable has it: separated by `:`, and without empty ones.
    pub(super) fn split(&mut self) {
        let each = self.paths.iter().flat_map(std::env::split_paths);
        self.paths = each.filter(|path| !path.as_os_str().is_empty()).collect();
    }
}
