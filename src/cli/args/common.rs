//! Flags that every command accepts, before or after its name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::plan::BoundOrigin;

#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(in crate::cli) struct Common {
    /// Where sharekeeper keeps its state [default: $XDG_STATE_HOME/sharekeeper]
    #[arg(long, value_name = "DIR", global = true, env = "SHAREKEEPER_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, global = true, env = "SHAREKEEPER_OUTPUT")]
    pub output: OutputFormat,
    /// Form of the log on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true, env = "SHAREKEEPER_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// How much to log [default: info for `run`, else warn]
    #[arg(long, value_enum, global = true, env = "SHAREKEEPER_LOG_LEVEL")]
    pub log_level: Option<LogLevel>,
    /// When to colour
    #[arg(long, value_enum, default_value_t = ColorWhen::Auto, global = true, env = "SHAREKEEPER_COLOR")]
    pub color: ColorWhen,
    /// Flags that were on the command line, not in the environment, by clap's names for them
    #[arg(skip)]
    pub typed: BTreeSet<String>,
    /// Flags that were in the environment, not on the command line
    #[arg(skip)]
    pub from_variables: BTreeSet<String>,
}

impl Common {
    /// The origin of a flag's value, by clap's name for the flag.
    pub(in crate::cli) fn bound_origin(&self, flag: &str) -> BoundOrigin {
        if self.typed.contains(flag) {
            BoundOrigin::Flag
        } else if self.from_variables.contains(flag) {
            BoundOrigin::Variable
        } else {
            BoundOrigin::Default
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OutputFormat {
    /// Text for people
    #[default]
    Text,
    /// Exactly one JSON document, also on failure
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum LogLevel {
    /// No log at all
    Off,
    /// Only failures
    Error,
    /// Also warnings
    Warn,
    /// Also each write
    Info,
    /// Also each decision
    Debug,
    /// Also each reply
    Trace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
