//! Flags that say what may be pruned, and what holds it back.

use std::time::Duration;

use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use super::time::duration_or_zero;
use crate::plan::{Policy, Prune};

#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(in crate::cli) struct Guards {
    /// Cancel shared images that no manifest names: none, those that sharekeeper itself shared, or all
    #[arg(long, value_enum, value_name = "MODE", default_value_t = PruneMode::None, env = "SHAREKEEPER_PRUNE")]
    pub prune: PruneMode,
    /// Most images that may be pruned in one account and region; beyond it, none is
    #[arg(long, value_name = "N", default_value_t = Policy::DEFAULT.max_cancels, env = "SHAREKEEPER_MAX_CANCELS")]
    pub max_cancels: u32,
    /// The same in percent of what could be pruned; does not apply to fewer than 10 images
    #[arg(long, value_name = "P", default_value_t = Policy::DEFAULT.max_cancels_percent, value_parser = clap::value_parser!(u32).range(0..=100), env = "SHAREKEEPER_MAX_CANCELS_PERCENT")]
    pub max_cancels_percent: u32,
    /// Go on though N images that sharekeeper shared are no longer shown as shared
    #[arg(long, value_name = "N", default_value_t = Policy::DEFAULT.accept_lost, env = "SHAREKEEPER_ACCEPT_LOST")]
    pub accept_lost: u32,
    /// Where DescribeBlueprints is denied, take the state that the API acknowledged for an image's for so long; then write
    /// it once more
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration_or_zero, env = "SHAREKEEPER_TRUST_ACKNOWLEDGED")]
    pub trust_acknowledged: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PruneMode {
    /// Leave them alone
    None,
    /// Those that sharekeeper itself shared
    Owned,
    /// All of them
    Exclusive,
}

impl Guards {
    /// The policy of the planner.
    pub(in crate::cli) fn policy(&self) -> Policy {
        Policy {
            prune: match self.prune {
                PruneMode::None => Prune::None,
                PruneMode::Owned => Prune::Owned,
                PruneMode::Exclusive => Prune::Exclusive,
            },
            max_cancels: self.max_cancels,
            max_cancels_percent: self.max_cancels_percent,
            accept_lost: self.accept_lost,
            // The parser allows a year at most.
            trust_acknowledged: TimeDelta::from_std(self.trust_acknowledged)
                .unwrap_or(TimeDelta::MAX),
            ..Policy::DEFAULT
        }
    }
}
