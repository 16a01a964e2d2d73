//! The order of the steps, and nothing else: for each scope, *observe → plan → execute*, again until
//! nothing is left to do. All scopes run side by side on one thread, and none waits for another but for
//! its turn in a shared rate bucket.
//!
//! One-shot and daemon use the same engine. [`preview`] is its first half, with clients that cannot
//! write.

mod account;
mod again;
mod denials;
mod look;
mod scope;
mod send;
mod stop;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use crate::api::{ClientContext, ReadClient, WriteClient};
use crate::attempts::AttemptLog;
use crate::desired::{Completeness, Desired};
use crate::history::Outcome;
use crate::host::Host;
use crate::inventory::{InventoryNote, UsedNames};
use crate::ledger::{Attempt, Ledger, LedgerReader};
use crate::model::{AccountName, ImageId, Monotonic, Scope, Selector};
use crate::observation::{OwnImages, Reading, Unobserved};
use crate::plan::{ApprovedActions, Awaiting, Plan, Policy, Prune, Verdict};

pub use account::{ACCOUNT_NAMED_TWICE, Rival};
pub use denials::Denials;
use look::{Job, look};
pub use stop::{Stop, StopReason};

/// What is to be brought about, and within which bounds.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// What the manifests ask for.
    pub desired: &'a Desired,
    /// The part of it that is worked on.
    pub selector: &'a Selector,
    /// What may be pruned.
    pub policy: &'a Policy,
    /// The saved plan that is carried out, if one is: nothing but its actions is done.
    pub approved_by_scope: Option<&'a BTreeMap<Scope, ApprovedActions>>,
}

/// Allows nothing.
static NOTHING: ApprovedActions = ApprovedActions::new();

/// What the engine tells while it runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A scope was looked at and planned.
    Planned {
        /// What follows from the look.
        plan: &'a Plan,
        /// It is the run's first look at the scope.
        first: bool,
    },
    /// A scope could not be seen, or only blindly.
    Trouble {
        /// Which.
        scope: &'a Scope,
        /// One line for a person.
        what: String,
        /// It is true of the whole account, so that its other scopes tell the same.
        of_account: bool,
    },
    /// A write was answered, or it is known that no answer comes.
    Answered {
        /// What was to be done.
        attempt: &'a Attempt,
        /// What came of it, as the history has it.
        outcome: &'a Outcome,
    },
    /// An observation changed what is ours or what is left alone.
    Noted {
        /// Where.
        scope: &'a Scope,
        /// Which image.
        image: &'a ImageId,
        /// What was concluded.
        note: &'a InventoryNote,
    },
    /// A look takes long: its pages wait for their turns. Once for each look.
    Reading {
        /// Which.
        scope: &'a Scope,
        /// How far it is.
        reading: Reading,
    },
    /// Nothing to send: waiting for reads to show what was written.
    Waiting {
        /// Which.
        scope: &'a Scope,
        /// For so many images.
        images: usize,
    },
    /// Nothing to send: waiting until servers can be started from what is shared.
    Syncing {
        /// Which.
        scope: &'a Scope,
        /// For so many images.
        images: usize,
    },
}

/// Receives [`Event`]s. Called on the engine's thread, so it must not block.
pub trait Listener {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// How one scope ended.
#[derive(Clone, Debug)]
pub struct ScopeOutcome {
    /// The last plan made: what is in sync, blocked, withheld, and what is still to do.
    pub plan: Plan,
    /// What this run wrote.
    pub attempts: AttemptLog,
}

/// What a run works with.
pub struct Engine<'a, L> {
    /// Intents, outcomes, and what is ours.
    pub ledger: &'a L,
    /// Progress.
    pub listener: &'a dyn Listener,
    /// Asks for the end.
    pub stop: &'a Stop,
}

