//! The order of the steps, and nothing else: for each scope, *observe → plan → execute*, again until
//! nothing is left to do. All scopes run side by side on one thread, and none waits for another but for
//! its turn in a shared rate bucket.
//!
//! One-shot and daemon use the same engine. [`preview`] is its first half, with clients that cannot
//! write.

mod scope;
mod send;
mod stop;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use crate::api::{ReadClient, Shared, WriteClient};
use crate::desired::{Desired, Wanted};
use crate::history::Outcome;
use crate::host::{Attempt, Host, Ledger, Recall};
use crate::inventory::{self, Holdings, Lesson, Named, Note};
use crate::memory::Memory;
use crate::model::{AccountName, Clocks, ImageId, Moment, Scope, Selector};
use crate::observe;
use crate::observed::{Observation, Unseen};
use crate::plan::{
    Awaiting, Inputs, License, Plan, Policy, Prune, Verdict, plan, share_candidates,
};
use crate::windows::Windows;

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
    pub licenses: Option<&'a BTreeMap<Scope, License>>,
}

/// Allows nothing.
static NOTHING: License = License::new();

/// A task's part in one scope.
struct Job<'a> {
    scope: &'a Scope,
    wanted: Wanted<'a>,
    policy: &'a Policy,
    windows: Windows,
    license: Option<&'a License>,
}

/// One look at a scope, and what follows from it.
struct Look {
    observation: Observation,
    /// What is known of earlier, in the light of the observation.
    holdings: Holdings,
    /// What the observation taught, not kept yet.
    lessons: Vec<Lesson>,
    plan: Plan,
}

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
        note: &'a Note,
    },
    /// Nothing to send: waiting for reads to show what was written.
    Waiting {
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
    pub memory: Memory,
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
        let runs = jobs.iter().map(|job| {
            let client = client_of(accounts, job.scope);
            scope::Run::new(self, client, job, Memory::default()).converge()
        });
        let host = &first.read().shared().host;
        self.within(host, timeout, join_all(runs)).await
    }

    /// Brings one scope of the task to its desired state, in the same bounds. `memory` is what earlier passes of this
    /// process left behind. `None` where there can be nothing to do.
    pub async fn pass<H: Host>(
        &self,
        client: &WriteClient<H>,
        task: &Task<'_>,
        scope: &Scope,
        memory: Memory,
        timeout: Duration,
    ) -> Option<ScopeOutcome> {
        let job = task.job(scope)?;
        let run = scope::Run::new(self, client, &job, memory).converge();
        let host = &client.read().shared().host;
        Some(self.within(host, timeout, run).await)
    }

    /// Asks for the end after `timeout`, and waits for what is in flight to settle.
    async fn within<T>(
        &self,
        host: &impl Host,
        timeout: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let work = std::pin::pin!(work);
        let timer = std::pin::pin!(host.sleep_until(host.moment() + timeout));
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
    recall: &impl Recall,
    task: &Task<'_>,
) -> Vec<ScopeOutcome> {
    let jobs = task.jobs();
    let looks = jobs.iter().map(|job| {
        glance(
            client_of(accounts, job.scope),
            recall,
            job,
            Memory::default(),
        )
    });
    join_all(looks).await
}

/// [`preview`] of one scope; `None` where there can be nothing to do. `memory` is of the looks before: how long
/// something has not shown, which only time can tell from a lag.
pub async fn preview_scope<H: Host>(
    client: &ReadClient<H>,
    recall: &impl Recall,
    task: &Task<'_>,
    scope: &Scope,
    memory: Memory,
) -> Option<ScopeOutcome> {
    let job = task.job(scope)?;
    Some(glance(client, recall, &job, memory).await)
}

/// The plan for a scope that cannot be looked at: everything in it holds still. `None` where there can be nothing to do.
/// What it would be asked for is told by this machine's clock.
pub fn out_of_sight<H: Host>(
    task: &Task<'_>,
    scope: &Scope,
    unseen: Unseen,
    shared: &Shared<H>,
) -> Option<Plan> {
    let job = task.job(scope)?;
    let observation = Observation::Unseen(unseen);
    let clocks = Clocks::machine_only(shared.now());
    let (holdings, memory) = (Holdings::default(), Memory::default());
    let moment = shared.host.moment();
    Some(job.plan(&observation, &holdings, &memory, clocks, moment))
}

