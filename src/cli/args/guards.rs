//! Flags that decide what may be pruned, and the limits for that.

use std::time::Duration;

use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use super::time::duration_or_zero;
use super::{Common, selector};
use crate::cli::output::Failure;
use crate::model::Scope;
use crate::plan::{AcceptedLosses, CapOrigins, Policy, Prune};
use crate::words::first_of;

#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(in crate::cli) struct Guards {
    /// Cancel shared images that no manifest names: none, those that sharekeeper itself shared, or all
    #[arg(long, value_enum, value_name = "MODE", default_value_t = PruneMode::None, env = "SHAREKEEPER_PRUNE")]
    pub prune: PruneMode,
    /// Most images that may be pruned in one account and region; if more are due, none is pruned
    #[arg(long, value_name = "N", default_value_t = Policy::DEFAULT.max_cancels, env = "SHAREKEEPER_MAX_CANCELS")]
    pub max_cancels: u32,
    /// The same as a percentage of the prunable images; does not apply to fewer than 10 images
    #[arg(long, value_name = "P", default_value_t = Policy::DEFAULT.max_cancels_percent, value_parser = clap::value_parser!(u32).range(0..=100), env = "SHAREKEEPER_MAX_CANCELS_PERCENT")]
    pub max_cancels_percent: u32,
    /// Continue although N images that sharekeeper shared in this account and region no longer show as shared: accepts
    /// only the first N that are missing. If only one account and region is worked on, N alone is enough
    #[arg(long, value_name = "SCOPE=N", value_parser = accepted_loss, env = "SHAREKEEPER_ACCEPT_LOST", value_delimiter = ',')]
    pub accept_lost: Vec<(Option<Scope>, u32)>,
    /// If DescribeBlueprints is denied, treat the state that the API acknowledged as the image's state for this long;
    /// then write it again
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration_or_zero, env = "SHAREKEEPER_TRUST_ACKNOWLEDGED")]
    pub trust_acknowledged: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PruneMode {
    /// Leave all of them alone
    None,
    /// Those that sharekeeper itself shared
    Owned,
    /// All of them, whoever shared them
    Exclusive,
}

impl Guards {
    /// The images that may be pruned.
    pub(in crate::cli) fn prune(&self) -> Prune {
        match self.prune {
            PruneMode::None => Prune::None,
            PruneMode::Owned => Prune::Owned,
            PruneMode::Exclusive => Prune::Exclusive,
        }
    }

    /// The policy of the planner. Fails if a loss is accepted without its scope, unless exactly one scope is
    /// `worked_on`.
    pub(in crate::cli) fn policy(
        &self,
        common: &Common,
        worked_on: &[&Scope],
    ) -> Result<Policy, Failure> {
        Ok(Policy {
            prune: self.prune(),
            max_cancels: self.max_cancels,
            max_cancels_percent: self.max_cancels_percent,
            cap_origins: CapOrigins {
                count: common.bound_origin("max_cancels"),
                percent: common.bound_origin("max_cancels_percent"),
            },
            accept_lost: self.accepted_losses(worked_on)?,
            // The parser allows at most a year.
            trust_acknowledged: TimeDelta::from_std(self.trust_acknowledged)
                .unwrap_or(TimeDelta::MAX),
            ..Policy::DEFAULT
        })
    }

    fn accepted_losses(&self, worked_on: &[&Scope]) -> Result<AcceptedLosses, Failure> {
        let mut losses = Vec::new();
        for (scope, lost) in self.accept_lost.iter().filter(|(_, lost)| *lost > 0) {
            let scope = match (scope, worked_on) {
                (Some(scope), _) => scope,
                (None, [only]) => *only,
                (None, many) => {
                    let scopes: Vec<_> = many.iter().map(ToString::to_string).collect();
                    let worked_on = match scopes.is_empty() {
                        true => "the scopes can change with the manifests".to_owned(),
                        false => format!("the scopes are {}", first_of(&scopes)),
                    };
                    let example = scopes.first().map_or("ACCOUNT/REGION", String::as_str);
                    return Err(Failure::usage(format_args!(
                        "`--accept-lost {lost}` needs an account and region ({worked_on}): give it as \
                         `--accept-lost {example}={lost}`"
                    )));
                }
            };
            losses.push((scope.clone(), *lost));
        }
        Ok(losses.into_iter().collect())
    }
}

fn accepted_loss(text: &str) -> Result<(Option<Scope>, u32), String> {
    match text.contains('=') {
        true => of_scope(text).map(|(scope, lost)| (Some(scope), lost)),
        false => Ok((None, count(text)?)),
    }
}

/// Parses a loss of N images in a scope, `ACCOUNT/REGION=N`.
pub(super) fn of_scope(text: &str) -> Result<(Scope, u32), String> {
    const FORM: &str = "an account, a region and a number are needed, such as `default/ap-tokyo=3`";
    let (scope, lost) = text.split_once('=').ok_or(FORM)?;
    let (_, region) = scope.split_once('/').ok_or(FORM)?;
    selector::region(region)?;
    let scope = Scope::parse(scope).ok_or(FORM)?;
    Ok((scope, count(lost)?))
}

fn count(text: &str) -> Result<u32, String> {
    // The typed text may be a secret by mistake, so it is not quoted.
    text.parse()
        .map_err(|_| "a number of images is needed".to_owned())
}
