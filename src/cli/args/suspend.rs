//! Flags of the command `suspend`.

use clap::Args;

use super::time::When;
use super::{SelectorArguments, StateArguments};
use crate::words::safe;

#[derive(Debug, Args)]
pub(in crate::cli) struct SuspendArguments {
    /// The reason; shown wherever an image is withheld because of it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// When it ends by itself: an instant, or a duration from now, such as `8h`
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    /// Suspend everything; cannot be combined with flags that narrow this
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
        0 => Err("give a reason, for people who ask later"),
        1..=CHARS_MAX => Ok(safe(text)),
        _ => Err("use at most 200 characters, and link to further details"),
    }
}
