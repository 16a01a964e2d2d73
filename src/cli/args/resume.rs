//! Flags of the command `resume`.

use clap::Args;

use super::{KeySelectorArguments, StateArguments};

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArguments {
    /// Suspensions to end, by the numbers that `status` shows
    #[arg(value_name = "ID", value_parser = id)]
    pub ids: Vec<u64>,
    /// End every suspension, and let every parked image be reconciled again
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub selection: KeySelectorArguments,
    #[command(flatten)]
    pub state: StateArguments,
}

fn id(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "give the number of a suspension, which `sharekeeper status` shows")
}
