//! `import` and `adopt`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Narrow, NarrowKeys, Paths, Target};

/// `import`.
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
    pub narrow: NarrowKeys,
}

/// `import --by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ImportBy {
    /// `ACCOUNT-REGION.yaml`
    Region,
    /// `ACCOUNT.yaml`
    Account,
}

/// `adopt`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AdoptArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Every image that is named and shared, where no other flag narrows it
    #[arg(long)]
    pub all: bool,
    /// Let images go from the inventory instead; they stay shared
    #[arg(long)]
    pub release: bool,
    /// Only show what would be taken
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub narrow: Narrow,
}
