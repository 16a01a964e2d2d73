//! Flags of commands that only read the state directory.

use clap::Args;
use clap::builder::FalseyValueParser;

#[derive(Debug, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct StateArguments {
    /// Use the separate state of `plan --sim` and `reconcile --sim`
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
}
