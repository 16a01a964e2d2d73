//! Flags of commands that write.

use clap::Args;
use clap::builder::FalseyValueParser;

/// Some weeks of a busy account; a hundred megabytes at most.
const DEFAULT_HISTORY_MAX: u64 = 100_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct WriteArguments {
    /// Go on with the files that have no error; nothing is cancelled then
    #[arg(long, env = "SHAREKEEPER_PARTIAL_OK", value_parser = FalseyValueParser::new())]
    pub partial_ok: bool,
    /// Entries that the history keeps, the newest
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HISTORY_MAX, value_parser = history_max, env = "SHAREKEEPER_HISTORY_MAX")]
    pub history_max: u64,
}

/// Refuses 0: it would delete the history, and whoever writes it may mean "without limit".
fn history_max(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on; to keep it all, give one that is never reached"),
        Ok(entries) => Ok(entries),
    }
}
