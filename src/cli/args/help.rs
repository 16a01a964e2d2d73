//! Arguments of the command `help`.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct HelpArguments {
    /// A command, such as `history verify`; or `exit-codes` or `environment`
    #[arg(value_name = "COMMAND|TOPIC")]
    pub subject: Vec<String>,
}
