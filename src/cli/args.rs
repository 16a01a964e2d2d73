use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::{
    AccountName, Endpoint, EndpointError, ImageId, Labels, MalformedAccountName, Region, Selector,
    Timestamp,
};
use crate::plan::{Policy, Prune};

/// Some weeks of a busy account; a hundred megabytes at most.
const DEFAULT_HISTORY_MAX: u64 = 100_000;

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
  5    the saved plan is stale; nothing was done
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
    /// Write manifests of what is shared now, so that the first plan after it is empty
    Import(ImportArguments),
    /// Take images into the inventory, as if sharekeeper had shared them itself
    Adopt(AdoptArguments),
    /// Show what is ours, suspended, parked or unresolved; reads the state directory only
    Status(StateArguments),
    /// Show what was tried, and what came of it
    History(HistoryArguments),
    /// Leave images alone, for a reason, until further notice
    Suspend(SuspendArguments),
    /// End a suspension, or let parked images be reconciled again
    Resume(ResumeArguments),
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
    /// Save the plan, for `reconcile --plan FILE`
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_OUT")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
}

/// `reconcile`.
#[derive(Debug, Args)]
pub(super) struct ReconcileArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Do exactly what this saved plan says, or nothing if it is stale
    #[arg(long, value_name = "FILE", env = "SHAREKEEPER_PLAN")]
    pub plan: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SHAREKEEPER_TIMEOUT")]
    pub timeout: Duration,
    /// Go on with the files that have no error; nothing is cancelled then
    #[arg(long, conflicts_with = "plan", env = "SHAREKEEPER_PARTIAL_OK", value_parser = FalseyValueParser::new())]
    pub partial_ok: bool,
    /// Entries that the history keeps
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HISTORY_MAX, env = "SHAREKEEPER_HISTORY_MAX")]
    pub history_max: u64,
    #[command(flatten)]
    pub guards: Guards,
    #[command(flatten)]
    pub target: Target,
}

/// What may be pruned, and what holds it back.
#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(super) struct Guards {
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
}

/// `--prune`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PruneMode {
    /// Leave them alone
    None,
    /// Those that sharekeeper itself shared
    Owned,
    /// All of them
    Exclusive,
}

impl Guards {
    /// As the planner takes them.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            prune: match self.prune {
                PruneMode::None => Prune::None,
                PruneMode::Owned => Prune::Owned,
                PruneMode::Exclusive => Prune::Exclusive,
            },
            max_cancels: self.max_cancels,
            max_cancels_percent: self.max_cancels_percent,
            accept_lost: self.accept_lost,
            shares_only: false,
        }
    }
}

/// `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Directory to write to [default: the first PATH]
    #[arg(long, value_name = "DIR", env = "SHAREKEEPER_OUT")]
    pub out: Option<PathBuf>,
    /// One file for each region, or for each account
    #[arg(long, value_enum, default_value_t = ImportBy::Region, env = "SHAREKEEPER_BY")]
    pub by: ImportBy,
    #[command(flatten)]
    pub target: Target,
}

/// `import --by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportBy {
    /// `ACCOUNT-REGION.yaml`
    Region,
    /// `ACCOUNT.yaml`
    Account,
}

/// `adopt`.
#[derive(Debug, Args)]
pub(super) struct AdoptArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Every image that is named and shared, where no other flag narrows it
    #[arg(long, env = "SHAREKEEPER_ALL", value_parser = FalseyValueParser::new())]
    pub all: bool,
    /// Let images go from the inventory instead; they stay shared
    #[arg(long, env = "SHAREKEEPER_RELEASE", value_parser = FalseyValueParser::new())]
    pub release: bool,
    /// Only show what would be taken
    #[arg(long, env = "SHAREKEEPER_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Commands that only look at the state directory.
#[derive(Debug, Args)]
pub(super) struct StateArguments {
    /// The state of the simulator inside the process (`--sim`)
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
}

