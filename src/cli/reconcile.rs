use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use futures_util::future::{Either, select};

use super::args::{Common, ReconcileArguments};
use super::output::{self, Failure};
use super::progress::{Progress, Stderr};
use super::session::{self, Session, System};
use super::work::Work;
use super::{connect, signals, simulated, state};
use crate::api::{ReadClient, Shared, WriteClient};
use crate::engine::{self, Engine, ScopeOutcome, Stop, StopReason};
use crate::host::{Clock, Ledger};
use crate::model::AccountName;
use crate::plan::{Moved, Policy, SavedPlan};
use crate::report::{CallCounts, Ending, ExitStatus, ReconcileDocument, StaleDocument};
use crate::store::{Newest, Older, Store};

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
    work.warn_of_nothing();
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let shared = session::shared()?;
    let (commit, clock) = (work.commit(), Rc::clone(&shared));
    // By the clock that the run goes by: it is corrected by the API's, and the machine's may be off.
    let store = state::open(
        &directory,
        "reconcile",
        commit,
        arguments.working.history_max,
        move || clock.now(),
    )?;
    let new = state::describe_new(&directory, work.policy.prune).filter(|_| store.is_new());
    if let Some(warning) = &new {
        output::warn(warning);
    }
    begin(work, &store, arguments.allow_older_commit).await?;
    let accounts = connect::accounts(&work.desired, &work.selector);
    let mut session =
        Session::open(&arguments.target, &directory, &work.desired, &accounts).await?;
    let clients = session.clients(&shared).await?;
    let stop = Stop::default();
    let done = {
        let run = Run {
            arguments,
            work,
            shared: &shared,
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
    match done? {
        Done::Scopes(scopes, ending) => {
            let mut document = ReconcileDocument::new(&scopes, ending, &work.left_out);
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

/// Refuses manifests of a commit that is older than the newest that was worked on: of two jobs for successive commits, the
/// one for the older must not undo what the other did because it came last.
async fn begin(work: &Work, store: &Store, allow_older: bool) -> Result<(), Failure> {
    let Some(commit) = work.clean_commit() else {
        return Ok(());
    };
    let older = match allow_older {
        true => Older::Accept,
        false => Older::Refuse,
    };
    let Newest {
        commit: newer,
        since,
    } = match store.advance(commit, older).await.map_err(Failure::new)? {
        Ok(()) => return Ok(()),
        Err(newest) => newest,
    };
    let since = since.format("%Y-%m-%dT%H:%M:%SZ");
    Err(Failure {
        exit: ExitStatus::Stale,
        ..Failure::new(format_args!(
            "the manifests are of commit {commit}, and commit {newer}, which is newer, has been worked on since {since}, so nothing was done; \
             reconcile the newer one, or, to go back on purpose, give `--allow-older-commit`"
        ))
    })
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
    shared: &'a Shared<System>,
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
        let started = self.shared.host.moment();
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
        let licenses = saved.as_ref().map(SavedPlan::licenses);
        let task = self.work.task(licenses.as_ref());
        let scopes = engine
            .reconcile(&accounts, &task, self.arguments.timeout)
            .await;
        // What was recorded last is worth nothing if it lies where nobody finds it; why, the store tells from then on.
        let _ = self.store.check().await;
        let calls = &self.shared.calls;
        let ending = Ending {
            stopped: self.stop.reason(),
            lost: self.store.lost().map(|lost| lost.to_string()),
            calls: CallCounts {
                reads: calls.reads.get(),
                writes: calls.writes.get(),
                throttled: calls.throttled.get(),
            },
            elapsed: self.shared.host.moment().since(started),
        };
        Ok(Done::Scopes(scopes, ending))
    }

    /// What has moved since the plan was saved.
    async fn moved(
        &self,
        saved: &SavedPlan,
        clients: &BTreeMap<AccountName, ReadClient<System>>,
    ) -> Result<Vec<Moved>, Failure> {
        let uins = self.work.uins();
        let acted_on = |name: &AccountName| {
            let mut actions = saved.actions.iter();
            actions.any(|action| action.key.scope.account == *name)
        };
        let other = saved
            .uins
            .iter()
            .find(|(name, uin)| acted_on(name) && uins.get(*name) != Some(uin));
        if let Some((name, uin)) = other {
            return Err(Failure {
                exit: ExitStatus::Stale,
                ..Failure::new(format_args!(
                    "the saved plan is stale, so nothing was done: it was made for uin {uin}, which account `{name}` does not have any longer; \
                     make it anew with `sharekeeper plan --out`"
                ))
            });
        }
        let task = self.work.task(None);
        let preview = std::pin::pin!(engine::preview(clients, self.store, &task));
        let host = &self.shared.host;
        let late = host.sleep_until(host.moment() + self.arguments.timeout);
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
        if let Some(unseen) = now.iter().find_map(|scope| scope.plan.unseen()) {
            return Err(Failure::new(format_args!(
                "cannot tell whether the saved plan still holds, so nothing was done: not observed: {unseen}"
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
        && let Some(orphans) = work.orphans(&state::read(directory)?)?
    {
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
