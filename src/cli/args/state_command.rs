//! Flags of `state`.

use clap::{Args, Subcommand};

use super::StateArguments;

#[derive(Debug, Args)]
pub(in crate::cli) struct StateCommandArguments {
    #[command(subcommand)]
    pub command: StateCommand,
}

/// What to do with the state directory.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StateCommand {
    /// Bring a state of an older sharekeeper up to date, with a copy beside it, and give its free space back to the disk
    Upgrade(StateArguments),
}
