//! The output of `plan`, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::causes::{self, CauseRow, RunCauses};
use super::names::NameColumn;
use super::plan_rows::{Change, HeldBack};
use super::scope_changes::{ScopeChanges, ScopeTotals};
use super::strays::{StrayReport, described, strays};
use super::style::Sign;
use super::unresolved::{self, PolicyHold};
use super::verdicts::{self, VerdictRow};
use super::withheld_groups::WithheldGroups;
use super::{ExitStatus, FORMAT_VERSION, place};
use crate::engine::ScopeOutcome;
use crate::inventory::Suspension;
use crate::model::{ImageId, Permission, Selector, Uin};
use crate::plan::{Awaiting, Budget, Decision, Plan, Verdict, Withheld};
use crate::resolve::NameProblem;
use crate::status::{Cause, ClosedWindow, Holds};
use crate::words::{plural, seconds};

/// Which parts of a plan the user asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanShown {
    /// Whether changes make the exit status 2.
    pub detailed_exitcode: bool,
    /// Whether to list each shared image that no manifest names and that is left alone.
    pub unmanaged: bool,
}

/// The document that `plan -o json` prints.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// `new` if there is something to prune and nothing counts as ours yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    changes: Vec<Change>,
    withheld: Vec<HeldBack>,
    blocked: Vec<HeldBack>,
    /// Images that are shared as desired, but not ready yet.
    pending: Vec<HeldBack>,
    /// Causes that affect many images at once, each once.
    causes: Vec<CauseRow>,
    /// Policies that make no change until a person settles something.
    policy_holds: Vec<PolicyHold>,
    /// The resolution of names and policies, for each image that they mention.
    verdicts: Vec<VerdictRow>,
    summary: Summary,
    /// Images that are in sync only by the API's answers to writes; `summary` counts them too.
    by_word: u64,
    /// Shares that no manifest names and that are left alone.
    unmanaged: Unmanaged,
    /// Blueprints of images that are not the account's own, as far as this was checked. They are left alone too.
    strays: Vec<StrayReport>,
    budget: BudgetReport,
    warnings: Vec<String>,
    /// Suspensions in force, whether or not any change is due.
    suspensions: Vec<Suspension>,
    /// Why changes may not be made in an account for now, whether or not any is due.
    closed_windows: Vec<ClosedWindow>,
    /// Number of scopes that were not observed.
    #[serde(skip)]
    unobserved: usize,
    /// Number of warnings at the start that the text contains too.
    #[serde(skip)]
    told_in_text: usize,
    #[serde(skip)]
    text: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Summary {
    share: u64,
    cancel: u64,
    withheld: u64,
    blocked: u64,
    in_sync: u64,
    pending: u64,
}

