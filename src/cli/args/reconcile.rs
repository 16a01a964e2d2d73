//! Flags of the command `reconcile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::time::duration;
use super::{Guards, Paths, SelectorArguments, SimReset, Target, WriteArguments};

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconcileArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Do exactly what this saved plan says; do nothing if it is stale, or if it was made with wider guards than this
    /// command line has
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
    /// Do not wait for shares whose blueprint is still SYNCING: they are `pending`, exit status 4
    #[arg(long, env = "SHAREKEEPER_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
    #[command(flatten)]
    pub working: WriteArguments,
    /// Accept a commit that is older than the newest one that was applied, which is refused otherwise
    #[arg(long, env = "SHAREKEEPER_ALLOW_OLDER_COMMIT", value_parser = FalseyValueParser::new())]
    pub allow_older_commit: bool,
    /// Continue although the commit of the manifests is not known, which is refused if the state knows a newest one
    #[arg(long, env = "SHAREKEEPER_ALLOW_UNKNOWN_COMMIT", value_parser = FalseyValueParser::new())]
    pub allow_unknown_commit: bool,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    /// Fail if the flags that narrow the scope select nothing
    #[arg(long, env = "SHAREKEEPER_REQUIRE_MATCH", value_parser = FalseyValueParser::new())]
    pub require_match: bool,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