async fn glance<H: Host>(
    client: &ReadClient<H>,
    recall: &impl Recall,
    job: &Job<'_>,
    mut memory: Memory,
) -> ScopeOutcome {
    let seen = look(client, recall, job, &memory).await;
    remember_doubts(&mut memory, &seen.plan, client.shared().host.moment());
    ScopeOutcome {
        plan: seen.plan,
        memory,
    }
}

/// Since when the planner waits for something to show.
fn remember_doubts(memory: &mut Memory, plan: &Plan, now: Moment) {
    for (image, decision) in &plan.decisions {
        if let Verdict::Await { reason, .. } = &decision.verdict
            && matches!(**reason, Awaiting::Doubt(_))
        {
            memory.doubted_since.entry(image.clone()).or_insert(now);
        }
    }
    let since = memory.loss_since.unwrap_or(now);
    memory.loss_since = plan.loss.map(|_| since);
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
        let license = self
            .licenses
            .map(|licenses| licenses.get(scope).unwrap_or(&NOTHING));
        let account = self.desired.accounts.get(&scope.account);
        Some(Job {
            scope,
            wanted,
            policy: self.policy,
            windows: account
                .map(|account| account.windows.clone())
                .unwrap_or_default(),
            license,
        })
    }
}

impl Job<'_> {
    fn plan(
        &self,
        observation: &Observation,
        holdings: &Holdings,
        memory: &Memory,
        clocks: Clocks,
        moment: Moment,
    ) -> Plan {
        plan(&Inputs {
            scope: self.scope,
            wanted: &self.wanted,
            observation,
            holdings,
            memory,
            windows: &self.windows,
            policy: self.policy,
            license: self.license,
            clocks,
            moment,
        })
    }

    fn named(&self, clocks: Clocks) -> BTreeMap<&ImageId, Named> {
        let named = self.wanted.named().map(|(id, image)| {
            let (desired, other) = clocks.ask(|now| image.intent.at(now).0);
            let named = Named {
                desired: other.is_none().then_some(desired),
                protected: image.protect,
            };
            (id, named)
        });
        named.collect()
    }
}

/// One look and the plan that follows from it. Images about to be shared for the first time are asked about before the
/// plan is final, so that no write is spent on what cannot be shared.
async fn look<H: Host>(
    client: &ReadClient<H>,
    recall: &impl Recall,
    job: &Job<'_>,
    memory: &Memory,
) -> Look {
    let shared = client.shared();
    let started = shared.present();
    let mut observation = observe::observe(client, job.scope).await;
    let mut holdings = match recall.holdings(job.scope).await {
        Ok(holdings) => holdings,
        Err(error) => {
            observation =
                Observation::Unseen(Unseen::new(format!("the state cannot be read: {error}")));
            Holdings::default()
        }
    };
    // The look has told the access point's time.
    let clocks = || client.clocks(job.scope.region);
    let lessons = match &observation {
        Observation::Seen(seen) => inventory::learn(
            &holdings,
            seen,
            &job.named(clocks()),
            job.policy.accept_lost,
            started,
        ),
        Observation::Blind(_) | Observation::Unseen(_) => Vec::new(),
    };
    holdings.apply(&lessons);
    let draft = |observation: &Observation| {
        job.plan(
            observation,
            &holdings,
            memory,
            clocks(),
            shared.host.moment(),
        )
    };
    let mut plan = draft(&observation);
    let candidates = share_candidates(&plan, memory);
    if !candidates.is_empty()
        && let Observation::Seen(seen) = &mut observation
    {
        seen.eligibility = observe::eligibility(client, job.scope, &candidates).await;
        plan = draft(&observation);
    }
    Look {
        observation,
        holdings,
        lessons,
        plan,
    }
}

/// The caller connects each account that its manifests name. A scope that were left out for want of a
/// client would look like one that is in sync.
fn client_of<'a, C>(accounts: &'a BTreeMap<AccountName, C>, scope: &Scope) -> &'a C {
    accounts
        .get(&scope.account)
        .expect("each account that is named has a client")
}
