//! Flags of the command `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{Paths, SelectorArguments, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Print the minimal permissions of keys and roles, as CAM policies, instead
    #[arg(long)]
    pub cam_policy: bool,
    /// Leave out permissions that only writes need
    #[arg(long, requires = "cam_policy")]
    pub read_only: bool,
    /// Also check the webhooks in this file, and show how their hosts are reached
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_NOTIFY")]
    pub notify: Option<PathBuf>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