impl<L: Ledger> Engine<'_, L> {
    /// Brings every scope of the task to its desired state, as far as that is possible within `timeout` and before a
    /// stop. Each scope has exactly one outcome, in order. Each account that is named must have a client.
    pub async fn reconcile<H: Host>(
        &self,
        accounts: &BTreeMap<AccountName, WriteClient<H>>,
        task: &Task<'_>,
        timeout: Duration,
    ) -> Vec<ScopeOutcome> {
        let Some(first) = accounts.values().next() else {
            return Vec::new();
        };
        let jobs = task.jobs();
        let read = |name: &AccountName| accounts.get(name).map(WriteClient::read);
        let host = &first.read().context().host;
        let work = async {
            let refused = std::pin::pin!(refusal_of(&jobs, task, read));
            let refused = match select(refused, std::pin::pin!(self.stop.tripped())).await {
                Either::Left((refused, _)) => refused,
                // Each scope says that it was stopped before it was read.
                Either::Right(_) => Vec::new(),
            };
            if let Some(outcomes) = all_refused(&jobs, &refused, first.read().context()) {
                return outcomes;
            }
            let mut denials: BTreeMap<_, Rc<Denials>> = BTreeMap::new();
            // Each has its first call before any takes a second one.
            let runs: Vec<_> = jobs
                .iter()
                .map(|job| {
                    let client = client_of(accounts, job.scope);
                    let rivals = task.rivals(job, read);
                    let denials = denials.entry(client.read().caller_id()).or_default();
                    scope::Run::new(self, client, rivals, job, AttemptLog::default(), denials)
                })
                .collect();
            join_all(runs.into_iter().map(scope::Run::converge)).await
        };
        let timer = host.sleep_until(host.monotonic() + timeout);
        self.within(timer, work).await
    }

    /// Brings one scope of the task to its desired state, before a stop and within `timeout` once it has been looked at:
    /// a look that were cut off would begin anew in the next pass, for ever. `rivals` are the other account names that
    /// manifests use in its region; `attempts` is what earlier passes of this process left behind, and `denials` what those
    /// under the same key share. `None` where there can be nothing to do.
    pub async fn pass<H: Host>(
        &self,
        client: &WriteClient<H>,
        rivals: Vec<Rival<'_, H>>,
        task: &Task<'_>,
        scope: &Scope,
        (attempts, denials): (AttemptLog, &Rc<Denials>),
        timeout: Duration,
    ) -> Option<ScopeOutcome> {
        let job = task.job(scope)?;
        let run = scope::Run::new(self, client, rivals, &job, attempts, denials);
        let host = &client.read().context().host;
        let looked = Rc::clone(&run.looked);
        let timer = async {
            looked.notified().await;
            host.sleep_until(host.monotonic() + timeout).await;
        };
        Some(self.within(timer, run.converge()).await)
    }

    /// Asks for the end when `timer` does, and waits for what is in flight to settle.
    async fn within<T>(&self, timer: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
        let (work, timer) = (std::pin::pin!(work), std::pin::pin!(timer));
        match select(work, timer).await {
            Either::Left((done, _)) => done,
            Either::Right(((), work)) => {
                self.stop.trip(StopReason::TimedOut);
                work.await
            }
        }
    }
}

/// Plans every scope of the task without being able to write, neither to the cloud nor to the store. Each account that
/// is named must have a client.
pub async fn preview<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    ledger: &impl LedgerReader,
    task: &Task<'_>,
) -> Vec<ScopeOutcome> {
    let Some(first) = accounts.values().next() else {
        return Vec::new();
    };
    let jobs = task.jobs();
    let read = |name: &AccountName| accounts.get(name);
    let refused = refusal_of(&jobs, task, read).await;
    if let Some(outcomes) = all_refused(&jobs, &refused, first.context()) {
        return outcomes;
    }
    let looks = jobs.iter().map(async |job| {
        let client = client_of(accounts, job.scope);
        let rivals = task.rivals(job, read);
        observe_once(client, &rivals, ledger, job, AttemptLog::default()).await
    });
    join_all(looks).await
}

/// Why nothing may be written under the account names of the task, if two of them that share a region are one account.
pub async fn refusal<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    task: &Task<'_>,
) -> Option<Unobserved> {
    let refused = refusal_of(&task.jobs(), task, |name| accounts.get(name)).await;
    refused.into_iter().flatten().next()
}

