//! Flags of `adopt`.

use clap::Args;

use super::{Paths, SelectorArguments, Target};

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
    pub selection: SelectorArguments,
}
