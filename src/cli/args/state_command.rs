//! Flags of the command `state`.

use clap::{Args, Subcommand};

use super::StateArguments;

#[derive(Debug, Args)]
pub(in crate::cli) struct StateCommandArguments {
    #[command(subcommand)]
    pub command: StateCommand,
}

/// The subcommands of `state`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StateCommand {
    /// Bring the state of an older sharekeeper up to date, keep a copy, and give its free space back to the disk
    Upgrade(StateArguments),
}
