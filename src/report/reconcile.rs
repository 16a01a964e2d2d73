//! The output of `reconcile`, as text and as JSON, and the exit status that follows from it (S24).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::causes::{self, CauseRow, RunCauses};
use super::image_report::{
    ImageOutcome, ImageReport, RUN_ENDED, described, image_report, name_report, why_not_tried,
};
use super::names::{NameColumn, blocked_names};
use super::style::{Sign, heading};
use super::unresolved::{self, PolicyHold};
use super::withheld_groups::WithheldGroups;
use super::{ExitStatus, FORMAT_VERSION, place, strays, verdicts};
use crate::attempts::AttemptLog;
use crate::engine::{ScopeOutcome, StopReason};
use crate::inventory::Suspension;
use crate::manifest::Diagnostic;
use crate::model::{ImageId, Selector};
use crate::plan::{Decision, Plan, Verdict, Withheld};
use crate::status::{Cause, ClosedWindow, Holds};
use crate::words::{plural, seconds, thousands};

const NOTHING_OBSERVED: &str = "nothing could be observed, so nothing was decided";

/// The document that `reconcile -o json` prints.
#[derive(Debug, Serialize)]
pub struct ReconcileDocument {
    format_version: u32,
    exit_code: ExitStatus,
    synced: bool,
    /// `new` if there is something to prune and nothing counts as ours yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    summary: Summary,
    /// Images that are in sync only by the API's answers to writes; `summary` counts them too.
    by_word: u64,
    images: Vec<ImageReport>,
    /// Causes that affect many images at once, each once.
    causes: Vec<CauseRow>,
    /// Policies that make no change until a person settles something.
    policy_holds: Vec<PolicyHold>,
    calls: CallCounts,
    elapsed_seconds: f64,
    warnings: Vec<String>,
    /// Suspensions in force, whether or not any change is due.
    suspensions: Vec<Suspension>,
    /// Why changes may not be made in an account for now, whether or not any is due.
    closed_windows: Vec<ClosedWindow>,
    /// Problems of manifests that were left out (`--partial-ok`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    text: String,
    /// Number of withheld images for which no person must act.
    #[serde(skip)]
    normal_course: u64,
    /// Writes that the API accepted but no read showed before the end.
    #[serde(skip)]
    unconfirmed: u64,
    /// Whether a scope was not observed at the end, or could not be checked for images to prune.
    #[serde(skip)]
    out_of_sight: bool,
    /// Whether an observation lacks many of our shares.
    #[serde(skip)]
    suspicious: bool,
    /// Whether nothing could be recorded any longer.
    #[serde(skip)]
    lost: bool,
}

/// How the run as a whole ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Why the run ended early, if it did.
    pub stopped: Option<StopReason>,
    /// Why nothing could be recorded any longer, if so. Then nothing more was sent.
    pub lost: Option<String>,
    /// Describe calls, Modify calls, and throttled replies.
    pub calls: CallCounts,
    pub elapsed: Duration,
}

/// The calls of a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CallCounts {
    pub reads: u64,
    pub writes: u64,
    /// Replies saying that the rate was exceeded.
    pub throttled: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Summary {
    in_sync: u64,
    shared: u64,
    cancelled: u64,
    blocked: u64,
    failed: u64,
    withheld: u64,
    pending: u64,
    not_tried: u64,
}

/// The lines for a person about one scope.
struct ScopeLines<'a> {
    column: NameColumn,
    /// One line for each image that is reported on its own.
    images: String,
    withheld: WithheldGroups<'a>,
    /// One line for each image that a person must check.
    blocked: String,
    /// Number of images that were not tried, by reason.
    not_tried: BTreeMap<String, u64>,
}

/// Text after all scopes, so that everything a person must act on comes last.
#[derive(Default)]
struct Closing {
    /// One line for each scope and reason for which images were not tried.
    not_tried: String,
    /// Images that are blocked or failed, by scope.
    blocked: String,
}

