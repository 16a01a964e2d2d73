//! Flags of `doctor`.

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
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub selection: SelectorArguments,
}
