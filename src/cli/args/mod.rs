//! The command line: the typed words, each validated. Combinations of flags are also checked here, if the flags alone
//! decide.

mod accept;
mod adopt;
mod command_line;
mod common;
mod completions;
mod doctor;
mod empty_variables;
mod explain;
mod guards;
mod help;
mod hidden_values;
mod hints;
mod history;
mod images;
mod import;
mod lock;
mod man;
mod paths;
mod plan;
mod reconcile;
mod resume;
mod run;
mod selector;
mod sim;
mod state;
mod state_command;
mod status;
mod suspend;
mod target;
mod time;
mod tips;
mod write;

use clap::{Parser, Subcommand};

pub(super) use accept::AcceptArguments;
pub(super) use adopt::AdoptArguments;
pub(super) use command_line::{command_line, exit_statuses, put_row};
pub(super) use common::{ColorWhen, Common, LogFormat, LogLevel, OutputFormat};
pub(super) use completions::CompletionsArguments;
pub(super) use doctor::DoctorArguments;
pub(super) use empty_variables::parse;
pub(super) use explain::ExplainArguments;
pub(super) use guards::Guards;
pub(super) use help::HelpArguments;
pub(super) use history::{HistoryArguments, HistoryCommand};
pub(super) use images::ImagesArguments;
pub(super) use import::{ImportArguments, ImportBy};
pub(super) use lock::LockArguments;
pub(super) use man::ManArguments;
pub(super) use paths::Paths;
pub(super) use plan::PlanArguments;
pub(super) use reconcile::ReconcileArguments;
pub(super) use resume::ResumeArguments;
pub(super) use run::{Listen, ReportingArguments, RunArguments};
pub(super) use selector::{KeySelectorArguments, ScopeSelectorArguments, SelectorArguments};
pub(super) use sim::SimArguments;
pub(super) use state::StateArguments;
pub(super) use state_command::{StateCommand, StateCommandArguments};
pub(super) use status::StatusArguments;
pub(super) use suspend::SuspendArguments;
pub(super) use target::{SimReset, Target};
pub(super) use write::WriteArguments;

#[derive(Debug, Parser)]
#[command(
    name = "sharekeeper",
    version = env!("BUILD_VERSION"),
    about = "Makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML manifests",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// All commands of the program.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check manifests, without network or credentials
    Validate(Paths),
    /// Show what `reconcile` would do; it cannot write
    Plan(PlanArguments),
    /// Bring images into their desired state, then exit
    Reconcile(ReconcileArguments),
    /// Keep images in their desired state until stopped; shows their state on a web page
    Run(Box<RunArguments>),
    /// List the account's own images: the state of each, whether it is shared, and what prevents sharing it
    Images(ImagesArguments),
    /// Explain an image: what prevents sharing it, which document or policy decides, and what would have to change; or
    /// explain an error code
    Explain(ExplainArguments),
    /// Write the selection of policies to `sharekeeper.lock.yaml`; a policy with `lock: required` shares nothing else
    Lock(LockArguments),
    /// Write manifests of the images that are shared now, so that the first plan after it is empty
    Import(ImportArguments),
    /// Add images to the inventory, as if sharekeeper itself had shared them
    Adopt(AdoptArguments),
    /// Show the running daemon's view, and which images are ours, suspended, parked or unresolved; only reads the state
    /// directory
    Status(StatusArguments),
    /// Show what was tried, and the results
    History(HistoryArguments),
    /// Leave images alone, for a reason, until further notice
    Suspend(SuspendArguments),
    /// End a suspension, or let parked images be reconciled again
    Resume(ResumeArguments),
    /// Continue although shares of an account and region have vanished: a person has checked, and knows why
    Accept(AcceptArguments),
    /// Maintain the state directory
    State(StateCommandArguments),
    /// Find problems with manifests, credentials, clock, network, permissions and state; changes nothing
    Doctor(DoctorArguments),
    /// Run a local simulator of the API
    Sim(SimArguments),
    /// Print the JSON Schema of manifests
    Schema,
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Print the manual page of sharekeeper, or of one command
    Man(ManArguments),
    /// Print the help of a command, or of the topics `exit-codes` and `environment`
    Help(HelpArguments),
}

impl Command {
    /// The paths of the manifests, if the command reads any.
    fn paths_mut(&mut self) -> Option<&mut Paths> {
        match self {
            Self::Validate(paths) => Some(paths),
            Self::Plan(arguments) => Some(&mut arguments.paths),
            Self::Reconcile(arguments) => Some(&mut arguments.paths),
            Self::Run(arguments) => Some(&mut arguments.paths),
            Self::Images(arguments) => Some(&mut arguments.paths),
            Self::Explain(arguments) => Some(&mut arguments.paths),
            Self::Lock(arguments) => Some(&mut arguments.paths),
            Self::Import(arguments) => Some(&mut arguments.paths),
            Self::Adopt(arguments) => Some(&mut arguments.paths),
            Self::Doctor(arguments) => Some(&mut arguments.paths),
            Self::Status(_)
            | Self::History(_)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::Accept(_)
            | Self::State(_)
            | Self::Sim(_)
            | Self::Schema
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Help(_) => None,
        }
    }

    /// The API that the command works with, if any, and whether it begins with a new world there.
    pub(super) fn target(&self) -> Option<(&Target, SimReset)> {
        match self {
            Self::Plan(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Reconcile(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Run(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Images(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Explain(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Lock(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Import(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Adopt(arguments) => Some((&arguments.target, arguments.reset)),
            Self::Doctor(arguments) => Some((&arguments.target, SimReset::default())),
            Self::Validate(_)
            | Self::Status(_)
            | Self::History(_)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::Accept(_)
            | Self::State(_)
            | Self::Sim(_)
            | Self::Schema
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Help(_) => None,
        }
    }

    /// The log level if `--log-level` is missing.
    pub(super) fn log_level(&self) -> LogLevel {
        match self {
            // The log of a daemon must show each change.
            Self::Run(_) => LogLevel::Info,
            _ => LogLevel::Warn,
        }
    }
}
