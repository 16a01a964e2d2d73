//! Puts events on the board, logs the new ones and hands transitions on. It must not know who reads the board or acts
//! on transitions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::api::ClientContext;
use crate::engine::{Event, Listener};
use crate::history::{WriteOutcome, WriteResult};
use crate::host::Host;
use crate::inventory::{InventoryNote, Suspension};
use crate::ledger::Attempt;
use crate::model::{AccountName, Clocks, ImageId, Permission, Scope, Timestamp};
use crate::plan::Plan;
use crate::source::{Generation, ManifestProblem};
use crate::status::{
    Activity, Board, CauseKind, Change, Finding, HoldChanges, Holds, LoadedManifests, PassResult,
    Reason, ScopeStatus, Subject, Told, Transition, TransitionKind, WriteBucket,
};
use crate::windows::Windows;

/// The suspensions and windows that can hold changes back. Which of them are in force depends on the time.
#[derive(Default)]
struct Holders {
    /// The suspensions in the state; `None` before the first read.
    suspensions: Option<Vec<Suspension>>,
    /// The windows of the accounts in use.
    windows: BTreeMap<AccountName, Windows>,
}

/// The type of a callback for new transitions. It must not block.
type OnTransitions = Box<dyn Fn(&[Transition])>;

/// Puts events on the board and logs the new ones: one line for each change and each transition, and nothing for a pass
/// that finds everything unchanged.
pub struct StatusPublisher<H> {
    context: Rc<ClientContext<H>>,
    board: RefCell<Board>,
    on_transitions: OnTransitions,
    holders: RefCell<Holders>,
    /// Wakes tasks that wait for a newer board.
    changed: Notify,
    /// Wakes the task that stores which transitions were reported.
    told: Notify,
}

impl<H: Host> StatusPublisher<H> {
    /// Makes a publisher with an empty board. `origin` is the source of the manifests, for people. `on_transitions` is
    /// called with each set of new transitions; it must not block.
    pub fn new(
        context: Rc<ClientContext<H>>,
        origin: String,
        observe_only: bool,
        on_transitions: impl Fn(&[Transition]) + 'static,
    ) -> Rc<Self> {
        let board = Board::new(context.now(), observe_only).with_origin(origin);
        Rc::new(Self {
            context,
            board: RefCell::new(board),
            on_transitions: Box::new(on_transitions),
            holders: RefCell::default(),
            changed: Notify::new(),
            told: Notify::new(),
        })
    }

