//! Flags of the command `sim`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct SimArguments {
    /// Address to listen on; `run` has the same variable, so use the flag if both run
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:7980",
        env = "SHAREKEEPER_LISTEN"
    )]
    pub listen: SocketAddr,
    /// A YAML file with images, faults, latency and limits
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_WORLD")]
    pub world: Option<PathBuf>,
    /// Seed of the random numbers for faults and latency
    #[arg(long, value_name = "N", env = "SHAREKEEPER_SEED")]
    pub seed: Option<u64>,
}
