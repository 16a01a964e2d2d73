//! Flags of the command `history`.

use clap::{Args, Subcommand};

use super::time::When;
use super::{KeySelectorArguments, StateArguments};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct HistoryArguments {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// Only the newest N entries; 0 means all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Only entries at or after this instant, or newer than this duration
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,
    /// Only entries before this instant, or older than this duration
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    #[command(flatten)]
    pub selection: KeySelectorArguments,
    #[command(flatten)]
    pub state: StateArguments,
}

/// A subcommand that does something other than show the history.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HistoryCommand {
    /// Check that no entry was changed, removed or inserted
    Verify(StateArguments),
}
