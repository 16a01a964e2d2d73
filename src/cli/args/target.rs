//! The flags that choose the API that a command works with.

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::output::Failure;
use crate::model::{Endpoint, EndpointError};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct Target {
    /// Access point; may contain `{region}`; plain http only for loopback hosts
    #[arg(long, value_name = "URL", value_parser = endpoint, env = "SHAREKEEPER_ENDPOINT")]
    pub endpoint: Option<Endpoint>,
    /// Work with a simulator in this process, or with that of a process which uses the same state directory; its world
    /// is kept there
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
}

/// Belongs to commands that may change what is in the state directory.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct SimReset {
    /// Start the simulator with a new world
    #[arg(long)]
    pub sim_reset: bool,
}

impl Target {
    /// Refuses flags that contradict each other. clap cannot do this, because it treats a variable with the value
    /// `false` as set.
    pub(in crate::cli) fn check(&self, reset: SimReset) -> Result<(), Failure> {
        if self.sim && self.endpoint.is_some() {
            return Err(Failure::usage(
                "`--sim` cannot be used with `--endpoint`: the simulator has its own access point",
            ));
        }
        if reset.sim_reset && !self.sim {
            return Err(Failure::usage("`--sim-reset` needs `--sim`"));
        }
        Ok(())
    }
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::new(text)
}
