//! The command line: what was typed, checked word by word. What flags mean together is checked here as far as it needs
//! nothing but the flags.

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
pub(super) use target::Target;
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

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check manifests; needs no network and no credentials
    Validate(Paths),
    /// Show what `reconcile` would do; cannot write
    Plan(PlanArguments),
    /// Bring images into their desired state, then exit
    Reconcile(ReconcileArguments),
    /// Keep images in their desired state, until told to stop; shows where they stand on a page
    Run(Box<RunArguments>),
    /// List the account's own images: where each is, whether it is shared, and what hinders sharing it
    Images(ImagesArguments),
    /// Explain an image: what hinders sharing it, which document or policy decides, and what would have to change; or an
    /// error code
    Explain(ExplainArguments),
    /// Write what policies select to `sharekeeper.lock.yaml`; a policy with `lock: required` shares nothing else
    Lock(LockArguments),
    /// Write manifests of what is shared now, so that the first plan after it is empty
    Import(ImportArguments),
    /// Take images into the inventory, as if sharekeeper had shared them itself
    Adopt(AdoptArguments),
    /// Show what the running daemon knows, and what is ours, suspended, parked or unresolved; reads the state directory only
    Status(StatusArguments),
    /// Show what was tried, and what came of it
    History(HistoryArguments),
    /// Leave images alone, for a reason, until further notice
    Suspend(SuspendArguments),
    /// End a suspension, or let parked images be reconciled again
    Resume(ResumeArguments),
    /// Go on though shares of an account and region have vanished: a person has looked, and knows why
    Accept(AcceptArguments),
    /// Look after the state directory
    State(StateCommandArguments),
    /// Find out what stands in the way: manifests, credentials, clock, network, permissions, state; changes nothing
    Doctor(DoctorArguments),
    /// Run a local simulator of the API
    Sim(SimArguments),
    /// Print the JSON Schema of manifests
    Schema,
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Print the manual page, or that of a command
    Man(ManArguments),
    /// Print the help of a command, or about `exit-codes` or `environment`
    Help(HelpArguments),
}

impl Command {
    /// Where the command finds manifests, if it reads any.
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

    /// Which API the command works with, if any.
    pub(super) fn target(&self) -> Option<&Target> {
        match self {
            Self::Plan(arguments) => Some(&arguments.target),
            Self::Reconcile(arguments) => Some(&arguments.target),
            Self::Run(arguments) => Some(&arguments.target),
            Self::Images(arguments) => Some(&arguments.target),
            Self::Explain(arguments) => Some(&arguments.target),
            Self::Lock(arguments) => Some(&arguments.target),
            Self::Import(arguments) => Some(&arguments.target),
            Self::Adopt(arguments) => Some(&arguments.target),
            Self::Doctor(arguments) => Some(&arguments.target),
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

    /// How much is logged without `--log-level`.
    pub(super) fn log_level(&self) -> LogLevel {
        match self {
            // The log of a daemon must show each change.
            Self::Run(_) => LogLevel::Info,
            _ => LogLevel::Warn,
        }
    }
}