/// `history`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct HistoryArguments {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// Only the newest N entries; 0 means all
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 100,
        env = "SHAREKEEPER_LIMIT"
    )]
    pub limit: usize,
    /// Only from this instant on, or since so long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse, env = "SHAREKEEPER_SINCE")]
    pub since: Option<When>,
    /// Only before this instant, or until so long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse, env = "SHAREKEEPER_UNTIL")]
    pub until: Option<When>,
    #[command(flatten)]
    pub narrow: NarrowKeys,
    #[command(flatten)]
    pub state: StateArguments,
}

/// What to do with the history instead of showing it.
#[derive(Debug, Subcommand)]
pub(super) enum HistoryCommand {
    /// Check that no entry was changed, removed or put in
    Verify(StateArguments),
}

/// `suspend`.
#[derive(Debug, Args)]
pub(super) struct SuspendArguments {
    /// Why; shown wherever an image is withheld for it
    #[arg(long, value_name = "TEXT", value_parser = reason, env = "SHAREKEEPER_REASON")]
    pub reason: String,
    /// When it ends by itself: an instant, or so long from now, such as `8h`
    #[arg(long, value_name = "TIME", value_parser = When::parse, env = "SHAREKEEPER_UNTIL")]
    pub until: Option<When>,
    #[command(flatten)]
    pub narrow: Narrow,
    #[command(flatten)]
    pub state: StateArguments,
}

/// `resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArguments {
    /// Suspensions to end, by the number that `status` shows
    #[arg(value_name = "ID")]
    pub ids: Vec<u64>,
    /// End every suspension, and let every parked image be reconciled again
    #[arg(long, env = "SHAREKEEPER_ALL", value_parser = FalseyValueParser::new())]
    pub all: bool,
    #[command(flatten)]
    pub narrow: NarrowKeys,
    #[command(flatten)]
    pub state: StateArguments,
}

/// An instant, or a distance from now.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// `2027-01-31T00:00:00Z`
    At(Timestamp),
    /// `8h`
    Distance(Duration),
}

impl When {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        humantime::parse_duration(text)
            .map(Self::Distance)
            .map_err(|_| {
                "neither an instant like `2027-01-31T00:00:00Z` nor a duration like `8h`".into()
            })
    }

    /// So long after `now`.
    pub(super) fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now + distance,
        }
    }

    /// So long before `now`.
    pub(super) fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now - distance,
        }
    }
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
    #[command(flatten)]
    pub keys: NarrowKeys,
    /// Only documents with this label; given twice, both must hold
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE", value_parser = label, env = "SHAREKEEPER_SELECTOR", value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
}

/// Narrows by key alone, where there are no manifests to have labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(super) struct NarrowKeys {
    /// Only this region
    #[arg(long = "region", value_name = "REGION", value_parser = region, env = "SHAREKEEPER_REGION", value_delimiter = ',')]
    pub regions: Vec<Region>,
    /// Only this account
    #[arg(long = "account", value_name = "NAME", value_parser = account, env = "SHAREKEEPER_ACCOUNT", value_delimiter = ',')]
    pub accounts: Vec<AccountName>,
    /// Only this image
    #[arg(long = "image", value_name = "ID", value_parser = image, env = "SHAREKEEPER_IMAGE", value_delimiter = ',')]
    pub images: Vec<ImageId>,
}

impl NarrowKeys {
    /// As a selector.
    pub(super) fn selector(&self) -> Selector {
        Selector {
            accounts: self.accounts.iter().cloned().collect(),
            regions: self.regions.iter().copied().collect(),
            images: self.images.iter().cloned().collect(),
            labels: Labels::new(),
        }
    }
}

impl Narrow {
    /// As a selector.
    pub(super) fn selector(&self) -> Selector {
        Selector {
            labels: self.labels.iter().cloned().collect(),
            ..self.keys.selector()
        }
    }
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

fn account(text: &str) -> Result<AccountName, MalformedAccountName> {
    AccountName::new(text).ok_or(MalformedAccountName)
}

fn reason(text: &str) -> Result<String, &'static str> {
    const CHARS_MAX: usize = 200;
    let text = text.trim();
    match text.chars().count() {
        0 => Err("say why, for whoever wonders later"),
        1..=CHARS_MAX => Ok(crate::words::safe(text)),
        _ => Err("no longer than 200 characters; link to the rest"),
    }
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
