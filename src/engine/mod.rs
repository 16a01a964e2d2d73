//! The order of the steps, and nothing else: for each scope, *observe → plan → execute*, again until
//! nothing is left to do. All scopes run side by side on one thread, and none waits for another but for
//! its turn in a shared rate bucket.
//!
//! One-shot and daemon use the same engine. [`preview`] is its first half, with clients that cannot
//! write.

mod scope;
mod stop;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use crate::api::{ReadClient, WriteClient};
use crate::desired::Desired;
use crate::host::{Host, Journal};
use crate::memory::Memory;
use crate::model::{AccountName, ImageKey, Permission, Scope};
use crate::observe;
use crate::observed::Observation;
use crate::plan::{Plan, ScopeImages, plan, share_candidates};

pub use stop::{Stop, StopReason};

/// What the engine tells while it runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A scope was planned; so many writes are ahead.
    Planned {
        /// Which.
        scope: &'a Scope,
        /// Writes that the plan asks for.
        writes: usize,
    },
    /// A scope could not be seen, or only blindly.
    Trouble {
        /// Which.
        scope: &'a Scope,
        /// One line for a person.
        what: String,
    },
    /// A write was answered.
    Answered {
        /// Which image.
        key: &'a ImageKey,
        /// SHARE or CANCEL.
        permission: Permission,
        /// Whether it is done (and not to be retried or looked into).
        done: bool,
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
    /// Reading was denied; what is known comes from the answers to writes.
    pub blind: Option<String>,
}

/// Clients and journal of one run.
pub struct Engine<'a, H, J> {
    /// One client for each account that the manifests name; each must have one.
    pub accounts: &'a BTreeMap<AccountName, WriteClient<H>>,
    /// Intents and outcomes.
    pub journal: &'a J,
    /// Progress.
    pub listener: &'a dyn Listener,
    /// Asks for the end.
    pub stop: &'a Stop,
}

impl<H: Host, J: Journal> Engine<'_, H, J> {
    /// Brings every scope of `desired` to its desired state, as far as that is possible within
    /// `timeout` and before a stop. Each scope has exactly one outcome, in order.
    pub async fn reconcile(&self, desired: &Desired, timeout: Duration) -> Vec<ScopeOutcome> {
        let Some(first) = self.accounts.values().next() else {
            return Vec::new();
        };
        let host = &first.read().shared().host;
        let deadline = host.moment() + timeout;
        let scopes = desired.by_scope();
        let runs = scopes.iter().map(|(scope, images)| {
            let client = client_of(self.accounts, scope);
            scope::Run::new(self, client, scope, images).converge()
        });
        let runs = std::pin::pin!(join_all(runs));
        let timer = std::pin::pin!(host.sleep_until(deadline));
        match select(runs, timer).await {
            Either::Left((outcomes, _)) => outcomes,
            Either::Right(((), runs)) => {
                self.stop.trip(StopReason::TimedOut);
                runs.await
            }
        }
    }
}

/// Plans every scope of `desired` without being able to write. Each account that is named must have a
/// client.
pub async fn preview<H: Host>(
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    desired: &Desired,
) -> Vec<ScopeOutcome> {
    let scopes = desired.by_scope();
    let looks = scopes.iter().map(async |(scope, images)| {
        let memory = Memory::default();
        let (plan, observation) = look(client_of(accounts, scope), scope, images, &memory).await;
        ScopeOutcome {
            plan,
            memory,
            blind: blind(&observation),
        }
    });
    join_all(looks).await
}

/// One look and the plan that follows from it. Images about to be shared for the first time are asked
/// about before the plan is final, so that no write is spent on what cannot be shared.
async fn look<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    images: &ScopeImages<'_>,
    memory: &Memory,
) -> (Plan, Observation) {
    let shared = client.shared();
    let mut observation = observe::observe(client, scope).await;
    let draft = |observation: &Observation| {
        plan(
            scope,
            images,
            observation,
            memory,
            shared.now(),
            shared.host.moment(),
        )
    };
    let first = draft(&observation);
    let candidates = share_candidates(&first, memory);
    let Observation::Seen(seen) = &mut observation else {
        return (first, observation);
    };
    if candidates.is_empty() {
        return (first, observation);
    }
    seen.eligibility = observe::eligibility(client, scope, &candidates).await;
    (draft(&observation), observation)
}

/// The caller connects each account that its manifests name. A scope that were left out for want of a
/// client would look like one that is in sync.
fn client_of<'a, C>(accounts: &'a BTreeMap<AccountName, C>, scope: &Scope) -> &'a C {
    accounts
        .get(&scope.account)
        .expect("each account that is named has a client")
}

/// Why reading is denied, if it is.
fn blind(observation: &Observation) -> Option<String> {
    match observation {
        Observation::Blind(unseen) => Some(unseen.reason.clone()),
        Observation::Seen(_) | Observation::Unseen(_) => None,
    }
}
