//! Flags of the command `plan`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{Guards, Paths, SelectorArguments, SimReset, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Exit with 2 if there are changes
    #[arg(long, env = "SHAREKEEPER_DETAILED_EXITCODE", value_parser = FalseyValueParser::new())]
    pub detailed_exitcode: bool,
    /// List each shared image that no manifest names and that is left alone
    #[arg(long, env = "SHAREKEEPER_UNMANAGED", value_parser = FalseyValueParser::new())]
    pub unmanaged: bool,
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
    pub reset: SimReset,
    /// Fail if the flags that narrow the scope select nothing
    #[arg(long, env = "SHAREKEEPER_REQUIRE_MATCH", value_parser = FalseyValueParser::new())]
    pub require_match: bool,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
