//! Flags of the command `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{KeySelectorArguments, Paths, SimReset, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Directory to write to [default: the first PATH]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write one file for each region, or for each account
    #[arg(long, value_enum, default_value_t = ImportBy::Region)]
    pub by: ImportBy,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    // Images have labels only once a manifest names them.
    #[command(flatten)]
    pub selection: KeySelectorArguments,
}

/// The values of `import --by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ImportBy {
    /// Files named `ACCOUNT-REGION.yaml`
    Region,
    /// Files named `ACCOUNT.yaml`
    Account,
}
