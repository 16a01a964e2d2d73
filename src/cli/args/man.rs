//! Arguments of the command `man`.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct ManArguments {
    /// The command, such as `history verify`
    pub command: Vec<String>,
}