    /// Reads from the board. `read` must not wait for the board to change.
    pub fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        read(&self.board.borrow())
    }

    /// Returns once the board is newer than `version`.
    pub async fn newer_than(&self, version: u64) {
        loop {
            let changed = self.changed.notified();
            if self.board.borrow().version() > version {
                return;
            }
            changed.await;
        }
    }

    /// Takes over the transitions that an earlier process reported, so that they are not reported again but their end
    /// is.
    pub fn remember(&self, told: Told) {
        self.board.borrow_mut().remember(told);
    }

    /// Returns once a transition was reported after the last return.
    pub async fn new_transitions(&self) {
        self.told.notified().await;
    }

    /// The time stamp for log lines and transitions.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    pub(super) fn manifests_loaded(
        &self,
        generation: &Generation,
        policies: usize,
        images_by_scope: &BTreeMap<&Scope, usize>,
    ) {
        let now = self.now();
        self.update(|board| {
            let is_named = |scope: &Scope| images_by_scope.contains_key(scope);
            let mut transitions = board.retain_scopes(is_named, now);
            board.add_scopes(images_by_scope.keys().copied());
            transitions.extend(board.end_unnamed(now));
            let set = LoadedManifests {
                commit: generation.commit.clone(),
                images: images_by_scope.values().sum(),
                policies,
                problems: generation
                    .problems
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            };
            transitions.extend(board.manifests_loaded(set, now));
            transitions
        });
        let accounts = generation.desired.accounts.iter();
        let is_named = |name: &AccountName| images_by_scope.keys().any(|s| s.account == *name);
        let windows = accounts.filter(|(name, _)| is_named(name));
        let windows = windows.map(|(name, account)| (name.clone(), account.windows.clone()));
        self.holders.borrow_mut().windows = windows.collect();
        // The known holds may be from windows that no longer apply.
        self.show_holds(&Holds::default());
    }

    /// Takes over the suspensions that were read from the state, including expired ones.
    pub(super) fn suspensions_read(&self, suspensions: Vec<Suspension>) {
        self.holders.borrow_mut().suspensions = Some(suspensions);
        self.refresh_holds();
    }

    /// Shows which of the known suspensions and windows are in force now.
    pub(super) fn refresh_holds(&self) {
        let before = self.board(|board| board.holds().clone());
        self.show_holds(&before);
    }

    fn show_holds(&self, before: &Holds) {
        let (host, clocks) = (&self.context.host, &self.context.clocks);
        let (now, monotonic) = (self.now(), host.monotonic());
        let clocks = Clocks::new(now, clocks.largest_offset(now, monotonic));
        let holders = self.holders.borrow();
        let Holders {
            suspensions,
            windows,
        } = &*holders;
        let known = suspensions.as_deref();
        let holds = Holds::at(known.unwrap_or_default(), windows.iter(), clocks, before);
        let changes = self.board.borrow_mut().holds_now(holds);
        if changes != HoldChanges::default() {
            self.changed.notify_waiters();
        }
        for line in &changes.began {
            tracing::warn!("{line}");
        }
        for line in &changes.ended {
            tracing::info!("{line}");
        }
        if known.is_some() {
            let transitions = self.board.borrow_mut().report_suspensions(now);
            self.report(&transitions);
        }
    }

    /// Notes that the state had never been used before this process opened it.
    pub fn state_created(&self) {
        self.update(|board| {
            board.state_created();
            Vec::new()
        });
    }

    /// Notes that nothing can be recorded any longer.
    pub(super) fn state_lost(&self, why: String) {
        let now = self.now();
        self.update(|board| board.state_lost(why, now));
    }

    /// Notes that results can be recorded again.
    pub(super) fn state_recovered(&self) {
        let now = self.now();
        self.update(|board| board.state_recovered(now));
    }

    /// Notes a problem of the state that does not stop all work; `None` ends it.
    pub fn state_hindered(&self, warning: Option<String>) {
        if self.board(|board| board.state().warning == warning) {
            return;
        }
        match &warning {
            Some(warning) => tracing::warn!("{warning}"),
            None => tracing::info!("the state is in order again"),
        }
        self.update(|board| {
            board.state_hindered(warning);
            Vec::new()
        });
    }

    pub(super) fn manifests_failed(&self, problems: &[ManifestProblem]) {
        for problem in problems {
            tracing::error!("{problem}");
        }
        // The transition for webhooks repeats the first of the problems.
        let (was_broken, what) = self.board(|board| {
            let manifests = board.manifests();
            (manifests.broken_since.is_some(), manifests.standstill())
        });
        if !was_broken {
            tracing::warn!("{what}");
        }
        let now = self.now();
        let problems = problems.iter().map(ToString::to_string).collect();
        self.update(|board| board.manifests_failed(problems, now));
    }

    pub(super) fn write_rate_changed(&self, scope: &Scope, bucket: WriteBucket) {
        self.board.borrow_mut().write_rate_changed(scope, bucket);
    }

    pub(super) fn pass_began(&self, scope: &Scope) {
        let now = self.now();
        self.update(|board| {
            board.pass_began(scope, now);
            Vec::new()
        });
    }

    pub(super) fn pass_ended(
        &self,
        scope: &Scope,
        result: PassResult,
        took: Duration,
        activity: Activity,
    ) {
        tracing::debug!(%scope, result = result.as_str(), ?took, "pass ended");
        let now = self.now();
        self.update(|board| board.pass_ended(scope, result, took, activity, now));
    }

    pub(super) fn retries_scheduled(
        &self,
        scope: &Scope,
        retries: impl Iterator<Item = (ImageId, Timestamp)>,
    ) {
        self.update(|board| {
            board.retries_scheduled(scope, retries);
            Vec::new()
        });
    }

    pub(super) fn report_expiring(&self, scope: &Scope, ahead: Duration) {
        let now = self.now();
        self.update(|board| board.report_expiring(scope, ahead, now));
    }

    fn update(&self, change: impl FnOnce(&mut Board) -> Vec<Transition>) {
        let now = self.now();
        let mut board = self.board.borrow_mut();
        let new = change(&mut board);
        let transitions = board.gather(new, now);
        drop(board);
        self.changed.notify_waiters();
        let is_told = |one: &&Transition| {
            (&one.subject, one.kind) == (&Subject::Manifests, TransitionKind::Stalled)
        };
        transitions.iter().filter(|one| !is_told(one)).for_each(log);
        self.report(&transitions);
    }

    fn report(&self, transitions: &[Transition]) {
        if !transitions.is_empty() {
            (self.on_transitions)(transitions);
            self.told.notify_one();
        }
    }

    /// Reports transitions that have been gathered for long enough. Returns whether more are waiting.
    pub(super) fn report_gathered(&self) -> bool {
        if self.board(Board::is_gathering) {
            self.update(|_| Vec::new());
        }
        self.board(Board::is_gathering)
    }

    fn planned(&self, plan: &Plan) {
        let told = |board: &Board| {
            let status = board.scopes().get(&plan.scope);
            let told = |status: &Arc<ScopeStatus>| {
                (Arc::clone(&status.warnings), Arc::clone(&status.findings))
            };
            status.map_or_else(Default::default, told)
        };
        let (before, now): (_, Timestamp) = (self.board(told), self.now());
        self.update(|board| board.planned(plan, now));
        let after: (Arc<[String]>, Arc<[Finding]>) = self.board(told);
        for warning in after.0.iter().filter(|now| !before.0.contains(now)) {
            tracing::warn!("{warning}");
        }
        log_findings(&plan.scope, &before.1, &after.1);
    }

    fn answered(&self, attempt: &Attempt, outcome: &WriteOutcome) {
        let change = Change {
            at: self.now(),
            key: attempt.key.clone(),
            permission: attempt.permission,
            cause: attempt.cause,
            result: outcome.result,
            code: outcome.error_code.clone(),
            message: outcome.message.clone(),
            request_id: outcome.request_id.clone(),
            source: attempt.source.clone(),
        };
        log_change(&change, attempt);
        self.update(|board| {
            board.answered(change);
            Vec::new()
        });
    }
}

