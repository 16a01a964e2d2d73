//! The changes that a plan makes in one scope, as text: first the cancels, separately, because they take something away;
//! then the shares; then the problems.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::names::{NameColumn, named, width};
use super::plan_rows::Change;
use super::style::{Sign, dim, heading};
use super::{cause, place};
use crate::model::{ImageId, Permission};
use crate::plan::{Decision, Plan};
use crate::words::{first_of, safe, thousands};

/// The most shares with one origin that get a line each; more of them share one line. Cancels always have their own
/// lines.
const SHARES_MAX: usize = 100;
/// The width of `declared`, the most common cause: the scopes of a plan look alike.
const CAUSE_WIDTH_MIN: usize = 8;

/// The counts in a scope's heading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ScopeTotals {
    pub(super) share: u64,
    pub(super) cancel: u64,
    pub(super) withheld: u64,
    pub(super) blocked: u64,
    pub(super) pending: u64,
    pub(super) in_sync: u64,
}

/// The changes of one scope, and its problems.
pub(super) struct ScopeChanges<'a> {
    column: NameColumn,
    cancels: Vec<Line>,
    /// Shares with their lines.
    shares: Vec<(SharedBy<'a>, &'a ImageId, Option<&'a str>, Line)>,
    pub(super) blocked: String,
    pub(super) pending: String,
    pub(super) withheld: String,
}

/// The line of one change, whose parts are joined once the widest cause of the scope is known.
struct Line {
    /// The sign, the image and its name, padded.
    label: String,
    cause: String,
    /// The place that asks for the change, and what else a reviewer must know.
    rest: String,
}

/// The properties that shares in one combined line have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SharedBy<'a> {
    cause: &'static str,
    file: Option<&'a str>,
    document: Option<&'a str>,
    terms: String,
}

impl ScopeTotals {
    /// `3 to share, 1 to cancel, 2 in sync`: all counts except zeros.
    fn counts_text(self) -> String {
        let counts = [
            (self.share, "to share"),
            (self.cancel, "to cancel"),
            (self.blocked, "blocked"),
            (self.withheld, "withheld"),
            (self.pending, "pending"),
            (self.in_sync, "in sync"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        counts.join(", ")
    }
}

impl Line {
    /// The whole line, with the cause in a column of this width.
    fn text(&self, causes: usize) -> String {
        let Self { label, cause, rest } = self;
        format!("  {label}  {cause:<causes$}  {rest}\n")
    }
}

impl<'a> ScopeChanges<'a> {
    pub(super) fn new(column: NameColumn) -> Self {
        Self {
            column,
            cancels: Vec::new(),
            shares: Vec::new(),
            blocked: String::new(),
            pending: String::new(),
            withheld: String::new(),
        }
    }

    /// Adds a planned call.
    pub(super) fn add(
        &mut self,
        plan: &Plan,
        image: &'a ImageId,
        decision: &'a Decision,
        change: &Change,
    ) {
        let name = decision.name.as_deref();
        let label = self.column.label(image.as_str(), name);
        let was = plan.resolution.was.get(image);
        let was = was.map(|was| format!("  was {was}")).unwrap_or_default();
        let (source, terms) = (decision.source.as_ref(), change.terms());
        let line = |sign: Sign| Line {
            label: sign.paint(label),
            cause: cause(decision),
            rest: format!("{}{was}{terms}", place(source)),
        };
        match Permission::towards(decision.desired) {
            Permission::Cancel => self.cancels.push(line(Sign::Cancel)),
            Permission::Share => {
                let line = line(Sign::Share);
                let document = decision.entry.as_ref().map(|entry| &*entry.document.name);
                let shared_by = SharedBy {
                    cause: decision.cause.as_str(),
                    file: source.map(|source| &*source.file),
                    document,
                    terms,
                };
                self.shares.push((shared_by, image, name, line));
            }
        }
    }

    /// The whole text under the scope's heading; `rest` comes last. Empty if there is nothing to show.
    pub(super) fn text(self, plan: &Plan, totals: ScopeTotals, rest: &str) -> String {
        let (cancels, shares) = self.lines();
        let parts = [
            ("To cancel", totals.cancel, &cancels),
            ("To share", totals.share, &shares),
            ("Pending", totals.pending, &self.pending),
            ("Withheld", totals.withheld, &self.withheld),
            ("Blocked", totals.blocked, &self.blocked),
        ];
        let filled: Vec<_> = parts
            .iter()
            .filter(|(.., lines)| !lines.is_empty())
            .collect();
        let mut text = String::new();
        for (head, count, lines) in &filled {
            // A single part needs no heading besides the scope's, but cancels always have one, so that they are noticed.
            if filled.len() > 1 || !cancels.is_empty() {
                let _ = writeln!(text, "  {head} ({count}):");
            }
            text.push_str(lines);
        }
        text.push_str(rest);
        match text.is_empty() {
            true => text,
            false => {
                let head = heading(format_args!("{}: {}", plan.scope, totals.counts_text()));
                format!("{}\n{text}\n", head.trim_end_matches(": "))
            }
        }
    }

    /// One line for each cancel; and one line for each share, or one for many shares with one origin.
    fn lines(&self) -> (String, String) {
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for (shared_by, ..) in &self.shares {
            *counts.entry(shared_by).or_default() += 1;
        }
        let alone = self
            .shares
            .iter()
            .filter(|(by, ..)| counts[by] <= SHARES_MAX);
        let alone = alone.map(|(.., line)| line);
        let causes = self.cancels.iter().chain(alone).map(|line| &line.cause);
        let causes = causes.fold(CAUSE_WIDTH_MIN, |widest, cause| widest.max(width(cause)));
        let cancels = self.cancels.iter().map(|line| line.text(causes)).collect();
        let (mut shares, mut folded) = (String::new(), BTreeSet::new());
        for (shared_by, _, _, line) in &self.shares {
            if counts[shared_by] <= SHARES_MAX {
                shares.push_str(&line.text(causes));
            } else if folded.insert(shared_by) {
                shares.push_str(&self.folded(shared_by, counts[shared_by]));
            }
        }
        (cancels, shares)
    }

    fn folded(&self, by: &SharedBy<'_>, count: usize) -> String {
        let images = format!("{} images", thousands(count as u64));
        let document = match by.document {
            Some(document) => format!("document {}", safe(document)),
            None => String::new(),
        };
        let file = by.file.map_or_else(|| place(None), |file| dim(safe(file)));
        let same = self.shares.iter().filter(|(shared_by, ..)| shared_by == by);
        let names: Vec<_> = same
            .map(|(_, image, name, _)| named(image, *name))
            .collect();
        format!(
            "  {}  {}  {document}  {file}{}\n    {}\n",
            Sign::Share.paint(images),
            by.cause,
            by.terms,
            dim(format_args!("{}; `-o json` names each", first_of(&names)))
        )
    }
}
