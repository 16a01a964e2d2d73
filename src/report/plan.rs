use std::fmt::Write;

use serde::Serialize;

use super::style::{Sign, dim, heading};
use super::{ExitStatus, FORMAT_VERSION, Source};
use crate::engine::ScopeOutcome;
use crate::model::{ImageId, Permission, Scope};
use crate::plan::{Budget, Decision, Verdict};
use crate::words::{plural, seconds};

/// What `plan -o json` prints.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    format_version: u32,
    exit_code: u8,
    changes: Vec<Change>,
    withheld: Vec<HeldBack>,
    blocked: Vec<HeldBack>,
    summary: Summary,
    budget: BudgetReport,
    warnings: Vec<String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct Change {
    account: String,
    region: &'static str,
    image_id: String,
    action: &'static str,
    cause: &'static str,
    source: Source,
}

#[derive(Debug, Serialize)]
struct HeldBack {
    #[serde(flatten)]
    change: Change,
    reason: String,
    error_code: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    share: u64,
    cancel: u64,
    withheld: u64,
    blocked: u64,
    in_sync: u64,
}

#[derive(Debug, Serialize)]
struct BudgetReport {
    reads: u64,
    writes: u64,
    eta_seconds: f64,
}

impl PlanDocument {
    /// Puts the scopes' plans together. With `detailed`, changes make the exit status 2.
    pub fn new(scopes: &[ScopeOutcome], budget: Budget, detailed: bool) -> Self {
        let mut document = Self {
            format_version: FORMAT_VERSION,
            exit_code: 0,
            changes: Vec::new(),
            withheld: Vec::new(),
            blocked: Vec::new(),
            summary: Summary::default(),
            budget: BudgetReport {
                reads: budget.reads,
                writes: budget.writes,
                eta_seconds: (budget.eta.as_secs_f64() * 100.0).round() / 100.0,
            },
            warnings: Vec::new(),
            text: String::new(),
        };
        let mut unseen = false;
        for scope in scopes {
            unseen |= document.add_scope(scope);
        }
        document.conclude(budget);
        let exit = match (unseen, detailed && !document.changes.is_empty()) {
            (true, _) => ExitStatus::Error,
            (false, true) => ExitStatus::Changes,
            (false, false) => ExitStatus::Done,
        };
        document.exit_code = exit.code();
        document
    }

    /// The process's exit status, which is also the document's.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The plan for a person, with colour codes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a person should be warned of, apart from the plan.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds one scope; true if it was not seen.
    fn add_scope(&mut self, outcome: &ScopeOutcome) -> bool {
        let scope = &outcome.plan.scope;
        if let Some(reason) = &outcome.blind {
            self.warnings.push(format!(
                "{scope}: planned without seeing what is shared, because reading is denied: {reason}"
            ));
        }
        let mut lines = String::new();
        let mut unseen = None;
        for (image, decision) in &outcome.plan.decisions {
            if let Verdict::Unseen(why) = &decision.verdict {
                unseen.get_or_insert(why);
            }
            if let Some(line) = self.add(scope, image, decision) {
                let _ = writeln!(lines, "  {line}");
            }
        }
        if let Some(why) = unseen {
            let images = plural(outcome.plan.decisions.len() as u64, "image");
            lines = format!(
                "  {}\n",
                Sign::Withheld.paint(format!("{images} held still: not observed: {why}"))
            );
            self.warnings.push(format!("{scope}: not observed: {why}"));
        }
        if !lines.is_empty() {
            let _ = write!(self.text, "{}\n{lines}\n", heading(scope));
        }
        unseen.is_some()
    }

    /// Adds one image; its line, if it has one.
    fn add(&mut self, scope: &Scope, image: &ImageId, decision: &Decision) -> Option<String> {
        let permission = Permission::towards(decision.desired);
        let change = Change {
            account: scope.account.to_string(),
            region: scope.region.as_str(),
            image_id: image.to_string(),
            action: match permission {
                Permission::Share => "share",
                Permission::Cancel => "cancel",
            },
            cause: decision.cause.as_str(),
            source: Source::from(&decision.source),
        };
        let place = dim(&decision.source);
        let held = |reason: String, error_code: Option<String>| HeldBack {
            change,
            reason,
            error_code,
        };
        match &decision.verdict {
            Verdict::InSync => {
                self.summary.in_sync += 1;
                None
            }
            Verdict::Act => {
                let held = held(String::new(), None);
                let sign = match permission {
                    Permission::Share => Sign::Share,
                    Permission::Cancel => Sign::Cancel,
                };
                match permission {
                    Permission::Share => self.summary.share += 1,
                    Permission::Cancel => self.summary.cancel += 1,
                }
                let line = format!(
                    "{}  {}  {place}",
                    sign.paint(format_args!("{image:<14}")),
                    held.change.cause
                );
                self.changes.push(held.change);
                Some(line)
            }
            Verdict::Withheld(why) => {
                self.summary.withheld += 1;
                self.withheld.push(held(why.as_str().into(), None));
                Some(format!(
                    "{}  {}  {place}",
                    Sign::Withheld.paint(format_args!("{image:<14}")),
                    why.as_str()
                ))
            }
            Verdict::Unseen(why) => {
                self.summary.withheld += 1;
                self.withheld
                    .push(held(format!("not observed: {why}"), why.code.clone()));
                None
            }
            Verdict::Await { reason, .. } => {
                Some(self.block(held(reason.to_string(), None), &place))
            }
            Verdict::Blocked(problem) | Verdict::Failed(problem) => {
                Some(self.block(held(problem.message.clone(), problem.code.clone()), &place))
            }
        }
    }

    fn block(&mut self, held: HeldBack, place: &str) -> String {
        self.summary.blocked += 1;
        let id = &held.change.image_id;
        let line = format!(
            "{}  {}  {place}",
            Sign::Blocked.paint(format_args!("{id:<14}")),
            held.reason
        );
        self.blocked.push(held);
        line
    }

    fn conclude(&mut self, budget: Budget) {
        let Summary {
            share,
            cancel,
            withheld,
            blocked,
            in_sync,
        } = self.summary;
        if share + cancel + withheld + blocked == 0 {
            let _ = writeln!(
                self.text,
                "No changes: {} as desired.",
                plural(in_sync, "image")
            );
            return;
        }
        let _ = write!(self.text, "Plan: {share} to share, {cancel} to cancel");
        for (count, word) in [(blocked, "blocked"), (withheld, "withheld")] {
            if count > 0 {
                let _ = write!(self.text, ", {count} {word}");
            }
        }
        let _ = writeln!(self.text, ", {in_sync} in sync.");
        if budget.writes > 0 {
            let (writes, reads) = (plural(budget.writes, "write"), plural(budget.reads, "read"));
            let _ = writeln!(
                self.text,
                "Budget: {writes}, about {}, and {reads}.",
                seconds(budget.eta)
            );
        }
    }
}
