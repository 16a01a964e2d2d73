//! Flags of `suspend`.

use clap::Args;

use super::time::When;
use super::{SelectorArguments, StateArguments};
use crate::words::safe;

#[derive(Debug, Args)]
pub(in crate::cli) struct SuspendArguments {
    /// Why; shown wherever an image is withheld for it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// When it ends by itself: an instant, or so long from now, such as `8h`
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    /// Everything, where no other flag narrows it
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub selection: SelectorArguments,
    #[command(flatten)]
    pub state: StateArguments,
}

fn reason(text: &str) -> Result<String, &'static str> {
    const CHARS_MAX: usize = 200;
    let text = text.trim();
    match text.chars().count() {
        0 => Err("say why, for whoever wonders later"),
        1..=CHARS_MAX => Ok(safe(text)),
        _ => Err("no longer than 200 characters; link to the rest"),
    }
}
