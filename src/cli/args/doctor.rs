//! Flags of `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{Paths, SelectorArguments, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Print the least that keys and roles must be allowed, as CAM policies, instead
    #[arg(long)]
    pub cam_policy: bool,
    /// Leave out what only writes need
    #[arg(long, requires = "cam_policy")]
    pub read_only: bool,
    /// Check the webhooks in this file, too, and show how their hosts are reached
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_NOTIFY")]
    pub notify: Option<PathBuf>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
