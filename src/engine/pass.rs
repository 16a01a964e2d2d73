//! One pass over one scope: rounds of *observe → plan → execute* until nothing is left to do, a person must act, or a
//! stop is requested. It must not know how a write is sent, nor when the next pass is due.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{Either, select};
use smol_str::SmolStr;
use tokio::sync::Notify;

use super::context::ScopeContext;
use super::event::Event;
use super::persist::persist;
use super::plan_scope::{PlannedScope, SeenBefore, plan_scope};
use super::probe_budget::{ProbeBudget, ScopeBudget};
use super::scope_task::ScopeTask;
use super::write::execute;
use super::{ACCOUNT_NAMED_TWICE, Engine, OtherAccount, ScopeOutcome};
use crate::api::protocol::wire::Action;
use crate::api::{Owner, WriteClient};
use crate::attempts::{AttemptLog, LastResult, Problem};
use crate::execute::{Backoff, WriteAccess};
use crate::host::Host;
use crate::inventory::{InventoryUpdate, LossAcceptance, OpenIntent};
use crate::ledger::Ledger;
use crate::model::{ImageId, Monotonic};
use crate::observation::{Instances, Observation, ObservedAt, OwnImages, Unobserved};
use crate::plan::{AccountProof, Plan, Verdict};

/// How long the lists of the account's own images and instances are used before they are read again.
const LISTS_AGE_MAX: Duration = Duration::from_secs(120);
/// The number of consecutive rounds without an observation before the pass gives up, if the account itself works.
const UNOBSERVED_ROUNDS_MAX: u32 = 3;
/// The pause between rounds that wait for something.
const ROUND_PAUSE: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};
/// The pause between rounds that wait only for SYNCING blueprints, which takes minutes.
const SYNCING_PAUSE: Backoff = Backoff {
    base: Duration::from_secs(15),
    cap: Duration::from_secs(120),
};
/// How long a write of an earlier process may still take effect: twice the deadline of a call, plus a margin.
const OPEN_INTENT_AGE_MAX: TimeDelta = TimeDelta::seconds(20);

/// The state of a running pass.
pub(super) struct ScopePass<'a, H, L> {
    context: ScopeContext<'a, H, L>,
    others: &'a [OtherAccount<'a, H>],
    attempts: AttemptLog,
    /// The account's own images, and the time of their request.
    own: (OwnImages, Monotonic),
    /// The instances, and the time of their request.
    instances: (Instances, Monotonic),
    /// What this pass has learnt about the key's right to write to the scope.
    access: WriteAccess,
    rounds: Rounds,
    /// Images that instances use and that the pass has cancelled, or was about to cancel: the last plan no longer shows
    /// that use.
    in_use: BTreeMap<ImageId, Vec<SmolStr>>,
    /// The plan of the last round.
    last: Option<Plan>,
    /// Notified after each observation, whatever it showed.
    pub(super) observed: Rc<Notify>,
}

/// Rounds without a result, by the reason, for the backoff between rounds.
#[derive(Default)]
struct Rounds {
    unobserved: u32,
    idle: u32,
    syncing: u32,
}

/// The next step after a round.
enum Next {
    /// The pass is over.
    Finished,
    /// Another round, after a pause if there is one.
    Round(Option<Duration>),
}

