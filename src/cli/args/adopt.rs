//! Flags of the command `adopt`.

use clap::Args;

use super::{Paths, SelectorArguments, SimReset, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct AdoptArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// All images that are named and shared, unless another flag narrows this
    #[arg(long)]
    pub all: bool,
    /// Remove images from the inventory instead; they stay shared
    #[arg(long)]
    pub release: bool,
    /// Only show what would be adopted
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
