//! Flags of `sim`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct SimArguments {
    /// Address to listen on; the variable is that of `run`, too, so give the flag where both run
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:7980",
        env = "SHAREKEEPER_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Images, faults, latency and limits, as YAML
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_WORLD")]
    pub world: Option<PathBuf>,
    /// Seed of the dice for faults and latency
    #[arg(long, value_name = "N", env = "SHAREKEEPER_SEED")]
    pub seed: Option<u64>,
}
