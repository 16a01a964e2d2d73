//! Flags of `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{KeySelectorArguments, Paths, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Directory to write to [default: the first PATH]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One file for each region, or for each account
    #[arg(long, value_enum, default_value_t = ImportBy::Region)]
    pub by: ImportBy,
    #[command(flatten)]
    pub target: Target,
    // Images have labels only once a manifest names them.
    #[command(flatten)]
    pub selection: KeySelectorArguments,
}

/// `import --by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ImportBy {
    /// `ACCOUNT-REGION.yaml`
    Region,
    /// `ACCOUNT.yaml`
    Account,
}
