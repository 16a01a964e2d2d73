use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::{AccountName, Endpoint, EndpointError, ImageId, Region};

/// What was typed, checked word by word.
#[derive(Debug, Parser)]
#[command(
    name = "sharekeeper",
    version,
    about = "Makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML manifests",
    after_help = EXIT_STATUS,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0    done, and everything is in the desired state
  1    error: manifests, credentials, state or API; nothing was decided on it
  2    `plan --detailed-exitcode`: there are changes
  3    a guard withheld changes
  4    `reconcile` finished, but some images are not in the desired state
  64   usage
  130  stopped by SIGINT, 143 by SIGTERM, after calls in flight settled

Try it without a cloud account:
  sharekeeper reconcile manifests --sim";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check manifests; needs no network and no credentials
    Validate(Paths),
    /// Show what `reconcile` would do; cannot write
    Plan(PlanArguments),
    /// Bring images into their desired state, then exit
    Reconcile(ReconcileArguments),
    /// Run a local simulator of the API
    Sim(SimArguments),
    /// Print the JSON Schema of manifests
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Where the manifests are.
#[derive(Debug, Args)]
pub(super) struct Paths {
    /// Manifest files, or directories that hold `*.yaml` and `*.yml`
    #[arg(value_name = "PATH", default_value = "manifests", env = "SHAREKEEPER_PATH", value_delimiter = None)]
    pub paths: Vec<PathBuf>,
}

/// `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Exit with 2 if there are changes
    #[arg(long, env = "SHAREKEEPER_DETAILED_EXITCODE", value_parser = FalseyValueParser::new())]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub target: Target,
}

/// `reconcile`.
#[derive(Debug, Args)]
pub(super) struct ReconcileArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SHAREKEEPER_TIMEOUT")]
    pub timeout: Duration,
    #[command(flatten)]
    pub target: Target,
}

/// Which API, and which part of the manifests.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Access point; may hold `{region}`; plain http only to loopback hosts
    #[arg(long, value_name = "URL", value_parser = endpoint, env = "SHAREKEEPER_ENDPOINT")]
    pub endpoint: Option<Endpoint>,
    /// Work against a simulator inside this process; its world is kept in the state directory
    #[arg(long, conflicts_with = "endpoint", env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
    /// Begin the simulator's world anew
    #[arg(long, requires = "sim", env = "SHAREKEEPER_SIM_RESET", value_parser = FalseyValueParser::new())]
    pub sim_reset: bool,
    #[command(flatten)]
    pub narrow: Narrow,
}

/// Narrows the scope; given twice, either may hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(super) struct Narrow {
    /// Only this region
    #[arg(long = "region", value_name = "REGION", value_parser = region, env = "SHAREKEEPER_REGION", value_delimiter = ',')]
    pub regions: Vec<Region>,
    /// Only this account
    #[arg(long = "account", value_name = "NAME", value_parser = account, env = "SHAREKEEPER_ACCOUNT", value_delimiter = ',')]
    pub accounts: Vec<AccountName>,
    /// Only this image
    #[arg(long = "image", value_name = "ID", value_parser = image, env = "SHAREKEEPER_IMAGE", value_delimiter = ',')]
    pub images: Vec<ImageId>,
    /// Only documents with this label; given twice, both must hold
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE", value_parser = label, env = "SHAREKEEPER_SELECTOR", value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
}

/// `sim`.
#[derive(Debug, Args)]
pub(super) struct SimArguments {
    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:7980",
        env = "SHAREKEEPER_LISTEN"
    )]
    pub listen: std::net::SocketAddr,
    /// Images, faults, latency and limits, as YAML
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_WORLD")]
    pub world: Option<PathBuf>,
    /// Seed of the dice for faults and latency
    #[arg(long, value_name = "N", env = "SHAREKEEPER_SEED")]
    pub seed: Option<u64>,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// Where sharekeeper keeps its state [default: $XDG_STATE_HOME/sharekeeper]
    #[arg(long, value_name = "DIR", global = true, env = "SHAREKEEPER_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(short, long, value_enum, default_value_t = Output::Text, global = true, env = "SHAREKEEPER_OUTPUT")]
    pub output: Output,
    /// Form of the log on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true, env = "SHAREKEEPER_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// How much to log
    #[arg(long, value_enum, default_value_t = LogLevel::Warn, global = true, env = "SHAREKEEPER_LOG_LEVEL")]
    pub log_level: LogLevel,
    /// When to colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, env = "SHAREKEEPER_COLOR")]
    pub color: Color,
}

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// One JSON document, on failure too
    Json,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `--log-level`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogLevel {
    /// Nothing
    Off,
    /// Only what failed
    Error,
    /// And what a person should know
    Warn,
    /// And each write
    Info,
    /// And each decision
    Debug,
    /// And each reply
    Trace,
}

/// `--color`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::new(text)
}

fn region(text: &str) -> Result<Region, String> {
    Region::new(text).map_err(|error| {
        let all: Vec<_> = Region::all().map(Region::as_str).collect();
        format!("{error}; there are: {}", all.join(", "))
    })
}

fn account(text: &str) -> Result<AccountName, &'static str> {
    AccountName::new(text).ok_or("an account name has lower-case letters, digits, `-` and `.` only")
}

fn image(text: &str) -> Result<ImageId, crate::model::MalformedImageId> {
    ImageId::new(text)
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is given as KEY=VALUE"),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration is written like `90s`, `10m` or `1h 30m`"))?;
    if duration.is_zero() {
        Err("a timeout of nothing leaves no time for a call".into())
    } else {
        Ok(duration)
    }
}
