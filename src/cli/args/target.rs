//! Which API a command works with.

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::output::Failure;
use crate::model::{Endpoint, EndpointError};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct Target {
    /// Access point; may hold `{region}`; plain http only to loopback hosts
    #[arg(long, value_name = "URL", value_parser = endpoint, env = "SHAREKEEPER_ENDPOINT")]
    pub endpoint: Option<Endpoint>,
    /// Work against a simulator inside this process, or that of a process which has the same state directory, where its
    /// world is kept
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
    /// Begin the simulator's world anew
    #[arg(long)]
    pub sim_reset: bool,
}

impl Target {
    /// Refuses flags that contradict each other. clap cannot: to clap, a variable that says no is set all the same.
    pub(in crate::cli) fn check(&self) -> Result<(), Failure> {
        if self.sim && self.endpoint.is_some() {
            return Err(Failure::usage(
                "`--sim` cannot be used with `--endpoint`: it has an access point of its own",
            ));
        }
        if self.sim_reset && !self.sim {
            return Err(Failure::usage("`--sim-reset` goes with `--sim`"));
        }
        Ok(())
    }
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::new(text)
}
