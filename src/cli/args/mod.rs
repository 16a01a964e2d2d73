//! The command line: what was typed, checked word by word.

mod blank;
mod common;
mod doctor;
mod guards;
mod inventory;
mod narrow;
mod reconcile;
mod run;
mod state;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(super) use blank::parse;
pub(super) use common::{Color, Common, LogFormat, LogLevel, Output};
pub(super) use doctor::DoctorArguments;
pub(super) use guards::Guards;
pub(super) use inventory::{AdoptArguments, ImportArguments, ImportBy};
pub(super) use narrow::{Narrow, NarrowKeys, Target};
pub(super) use reconcile::{PlanArguments, ReconcileArguments};
pub(super) use run::{Listen, RunArguments, Showing};
pub(super) use state::{
    HistoryArguments, HistoryCommand, ResumeArguments, StateArguments, SuspendArguments,
};

/// All of it.
#[derive(Debug, Parser)]
#[command(
    name = "sharekeeper",
    version,
    about = "Makes the share state of CVM custom images in Tencent Cloud Lighthouse match YAML manifests",
    after_help = EXIT_STATUS,
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

const EXIT_STATUS: &str = "\
Exit status:
  0    done, and everything is in the desired state
  1    error: manifests, credentials, state or API; nothing was decided on it
  2    `plan --detailed-exitcode`: there are changes
  3    a guard withheld changes
  4    `reconcile` finished, but some images are not in the desired state
  5    the saved plan is stale, or the manifests' commit is older than the newest; nothing was done
  64   usage; or the saved plan was made with wider guards than are given
  130  stopped by SIGINT, 143 by SIGTERM, 129 by SIGHUP, after calls in flight settled

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
    /// Keep images in their desired state, until told to stop; shows where they stand on a page
    Run(Box<RunArguments>),
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
    /// Find out what stands in the way: manifests, credentials, clock, network, permissions, state; changes nothing
    Doctor(DoctorArguments),
    /// Run a local simulator of the API
    Sim(SimArguments),
    /// Print the JSON Schema of manifests
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or that of a command
    Man {
        /// The command, such as `history verify`
        command: Vec<String>,
    },
}

impl Command {
    /// Which API it works with, if it works with one.
    pub(super) fn target(&self) -> Option<&Target> {
        match self {
            Self::Plan(arguments) => Some(&arguments.target),
            Self::Reconcile(arguments) => Some(&arguments.target),
            Self::Run(arguments) => Some(&arguments.target),
            Self::Import(arguments) => Some(&arguments.target),
            Self::Adopt(arguments) => Some(&arguments.target),
            Self::Doctor(arguments) => Some(&arguments.target),
            _ => None,
        }
    }
}

impl Command {
    /// How much is logged where nothing is said.
    pub(super) fn log_level(&self) -> LogLevel {
        match self {
            // Whoever runs a daemon reads of each change in its log.
            Self::Run(_) => LogLevel::Info,
            _ => LogLevel::Warn,
        }
    }
}

/// Where the manifests are.
#[derive(Debug, Args)]
pub(super) struct Paths {
    /// Manifest files, or directories that hold `*.yaml` and `*.yml`
    #[arg(value_name = "PATH", default_value = "manifests", env = "SHAREKEEPER_PATH", value_delimiter = None)]
    pub paths: Vec<PathBuf>,
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
