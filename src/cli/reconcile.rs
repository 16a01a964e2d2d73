use std::fs;
use std::path::Path;

use futures_util::future::{Either, select};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Common, ReconcileArguments};
use super::output::{self, Failure};
use super::progress::{Progress, Stderr};
use super::session::{self, Session, System};
use super::work::Work;
use super::{connect, simulated, state};
use crate::api::{ReadClient, Shared, WriteClient};
use crate::engine::{self, Engine, ScopeOutcome, Stop, StopReason};
use crate::host::Clock;
use crate::model::AccountName;
use crate::plan::{Policy, SavedPlan};
use crate::report::{CallCounts, Ending, ExitStatus, ReconcileDocument, StaleDocument};
use crate::store::Store;

use std::collections::BTreeMap;

/// `reconcile`.
pub(super) async fn run(
    arguments: &ReconcileArguments,
    work: &mut Work,
    common: &Common,
    stderr: Stderr,
) -> Result<u8, Failure> {
    let saved = match &arguments.plan {
        Some(file) => Some(saved_plan(file)?),
        None => None,
    };
    if let Some(saved) = &saved {
        agree(saved, work)?;
        work.selector = saved.selector.clone();
        work.policy = saved.policy();
    }
    let directory = state::directory(common, arguments.target.sim)?;
    if arguments.target.sim_reset {
        simulated::reset(&directory)?;
    }
    let commit = work.commit.clone();
    let store = state::open(&directory, "reconcile", commit, arguments.history_max)?;
    let accounts = connect::accounts(&work.desired, &work.selector);
    let mut session =
        Session::open(&arguments.target, &directory, &work.desired, &accounts).await?;
    let shared = session::shared()?;
    let clients = session.clients(&shared);
    let code = match carry_out(arguments, work, saved, clients, &shared, &store, stderr).await {
        Ok(Done::Scopes(scopes, ending)) => {
            session.close().await?;
            report(work, &directory, scopes, ending, common)?
        }
        Ok(Done::Stale(document)) => {
            session.close().await?;
            output::error(document.error());
            output::print(common.output, &document, &document.text())?;
            document.exit_code()
        }
        Err(failure) => {
            session.close().await?;
            return Err(failure);
        }
    };
    store.close().map_err(Failure::new)?;
    Ok(code)
}

/// A saved plan has a selection and bounds of its own. Flags that say otherwise are not passed over in silence: whoever
/// gave them takes them for the bounds of what is about to happen.
fn agree(saved: &SavedPlan, work: &Work) -> Result<(), Failure> {
    if !work.selector.is_all() && work.selector != saved.selector {
        return Err(Failure::usage(format_args!(
            "the saved plan was made for {}, and the flags pick {}; leave them out, or make a plan with them",
            saved.selector, work.selector
        )));
    }
    if work.policy != Policy::DEFAULT && work.policy != saved.policy() {
        return Err(Failure::usage(
            "the saved plan was made with other `--prune`, `--max-cancels`, `--max-cancels-percent` or `--accept-lost`; \
             leave them out, or make a plan with them",
        ));
    }
    Ok(())
}

/// How it ended.
enum Done {
    Scopes(Vec<ScopeOutcome>, Ending),
    Stale(StaleDocument),
}

async fn carry_out(
    arguments: &ReconcileArguments,
    work: &Work,
    saved: Option<SavedPlan>,
    clients: BTreeMap<AccountName, ReadClient<System>>,
    shared: &Shared<System>,
    store: &Store,
    stderr: Stderr,
) -> Result<Done, Failure> {
    let started = shared.host.moment();
    let licenses = saved.as_ref().map(SavedPlan::licenses);
    let mut looked = Vec::new();
    if let Some(saved) = &saved {
        let now = engine::preview(&clients, store, &work.task(None)).await;
        if let Some(unseen) = now.iter().find_map(|scope| scope.plan.unseen()) {
            return Err(Failure::new(format_args!(
                "cannot tell whether the saved plan still holds, so nothing was done: not observed: {unseen}"
            )));
        }
        let moved = saved.moved(now.iter().map(|scope| &scope.plan));
        if !moved.is_empty() {
            return Ok(Done::Stale(StaleDocument::new(moved)));
        }
        looked = now;
    }
    let accounts = clients
        .into_iter()
        .map(|(name, client)| (name, WriteClient::new(client)))
        .collect();
    let (stop, progress) = (Stop::default(), Progress::new(stderr));
    let mut scopes = {
        let engine = Engine {
            accounts: &accounts,
            ledger: store,
            listener: &progress,
            stop: &stop,
        };
        let task = work.task(licenses.as_ref());
        let run = std::pin::pin!(engine.reconcile(&task, arguments.timeout));
        let signals = std::pin::pin!(signals(&stop));
        match select(run, signals).await {
            Either::Left((scopes, _)) => scopes,
            Either::Right((error, _)) => {
                return Err(Failure::new(format_args!(
                    "cannot listen for signals: {error}"
                )));
            }
        }
    };
    // Where the plan has nothing to do, the look before tells how things stand: what is withheld or blocked there is not
    // as desired either.
    looked.retain(|look| scopes.iter().all(|run| run.plan.scope != look.plan.scope));
    scopes.append(&mut looked);
    scopes.sort_by(|a, b| a.plan.scope.cmp(&b.plan.scope));
    let calls = &shared.calls;
    let ending = Ending {
        stopped: stop.reason(),
        calls: CallCounts {
            reads: calls.reads.get(),
            writes: calls.writes.get(),
            throttled: calls.throttled.get(),
        },
        elapsed: shared.host.moment().since(started),
    };
    Ok(Done::Scopes(scopes, ending))
}

fn report(
    work: &Work,
    directory: &Path,
    scopes: Vec<ScopeOutcome>,
    ending: Ending,
    common: &Common,
) -> Result<u8, Failure> {
    let mut document = ReconcileDocument::new(&scopes, ending, &work.left_out);
    if let Some(orphans) = work.orphans(&state::read(directory)?)? {
        output::warn(&orphans);
        document.warn(orphans);
    }
    if let Some(error) = document.error() {
        output::error(error);
    }
    output::print(common.output, &document, document.text())?;
    Ok(document.exit_code())
}

fn saved_plan(file: &Path) -> Result<SavedPlan, Failure> {
    let failure = |what: &dyn std::fmt::Display| {
        Failure::new(format_args!("the saved plan {}: {what}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| failure(&error))?;
    SavedPlan::parse(&text).map_err(|error| failure(&error))
}

/// The first SIGINT or SIGTERM asks for the end; the second takes it. Returns only if signals cannot be
/// had.
async fn signals(stop: &Stop) -> std::io::Error {
    let listen = || {
        Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    };
    let (mut interrupt, mut terminate) = match listen() {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        let (reason, status) = tokio::select! {
            _ = interrupt.recv() => (StopReason::Interrupted, ExitStatus::Interrupted),
            _ = terminate.recv() => (StopReason::Terminated, ExitStatus::Terminated),
        };
        if stop.reason().is_some() {
            leave_at_once(status);
        }
        output::note(
            "stopping: no new calls; waiting for those in flight (once more to leave at once)",
        );
        stop.trip(reason);
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal means at once")]
fn leave_at_once(status: ExitStatus) {
    std::process::exit(status.code().into());
}
