//! Flags of the command `status`.

use clap::Args;

use super::StateArguments;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    /// Show the status again whenever it changes, until Ctrl-C; a terminal is refreshed each second
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub state: StateArguments,
}
