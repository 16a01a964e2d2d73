//! `plan` and `reconcile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{Guards, Narrow, Paths, Target};

/// Some weeks of a busy account; a hundred megabytes at most.
const DEFAULT_HISTORY_MAX: u64 = 100_000;

/// `plan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Exit with 2 if there are changes
    #[arg(long, env = "SHAREKEEPER_DETAILED_EXITCODE", value_parser = FalseyValueParser::new())]
    pub detailed_exitcode: bool,
    /// Save the plan, for `reconcile --plan FILE`
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_OUT")]
    pub out: Option<PathBuf>,
    /// Sign the saved plan with the key in this file, for `reconcile --plan-key-file`
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_PLAN_KEY_FILE")]
    pub plan_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub narrow: Narrow,
}

/// `reconcile`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReconcileArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Do exactly what this saved plan says, or nothing if it is stale or was made with wider guards than are given here
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_PLAN")]
    pub plan: Option<PathBuf>,
    /// Refuse a saved plan that was not signed with the key in this file
    #[arg(
        long,
        value_name = "FILE",
        requires = "plan",
        env = "SHAREKEEPER_PLAN_KEY_FILE"
    )]
    pub plan_key_file: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SHAREKEEPER_TIMEOUT")]
    pub timeout: Duration,
    /// End without waiting for shares whose blueprint is still SYNCING: they are `pending`, exit status 4
    #[arg(long, env = "SHAREKEEPER_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
    #[command(flatten)]
    pub working: Working,
    /// Go back to a commit that is older than the newest one worked on, which is refused otherwise
    #[arg(long, env = "SHAREKEEPER_ALLOW_OLDER_COMMIT", value_parser = FalseyValueParser::new())]
    pub allow_older_commit: bool,
    /// Go on though the commit of the manifests cannot be told, which is refused once the state knows a newest one
    #[arg(long, env = "SHAREKEEPER_ALLOW_UNKNOWN_COMMIT", value_parser = FalseyValueParser::new())]
    pub allow_unknown_commit: bool,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub narrow: Narrow,
}

/// What every command takes that writes.
#[derive(Debug, Args)]
pub(in crate::cli) struct Working {
    /// Go on with the files that have no error; nothing is cancelled then
    #[arg(long, env = "SHAREKEEPER_PARTIAL_OK", value_parser = FalseyValueParser::new())]
    pub partial_ok: bool,
    /// Entries that the history keeps, the newest
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HISTORY_MAX, value_parser = history_max, env = "SHAREKEEPER_HISTORY_MAX")]
    pub history_max: u64,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("nothing can be done in no time".into()),
        duration => Ok(duration),
    }
}

/// The same, and none at all.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    /// Far below what a clock can add up.
    const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration is written like `90s`, `10m` or `1h 30m`"))?;
    match duration > TIMEOUT_MAX {
        true => Err("that is more than a year".into()),
        false => Ok(duration),
    }
}

/// None at all is no history. Who writes 0 may mean "without limit", and would lose it.
fn history_max(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on; to keep it all, give one that is never reached"),
        Ok(entries) => Ok(entries),
    }
}
