//! Arguments of `accept`.

use clap::Args;

use super::StateArguments;
use super::guards::of_scope;
use crate::model::Scope;

#[derive(Debug, Args)]
pub(in crate::cli) struct AcceptArguments {
    /// An account and region, and how many images that sharekeeper shared there are known to be shared no longer
    #[arg(value_name = "SCOPE=N", required = true, value_parser = of_scope)]
    pub losses: Vec<(Scope, u32)>,
    #[command(flatten)]
    pub state: StateArguments,
}