impl<'a, H: Host, L: Ledger> ScopePass<'a, H, L> {
    pub(super) fn new(
        engine: &'a Engine<'a, L>,
        client: &'a WriteClient<H>,
        others: &'a [OtherAccount<'a, H>],
        task: &'a ScopeTask<'a>,
        attempts: AttemptLog,
        budget: &Rc<ProbeBudget>,
    ) -> Self {
        Self {
            context: ScopeContext {
                engine,
                client,
                task,
                budget: ScopeBudget::join(budget, task.scope),
            },
            others,
            attempts,
            own: (OwnImages::NotAsked, Monotonic::default()),
            instances: (Instances::NotAsked, Monotonic::default()),
            access: WriteAccess::default(),
            rounds: Rounds::default(),
            in_use: BTreeMap::new(),
            last: None,
            observed: Rc::default(),
        }
    }

    /// Runs rounds until nothing is left to do or a stop is requested.
    pub(super) async fn converge(mut self) -> ScopeOutcome {
        self.accept_loss_before().await;
        self.await_open_intents().await;
        loop {
            let began = self.context.seen_at();
            let planned = match self.observe().await {
                Ok(planned) => planned,
                Err(why) => return self.ended_early(why),
            };
            let next = self.act(&planned, began).await;
            let Next::Round(pause) = next else {
                return self.outcome(planned.plan);
            };
            self.last = Some(planned.plan);
            if let Some(pause) = pause {
                let host = self.context.host();
                let wake = host.sleep_until(host.monotonic() + pause);
                if self.unless_stopped(wake).await.is_none() {
                    return self.ended_early(Unobserved::stopped());
                }
            }
        }
    }

    /// Observes and plans the scope, and persists what the observation changes. An error says why the pass ends here.
    async fn observe(&mut self) -> Result<PlannedScope, Unobserved> {
        self.expire_lists();
        let asked = self.context.host().monotonic();
        let planned = self
            .unless_stopped(self.plan_scope())
            .await
            .ok_or_else(Unobserved::stopped)?;
        self.observed.notify_one();
        self.cache_lists(&planned, asked);
        let planned = persist(&self.context, planned).await;
        if self.context.is_lost() {
            // The reason is reported once, elsewhere, and not for each scope.
            return Err(Unobserved::new("the state cannot be used any longer"));
        }
        self.learn(&planned);
        self.report(&planned);
        Ok(planned)
    }

    async fn plan_scope(&self) -> PlannedScope {
        let scope = self.context.task.scope;
        plan_scope(
            self.context.client.read(),
            self.others,
            self.context.engine.ledger,
            self.context.task,
            &self.attempts,
            SeenBefore {
                own: &self.own.0,
                instances: &self.instances.0,
                views: self.context.engine.views,
                waits_for_regions: false,
            },
            &|reading| self.context.emit(Event::Reading { scope, reading }),
        )
        .await
    }

    /// Executes the plan as far as possible, and decides the next step.
    async fn act(&mut self, planned: &PlannedScope, began: ObservedAt) -> Next {
        let plan = &planned.plan;
        if let Observation::Unobserved(unobserved) = &planned.observation {
            self.rounds.unobserved += 1;
            let is_final = unobserved.account_broken
                || unobserved.code.as_deref() == Some(ACCOUNT_NAMED_TWICE);
            if is_final
                || self.rounds.unobserved >= UNOBSERVED_ROUNDS_MAX
                || !self.take_repetition()
            {
                return Next::Finished;
            }
            return Next::Round(Some(ROUND_PAUSE.step(self.rounds.unobserved)));
        }
        if plan.actions().next().is_some() {
            self.rounds.unobserved = 0;
            if self.write(planned, began).await {
                self.rounds.idle = 0;
                return Next::Round(None);
            }
            // The plan allows a write that the ledger or a window forbids. Without a pause this would loop forever.
            self.rounds.idle += 1;
            return Next::Round(Some(ROUND_PAUSE.step(self.rounds.idle)));
        }
        if let Some(until) = plan.awaiting_until() {
            self.rounds.unobserved = 0;
            self.rounds.idle += 1;
            let wait = until.since(self.context.host().monotonic());
            return Next::Round(Some(ROUND_PAUSE.step(self.rounds.idle).min(wait)));
        }
        if plan.is_pending() && !self.context.task.policy.no_wait {
            self.rounds.unobserved = 0;
            self.rounds.syncing += 1;
            return Next::Round(Some(SYNCING_PAUSE.step(self.rounds.syncing)));
        }
        Next::Finished
    }

    /// Takes another round from the budget of repeated reads, which a long outage uses up.
    fn take_repetition(&self) -> bool {
        let region = self.context.task.scope.region;
        let client = self.context.client.read();
        client
            .retry_budget(Action::DescribeBlueprints, region)
            .take()
    }

    /// Executes the plan's writes. Returns whether any was tried.
    async fn write(&mut self, planned: &PlannedScope, began: ObservedAt) -> bool {
        let executed = execute(&self.context, planned, &self.attempts, self.access, began).await;
        self.access = executed.access;
        if let Some(pause) = executed.pause {
            self.context.emit(Event::Trouble {
                scope: self.context.task.scope,
                what: format!("the remaining images were {pause}"),
                of_account: pause.of_account,
            });
            self.attempts.write_pause = Some(pause);
        }
        let is_tried = !executed.results.is_empty();
        for (image, permission, last) in executed.results {
            self.attempts.record(image, permission.leads_to(), last);
        }
        is_tried
    }

    /// Keeps the lists of own images and of instances for the next rounds: they are long and rarely change.
    fn cache_lists(&mut self, planned: &PlannedScope, asked: Monotonic) {
        let Observation::Seen(seen) = &planned.observation else {
            return;
        };
        if self.own.0 == OwnImages::NotAsked && matches!(seen.own, OwnImages::Known(_)) {
            self.own = (seen.own.clone(), asked);
        }
        if self.instances.0 == Instances::NotAsked && matches!(seen.instances, Instances::Known(_))
        {
            self.instances = (seen.instances.clone(), asked);
        }
    }

    fn expire_lists(&mut self) {
        let now = self.context.host().monotonic();
        if now.since(self.own.1) >= LISTS_AGE_MAX {
            self.own = (OwnImages::NotAsked, Monotonic::default());
        }
        if now.since(self.instances.1) >= LISTS_AGE_MAX {
            self.instances = (Instances::NotAsked, Monotonic::default());
        }
    }

    /// Treats writes that an earlier process made a moment ago like our own writes: they may still take effect.
    async fn await_open_intents(&mut self) {
        // If the ledger cannot be read, the observation that follows reports it.
        let ledger = self.context.engine.ledger;
        let Ok(open_intents) = ledger.open_intents(self.context.task.scope).await else {
            return;
        };
        let (now, at) = (self.context.present(), self.context.host().monotonic());
        for (image, open) in open_intents {
            let is_young = |open: &&OpenIntent| now.since(open.at) < OPEN_INTENT_AGE_MAX;
            let newest = open.last().filter(is_young);
            // A record of an earlier pass of this process is more precise.
            let newest = newest.filter(|_| !self.attempts.tried.contains_key(&image));
            if let Some(open) = newest {
                let problem = Problem::new("an earlier run ended before the answer came");
                let last = LastResult::Unclear { at, problem };
                self.attempts
                    .record(image, open.permission.leads_to(), last);
            }
        }
    }

    /// Forgets a loss of earlier passes whose images have been shared again, if a person has since accepted a loss of
    /// its size. This uses the acceptance up, so that it accepts no later loss.
    async fn accept_loss_before(&mut self) {
        let Some(before) = self.attempts.loss else {
            return;
        };
        // If the ledger cannot be read, the observation that follows reports it.
        let (ledger, scope) = (self.context.engine.ledger, self.context.task.scope);
        let Ok(inventory) = ledger.inventory(scope).await else {
            return;
        };
        let mut acceptances = inventory.acceptances.iter();
        let is_of_it =
            |one: &&LossAcceptance| one.images.is_none() && one.lost as usize == before.lost;
        let Some(acceptance) = acceptances.find(is_of_it) else {
            return;
        };
        let used_up = InventoryUpdate {
            acceptances: vec![LossAcceptance {
                images: Some(BTreeSet::new()),
                ..acceptance.clone()
            }],
            ..InventoryUpdate::default()
        };
        // If that cannot be recorded, the loss stays as it was.
        if ledger.apply_update(scope, used_up).await.is_ok() {
            self.attempts.loss = None;
        }
    }

    /// Copies into the attempts what the next rounds and passes must know about this plan.
    fn learn(&mut self, planned: &PlannedScope) {
        let now = self.context.host().monotonic();
        planned.date_doubts(&mut self.attempts, now);
        self.in_use.extend(planned.plan.in_use.clone());
        // Sharing the lost images again repairs the view, but does not explain the loss.
        if planned.plan.actions().next().is_some() {
            self.attempts.loss = planned.plan.loss.or(self.attempts.loss);
        }
        if let AccountProof::AccountChanged(doubt) = &planned.account.proof {
            self.attempts.account_doubt = Some(doubt.clone());
        }
        if self.attempts.key.is_none() {
            let key = planned.owner.as_ref().and_then(Owner::lasting_key);
            self.attempts.key = key.cloned();
        }
    }

    fn report(&self, planned: &PlannedScope) {
        let (plan, first) = (&planned.plan, self.last.is_none());
        self.report_trouble(&planned.observation, first);
        self.context.emit(Event::Planned { plan, first });
        if plan.actions().next().is_some() {
            return;
        }
        let scope = self.context.task.scope;
        let count = |which: fn(&Verdict) -> bool| {
            let verdicts = plan.decisions.values().map(|decision| &decision.verdict);
            verdicts.filter(|verdict| which(verdict)).count()
        };
        let waiting = count(|verdict| matches!(verdict, Verdict::Await { .. }));
        let syncing = count(|verdict| matches!(verdict, Verdict::Pending(_)));
        if waiting > 0 {
            let images = waiting;
            self.context.emit(Event::Waiting { scope, images });
        } else if syncing > 0 && !self.context.task.policy.no_wait {
            let images = syncing;
            self.context.emit(Event::Syncing { scope, images });
        }
    }

    /// Reports once that the scope is not observed, or only without its shares.
    fn report_trouble(&self, observation: &Observation, first: bool) {
        let (what, of_account) = match observation {
            Observation::Unobserved(unobserved) if self.rounds.unobserved == 0 => (
                format!("not observed: {unobserved}"),
                unobserved.account_broken,
            ),
            Observation::ReadDenied(unobserved) if first => (
                format!(
                    "continuing without knowing what is shared, because reading is denied: {unobserved}"
                ),
                false,
            ),
            Observation::Unobserved(_) | Observation::ReadDenied(_) | Observation::Seen(_) => {
                return;
            }
        };
        self.context.emit(Event::Trouble {
            scope: self.context.task.scope,
            what,
            of_account,
        });
    }

    /// Ends the pass with the last plan that was made. Without one, the scope is unobserved because of `why`.
    fn ended_early(mut self, why: Unobserved) -> ScopeOutcome {
        let context = &self.context;
        let plan = self
            .last
            .take()
            .unwrap_or_else(|| context.task.unobserved(why, context.client_context()));
        self.outcome(plan)
    }

    fn outcome(self, plan: Plan) -> ScopeOutcome {
        ScopeOutcome {
            plan: Plan {
                in_use: self.in_use,
                ..plan
            },
            attempts: self.attempts,
        }
    }

    /// `None` if a stop is requested first. Only for work that may be dropped halfway, such as reading.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stop = std::pin::pin!(self.context.engine.stop.tripped());
        match select(stop, std::pin::pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}
