//! What `plan` prints, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::names::NameColumn;
use super::plan_rows::{Change, HeldBack};
use super::strays::{StrayReport, described, strays};
use super::style::{Sign, heading};
use super::unresolved::{self, PolicyHold};
use super::verdicts::{self, VerdictRow};
use super::withheld_groups::WithheldGroups;
use super::{ExitStatus, FORMAT_VERSION, cause_and_place, each_cause_once, place};
use crate::engine::ScopeOutcome;
use crate::inventory::Suspension;
use crate::model::{ImageId, Permission, Scope, Selector};
use crate::plan::{Awaiting, Budget, Decision, Plan, Verdict, Withheld};
use crate::resolve::NameProblem;
use crate::status::{ClosedWindow, Holds};
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
    /// Policies that hold still until a person has settled something.
    policy_holds: Vec<PolicyHold>,
    /// What names and policies resolve to, for each image that they speak of.
    verdicts: Vec<VerdictRow>,
    summary: Summary,
    /// Images that are as desired by the API's answers to writes alone; `summary` has them, too.
    by_word: u64,
    /// Shared, named by no manifest, and left alone.
    unmanaged: Unmanaged,
    /// Blueprints of images that are not the account's own, as far as that was asked. They are left alone, too.
    strays: Vec<StrayReport>,
    budget: BudgetReport,
    warnings: Vec<String>,
    /// Suspensions that are in force, whether or not anything is due.
    suspensions: Vec<Suspension>,
    /// Why changes may not be made in an account for now, whether or not any is due.
    closed_windows: Vec<ClosedWindow>,
    /// How many scopes were not seen.
    #[serde(skip)]
    unobserved: usize,
    #[serde(skip)]
    text: String,
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
    /// Puts the scopes' plans together, as far as `selector` reaches. With `detailed`, changes make the exit status 2.
    pub fn new(
        scopes: &[ScopeOutcome],
        selector: &Selector,
        budget: Budget,
        detailed: bool,
    ) -> Self {
        let mut document = Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            state: None,
            changes: Vec::new(),
            withheld: Vec::new(),
            blocked: Vec::new(),
            pending: Vec::new(),
            policy_holds: Vec::new(),
            verdicts: Vec::new(),
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
            suspensions: Vec::new(),
            closed_windows: Vec::new(),
            unobserved: 0,
            text: String::new(),
        };
        let mut unobserved = Vec::new();
        for scope in scopes {
            unobserved.extend(document.add_scope(scope, selector));
        }
        document.unobserved = unobserved.len();
        let causes = each_cause_once(unobserved);
        document.warnings.extend(causes);
        document.conclude(budget);
        let exit = match (
            document.unobserved > 0,
            detailed && !document.changes.is_empty(),
        ) {
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

    /// Says what is held back now.
    pub fn hold(&mut self, holds: Holds) {
        self.suspensions = holds.suspensions;
        self.closed_windows = holds.windows;
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

    /// Adds one scope. Returns it with why, if it was not seen.
    fn add_scope(
        &mut self,
        outcome: &ScopeOutcome,
        selector: &Selector,
    ) -> Option<(Scope, String)> {
        let plan = &outcome.plan;
        self.warn_of_scope(plan);
        self.unmanaged.ours += plan.unmanaged.ours.len();
        self.unmanaged.foreign += plan.unmanaged.foreign.len();
        let column = NameColumn::of(plan);
        let (mut lines, mut withheld) = (String::new(), WithheldGroups::new(column));
        for (image, decision) in &plan.decisions {
            if let Some(line) = self.add(plan, image, decision, column, &mut withheld) {
                let _ = writeln!(lines, "  {line}");
            }
        }
        lines.push_str(&self.add_names(plan));
        lines.push_str(&withheld.lines());
        for hold in unresolved::policy_holds(plan) {
            let _ = writeln!(lines, "  {}", hold.line());
            self.policy_holds.push(hold);
        }
        self.verdicts.extend(verdicts::rows(plan, selector));
        lines.push_str(&verdicts::lines(plan, selector));
        let unobserved = plan.unobserved();
        if let Some(why) = unobserved {
            let images = (plan.decisions.len() + plan.unresolved.len()) as u64;
            let what = unresolved::not_seen(images, why);
            lines = format!("  {}\n", Sign::Withheld.paint(what));
        }
        if !lines.is_empty() {
            let _ = write!(self.text, "{}\n{lines}\n", heading(&plan.scope));
        }
        unobserved.map(|why| (plan.scope.clone(), format!("not observed: {why}")))
    }

    fn warn_of_scope(&mut self, plan: &Plan) {
        let scope = &plan.scope;
        if let Some(read_denied) = plan.read_denied() {
            self.warnings.push(format!(
                "{scope}: planned without seeing what is shared, because reading is denied: {}",
                read_denied.reason
            ));
        }
        self.warnings.extend(plan.warnings());
        if let Some(loss) = plan.loss {
            self.warnings
                .push(format!("{scope}: {}", Withheld::Lost(scope.clone(), loss)));
        }
    }

    /// Adds the names that mean no image, or several. Returns their lines.
    fn add_names(&mut self, plan: &Plan) -> String {
        let mut lines = String::new();
        for name in &plan.unresolved {
            let row = HeldBack::of_name(plan, name);
            if name.kind == NameProblem::NotSeen {
                self.withhold(row);
                continue;
            }
            self.summary.blocked += 1;
            self.blocked.push(row);
            let _ = writeln!(lines, "  {}", unresolved::line(name));
        }
        lines
    }

    /// Adds one image; its line, if it has one of its own.
    fn add<'a>(
        &mut self,
        plan: &Plan,
        image: &'a ImageId,
        decision: &'a Decision,
        column: NameColumn,
        withheld: &mut WithheldGroups<'a>,
    ) -> Option<String> {
        let place = place(decision.source.as_ref());
        let label = column.label(image, decision.name.as_deref());
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
                self.changes.push(Change::of(plan, image, decision));
                let was = plan.resolution.was.get(image);
                let was = was.map(|was| format!("  was {was}")).unwrap_or_default();
                let why = cause_and_place(decision);
                Some(format!("{}{was}  {why}", sign.paint(label)))
            }
            // Reading it again would tell whether a loss holds; a plan takes one look.
            Verdict::Await { reason, .. } if !matches!(**reason, Awaiting::Loss(_)) => {
                Some(self.block(&label, &place, HeldBack::of(plan, image, decision)))
            }
            Verdict::Withheld(_) | Verdict::Await { .. } => {
                let why = HeldBack::of(plan, image, decision);
                withheld.add(image, decision, why.reason.clone(), place);
                self.withhold(why);
                None
            }
            Verdict::Unobserved(_) => {
                self.withhold(HeldBack::of(plan, image, decision));
                None
            }
            Verdict::Pending(_) => {
                let waits = HeldBack::of(plan, image, decision);
                self.summary.pending += 1;
                let id = Sign::Pending.paint(label);
                let line = format!("{id}  {}  {place}", waits.reason);
                self.pending.push(waits);
                Some(line)
            }
            Verdict::Blocked(_) | Verdict::Failed(_) | Verdict::NotTried(_) => {
                Some(self.block(&label, &place, HeldBack::of(plan, image, decision)))
            }
        }
    }

    fn withhold(&mut self, withheld: HeldBack) {
        self.summary.withheld += 1;
        self.withheld.push(withheld);
    }

    fn block(&mut self, label: &str, place: &str, blocked: HeldBack) -> String {
        self.summary.blocked += 1;
        let id = Sign::Blocked.paint(label);
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
        let held = self.policy_holds.len() as u64;
        let has_rows = share + cancel + withheld + blocked + pending + held > 0;
        if !has_rows && in_sync == 0 && self.unobserved > 0 {
            let scopes = plural(self.unobserved as u64, "region");
            let _ = writeln!(self.text, "No plan: {scopes} could not be observed.");
            return;
        }
        if !has_rows {
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
            (held, "held by policy"),
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