impl<H: Host> Listener for StatusPublisher<H> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Planned { plan, .. } => self.planned(plan),
            Event::Answered { attempt, outcome } => self.answered(attempt, outcome),
            Event::Noted { scope, image, note } => match note {
                InventoryNote::Released(why) => tracing::warn!(
                    image = %format_args!("{scope}/{image}"),
                    "no longer counted as shared by sharekeeper: {why}"
                ),
                // The board reports it as a blocked image, with the remedy.
                InventoryNote::Parked(why) => {
                    tracing::debug!(image = %format_args!("{scope}/{image}"), "parked: {why}");
                }
            },
            // If the trouble lasts, it is reported when the pass ends.
            Event::Trouble { scope, what, .. } => tracing::debug!(%scope, "{what}"),
            Event::Reading { scope, reading } => {
                if self.board.borrow_mut().read_delayed(scope, reading) {
                    tracing::info!(%scope, "waiting for a permit to read: {reading}");
                }
                self.changed.notify_waiters();
            }
            Event::Waiting { scope, images } => {
                tracing::debug!(%scope, images, "waiting until reads show the writes");
            }
            Event::Syncing { scope, images } => {
                tracing::debug!(%scope, images, "waiting until blueprints are ready");
            }
        }
    }
}

fn log(transition: &Transition) {
    let Transition {
        subject,
        name,
        kind,
        reason,
        message,
        extent,
        ..
    } = transition;
    let (kind, reason) = (kind.as_str(), reason.map(Reason::as_str));
    let regions = extent.as_ref().map(|extent| extent.regions_text());
    let images = extent.as_ref().map(|extent| extent.images);
    let name = name.as_deref();
    let subject = match subject {
        Subject::Manifests | Subject::State => None,
        other => Some(other.to_string()),
    };
    if transition.kind.is_good() {
        tracing::info!(subject, name, regions, images, kind, reason, "{message}");
    } else if transition.subject == Subject::State {
        tracing::error!(subject, name, kind, reason, "{message}");
    } else {
        tracing::warn!(subject, name, regions, images, kind, reason, "{message}");
    }
}

/// Logs the findings that are new and need a person, and those that are settled.
fn log_findings(scope: &Scope, before: &[Finding], after: &[Finding]) {
    let is_in = |findings: &[Finding], one: &Finding| findings.iter().any(|f| f.is_same(one));
    for finding in after.iter().filter(|finding| !is_in(before, finding)) {
        let Finding {
            kind,
            subject,
            message,
            source,
            ..
        } = finding;
        let source = source.as_ref().map(ToString::to_string);
        tracing::warn!(%scope, kind = kind.as_str(), subject, source, "{message}");
    }
    let is_open = |one: &Finding| {
        let mut open = after.iter();
        open.any(|open| (open.kind, &open.subject) == (one.kind, &one.subject))
    };
    for Finding { kind, subject, .. } in before.iter().filter(|finding| !is_open(finding)) {
        tracing::info!(%scope, kind = kind.as_str(), subject, "settled");
    }
}

fn log_change(change: &Change, written: &Attempt) {
    let Change {
        key,
        permission,
        cause,
        result,
        code,
        message,
        request_id,
        ..
    } = change;
    let what = match (result, permission) {
        (WriteResult::Applied, Permission::Share) => "shared",
        (WriteResult::Applied, Permission::Cancel) => "cancelled",
        (WriteResult::AlreadyShared, _) => "shared already",
        (WriteResult::Rejected, _) => "rejected",
        (WriteResult::Unknown, _) => "no clear answer; observing again",
        (WriteResult::NotSent, _) => "not sent",
    };
    let (action, cause, source) = (
        permission.as_str(),
        cause.as_str(),
        change.source.as_ref().map(ToString::to_string),
    );
    let (name, attempt) = (written.name.as_deref(), written.number);
    // A problem of many images is reported once, for the account or the region; the history has each call.
    let is_of_many = code.as_deref().and_then(CauseKind::of_code).is_some();
    match result {
        WriteResult::Rejected if is_of_many => {
            tracing::debug!(image = %key, name, action, cause, source, code, request_id, attempt, message, "{what}");
        }
        WriteResult::Applied | WriteResult::AlreadyShared => {
            tracing::info!(image = %key, name, action, cause, source, request_id, attempt, "{what}");
        }
        WriteResult::Rejected | WriteResult::Unknown | WriteResult::NotSent => {
            tracing::warn!(image = %key, name, action, cause, source, code, request_id, attempt, message, "{what}");
        }
    }
}
