//! Flags of `lock`.

use clap::Args;

use super::{Paths, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Write nothing; exit with 2 if policies would select other images than the lock file has, with 5 if a policy was
    /// changed since
    #[arg(long)]
    pub check: bool,
    /// Only this policy; the lock file keeps what it has of others
    #[arg(long = "policy", value_name = "NAME", value_delimiter = ',')]
    pub policies: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}
