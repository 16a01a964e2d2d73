//! What `plan` prints, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::strays::{StrayReport, described, strays};
use super::style::{Sign, heading};
use super::withheld_groups::WithheldGroups;
use super::{ExitStatus, FORMAT_VERSION, Source, place};
use crate::engine::ScopeOutcome;
use crate::model::{ImageId, Permission, Uin};
use crate::plan::{Awaiting, Budget, Decision, Plan, Verdict, Withheld};
use crate::words::{plural, seconds};

/// What `plan -o json` prints.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// `new`, where there is something to prune and nothing counts as ours yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    changes: Vec<Change>,
    withheld: Vec<HeldBack>,
    blocked: Vec<HeldBack>,
    /// Shared as desired, and not ready yet.
    pending: Vec<HeldBack>,
    summary: Summary,
    /// Images that are as desired by the API's answers to writes alone; `summary` has them, too.
    by_word: u64,
    /// Shared, named by no manifest, and left alone.
    unmanaged: Unmanaged,
    /// Blueprints of images that are not the account's own, as far as that was asked. They are left alone, too.
    strays: Vec<StrayReport>,
    budget: BudgetReport,
    warnings: Vec<String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct Change {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    image_id: String,
    action: &'static str,
    cause: &'static str,
    source: Option<Source>,
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
    pending: u64,
}