impl<'a> ScopeLines<'a> {
    fn new(plan: &Plan, attempts: &AttemptLog) -> Self {
        let shown = plan.decisions.iter().filter(|(image, decision)| {
            let tried = attempts.tried_towards(image, decision.desired);
            tried.is_some() || decision.verdict != Verdict::InSync
        });
        let images = shown.map(|(image, decision)| (image.as_str(), decision.name.as_deref()));
        let column = NameColumn::fitting(images).with_blocked_names(plan);
        Self {
            column,
            images: String::new(),
            withheld: WithheldGroups::new(column),
            blocked: String::new(),
            not_tried: BTreeMap::new(),
        }
    }

    fn add(
        &mut self,
        image: &'a ImageId,
        decision: &'a Decision,
        outcome: ImageOutcome,
        report: &ImageReport,
    ) {
        if outcome == ImageOutcome::NotTried {
            *self.not_tried.entry(why_not_tried(decision)).or_default() += 1;
        } else if let (ImageOutcome::Withheld, Some(why)) = (outcome, &report.message) {
            let place = place(decision.source.as_ref());
            self.withheld.add(image, decision, why.clone(), place);
        } else if let Some(sign) = outcome.sign() {
            let id = sign.paint(self.column.label(image.as_str(), decision.name.as_deref()));
            let (what, place) = (described(report), place(decision.source.as_ref()));
            let lines = match outcome {
                ImageOutcome::Blocked | ImageOutcome::Failed => &mut self.blocked,
                _ => &mut self.images,
            };
            let _ = writeln!(lines, "  {id}  {what}  {place}");
        }
    }

    /// The lines of the scope; lines that come last are added to `closing`.
    fn text(mut self, plan: &Plan, closing: &mut Closing) -> String {
        let mut lines = self.images;
        for name in blocked_names(plan) {
            let _ = writeln!(self.blocked, "  {}", unresolved::line(self.column, name));
        }
        if !self.blocked.is_empty() {
            let head = heading(format_args!("{}: blocked or failed", plan.scope));
            let _ = write!(closing.blocked, "{head}\n{}\n", self.blocked);
        }
        for (why, images) in self.not_tried {
            let (images, scope) = (thousands(images), &plan.scope);
            let line = format_args!("{images} not tried in {scope}: {why}");
            let _ = writeln!(closing.not_tried, "{}", Sign::Pending.paint(line));
        }
        lines.push_str(&self.withheld.lines());
        if let Some(loss) = plan.loss.filter(|_| lines.is_empty()) {
            // No change was due, but the loss must be visible.
            let why = Sign::Withheld.paint(Withheld::Lost(plan.scope.clone(), loss));
            let _ = writeln!(lines, "  {why}");
        }
        if plan.prune_skipped && plan.unobserved().is_none() {
            let why = "images that no manifest names cannot be listed, so nothing was pruned";
            let _ = writeln!(lines, "  {}", Sign::Withheld.paint(why));
        }
        lines
    }
}

impl ReconcileDocument {
    /// Combines the outcomes of all scopes.
    pub fn new(scopes: &[ScopeOutcome], ending: Ending, left_out: &[Diagnostic]) -> Self {
        let mut document = Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            synced: false,
            state: None,
            summary: Summary::default(),
            by_word: 0,
            images: Vec::new(),
            causes: Vec::new(),
            policy_holds: Vec::new(),
            calls: ending.calls,
            elapsed_seconds: (ending.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            warnings: Vec::new(),
            suspensions: Vec::new(),
            closed_windows: Vec::new(),
            errors: left_out.to_vec(),
            error: None,
            text: String::new(),
            normal_course: 0,
            unconfirmed: 0,
            out_of_sight: false,
            suspicious: false,
            lost: ending.lost.is_some(),
        };
        let (found, mut closing) = (RunCauses::of(scopes), Closing::default());
        let mut unobserved = 0;
        for scope in scopes {
            document.add_scope(scope, &found, &mut closing);
            unobserved += usize::from(scope.plan.unobserved().is_some());
        }
        let causes = found.into_vec();
        document
            .text
            .push_str(&strays::described(&strays::strays(scopes)));
        document.close(closing, &causes);
        let nothing_seen = !scopes.is_empty() && unobserved == scopes.len();
        let exit = match ending.lost {
            Some(_) => ExitStatus::Error,
            None => document.exit(ending.stopped, nothing_seen && ending.calls.writes == 0),
        };
        if ending.lost.is_some() {
            document.error.clone_from(&ending.lost);
        } else if exit == ExitStatus::Error {
            let mut why = causes::unseen(&causes);
            if why.is_empty() {
                why.extend(scopes.first().and_then(|scope| {
                    let why = scope.plan.unobserved()?;
                    Some(why.told())
                }));
            }
            document.error = Some(format!("{NOTHING_OBSERVED}: {}", why.join("; ")));
        }
        document.exit_code = exit;
        document.synced = exit == ExitStatus::Done;
        document.conclude(&ending);
        document
    }

