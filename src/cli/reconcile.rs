use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use futures_util::future::{Either, select};

use super::args::{Common, ReconcileArguments};
use super::output::{self, Failure};
use super::progress::{Progress, Stderr};
use super::session::{self, Session, System};
use super::work::Work;
use super::{commit, connect, saved, signals, simulated, state};
use crate::api::{ClientContext, ReadClient, WriteClient};
use crate::engine::{self, Engine, ScopeOutcome, Stop, StopReason};
use crate::host::Clock;
use crate::ledger::Ledger;
use crate::manifest::Checkout;
use crate::model::AccountName;
use crate::plan::{Moved, SavedPlan};
use crate::report::{CallCounts, Ending, ExitStatus, ReconcileDocument, StaleDocument, Standing};
use crate::store::Store;
use crate::words::brief;

/// `reconcile`.
pub(super) async fn run(
    arguments: &ReconcileArguments,
    work: &mut Work,
    common: &Common,
    stderr: Stderr,
) -> Result<u8, Failure> {
    let saved = saved::admit(arguments, work)?;
    work.warn_of_nothing();
    work.policy.no_wait = arguments.no_wait;
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let context = session::context()?;
    let (commit, clock) = (work.commit(), Rc::clone(&context));
    // What the run measures, the store measures by the same clock.
    let store = state::open(
        &directory,
        "reconcile",
        commit,
        arguments.working.history_max,
        move || clock.present(),
    )?;
    let new = state::describe_new(&directory, work.policy.prune).filter(|_| store.is_new());
    if let Some(warning) = &new {
        output::warn(warning);
    }
    let caution = begin(work, &store, arguments).await?;
    let reached = connect::accounts(&work.desired, &work.selector);
    let mut session = Session::open(
        &arguments.target,
        &directory,
        &work.desired,
        &reached.accounts,
    )
    .await?;
    let clients = session
        .clients(&context, |name| reached.worked_on.contains(name))
        .await?;
    let stop = Stop::default();
    let done = {
        let run = Run {
            arguments,
            work,
            context: &context,
            store: &store,
            stop: &stop,
        };
        let run = std::pin::pin!(run.carry_out(saved, clients, stderr));
        let signals = std::pin::pin!(signals::end_command(&stop));
        match select(run, signals).await {
            Either::Left((done, _)) => done,
            Either::Right((error, _)) => Err(Failure::new(format_args!(
                "cannot listen for signals: {error}"
            ))),
        }
    };
    session.close().await?;
    state::close(store);
    let clocks = output::clock_warnings(&context);
    match done? {
        Done::Scopes(scopes, ending) => {
            let mut document = ReconcileDocument::new(&scopes, ending, &work.left_out);
            let warnings = caution.into_iter().chain(clocks);
            warnings.for_each(|warning| document.warn(warning));
            for warning in scopes.iter().flat_map(|scope| scope.plan.warnings()) {
                output::warn(&warning);
                document.warn(warning);
            }
            if let Some(warning) = new {
                document.state_is_new(warning);
            }
            report(work, &directory, document, common)
        }
        Done::Stale(document) => {
            output::error(document.error());
            output::print(common.output, &document, &document.text())?;
            Ok(document.exit_code())
        }
    }
}

/// Refuses manifests of a commit that is older than the newest that was worked on, or may be: of two jobs for successive
/// commits, the one for the older must not undo what the other did because it came last. Otherwise a commit that the
/// manifests are exactly of becomes the newest with the first look that succeeds. With it comes what a person should be
/// warned of.
async fn begin(
    work: &Work,
    store: &Store,
    arguments: &ReconcileArguments,
) -> Result<Option<String>, Failure> {
    let newest = store.newest().await.map_err(Failure::new)?;
    let over = newest.as_ref().map(|newest| newest.commit.clone());
    let standing = commit::standing(&work.revision, newest).await;
    if let Some(refusal) = standing.refusal() {
        let (is_allowed, exit) = match standing {
            Standing::Older { .. } => (arguments.allow_older_commit, ExitStatus::Stale),
            _ => (arguments.allow_unknown_commit, ExitStatus::Error),
        };
        if !is_allowed {
            return Err(Failure {
                exit,
                ..Failure::new(refusal)
            });
        }
    }
    // What was not compared moves no mark that others are compared with.
    let is_compared = !matches!(standing, Standing::Unknown { .. });
    let clean = work.revision.checkout().and_then(Checkout::clean);
    if let Some(commit) = clean.filter(|_| is_compared) {
        store.advance_on_first_observation(commit.clone(), over);
    }
    let caution = standing.caution();
    let caution = caution.map(|caution| standing.with_remedy(caution));
    if let Some(caution) = &caution {
        output::warn(caution);
    }
    Ok(caution)
}