#[derive(Debug, Default, Serialize)]
struct Unmanaged {
    ours: usize,
    foreign: usize,
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
            exit_code: ExitStatus::Done,
            state: None,
            changes: Vec::new(),
            withheld: Vec::new(),
            blocked: Vec::new(),
            pending: Vec::new(),
            summary: Summary::default(),
            by_word: 0,
            unmanaged: Unmanaged::default(),
            strays: strays(scopes),
            budget: BudgetReport {
                reads: budget.reads,
                writes: budget.writes,
                eta_seconds: (budget.eta.as_secs_f64() * 100.0).round() / 100.0,
            },
            warnings: Vec::new(),
            text: String::new(),
        };
        let mut unobserved = false;
        for scope in scopes {
            unobserved |= document.add_scope(scope);
        }
        document.conclude(budget);
        let exit = match (unobserved, detailed && !document.changes.is_empty()) {
            (true, _) => ExitStatus::Error,
            (false, true) => ExitStatus::Changes,
            (false, false) => ExitStatus::Done,
        };
        document.exit_code = exit;
        document
    }

    /// The process's exit status, which is also the document's.
    pub fn exit_status(&self) -> ExitStatus {
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

    /// Adds what a person should be warned of.
    pub fn warn(&mut self, warning: Option<String>) {
        self.warnings.extend(warning);
    }

    /// Says that the state had never been used, and what that means for pruning.
    pub fn state_is_new(&mut self, warning: String) {
        self.state = Some("new");
        self.warnings.push(warning);
    }

    /// Whether every scope was seen.
    pub fn is_complete(&self) -> bool {
        self.exit_code != ExitStatus::Error
    }

    /// Adds one scope; true if it was not seen.
    fn add_scope(&mut self, outcome: &ScopeOutcome) -> bool {
        let scope = &outcome.plan.scope;
        if let Some(read_denied) = outcome.plan.read_denied() {
            self.warnings.push(format!(
                "{scope}: planned without seeing what is shared, because reading is denied: {}",
                read_denied.reason
            ));
        }
        self.unmanaged.ours += outcome.plan.unmanaged.ours.len();
        self.unmanaged.foreign += outcome.plan.unmanaged.foreign.len();
        self.warnings.extend(outcome.plan.warnings());
        let (mut lines, mut withheld) = (String::new(), WithheldGroups::default());
        let unobserved = outcome.plan.unobserved();
        if let Some(loss) = outcome.plan.loss {
            self.warnings
                .push(format!("{scope}: {}", Withheld::Lost(loss)));
        }
        for (image, decision) in &outcome.plan.decisions {
            if let Some(line) = self.add(&outcome.plan, image, decision, &mut withheld) {
                let _ = writeln!(lines, "  {line}");
            }
        }
        lines.push_str(&withheld.lines());
        if let Some(why) = unobserved {
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
        unobserved.is_some()
    }

    /// Adds one image; its line, if it has one of its own.
    fn add<'a>(
        &mut self,
        plan: &Plan,
        image: &'a ImageId,
        decision: &Decision,
        withheld: &mut WithheldGroups<'a>,
    ) -> Option<String> {
        let place = place(decision.source.as_ref());
        match &decision.verdict {
            Verdict::InSync => {
                self.summary.in_sync += 1;
                self.by_word += u64::from(decision.is_by_word());
                None
            }
            Verdict::Act => {
                let (sign, count) = match Permission::towards(decision.desired) {
                    Permission::Share => (Sign::Share, &mut self.summary.share),
                    Permission::Cancel => (Sign::Cancel, &mut self.summary.cancel),
                };
                *count += 1;
                let id = sign.paint(format_args!("{image:<14}"));
                self.changes.push(change(plan, image, decision));
                Some(format!("{id}  {:<8}  {place}", decision.cause.as_str()))
            }
            // Reading it again would tell whether a loss holds; a plan takes one look.
            Verdict::Await { reason, .. } if !matches!(**reason, Awaiting::Loss(_)) => {
                Some(self.block(image, &place, held_back(plan, image, decision)))
            }
            Verdict::Withheld(_) | Verdict::Await { .. } => {
                let why = held_back(plan, image, decision);
                withheld.add(image, decision.desired, why.reason.clone(), place);
                self.withhold(why);
                None
            }
            Verdict::Unobserved(_) => {
                self.withhold(held_back(plan, image, decision));
                None
            }
            Verdict::Pending(_) => {
                let waits = held_back(plan, image, decision);
                self.summary.pending += 1;
                let id = Sign::Pending.paint(format_args!("{image:<14}"));
                let line = format!("{id}  {}  {place}", waits.reason);
                self.pending.push(waits);
                Some(line)
            }
            Verdict::Blocked(_) | Verdict::Failed(_) | Verdict::NotTried(_) => {
                Some(self.block(image, &place, held_back(plan, image, decision)))
            }
        }
    }

    fn withhold(&mut self, withheld: HeldBack) {
        self.summary.withheld += 1;
        self.withheld.push(withheld);
    }

    fn block(&mut self, image: &ImageId, place: &str, blocked: HeldBack) -> String {
        self.summary.blocked += 1;
        let id = Sign::Blocked.paint(format_args!("{image:<14}"));
        let line = format!("{id}  {}  {place}", blocked.reason);
        self.blocked.push(blocked);
        line
    }

    fn conclude(&mut self, budget: Budget) {
        let Summary {
            share,
            cancel,
            withheld,
            blocked,
            in_sync,
            pending,
        } = self.summary;
        let by_word = match self.by_word {
            0 => String::new(),
            count => format!(", {count} by the API's word alone"),
        };
        if share + cancel + withheld + blocked + pending == 0 {
            let _ = writeln!(
                self.text,
                "No changes: {} as desired{by_word}.",
                plural(in_sync, "image")
            );
            self.tell_unmanaged();
            return;
        }
        let _ = write!(self.text, "Plan: {share} to share, {cancel} to cancel");
        let counts = [
            (blocked, "blocked"),
            (withheld, "withheld"),
            (pending, "pending"),
        ];
        for (count, word) in counts {
            if count > 0 {
                let _ = write!(self.text, ", {count} {word}");
            }
        }
        let _ = writeln!(self.text, ", {in_sync} in sync{by_word}.");
        if budget.writes > 0 {
            let (writes, reads) = (plural(budget.writes, "write"), plural(budget.reads, "read"));
            let _ = writeln!(
                self.text,
                "Budget: {writes}, about {}, and {reads}.",
                seconds(budget.eta)
            );
        }
        self.tell_unmanaged();
    }

    /// What is not touched is worth a line: silence would read as "there is nothing else".
    fn tell_unmanaged(&mut self) {
        let Unmanaged { ours, foreign } = self.unmanaged;
        if ours + foreign > 0 {
            let images = plural((ours + foreign) as u64, "shared image");
            let by_us = match ours {
                0 => String::new(),
                ours => format!(
                    ", {ours} of them shared by sharekeeper (`--prune owned` would cancel {})",
                    if ours == 1 { "it" } else { "these" }
                ),
            };
            let _ = writeln!(
                self.text,
                "Left alone: {images} that no manifest names{by_us}."
            );
        }
        self.text.push_str(&described(&self.strays));
    }
}

fn held_back(plan: &Plan, image: &ImageId, decision: &Decision) -> HeldBack {
    HeldBack {
        change: change(plan, image, decision),
        reason: decision.verdict.why_not().unwrap_or_default(),
        error_code: match &decision.verdict {
            Verdict::Pending(problem) | Verdict::Blocked(problem) | Verdict::Failed(problem) => {
                problem.code.clone()
            }
            Verdict::NotTried(rest) => rest.problem.code.clone(),
            Verdict::Unobserved(unobserved) => unobserved.code.clone(),
            Verdict::InSync | Verdict::Act | Verdict::Await { .. } | Verdict::Withheld(_) => None,
        },
    }
}

fn change(plan: &Plan, image: &ImageId, decision: &Decision) -> Change {
    Change {
        account: plan.scope.account.to_string(),
        uin: plan.uin.clone(),
        region: plan.scope.region.as_str(),
        image_id: image.to_string(),
        action: match Permission::towards(decision.desired) {
            Permission::Share => "share",
            Permission::Cancel => "cancel",
        },
        cause: decision.cause.as_str(),
        source: decision.source.as_ref().map(Source::from),
    }
}
