use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::api::ClientContext;
use crate::engine::{Event, Listener};
use crate::history::{Outcome, WriteResult};
use crate::host::Host;
use crate::inventory::InventoryNote;
use crate::ledger::Attempt;
use crate::model::{ImageId, Permission, Scope, Timestamp};
use crate::source::Generation;
use crate::status::{
    Activity, Board, Change, ManifestsStatus, PassResult, Subject, Transition, WriteBucket,
};

/// Hears of transitions. Must not block.
type Tell = Box<dyn Fn(&[Transition])>;

/// Takes what happens to the board, and says what of it is new: one line of the log for each change and each
/// transition, and nothing for a look that finds everything as it was.
pub struct StatusPublisher<H> {
    context: Rc<ClientContext<H>>,
    board: RefCell<Board>,
    /// Hears of transitions, too.
    tell: Tell,
    changed: Notify,
}

impl<H: Host> StatusPublisher<H> {
    /// `origin` is where the manifests come from, for people. `tell` hears of each transition; it must not block.
    pub fn new(
        context: Rc<ClientContext<H>>,
        origin: String,
        observe_only: bool,
        tell: impl Fn(&[Transition]) + 'static,
    ) -> Rc<Self> {
        let mut board = Board::new(context.now(), observe_only);
        board.manifests.origin = origin;
        Rc::new(Self {
            context,
            board: RefCell::new(board),
            tell: Box::new(tell),
            changed: Notify::new(),
        })
    }

    /// Looks at the board.
    pub fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        read(&self.board.borrow())
    }

    /// Returns once the board is newer than `version`.
    pub async fn newer_than(&self, version: u64) {
        loop {
            let changed = self.changed.notified();
            if self.board.borrow().version > version {
                return;
            }
            changed.await;
        }
    }

    /// The time that things are told with.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    pub(super) fn loaded(
        &self,
        generation: &Generation,
        images: usize,
        is_worked_on: impl Fn(&Scope) -> bool,
    ) {
        let now = self.now();
        self.update(|board| {
            let mut told = board.retain(is_worked_on, now);
            let problems = generation.problems.clone();
            let status = ManifestsStatus {
                commit: generation.commit.clone(),
                loaded_at: Some(now),
                images,
                ..board.manifests.clone()
            };
            let status = with_problems(status, problems, now);
            told.extend(board.manifests(status, now));
            told
        });
    }

    /// The state had never been used before this process opened it.
    pub fn state_is_new(&self) {
        self.update(|board| {
            board.state.is_new = true;
            board.version += 1;
            Vec::new()
        });
    }

    /// Nothing can be recorded any longer.
    pub(super) fn state_lost(&self, why: String) {
        let now = self.now();
        self.update(|board| board.state_lost(why, now));
    }

    pub(super) fn broken(&self, problems: Vec<String>) {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        let now = self.now();
        self.update(|board| {
            let status = with_problems(board.manifests.clone(), problems, now);
            board.manifests(status, now)
        });
    }

    pub(super) fn lane(&self, scope: &Scope, lane: WriteBucket) {
        if let Some(status) = self.board.borrow_mut().scopes.get_mut(scope) {
            status.lane = Some(lane);
        }
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

    pub(super) fn retries(
        &self,
        scope: &Scope,
        retries: impl Iterator<Item = (ImageId, Timestamp)>,
    ) {
        self.update(|board| {
            board.retries(scope, retries);
            Vec::new()
        });
    }

    pub(super) fn expiring(&self, ahead: Duration) {
        let now = self.now();
        self.update(|board| board.expiring(ahead, now));
    }

    fn update(&self, change: impl FnOnce(&mut Board) -> Vec<Transition>) {
        let told = change(&mut self.board.borrow_mut());
        self.changed.notify_waiters();
        for transition in &told {
            log(transition);
        }
        if !told.is_empty() {
            (self.tell)(&told);
        }
    }

    fn answered(&self, attempt: &Attempt, outcome: &Outcome) {
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
        log_change(&change, attempt.number);
        self.update(|board| {
            board.answered(change);
            Vec::new()
        });
    }
}

impl<H: Host> Listener for StatusPublisher<H> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Planned { plan, .. } => {
                let now = self.now();
                let known = |board: &Board| {
                    let status = board.scopes.get(&plan.scope);
                    status.map_or_else(Vec::new, |status| status.warnings.clone())
                };
                let before = self.board(known);
                self.update(|board| board.planned(plan, now));
                for warning in self.board(known) {
                    if !before.contains(&warning) {
                        tracing::warn!("{warning}");
                    }
                }
            }
            Event::Answered { attempt, outcome } => self.answered(attempt, outcome),
            Event::Noted { scope, image, note } => match note {
                InventoryNote::Released(why) => tracing::warn!(
                    image = %format_args!("{scope}/{image}"),
                    "no longer counted as shared by sharekeeper: {why}"
                ),
                // The board tells of it, with the remedy, as of a block.
                InventoryNote::Parked(why) => {
                    tracing::debug!(image = %format_args!("{scope}/{image}"), "parked: {why}");
                }
            },
            // The pass tells at its end if it lasts.
            Event::Trouble { scope, what, .. } => tracing::debug!(%scope, "{what}"),
            Event::Reading { scope, reading } => {
                if self.board.borrow_mut().reading(scope, reading) {
                    tracing::info!(%scope, "waiting for the turn to read: {reading}");
                }
                self.changed.notify_waiters();
            }
            Event::Waiting { scope, images } => {
                tracing::debug!(%scope, images, "waiting until reads show what was written");
            }
            Event::Syncing { scope, images } => {
                tracing::debug!(%scope, images, "waiting until blueprints are ready");
            }
        }
    }
}

fn with_problems(
    mut status: ManifestsStatus,
    problems: Vec<String>,
    now: Timestamp,
) -> ManifestsStatus {
    if problems.is_empty() {
        status.broken_since = None;
    } else {
        status.errors += 1;
        status.broken_since = status.broken_since.or(Some(now));
    }
    status.problems = problems;
    status
}

fn log(transition: &Transition) {
    let Transition {
        subject,
        kind,
        reason,
        message,
        ..
    } = transition;
    let (kind, reason) = (kind.as_str(), reason.map(crate::status::Reason::as_str));
    let subject = match subject {
        Subject::Manifests | Subject::State => None,
        other => Some(other.to_string()),
    };
    if transition.kind.is_good() {
        tracing::info!(subject, kind, reason, "{message}");
    } else if transition.subject == Subject::State {
        tracing::error!(subject, kind, reason, "{message}");
    } else {
        tracing::warn!(subject, kind, reason, "{message}");
    }
}

fn log_change(change: &Change, attempt: u32) {
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
        (WriteResult::Unknown, _) => "no clear answer, looking again",
        (WriteResult::NotSent, _) => "not sent",
    };
    let (action, cause, source) = (
        permission.as_str(),
        cause.as_str(),
        change.source.as_ref().map(ToString::to_string),
    );
    match result {
        WriteResult::Applied | WriteResult::AlreadyShared => {
            tracing::info!(image = %key, action, cause, source, request_id, attempt, "{what}");
        }
        WriteResult::Rejected | WriteResult::Unknown | WriteResult::NotSent => {
            tracing::warn!(image = %key, action, cause, source, code, request_id, attempt, message, "{what}");
        }
    }
}
