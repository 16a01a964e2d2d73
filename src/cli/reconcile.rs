//! `reconcile`: brings images into their desired state once. It joins the engine to the state, the clients, signals and
//! the terminal; the engine decides what is done and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use futures_util::future::{Either, join, select};

use super::args::{Common, OutputFormat, ReconcileArguments};
use super::context::CommandContext;
use super::output::{self, Failure};
use super::progress::{Progress, Stderr};
use super::session::{self, Session};
use super::signals::SignalListener;
use super::{accounts, commit, saved_plan, shutdown, sim_target, state};
use crate::api::{ClientContext, ReadClient, WriteClient};
use crate::engine::{self, Engine, ScopeOutcome, Stop, StopReason};
use crate::host::{Clock, System};
use crate::ledger::{Ledger, LedgerReader};
use crate::manifest::Checkout;
use crate::model::AccountName;
use crate::plan::{PlanDifference, SavedPlan};
use crate::report::{
    CallCounts, CommitCheck, Ending, ExitStatus, ReconcileDocument, StaleDocument,
};
use crate::store::Store;
use crate::words::brief;

pub(super) async fn run(
    arguments: &ReconcileArguments,
    common: &Common,
    stderr: Stderr,
    signals: &SignalListener,
) -> Result<ExitStatus, Failure> {
    let mut context = load(arguments, common).await?;
    let saved = saved_plan::admit(arguments, &mut context)?;
    context.policy.no_wait = arguments.no_wait;
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let nothing = check_selection(arguments, &context, &directory).await?;
    let client_context = session::client_context()?;
    // The store uses the same clock as the run.
    let clock = Rc::clone(&client_context);
    let store = state::open(
        &directory,
        "reconcile",
        context.commit(),
        arguments.working.history_max,
        move || clock.present(),
    )?;
    let new_state = state::new_state_warning(&directory, context.policy.prune);
    let new_state = new_state.filter(|_| store.is_new());
    if let Some(warning) = &new_state {
        output::warn(warning);
    }
    let commit_caution = admit_commit(&context, &store, arguments).await?;
    let (session, clients) = connect(arguments, &context, &client_context, &directory).await?;
    let reconciliation = Reconciliation {
        arguments,
        context: &context,
        client_context: &client_context,
        store: &store,
        stop: Stop::default(),
    };
    shutdown::now_waits_for("calls in flight");
    let outcome = reconciliation.run(saved, clients, stderr, signals).await;
    // If the state is lost, the outcome reports it.
    let suspensions = store.suspensions().await.unwrap_or_default();
    session.close().await?;
    shutdown::now_waits_for("the state to be closed; another process may have locked it");
    state::close(store);
    let clock_warnings = output::clock_warnings(&client_context);
    match outcome? {
        Finished::Ended(scopes, ending) => {
            let mut document = ReconcileDocument::new(&scopes, ending, &context.left_out);
            let warnings = [nothing, commit_caution].into_iter().flatten();
            let warnings = warnings.chain(clock_warnings);
            warnings.for_each(|warning| document.warn(warning));
            let (holds, lines) = context.holds(&suspensions, &client_context, &scopes);
            document.hold(holds);
            let of_plans = scopes.iter().flat_map(|scope| scope.plan.warnings());
            for warning in lines.into_iter().chain(of_plans) {
                output::warn(&warning);
                document.warn(warning);
            }
            if let Some(warning) = new_state {
                document.state_is_new(warning);
            }
            report(&context, &directory, document, common.output)
        }
        Finished::Stale(document) => {
            output::error(document.error());
            output::print(common.output, &document, &document.text())?;
            Ok(document.exit_status())
        }
    }
}

/// Reads the inputs that the arguments name.
async fn load(arguments: &ReconcileArguments, common: &Common) -> Result<CommandContext, Failure> {
    let partial_ok = arguments.working.partial_ok;
    if partial_ok && arguments.plan.is_some() {
        return Err(Failure::usage(
            "`--partial-ok` cannot be used with `--plan`: a saved plan covers all manifests",
        ));
    }
    let (paths, selection) = (&arguments.paths, &arguments.selection);
    CommandContext::load(paths, selection, &arguments.guards, partial_ok, common).await
}

/// Checks the selection. Returns a warning, which was printed, if the flags select nothing.
async fn check_selection(
    arguments: &ReconcileArguments,
    context: &CommandContext,
    directory: &Path,
) -> Result<Option<String>, Failure> {
    let reader = state::read(directory)?;
    let nothing = match &arguments.plan {
        // The selection comes from the saved plan, which is valid only for manifests with its names.
        Some(_) => context.nothing_selected(&reader).await?,
        None => {
            context
                .check_selection(&reader, arguments.require_match)
                .await?
        }
    };
    nothing.iter().for_each(output::warn);
    Ok(nothing)
}

/// Connects the selected accounts and those that must be told apart from them.
async fn connect<'a>(
    arguments: &'a ReconcileArguments,
    context: &CommandContext,
    client_context: &Rc<ClientContext<System>>,
    directory: &Path,
) -> Result<(Session<'a>, BTreeMap<AccountName, ReadClient<System>>), Failure> {
    let accounts = accounts::selected(&context.desired, &context.selector);
    let (target, documents) = (&arguments.target, &accounts.documents);
    let mut session = Session::open(target, directory, &context.desired, documents).await?;
    let clients = session
        .clients(client_context, |name| accounts.worked_on.contains(name))
        .await?;
    Ok((session, clients))
}

