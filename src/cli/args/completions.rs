//! Arguments of the command `completions`.

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArguments {
    /// The shell that will run the script
    pub shell: Shell,
}