    /// Whether the run was aborted because nothing could be recorded any longer.
    pub fn is_lost(&self) -> bool {
        self.lost
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

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    /// The outcome for a person, with colour codes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a warning for a person.
    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Why nothing was decided, if so. If `text` is shown, which contains the causes, they are left out.
    pub fn error(&self, text_is_shown: bool) -> Option<&str> {
        let error = self.error.as_deref()?;
        match error.strip_prefix(NOTHING_OBSERVED) {
            Some(_) if text_is_shown && !self.causes.is_empty() => Some(NOTHING_OBSERVED),
            _ => Some(error),
        }
    }

    fn exit(&self, stopped: Option<StopReason>, nothing_decided: bool) -> ExitStatus {
        match stopped {
            Some(StopReason::Interrupted) => return ExitStatus::Interrupted,
            Some(StopReason::Terminated) => return ExitStatus::Terminated,
            Some(StopReason::HungUp) => return ExitStatus::HungUp,
            Some(StopReason::TimedOut | StopReason::Superseded) | None => {}
        }
        if nothing_decided {
            ExitStatus::Error
        } else if self.summary.blocked + self.summary.failed + self.summary.not_tried > 0
            || self.summary.pending + self.unconfirmed > 0
            || !self.errors.is_empty()
            || self.out_of_sight
        {
            ExitStatus::Incomplete
        } else if self.summary.withheld > self.normal_course
            || !self.policy_holds.is_empty()
            || self.suspicious
        {
            ExitStatus::Withheld
        } else {
            ExitStatus::Done
        }
    }

    /// Adds the text that follows all scopes.
    fn close(&mut self, closing: Closing, causes: &[Cause]) {
        if !closing.not_tried.is_empty() {
            let _ = writeln!(self.text, "{}", closing.not_tried);
        }
        self.text.push_str(&causes::lines(causes));
        self.text.push_str(&closing.blocked);
        self.causes = causes.iter().map(CauseRow::from).collect();
        let what = "reading is denied, so the API's answers to writes are all that is known, and nothing is pruned";
        self.warnings.extend(causes::read_denied(causes, what));
    }

    /// Adds the rows and lines of one scope. Images in `causes` are reported after all scopes.
    fn add_scope(&mut self, scope: &ScopeOutcome, causes: &RunCauses, closing: &mut Closing) {
        let plan = &scope.plan;
        self.warn_of_scope(plan);
        let is_unobserved = plan.unobserved().is_some();
        let is_stopped = plan.unobserved().is_some_and(|why| why.is_stop);
        self.out_of_sight |= is_unobserved || plan.prune_skipped;
        let mut lines = ScopeLines::new(plan, &scope.attempts);
        for (image, decision) in &plan.decisions {
            let (outcome, report) = image_report(plan, image, decision, &scope.attempts);
            self.count(outcome);
            self.by_word += u64::from(decision.is_by_word());
            self.normal_course += u64::from(decision.is_normal_course());
            let done = matches!(outcome, ImageOutcome::Shared | ImageOutcome::Cancelled);
            self.unconfirmed += u64::from(done && decision.verdict != Verdict::InSync);
            let untried = scope
                .attempts
                .tried_towards(image, decision.desired)
                .is_none();
            // An unobserved image is reported with its cause, and so is an image with a shared cause.
            let is_unseen = matches!(decision.verdict, Verdict::Unobserved(_)) && !is_stopped;
            let is_reported_with_others = (is_unseen && untried)
                || causes.holds(&plan.scope, image, decision, &scope.attempts);
            if !is_reported_with_others {
                lines.add(image, decision, outcome, &report);
            }
            self.images.push(report);
        }
        let unseen_names = self.add_names(plan);
        if is_stopped && unseen_names > 0 {
            let why = format!("{RUN_ENDED}; run it again to continue");
            *lines.not_tried.entry(why).or_default() += unseen_names;
        }
        let mut lines = lines.text(plan, closing);
        for hold in unresolved::policy_holds(plan) {
            let _ = writeln!(lines, "  {}", hold.line());
            self.policy_holds.push(hold);
        }
        if !is_unobserved {
            lines.push_str(&verdicts::lines(plan, &Selector::default()));
        }
        if !lines.is_empty() {
            let _ = write!(self.text, "{}\n{lines}\n", heading(&plan.scope));
        }
    }

    /// Adds the names that match no image, or several. Returns the number of names that could not be looked up.
    fn add_names(&mut self, plan: &Plan) -> u64 {
        let mut not_seen = 0;
        for name in &plan.unresolved {
            let (outcome, report) = name_report(plan, name);
            self.count(outcome);
            not_seen += u64::from(outcome == ImageOutcome::NotTried);
            self.images.push(report);
        }
        not_seen
    }

    fn warn_of_scope(&mut self, plan: &Plan) {
        let scope = &plan.scope;
        if let Some(loss) = plan.loss {
            self.suspicious = true;
            self.warnings
                .push(format!("{scope}: {}", Withheld::Lost(scope.clone(), loss)));
        }
    }

    fn count(&mut self, outcome: ImageOutcome) {
        let summary = &mut self.summary;
        *match outcome {
            ImageOutcome::InSync => &mut summary.in_sync,
            ImageOutcome::Shared => &mut summary.shared,
            ImageOutcome::Cancelled => &mut summary.cancelled,
            ImageOutcome::Blocked => &mut summary.blocked,
            ImageOutcome::Failed => &mut summary.failed,
            ImageOutcome::Withheld => &mut summary.withheld,
            ImageOutcome::Pending => &mut summary.pending,
            ImageOutcome::NotTried => &mut summary.not_tried,
        } += 1;
    }

    fn conclude(&mut self, ending: &Ending) {
        let Summary {
            in_sync,
            shared,
            cancelled,
            blocked,
            failed,
            withheld,
            pending,
            not_tried,
        } = self.summary;
        let head = match ending.stopped {
            Some(StopReason::Interrupted | StopReason::Terminated | StopReason::HungUp) => {
                "Stopped"
            }
            Some(StopReason::TimedOut) => "Timed out",
            Some(StopReason::Superseded) => "Superseded",
            None if ending.lost.is_some() => "Broken off",
            None if self.synced => "In sync",
            None => "Not in sync",
        };
        let counts = [
            (shared, "shared"),
            (cancelled, "cancelled"),
            (blocked, "blocked"),
            (failed, "failed"),
            (withheld, "withheld"),
            (pending, "pending"),
            (not_tried, "not tried"),
            (self.policy_holds.len() as u64, "held by policy"),
        ];
        let _ = write!(self.text, "{head}: ");
        for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let _ = write!(self.text, "{count} {word}, ");
        }
        let CallCounts {
            reads,
            writes,
            throttled,
        } = ending.calls;
        let (writes, reads) = (plural(writes, "write"), plural(reads, "read"));
        let _ = write!(self.text, "{in_sync} already as desired");
        if self.by_word > 0 {
            let _ = write!(self.text, ", {} by the API's answers alone", self.by_word);
        }
        let _ = write!(self.text, " ({writes}, {reads}");
        if throttled > 0 {
            let _ = write!(self.text, ", {throttled} throttled");
        }
        let _ = writeln!(self.text, ", {}).", seconds(ending.elapsed));
        if self.normal_course > 0 && self.normal_course == self.summary.withheld {
            self.text.push_str(
                "All withheld images are withheld in normal operation: nobody needs to act.\n",
            );
        }
    }
}