/// Refuses manifests whose commit is, or may be, older than the newest one that was applied. With two jobs for
/// successive commits, the job for the older commit must not undo the other's work only because it ran later.
/// Otherwise, if the manifests are exactly those of a commit, that commit becomes the newest one at the first
/// successful observation. Returns the warnings for a person.
async fn admit_commit(
    context: &CommandContext,
    store: &Store,
    arguments: &ReconcileArguments,
) -> Result<Option<String>, Failure> {
    let newest = store.newest().await.map_err(Failure::new)?;
    let over = newest.as_ref().map(|newest| newest.commit.clone());
    let standing = commit::standing(&context.revision, newest).await;
    if let Some(refusal) = standing.refusal() {
        let (is_allowed, exit) = match standing {
            CommitCheck::Older { .. } => (arguments.allow_older_commit, ExitStatus::Stale),
            _ => (arguments.allow_unknown_commit, ExitStatus::Error),
        };
        if !is_allowed {
            return Err(Failure::with_exit(exit, refusal));
        }
    }
    // A commit that was not compared must not become the one that others are compared with.
    let is_compared = !matches!(standing, CommitCheck::Unknown { .. });
    let clean = context.revision.checkout().and_then(Checkout::clean);
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

/// The end of a run that was not given up.
enum Finished {
    Ended(Vec<ScopeOutcome>, Ending),
    /// The saved plan is no longer valid, so nothing was done.
    Stale(StaleDocument),
}

/// One run, with everything that it needs from its first observation to its end.
struct Reconciliation<'a> {
    arguments: &'a ReconcileArguments,
    context: &'a CommandContext,
    client_context: &'a ClientContext<System>,
    store: &'a Store,
    stop: Stop,
}

impl Reconciliation<'_> {
    /// Works until everything is done, the time is over or a signal requests a stop.
    async fn run(
        &self,
        saved: Option<SavedPlan>,
        clients: BTreeMap<AccountName, ReadClient<System>>,
        stderr: Stderr,
        signals: &SignalListener,
    ) -> Result<Finished, Failure> {
        let work = std::pin::pin!(self.reconcile(saved, clients, stderr));
        let stopping = signals.stop_work(&self.stop);
        let hurry = async {
            self.stop.tripped().await;
            // The process ends soon, even if another process has locked the state.
            self.store.stop();
        };
        let stopping = std::pin::pin!(async { join(stopping, hurry).await.0 });
        match select(work, stopping).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn reconcile(
        &self,
        saved: Option<SavedPlan>,
        clients: BTreeMap<AccountName, ReadClient<System>>,
        stderr: Stderr,
    ) -> Result<Finished, Failure> {
        let host = &self.client_context.host;
        let started = host.monotonic();
        if let Some(saved) = &saved {
            let differences = self.differences(saved, &clients).await?;
            if !differences.is_empty() {
                return Ok(Finished::Stale(StaleDocument::new(differences)));
            }
        }
        let clients = clients
            .into_iter()
            .map(|(name, client)| (name, WriteClient::new(client)))
            .collect();
        let progress = Progress::new(stderr);
        let engine = Engine {
            ledger: self.store,
            listener: &progress,
            stop: &self.stop,
            views: &crate::engine::RegionViews::default(),
        };
        let approved_by_scope = saved.as_ref().map(SavedPlan::approved_by_scope);
        let task = self.context.task(approved_by_scope.as_ref());
        let scopes = engine
            .reconcile(&clients, &task, self.arguments.timeout)
            .await;
        // The last records are worthless if the state is no longer in the place where others find it. From then on, the
        // store knows the reason.
        let _ = self.store.check().await;
        let calls = &self.client_context.calls;
        let ending = Ending {
            stopped: self.stop.reason(),
            lost: self.store.failure().map(|lost| lost.to_string()),
            calls: CallCounts {
                reads: calls.reads.get(),
                writes: calls.writes.get(),
                throttled: calls.throttled.get(),
            },
            elapsed: host.monotonic().since(started),
        };
        Ok(Finished::Ended(scopes, ending))
    }

    /// The differences between the saved plan and the present one.
    async fn differences(
        &self,
        saved: &SavedPlan,
        clients: &BTreeMap<AccountName, ReadClient<System>>,
    ) -> Result<Vec<PlanDifference>, Failure> {
        if let Some((name, uin)) = saved.other_uin(&self.context.uins()) {
            let was = match uin {
                Some(uin) => format!(
                    "for uin {}, which account `{name}` no longer has",
                    brief(uin)
                ),
                None => format!("for account `{name}` without a `uin`, and it has one now"),
            };
            return Err(Failure::with_exit(
                ExitStatus::Stale,
                format_args!(
                    "the saved plan is stale, so nothing was done: it was made {was}; make a new one with `sharekeeper plan --out`"
                ),
            ));
        }
        let task = self.context.task(None);
        let preview = std::pin::pin!(engine::preview(clients, self.store, &task));
        let host = &self.client_context.host;
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
                "cannot tell whether the saved plan still holds, so nothing was done: not observed: {}",
                unobserved.told()
            )));
        }
        Ok(saved.differences(now.iter().map(|scope| &scope.plan)))
    }
}

/// Prints the document with the warnings about the whole run, and returns its exit status.
fn report(
    context: &CommandContext,
    directory: &Path,
    mut document: ReconcileDocument,
    format: OutputFormat,
) -> Result<ExitStatus, Failure> {
    // If the state is lost, it cannot be read; the document's error says so.
    if !document.is_lost()
        && let Some(orphans) = context.orphan_warning(&state::read(directory)?, &BTreeSet::new())?
    {
        output::warn(&orphans);
        document.warn(orphans);
    }
    if let Some(warning) = context.completeness_warning() {
        document.warn(warning);
    }
    let shows_text = matches!(format, OutputFormat::Text);
    if let Some(error) = document.error(shows_text) {
        output::error(error);
    }
    output::print(format, &document, document.text())?;
    Ok(document.exit_status())
}
