//! Flags of the command `run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::time::duration;
use super::{Common, Guards, Paths, SelectorArguments, SimReset, Target, WriteArguments};
use crate::cli::output::Failure;
use crate::source::{GitRef, GitRefError, GitUrl, GitUrlError};

#[derive(Debug, Args)]
pub(in crate::cli) struct RunArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Time between observations of an account and region, varied by a tenth
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = interval, env = "SHAREKEEPER_INTERVAL")]
    pub interval: Duration,
    /// Find and show drift, but write nothing: there is no client and no state that could
    #[arg(long, env = "SHAREKEEPER_OBSERVE_ONLY", value_parser = FalseyValueParser::new())]
    pub observe_only: bool,
    #[command(flatten)]
    pub working: WriteArguments,
    /// Interrupt a pass over one account and region this long after its first observation
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SHAREKEEPER_TIMEOUT")]
    pub timeout: Duration,
    #[command(flatten)]
    pub source: SourceArguments,
    #[command(flatten)]
    pub reporting: ReportingArguments,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    #[command(flatten)]
    pub selection: SelectorArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where manifests come from")]
pub(in crate::cli) struct SourceArguments {
    /// After a change, wait until nothing has changed for this long
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = duration, env = "SHAREKEEPER_DEBOUNCE")]
    pub debounce: Duration,
    /// Check for changes this often, because notifications of the system may be missing
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = interval, env = "SHAREKEEPER_POLL")]
    pub poll: Duration,
    /// Take the manifests from this git repository: https, ssh or file
    #[arg(long, value_name = "URL", value_parser = git_url, env = "SHAREKEEPER_GIT")]
    pub git: Option<GitUrl>,
    /// The repository's branch, tag or commit
    #[arg(long = "ref", value_name = "REF", default_value = "HEAD", value_parser = git_ref, env = "SHAREKEEPER_REF")]
    pub reference: GitRef,
    /// The directory or file in the repository that holds the manifests [default: all of it]
    #[arg(long, value_name = "DIR", env = "SHAREKEEPER_GIT_PATH")]
    pub path: Option<PathBuf>,
    /// Ask the repository for a newer commit this often; SIGHUP asks at once
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = interval, env = "SHAREKEEPER_GIT_INTERVAL")]
    pub git_interval: Duration,
    /// Stop a fetch that takes longer than this, and try it again later
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = interval, env = "SHAREKEEPER_GIT_TIMEOUT")]
    pub git_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Status and notifications")]
pub(in crate::cli) struct ReportingArguments {
    /// Serve the status page, `/status.json`, `/metrics`, `/healthz` and `/readyz` here; `off` serves nothing. `sim`
    /// has the same variable
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7979", value_parser = listen, env = "SHAREKEEPER_LISTEN")]
    pub listen: Listen,
    /// Let everybody who reaches the port read it, if the port is not on loopback
    #[arg(long, env = "SHAREKEEPER_LISTEN_OPEN", value_parser = FalseyValueParser::new())]
    pub listen_open: bool,
    /// Let only those read it who know the token in this file (as bearer token or as password)
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_LISTEN_TOKEN_FILE")]
    pub listen_token_file: Option<PathBuf>,
    /// Also answer to this name in `Host`; loopback names and the port's own address are always accepted
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        env = "SHAREKEEPER_ALLOW_HOST",
        value_delimiter = ','
    )]
    pub allow_hosts: Vec<String>,
    /// Notify the webhooks in this file of events
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_NOTIFY")]
    pub notify: Option<PathBuf>,
    /// Announce the end of a share this long before it ends by itself
    #[arg(long, value_name = "DURATION", default_value = "3d", value_parser = duration, env = "SHAREKEEPER_WARN_BEFORE")]
    pub warn_before: Duration,
}

/// The address of the status port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Listen {
    Off,
    At(SocketAddr),
}

impl RunArguments {
    /// Refuses flags that contradict each other, and a port that everybody could read by mistake.
    pub(in crate::cli) fn check(&self, common: &Common) -> Result<(), Failure> {
        self.check_source(common)?;
        let Listen::At(address) = self.reporting.listen else {
            return Ok(());
        };
        if self.reporting.listen_open && self.reporting.listen_token_file.is_some() {
            return Err(Failure::usage(
                "`--listen-open` lets everybody read, `--listen-token-file` only some: give one",
            ));
        }
        let guarded = self.reporting.listen_open || self.reporting.listen_token_file.is_some();
        if !address.ip().is_loopback() && !guarded {
            return Err(Failure::usage(format_args!(
                "everybody who can reach {address} could read the list of images; give `--listen-token-file`, or `--listen-open` if that is intended"
            )));
        }
        Ok(())
    }
}

/// Flags that apply to a git repository, by clap's names for them, with their variables.
const OF_GIT: [(&str, &str, &str); 4] = [
    ("reference", "--ref", "SHAREKEEPER_REF"),
    ("path", "--path", "SHAREKEEPER_GIT_PATH"),
    ("git_interval", "--git-interval", "SHAREKEEPER_GIT_INTERVAL"),
    ("git_timeout", "--git-timeout", "SHAREKEEPER_GIT_TIMEOUT"),
];

impl RunArguments {
    /// Refuses flags and variables for a repository if there is none, and paths if there is one: the person expects
    /// other manifests to be used.
    fn check_source(&self, common: &Common) -> Result<(), Failure> {
        let given = |id: &str, flag: &str, variable: &str| {
            let is_typed = common.typed.contains(id).then(|| format!("`{flag}`"));
            let is_set = common.from_variables.contains(id);
            is_typed.or_else(|| is_set.then(|| variable.to_owned()))
        };
        if self.source.git.is_none() {
            let of_git = OF_GIT.into_iter();
            let of_git = of_git.filter_map(|(id, flag, variable)| given(id, flag, variable));
            let of_git: Vec<_> = of_git.collect();
            return match of_git.is_empty() {
                true => Ok(()),
                false => Err(Failure::usage(format_args!(
                    "{} without `--git` (SHAREKEEPER_GIT): name the repository, or omit this to use files",
                    of_git.join(", ")
                ))),
            };
        }
        match given("paths", "PATH", "SHAREKEEPER_PATH") {
            Some(paths) => Err(Failure::usage(format_args!(
                "{paths} together with `--git`: the manifests are in the repository; name their directory in it with `--path`"
            ))),
            None => Ok(()),
        }
    }
}

/// Refuses intervals below a second: a daemon that observes more often wastes the API's quota.
fn interval(text: &str) -> Result<Duration, String> {
    const INTERVAL_MIN: Duration = Duration::from_secs(1);
    let interval = duration(text)?;
    if interval < INTERVAL_MIN {
        return Err("that is less than a second".into());
    }
    Ok(interval)
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let address = text.parse();
    address.map(Listen::At).map_err(|_| {
        "an address and a port are needed, such as `127.0.0.1:7979`, or `off`".to_owned()
    })
}

fn git_url(text: &str) -> Result<GitUrl, GitUrlError> {
    GitUrl::new(text)
}

fn git_ref(text: &str) -> Result<GitRef, GitRefError> {
    GitRef::new(text)
}
