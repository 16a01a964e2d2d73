//! Flags of commands that write.

use clap::Args;
use clap::builder::FalseyValueParser;

/// Some weeks of a busy account, at most a hundred megabytes.
const DEFAULT_HISTORY_MAX: u64 = 100_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct WriteArguments {
    /// Continue with the files that have no errors; nothing is cancelled then
    #[arg(long, env = "SHAREKEEPER_PARTIAL_OK", value_parser = FalseyValueParser::new())]
    pub partial_ok: bool,
    /// Number of history entries to keep, the newest ones
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HISTORY_MAX, value_parser = history_max, env = "SHAREKEEPER_HISTORY_MAX")]
    pub history_max: u64,
}

/// Refuses 0: it would delete the history, and the person may mean "no limit".
fn history_max(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err("give a number from 1 up; to keep all entries, give a number that is never reached")
        }
        Ok(entries) => Ok(entries),
    }
}