impl Summary {
    /// The increase since `before`.
    fn since(self, before: Self) -> ScopeTotals {
        ScopeTotals {
            share: self.share - before.share,
            cancel: self.cancel - before.cancel,
            withheld: self.withheld - before.withheld,
            blocked: self.blocked - before.blocked,
            pending: self.pending - before.pending,
            in_sync: self.in_sync - before.in_sync,
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Unmanaged {
    ours: usize,
    foreign: usize,
    /// Each of these images, if the user asked for the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<UnmanagedImage>>,
}

#[derive(Debug, Serialize)]
struct UnmanagedImage {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    image_id: String,
    image_name: Option<String>,
    /// Whether sharekeeper shared it, so that `--prune owned` would cancel it.
    shared_by_sharekeeper: bool,
}

impl UnmanagedImage {
    fn key(&self) -> String {
        let Self {
            account,
            region,
            image_id,
            ..
        } = self;
        format!("{account}/{region}/{image_id}")
    }
}

#[derive(Debug, Serialize)]
struct BudgetReport {
    reads: u64,
    writes: u64,
    eta_seconds: f64,
}

impl PlanDocument {
    /// Combines the scopes' plans, restricted to `selector`.
    pub fn new(
        scopes: &[ScopeOutcome],
        selector: &Selector,
        budget: Budget,
        shown: PlanShown,
    ) -> Self {
        let mut document = Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            state: None,
            changes: Vec::new(),
            withheld: Vec::new(),
            blocked: Vec::new(),
            pending: Vec::new(),
            causes: Vec::new(),
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
            told_in_text: 0,
            text: String::new(),
        };
        if shown.unmanaged {
            document.unmanaged.images = Some(Vec::new());
        }
        let found = RunCauses::of(scopes);
        for scope in scopes {
            document.add_scope(scope, selector, &found);
        }
        document.add_causes(&found.into_vec());
        document.conclude(budget);
        let exit = match (
            document.unobserved > 0,
            shown.detailed_exitcode && !document.changes.is_empty(),
        ) {
            (true, _) => ExitStatus::Error,
            (false, true) => ExitStatus::Changes,
            (false, false) => ExitStatus::Done,
        };
        document.exit_code = exit;
        document
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    /// The plan for a person, with colour codes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Warnings for a person. If the text is `shown`, warnings that it contains are left out.
    pub fn warnings(&self, text_is_shown: bool) -> &[String] {
        match text_is_shown {
            true => &self.warnings[self.told_in_text..],
            false => &self.warnings,
        }
    }

    /// Adds a warning for a person.
    pub fn warn(&mut self, warning: Option<String>) {
        self.warnings.extend(warning);
    }

    /// Sets the suspensions and closed windows in force.
    pub fn hold(&mut self, holds: Holds) {
        self.suspensions = holds.suspensions;
        self.closed_windows = holds.windows;
    }

    /// Notes that the state had never been used, and what that means for pruning.
    pub fn state_is_new(&mut self, warning: String) {
        self.state = Some("new");
        self.warnings.push(warning);
    }

    /// Whether every scope was observed.
    pub fn is_complete(&self) -> bool {
        self.exit_code != ExitStatus::Error
    }

    /// Adds the rows and lines of one scope. Images in `causes` are reported after all scopes.
    fn add_scope(&mut self, outcome: &ScopeOutcome, selector: &Selector, causes: &RunCauses) {
        let plan = &outcome.plan;
        let before = self.summary;
        self.warn_of_scope(plan);
        self.add_unmanaged(plan);
        let column = NameColumn::of(plan);
        let (mut changes, mut withheld) = (ScopeChanges::new(column), WithheldGroups::new(column));
        for (image, decision) in &plan.decisions {
            let is_reported_with_others =
                causes.holds(&plan.scope, image, decision, &outcome.attempts);
            let change = Change::of(plan, image, decision);
            if decision.verdict == Verdict::Act {
                changes.add(plan, image, decision, &change);
                self.act(decision, change);
            } else {
                let lines = (!is_reported_with_others).then_some((&mut changes, &mut withheld));
                self.add(plan, (image, decision), column, lines);
            }
        }
        changes.blocked.push_str(&self.add_names(plan, column));
        changes.withheld = withheld.lines();
        let mut rest = String::new();
        for hold in unresolved::policy_holds(plan) {
            let _ = writeln!(rest, "  {}", hold.line());
            self.policy_holds.push(hold);
        }
        self.verdicts.extend(verdicts::rows(plan, selector));
        rest.push_str(&verdicts::lines(plan, selector));
        if plan.unobserved().is_some() {
            self.unobserved += 1;
            return;
        }
        let totals = self.summary.since(before);
        self.text.push_str(&changes.text(plan, totals, &rest));
    }

    fn add_unmanaged(&mut self, plan: &Plan) {
        let (ours, foreign) = (&plan.unmanaged.ours, &plan.unmanaged.foreign);
        self.unmanaged.ours += ours.len();
        self.unmanaged.foreign += foreign.len();
        let Some(images) = &mut self.unmanaged.images else {
            return;
        };
        let name_of = |image| {
            let resolved = plan.resolution.images.get(image);
            resolved.and_then(|resolved| resolved.name.as_ref().map(ToString::to_string))
        };
        let ours = ours.iter().map(|image| (image, true));
        let all = ours.chain(foreign.iter().map(|image| (image, false)));
        images.extend(all.map(|(image, is_ours)| UnmanagedImage {
            account: plan.scope.account.to_string(),
            uin: plan.uin.clone(),
            region: plan.scope.region.as_str(),
            image_id: image.to_string(),
            image_name: name_of(image),
            shared_by_sharekeeper: is_ours,
        }));
    }

    /// Adds the causes that affect many images at once, one line for each.
    fn add_causes(&mut self, causes: &[Cause]) {
        let what = "planned without reading the shares, because reading is denied";
        let mut warnings = causes::unseen(causes);
        self.told_in_text = warnings.len();
        warnings.extend(causes::read_denied(causes, what));
        warnings.append(&mut self.warnings);
        self.warnings = warnings;
        self.text.push_str(&causes::lines(causes));
        self.causes = causes.iter().map(CauseRow::from).collect();
    }

    fn warn_of_scope(&mut self, plan: &Plan) {
        self.warnings.extend(plan.warnings());
        if let Some(loss) = plan.loss {
            self.warnings.push(format!(
                "{}: {}",
                plan.scope,
                Withheld::Lost(plan.scope.clone(), loss)
            ));
        }
    }

    /// Adds the names that match no image, or several. Returns their lines.
    fn add_names(&mut self, plan: &Plan, column: NameColumn) -> String {
        let mut lines = String::new();
        for name in &plan.unresolved {
            let row = HeldBack::of_name(plan, name);
            if name.kind == NameProblem::NotSeen {
                self.withhold(row);
                continue;
            }
            self.summary.blocked += 1;
            self.blocked.push(row);
            let _ = writeln!(lines, "  {}", unresolved::line(column, name));
        }
        lines
    }

    /// Adds a planned call.
    fn act(&mut self, decision: &Decision, change: Change) {
        let count = match Permission::towards(decision.desired) {
            Permission::Share => &mut self.summary.share,
            Permission::Cancel => &mut self.summary.cancel,
        };
        *count += 1;
        self.changes.push(change);
    }

    /// Adds an image for which nothing is done, and its line unless it is reported with others.
    fn add<'a>(
        &mut self,
        plan: &Plan,
        (image, decision): (&'a ImageId, &'a Decision),
        column: NameColumn,
        lines: Option<(&mut ScopeChanges<'a>, &mut WithheldGroups<'a>)>,
    ) {
        let place = place(decision.source.as_ref());
        let label = || column.label(image.as_str(), decision.name.as_deref());
        match &decision.verdict {
            Verdict::Act => {}
            Verdict::InSync => {
                self.summary.in_sync += 1;
                self.by_word += u64::from(decision.is_by_word());
            }
            Verdict::Unobserved(_) => self.withhold(HeldBack::of(plan, image, decision)),
            Verdict::Pending(_) => {
                let waits = HeldBack::of(plan, image, decision);
                self.summary.pending += 1;
                if let Some((changes, _)) = lines {
                    let id = Sign::Pending.paint(label());
                    let _ = writeln!(changes.pending, "  {id}  {}  {place}", waits.told());
                }
                self.pending.push(waits);
            }
            // Another read would show whether a loss lasts, but a plan observes only once.
            verdict if is_withheld(verdict) => {
                let why = HeldBack::of(plan, image, decision);
                if let Some((_, withheld)) = lines {
                    withheld.add(image, decision, why.reason.clone(), place);
                }
                self.withhold(why);
            }
            Verdict::Withheld(_)
            | Verdict::Await { .. }
            | Verdict::Blocked(_)
            | Verdict::Failed(_)
            | Verdict::NotTried(_) => {
                let blocked = HeldBack::of(plan, image, decision);
                self.summary.blocked += 1;
                if let Some((changes, _)) = lines {
                    let id = Sign::Blocked.paint(label());
                    let _ = writeln!(changes.blocked, "  {id}  {}  {place}", blocked.told());
                }
                self.blocked.push(blocked);
            }
        }
    }

    fn withhold(&mut self, withheld: HeldBack) {
        self.summary.withheld += 1;
        self.withheld.push(withheld);
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
            count => format!(", {count} by the API's answers alone"),
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

    /// Images that are left alone get a line: otherwise a reader would assume that there are none.
    fn tell_unmanaged(&mut self) {
        let Unmanaged { ours, foreign, .. } = self.unmanaged;
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
        let images = || self.unmanaged.images.iter().flatten();
        let keys: Vec<_> = images().map(UnmanagedImage::key).collect();
        let names = images().map(|image| image.image_name.as_deref());
        let rows = keys.iter().map(String::as_str).zip(names);
        let column = NameColumn::fitting(rows.clone());
        for ((key, name), image) in rows.zip(images()) {
            let by = match image.shared_by_sharekeeper {
                true => "shared by sharekeeper",
                false => "shared by somebody else",
            };
            let _ = writeln!(self.text, "  {}  {by}", column.label(key, name));
        }
        self.text.push_str(&described(&self.strays));
    }
}

/// Whether a guard or an unexpected loss withholds a call. Any other wait counts as blocked.
fn is_withheld(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Withheld(_) => true,
        Verdict::Await { reason, .. } => matches!(**reason, Awaiting::Loss(_)),
        _ => false,
    }
}
