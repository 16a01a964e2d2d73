//! Flags of `status`.

use clap::Args;

use super::StateArguments;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    /// Show it anew whenever it changes, until Ctrl-C; a terminal is drawn anew each second
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub state: StateArguments,
}