/// How it ended.
enum Done {
    Scopes(Vec<ScopeOutcome>, Ending),
    Stale(StaleDocument),
}

/// One run under way.
struct Run<'a> {
    arguments: &'a ReconcileArguments,
    work: &'a Work,
    context: &'a ClientContext<System>,
    store: &'a Store,
    stop: &'a Stop,
}

impl Run<'_> {
    async fn carry_out(
        &self,
        saved: Option<SavedPlan>,
        clients: BTreeMap<AccountName, ReadClient<System>>,
        stderr: Stderr,
    ) -> Result<Done, Failure> {
        let started = self.context.host.monotonic();
        if let Some(saved) = &saved {
            let moved = self.moved(saved, &clients).await?;
            if !moved.is_empty() {
                return Ok(Done::Stale(StaleDocument::new(moved)));
            }
        }
        let accounts = clients
            .into_iter()
            .map(|(name, client)| (name, WriteClient::new(client)))
            .collect();
        let progress = Progress::new(stderr);
        let engine = Engine {
            ledger: self.store,
            listener: &progress,
            stop: self.stop,
        };
        let approved_by_scope = saved.as_ref().map(SavedPlan::approved_by_scope);
        let task = self.work.task(approved_by_scope.as_ref());
        let scopes = engine
            .reconcile(&accounts, &task, self.arguments.timeout)
            .await;
        // What was recorded last is worth nothing if it lies where nobody finds it; why, the store tells from then on.
        let _ = self.store.check().await;
        let calls = &self.context.calls;
        let ending = Ending {
            stopped: self.stop.reason(),
            lost: self.store.failure().map(|lost| lost.to_string()),
            calls: CallCounts {
                reads: calls.reads.get(),
                writes: calls.writes.get(),
                throttled: calls.throttled.get(),
            },
            elapsed: self.context.host.monotonic().since(started),
        };
        Ok(Done::Scopes(scopes, ending))
    }

    /// What has moved since the plan was saved.
    async fn moved(
        &self,
        saved: &SavedPlan,
        clients: &BTreeMap<AccountName, ReadClient<System>>,
    ) -> Result<Vec<Moved>, Failure> {
        if let Some((name, uin)) = saved.other_uin(&self.work.uins()) {
            let was = match uin {
                Some(uin) => format!(
                    "for uin {}, which account `{name}` does not have any longer",
                    brief(uin)
                ),
                None => format!("for account `{name}` without a `uin`, and it has one now"),
            };
            return Err(Failure {
                exit: ExitStatus::Stale,
                ..Failure::new(format_args!(
                    "the saved plan is stale, so nothing was done: it was made {was}; make it anew with `sharekeeper plan --out`"
                ))
            });
        }
        let task = self.work.task(None);
        let preview = std::pin::pin!(engine::preview(clients, self.store, &task));
        let host = &self.context.host;
        let late = host.sleep_until(host.monotonic() + self.arguments.timeout);
        let ended = std::pin::pin!(select(Box::pin(self.stop.tripped()), Box::pin(late)));
        let now = match select(preview, ended).await {
            Either::Left((now, _)) => now,
            Either::Right((Either::Left((reason, _)), _)) => {
                return Err(Failure::stopped(reason));
            }
            Either::Right((Either::Right(_), _)) => {
                return Err(Failure::stopped(StopReason::TimedOut));
            }
        };
        if let Some(unobserved) = now.iter().find_map(|scope| scope.plan.unobserved()) {
            return Err(Failure::new(format_args!(
                "cannot tell whether the saved plan still holds, so nothing was done: not observed: {unobserved}"
            )));
        }
        Ok(saved.moved(now.iter().map(|scope| &scope.plan)))
    }
}

fn report(
    work: &Work,
    directory: &Path,
    mut document: ReconcileDocument,
    common: &Common,
) -> Result<u8, Failure> {
    // What is wrong with the state, the error tells.
    if !document.is_lost()
        && let Some(orphans) = work.orphans(&state::read(directory)?, &BTreeSet::new())?
    {
        output::warn(&orphans);
        document.warn(orphans);
    }
    if let Some(doubt) = work.doubt() {
        document.warn(doubt);
    }
    if let Some(error) = document.error() {
        output::error(error);
    }
    output::print(common.output, &document, document.text())?;
    Ok(document.exit_code())
}
