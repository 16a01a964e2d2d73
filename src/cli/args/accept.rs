//! Arguments of the command `accept`.

use clap::Args;

use super::StateArguments;
use super::guards::of_scope;
use crate::model::Scope;

#[derive(Debug, Args)]
pub(in crate::cli) struct AcceptArguments {
    /// An account and region, and the number of sharekeeper's shares there that are known to have vanished
    #[arg(value_name = "SCOPE=N", required = true, value_parser = of_scope)]
    pub losses: Vec<(Scope, u32)>,
    #[command(flatten)]
    pub state: StateArguments,
}
