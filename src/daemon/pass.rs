//! One pass over one scope, from its start to its result. A panic in it does not affect other passes.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;

use super::runner::{PassControl, PassRunner, RegionClients};
use super::{Settings, StatusPublisher};
use crate::api::protocol::wire::Action;
use crate::api::{ClientContext, ReadClient};
use crate::attempts::AttemptLog;
use crate::engine::{
    self, Event, Listener, ProbeBudget, RegionViews, ScopeOutcome, Stop, StopReason, Task,
};
use crate::host::Host;
use crate::model::{Monotonic, Region, Scope};
use crate::observation::Unobserved;
use crate::plan::{Decision, Plan, Policy, Verdict};
use crate::source::Generation;
use crate::status::{PassResult, WriteBucket};

/// A pass that is ready to run.
pub(super) struct Pass<'a, H, W: PassRunner<H>> {
    pub(super) context: Rc<ClientContext<H>>,
    pub(super) runner: &'a W,
    pub(super) settings: Rc<Settings>,
    pub(super) publisher: Rc<StatusPublisher<H>>,
    pub(super) generation: Rc<Generation>,
    pub(super) scope: Scope,
    /// The account's client, or why there is none.
    pub(super) client: Result<Rc<W::Client>, String>,
    pub(super) region: Rc<RegionClients<W::Client>>,
    pub(super) probe_budget: Rc<ProbeBudget>,
    pub(super) views: Rc<RegionViews>,
    pub(super) stop: Rc<Stop>,
    pub(super) began: Monotonic,
}

/// A pass that has ended.
pub(super) struct FinishedPass<C> {
    pub(super) scope: Scope,
    pub(super) client: Option<Rc<C>>,
    pub(super) stop: Rc<Stop>,
    pub(super) began: Monotonic,
    /// The result, or an error text if a fault in sharekeeper ended the pass.
    pub(super) outcome: Result<Option<ScopeOutcome>, String>,
}

impl<H: Host, W: PassRunner<H>> Pass<'_, H, W> {
    /// Runs the pass. A panic ends only this pass: passes share nothing that is half changed between two awaits, and
    /// the next observation resolves the writes that were sent, as after a crash.
    pub(super) async fn run(self, attempts: AttemptLog) -> FinishedPass<W::Client> {
        let outcome = AssertUnwindSafe(self.observe_and_act(attempts))
            .catch_unwind()
            .await;
        // The panic's message may quote anything, so it is not shown. The panic hook has logged its place.
        let outcome = outcome.map_err(|_| {
            "a fault in sharekeeper: the log shows the place; restart sharekeeper, and please report this"
                .to_owned()
        });
        FinishedPass {
            scope: self.scope,
            client: self.client.ok(),
            stop: self.stop,
            began: self.began,
            outcome,
        }
    }

    async fn observe_and_act(&self, attempts: AttemptLog) -> Option<ScopeOutcome> {
        let policy = policy(&self.settings, &self.generation);
        let task = task(&self.settings, &self.generation, &policy);
        let publisher: &StatusPublisher<H> = &self.publisher;
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => {
                let unobserved = Unobserved {
                    account_broken: true,
                    ..Unobserved::new(why.as_str())
                };
                let (scope, used) = (&self.scope, &self.region.used);
                let plan = engine::unobserved_plan(&task, scope, used, unobserved, &self.context)?;
                publisher.event(Event::Planned {
                    plan: &plan,
                    first: true,
                });
                return Some(ScopeOutcome { plan, attempts });
            }
        };
        let control = PassControl {
            stop: &self.stop,
            timeout: self.settings.timeout,
            listener: publisher,
            probe_budget: &self.probe_budget,
            views: &self.views,
        };
        let outcome = self
            .runner
            .pass(client, &self.region, &task, &self.scope, attempts, control)
            .await;
        let bucket = write_bucket(self.runner.read(client), self.scope.region);
        self.publisher.write_rate_changed(&self.scope, bucket);
        outcome
    }
}

/// The policy for passes under these manifests.
pub(super) fn policy(settings: &Settings, generation: &Generation) -> Policy {
    Policy {
        // If some manifests were left out, the rest is not enough reason for a cancel.
        shares_only: !generation.problems.is_empty(),
        // The schedule starts another pass for shares that are not ready yet.
        no_wait: true,
        ..settings.policy
    }
}

/// The desired state and the limits that passes work with, each in its scope.
pub(super) fn task<'a>(
    settings: &'a Settings,
    generation: &'a Generation,
    policy: &'a Policy,
) -> Task<'a> {
    Task {
        desired: &generation.desired,
        selector: &settings.selector,
        policy,
        approved_by_scope: None,
    }
}

/// The present state of the rate bucket that a scope's writes use.
pub(super) fn write_bucket<H: Host>(client: &ReadClient<H>, region: Region) -> WriteBucket {
    let bucket = client.bucket(Action::ModifyImageSharePermission, region);
    let rate = client.context().pacer.rate(&bucket);
    WriteBucket {
        host: bucket.host.to_string(),
        per_second: rate.unwrap_or(client.rate().into()),
    }
}

/// The result that the pass counts under in the metrics.
pub(super) fn result(plan: &Plan, stopped: Option<StopReason>) -> PassResult {
    let in_sync =
        |decision: &Decision| decision.verdict == Verdict::InSync || decision.is_normal_course();
    let is_settled = plan.unresolved.is_empty() && plan.policy_holds.is_empty();
    let is_synced = plan.decisions.values().all(in_sync) && is_settled;
    match stopped {
        Some(
            StopReason::Superseded
            | StopReason::Interrupted
            | StopReason::Terminated
            | StopReason::HungUp,
        ) => PassResult::Stopped,
        Some(StopReason::TimedOut) | None if plan.unobserved().is_some() => PassResult::Unobserved,
        Some(StopReason::TimedOut) => PassResult::Incomplete,
        None if is_synced && plan.loss.is_none() => PassResult::Synced,
        None => PassResult::Incomplete,
    }
}