/// Which of the jobs, in their order, have an account name that is one account with another one of their region.
async fn refusal_of<'a, H: Host + 'a>(
    jobs: &[Job<'a>],
    task: &'a Task<'_>,
    client: impl Fn(&AccountName) -> Option<&'a ReadClient<H>> + Copy,
) -> Vec<Option<Unobserved>> {
    let told_apart = jobs.iter().map(async |job| {
        let rivals = task.rivals(job, client);
        // Without rivals there is nothing to find out.
        match client(&job.scope.account) {
            Some(own) if !rivals.is_empty() => account::identify(own, &rivals, job).await.err(),
            _ => None,
        }
    });
    join_all(told_apart).await
}

/// The outcomes of a run that is refused. It is refused as a whole, as manifests with an error are; scopes that are not
/// refused for themselves say which one is.
fn all_refused<H: Host>(
    jobs: &[Job<'_>],
    refused: &[Option<Unobserved>],
    context: &ClientContext<H>,
) -> Option<Vec<ScopeOutcome>> {
    let mut each = jobs.iter().zip(refused);
    let (culprit, cause) = each.find_map(|(job, refused)| Some((job.scope, refused.as_ref()?)))?;
    let bystander = Unobserved {
        reason: format!("nothing is done in this run because of {culprit}, which says why"),
        ..cause.clone()
    };
    let outcomes = jobs.iter().zip(refused).map(|(job, refused)| ScopeOutcome {
        plan: job.unobserved(refused.as_ref().unwrap_or(&bystander).clone(), context),
        attempts: AttemptLog::default(),
    });
    Some(outcomes.collect())
}

/// [`preview`] of one scope; `None` where there can be nothing to do. `attempts` is of the looks before: how long
/// something has not shown, which only time can tell from a lag.
pub async fn preview_scope<H: Host>(
    client: &ReadClient<H>,
    rivals: &[Rival<'_, H>],
    ledger: &impl LedgerReader,
    task: &Task<'_>,
    scope: &Scope,
    attempts: AttemptLog,
) -> Option<ScopeOutcome> {
    let job = task.job(scope)?;
    Some(observe_once(client, rivals, ledger, &job, attempts).await)
}

/// The plan for a scope that cannot be looked at: everything in it holds still. `None` where there can be nothing to do.
/// What it would be asked for is told by this machine's clock.
pub fn out_of_sight<H: Host>(
    task: &Task<'_>,
    scope: &Scope,
    unobserved: Unobserved,
    context: &ClientContext<H>,
) -> Option<Plan> {
    let job = task.job(scope)?;
    Some(job.unobserved(unobserved, context))
}

async fn observe_once<H: Host>(
    client: &ReadClient<H>,
    rivals: &[Rival<'_, H>],
    ledger: &impl LedgerReader,
    job: &Job<'_>,
    mut attempts: AttemptLog,
) -> ScopeOutcome {
    let tell = |reading| {
        let scope = job.scope;
        tracing::info!(%scope, "waiting for the turn to read: {reading}");
    };
    let own = OwnImages::NotAsked;
    let seen = look(client, rivals, ledger, job, &attempts, &own, &tell).await;
    remember_doubts(&mut attempts, &seen.plan, client.context().host.monotonic());
    ScopeOutcome {
        plan: seen.plan,
        attempts,
    }
}

/// Since when the planner waits for something to show.
fn remember_doubts(attempts: &mut AttemptLog, plan: &Plan, now: Monotonic) {
    for (image, decision) in &plan.decisions {
        if let Verdict::Await { reason, .. } = &decision.verdict
            && matches!(**reason, Awaiting::Doubt(_))
        {
            attempts
                .unshareable_since
                .entry(image.clone())
                .or_insert(now);
        }
    }
    let since = attempts.unexpected_loss_since.unwrap_or(now);
    attempts.unexpected_loss_since = plan.loss.map(|_| since);
}

impl Task<'_> {
    /// The scopes that there may be something to do in.
    fn jobs(&self) -> Vec<Job<'_>> {
        let scopes = self.desired.scopes();
        scopes.filter_map(|scope| self.job(scope)).collect()
    }

    /// Its part in one scope, unless there can be nothing to do there.
    fn job<'j>(&'j self, scope: &'j Scope) -> Option<Job<'j>> {
        let wanted = self.desired.wanted(scope, self.selector)?;
        if wanted.images.is_empty() && self.policy.prune == Prune::None {
            return None;
        }
        // A scope that the saved plan does not hold has an empty license.
        let approved = self
            .approved_by_scope
            .map(|approved_by_scope| approved_by_scope.get(scope).unwrap_or(&NOTHING));
        let account = self.desired.accounts.get(&scope.account);
        Some(Job {
            scope,
            wanted,
            policy: self.policy,
            windows: account
                .map(|account| account.windows.clone())
                .unwrap_or_default(),
            approved,
            used: UsedNames {
                here: self.desired.names_in(scope.region),
                anywhere: self.desired.names(),
                // What was left out, or is missing, may use any name.
                is_complete: !self.policy.shares_only
                    && self.desired.completeness == Completeness::Whole,
            },
            uin: account.and_then(|account| account.uin.as_ref()),
        })
    }

    /// The other account names that manifests use in the job's region. A name without a client cannot be told apart.
    fn rivals<'a, H>(
        &'a self,
        job: &Job<'a>,
        client: impl Fn(&AccountName) -> Option<&'a ReadClient<H>>,
    ) -> Vec<Rival<'a, H>> {
        let names = self.desired.rivals_of(job.scope);
        let rivals = names.map(|name| {
            let account = self.desired.accounts.get(name);
            Rival {
                name,
                uin: account.and_then(|account| account.uin.as_ref()),
                client: client(name).ok_or("it is not connected"),
            }
        });
        rivals.collect()
    }
}

/// The caller connects each account that its manifests name. A scope that were left out for want of a
/// client would look like one that is in sync.
fn client_of<'a, C>(accounts: &'a BTreeMap<AccountName, C>, scope: &Scope) -> &'a C {
    accounts
        .get(&scope.account)
        .expect("each account that is named has a client")
}
