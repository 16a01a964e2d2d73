//! Commands that need only the state directory.

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand};

use super::{Narrow, NarrowKeys};
use crate::model::Timestamp;

/// Commands that only look at the state directory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct StateArguments {
    /// Use the state of `plan --sim` and `reconcile --sim`, which is kept apart
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
}

/// `history`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct HistoryArguments {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// Only the newest N entries; 0 means all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Only from this instant on, or since so long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,
    /// Only before this instant, or until so long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    #[command(flatten)]
    pub narrow: NarrowKeys,
    #[command(flatten)]
    pub state: StateArguments,
}

/// What to do with the history instead of showing it.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HistoryCommand {
    /// Check that no entry was changed, removed or put in
    Verify(StateArguments),
}

/// `suspend`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SuspendArguments {
    /// Why; shown wherever an image is withheld for it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// When it ends by itself: an instant, or so long from now, such as `8h`
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    #[command(flatten)]
    pub narrow: Narrow,
    #[command(flatten)]
    pub state: StateArguments,
}

/// `resume`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArguments {
    /// Suspensions to end, by the number that `status` shows
    #[arg(value_name = "ID", value_parser = id)]
    pub ids: Vec<u64>,
    /// End every suspension, and let every parked image be reconciled again
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub narrow: NarrowKeys,
    #[command(flatten)]
    pub state: StateArguments,
}

/// An instant, or a distance from now.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum When {
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
        /// Beyond it a clock cannot tell, and nobody means it.
        const DISTANCE_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);
        match humantime::parse_duration(text) {
            Ok(distance) if distance <= DISTANCE_MAX => Ok(Self::Distance(distance)),
            Ok(_) => Err("that is more than 100 years; leave it out to mean always".into()),
            Err(_) => Err(
                "neither an instant like `2027-01-31T00:00:00Z` nor a duration like `8h`".into(),
            ),
        }
    }

    /// So long after `now`.
    pub(in crate::cli) fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now + distance,
        }
    }

    /// So long before `now`.
    pub(in crate::cli) fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now - distance,
        }
    }
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

fn id(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "a suspension is ended by its number, as `sharekeeper status` shows it")
}
