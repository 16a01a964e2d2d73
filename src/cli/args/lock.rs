//! Flags of the command `lock`.

use clap::Args;

use super::{Paths, SimReset, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Write nothing; exit with 2 if policies would select images other than those in the lock file, with 5 if a policy
    /// has changed since
    #[arg(long)]
    pub check: bool,
    /// Only this policy; the lock file keeps the entries of others
    #[arg(long = "policy", value_name = "NAME", value_delimiter = ',')]
    pub policies: Vec<String>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
}
