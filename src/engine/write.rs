//! The life of each write of a plan, from the executor's queue to the recorded outcome. The functions stand in the order of
//! the events:
//!
//! | step | function | where it can end |
//! |---|---|---|
//! | 1. take the next write that may be sent soon | [`Writer::next_write`] | withdrawn: a window closed, or the desired state changed with the time |
//! | 2. record its intent durably | [`Writer::prepare`] | not recorded: suspended, not ours, or the ledger failed |
//! | 3. wait for the permit to call | [`Writer::await_permit`] | not permitted: a stop, a pause, or a broken account |
//! | 4. check again what may have changed | [`Writer::send_or_give_up`], [`Writer::last_checks`] | not sent: forbidden, too old, or planned with other credentials |
//! | 5. send | [`Writer::send`] | |
//! | 6. record the outcome | [`Writer::record`] | |
//! | 7. give the reply to the executor | [`Writer::replied`] | settled, or back to 1 after a backoff |
//!
//! The intent is recorded before the wait for the permit, so that a write leaves the moment its permit comes and the disk
//! costs the rate nothing. An intent whose write does not leave gets the outcome *not sent*. It must not decide what is
//! written: that is the plan's.
//!
//! Between two polls of the running writes, nothing is awaited. One of them may get a place in a queue that others
//! wait for, especially the ledger's, and would block it for all until it is polled again.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::context::ScopeContext;
use super::event::Event;
use super::freshness::{Freshness, Recheck};
use super::last_checks::{self, NotSent};
use super::plan_scope::PlannedScope;
use super::probe_budget::{Grant, Probe};
use super::write_outcome;
use crate::api::error::{CallError, Refusal};
use crate::api::{Modified, WritePermit};
use crate::attempts::{AttemptLog, LastResult, WritePause};
use crate::execute::{AccessEvidence, Executor, Step, WriteAccess, WriteId, probing_order};
use crate::history::{WriteOutcome, WriteResult};
use crate::host::Host;
use crate::inventory::{IntentId, InventoryEntry};
use crate::ledger::{Attempt, Ledger, WriteRefused};
use crate::model::{Cause, ImageId, ImageKey, Monotonic, Permission};
use crate::observation::ObservedAt;
use crate::plan::Prune;

/// The number of writes that are prepared at once. One waits for its permit while the intents of the next are on their
/// way to the disk, so that a disk that takes as long as three permits does not lower the rate.
const PREPARING_MAX: usize = 4;

/// One write in preparation or in flight: the executor's id for it, and this attempt at it.
struct Write {
    id: WriteId,
    attempt: Attempt,
}

/// The result of preparing a write.
enum Prepared {
    /// Its intent was recorded, and it may call, unless a person has forbidden it meanwhile.
    Permitted(IntentId, WritePermit, Result<(), NotSent>),
    /// Its intent was recorded, but it got no permit. Without a refusal, it gave up its place in the queue.
    NotPermitted(IntentId, Option<Refusal>),
    /// Its intent was not recorded.
    NotRecorded(WriteRefused),
    /// The write was not sent, and this is recorded.
    Closed,
}

type Reply = (WriteId, Result<Modified, CallError>);

/// The writes of one plan: the executor's state of them, and their running I/O.
struct Writes<'t> {
    executor: Executor,
    freshness: Freshness,
    /// Writes that are being prepared for a call, or whose end without a call is being recorded.
    preparing: FuturesUnordered<LocalBoxFuture<'t, (Write, Prepared)>>,
    /// One for each write in `preparing`. Makes it give up its place in the permit queue.
    give_up: BTreeMap<WriteId, Rc<Notify>>,
    sending: FuturesUnordered<LocalBoxFuture<'t, Reply>>,
    /// The probe of each write that may be denied, until its result is known.
    probes: BTreeMap<WriteId, Probe>,
    rechecks: FuturesUnordered<Recheck<'t>>,
}

/// The results of a plan's writes.
pub(super) struct ExecutedPlan {
    /// The last result of each image that was tried.
    pub(super) results: Vec<(ImageId, Permission, LastResult)>,
    /// What is known about the key's right to write to the scope.
    pub(super) access: WriteAccess,
    /// Why this pass writes nothing more, if that is so.
    pub(super) pause: Option<WritePause>,
}

/// Executes the plan's writes. `began` is when its observation began; `attempts` and `access` are what the pass has
/// learnt before.
pub(super) async fn execute<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    planned: &PlannedScope,
    attempts: &AttemptLog,
    access: WriteAccess,
    began: ObservedAt,
) -> ExecutedPlan {
    let writer = Writer {
        context,
        planned,
        attempts,
        permit_queue: Mutex::new(()),
    };
    let mut writes = Writes::new(planned, access, (began, context.seen_at()));
    let mut stopping = false;
    loop {
        let budget_changed = context.budget.changed();
        if writes.freshness.machine_slept(context.seen_at()) {
            writes.executor.stop();
        }
        let step = writes.executor.next(context.host().monotonic());
        let mut awaits_budget = false;
        match step {
            Step::Done if writes.preparing.is_empty() => break,
            Step::Send => {
                awaits_budget = writer.prepare_next(&mut writes);
                if writes.is_idle() && !awaits_budget {
                    // A window has closed on all remaining writes, or the account pauses. The executor knows this now.
                    continue;
                }
            }
            _ => writes.give_up_places(),
        }
        tokio::select! {
            biased;
            _ = context.engine.stop.tripped(), if !stopping => {
                stopping = true;
                writes.executor.stop();
            }
            Some(reply) = writes.sending.next(), if !writes.sending.is_empty() => {
                writer.replied(&mut writes, reply);
            }
            Some((write, prepared)) = writes.preparing.next(), if !writes.preparing.is_empty() => {
                writer.send_or_give_up(&mut writes, write, prepared);
            }
            Some(answer) = writes.rechecks.next(), if !writes.rechecks.is_empty() => {
                writes.freshness.rechecked(context, &mut writes.executor, answer);
            }
            () = budget_changed, if awaits_budget => {}
            () = context.host().sleep_until(wake_at(step)), if matches!(step, Step::Wait(_)) => {}
        }
    }
    ExecutedPlan {
        access: writes.executor.access(),
        pause: writes.executor.write_pause().cloned(),
        results: writes.executor.outcomes().collect(),
    }
}

fn wake_at(step: Step) -> Monotonic {
    match step {
        Step::Wait(at) => at,
        _ => Monotonic::default(),
    }
}

impl Writes<'_> {
    /// Sets up the writes of a plan. `looked` is when the observation began and ended.
    fn new(planned: &PlannedScope, access: WriteAccess, looked: (ObservedAt, ObservedAt)) -> Self {
        let actions = planned.plan.actions();
        let actions = actions.map(|(id, permission, _)| (id.clone(), permission));
        let actions = probing_order(actions, |(id, _)| planned.denied_since(id));
        let executor = Executor::new(actions.into_iter()).with_access(access);
        Self {
            freshness: Freshness::new(planned, &executor, looked),
            executor,
            preparing: FuturesUnordered::new(),
            give_up: BTreeMap::new(),
            sending: FuturesUnordered::new(),
            probes: BTreeMap::new(),
            rechecks: FuturesUnordered::new(),
        }
    }

    fn is_idle(&self) -> bool {
        self.preparing.is_empty() && self.sending.is_empty() && self.rechecks.is_empty()
    }

    /// Notes that a write is no longer prepared and was not sent.
    fn closed(&mut self, id: WriteId) {
        self.give_up.remove(&id);
        self.probes.remove(&id);
    }

    /// Makes all writes in preparation give up their places, because nothing may be sent now.
    fn give_up_places(&self) {
        self.give_up.values().for_each(|place| place.notify_one());
    }
}

/// Advances the writes of one plan.
struct Writer<'w, H, L> {
    context: &'w ScopeContext<'w, H, L>,
    planned: &'w PlannedScope,
    attempts: &'w AttemptLog,
    /// Lets only one write at a time stand in the bucket's queue, so that scopes at one access point take turns.
    permit_queue: Mutex<()>,
}

impl<H: Host, L: Ledger> Writer<'_, H, L> {
    /// Starts to prepare as many writes as there is room for. Returns whether the next one waits for a change of the
    /// account's probe budget.
    fn prepare_next<'t>(&'t self, writes: &mut Writes<'t>) -> bool {
        self.withdraw_aged(writes);
        let give_up = &writes.give_up;
        let is_preparing = |id| give_up.contains_key(&id);
        let due =
            writes
                .freshness
                .rechecks(self.context, self.planned, &writes.executor, is_preparing);
        writes.rechecks.extend(due);
        let room = writes.executor.room().min(PREPARING_MAX);
        while writes.give_up.len() < room {
            let probe = match writes.executor.access() {
                WriteAccess::Proven => None,
                WriteAccess::Unproven(_) => match self.context.budget.request() {
                    Grant::Granted(probe) => Some(probe),
                    Grant::NotYet => return true,
                    Grant::Exhausted(pause) => {
                        // A write in preparation or in flight may still be permitted.
                        if writes.preparing.is_empty() && writes.sending.is_empty() {
                            writes.executor.pause_writes(pause);
                        }
                        return false;
                    }
                },
            };
            let Some(write) = self.next_write(writes) else {
                return false;
            };
            writes.probes.extend(probe.map(|probe| (write.id, probe)));
            let place = Rc::new(Notify::new());
            writes.give_up.insert(write.id, Rc::clone(&place));
            writes.preparing.push(Box::pin(async move {
                let prepared = self.prepare(&write, &place).await;
                (write, prepared)
            }));
        }
        false
    }

    /// Withdraws CANCELs that depend on the state of other images, once that state is old: only another observation
    /// shows whether those are still shared.
    fn withdraw_aged(&self, writes: &mut Writes<'_>) {
        let now = self.context.seen_at();
        if !writes.freshness.is_plan_aged(now) {
            return;
        }
        let rests_on_others = |image: &ImageId| {
            let decision = self.planned.plan.decisions.get(image);
            decision.is_some_and(|it| matches!(it.cause, Cause::Retention | Cause::Revoked))
        };
        let aged = writes.executor.ready().filter(|(id, image, permission)| {
            *permission == Permission::Cancel
                && !writes.give_up.contains_key(id)
                && rests_on_others(image)
        });
        let aged: Vec<_> = aged.map(|(id, ..)| id).collect();
        aged.into_iter().for_each(|id| writes.executor.withdraw(id));
    }

    /// The next write to prepare. Withdraws writes that are no longer allowed at this time, because an intent that will
    /// not be sent would take a place in the permit queue from others.
    fn next_write(&self, writes: &mut Writes<'_>) -> Option<Write> {
        let now = self.context.seen_at();
        let task = self.context.task;
        loop {
            let (id, image, permission, number) = writes.executor.peek(|id| {
                !writes.give_up.contains_key(&id) && writes.freshness.may_prepare(id, now)
            })?;
            let decision = &self.planned.plan.decisions[image];
            if last_checks::still_asked(self.context, self.planned, image, decision).is_err() {
                writes.executor.withdraw(id);
                continue;
            }
            let named = self.planned.desired_image(task, image);
            let actual = decision.actual.state();
            let attempt = Attempt {
                key: ImageKey {
                    scope: task.scope.clone(),
                    image: image.clone(),
                },
                permission,
                cause: decision.cause,
                source: decision.source.clone(),
                labels: named
                    .map(|image| image.labels().cloned().collect())
                    .unwrap_or_default(),
                name: decision.name.clone(),
                document: named.map(|image| Arc::clone(&image.document.name)),
                number,
                saw_opposite: actual.is_some_and(|actual| actual != decision.desired),
                needs_ownership: decision.cause == Cause::Pruned
                    && task.policy.prune == Prune::Owned,
                aliases: Arc::clone(&self.planned.aliases),
                key_digest: self.planned.owner.as_ref().map(|owner| owner.key.clone()),
                api_ahead: self.context.clocks().api_ahead(),
            };
            return Some(Write { id, attempt });
        }
    }

    /// Records the write's intent, waits for its permit, and asks the ledger again.
    async fn prepare(&self, write: &Write, give_up: &Notify) -> Prepared {
        let attempt = &write.attempt;
        let intent = match self.context.engine.ledger.record_intent(attempt).await {
            Ok(intent) => intent,
            Err(refused) => return Prepared::NotRecorded(refused),
        };
        let recorded_at = self.context.host().monotonic();
        let Some((_turn, permit)) = self.await_permit(give_up).await else {
            return Prepared::NotPermitted(intent, None);
        };
        match permit {
            Ok(permit) => {
                let allowed = last_checks::still_allowed(self.context, attempt, recorded_at).await;
                Prepared::Permitted(intent, permit, allowed)
            }
            Err(refusal) => Prepared::NotPermitted(intent, Some(refusal)),
        }
    }

    /// Waits for the permit to call. The write keeps its turn until the ledger has answered, because permits that
    /// accumulate meanwhile would take the places of other scopes. `None` if it gave up its place in the queue.
    async fn await_permit(
        &self,
        give_up: &Notify,
    ) -> Option<(MutexGuard<'_, ()>, Result<WritePermit, Refusal>)> {
        let permit = std::pin::pin!(async {
            let turn = self.permit_queue.lock().await;
            let region = self.context.task.scope.region;
            (turn, self.context.client.permit(region).await)
        });
        match select(permit, std::pin::pin!(give_up.notified())).await {
            Either::Left((permit, _)) => Some(permit),
            Either::Right(_) => None,
        }
    }

    /// Sends the write if it is permitted and the last checks pass. Otherwise records that it was not sent, and gives
    /// the result to the executor.
    fn send_or_give_up<'t>(&'t self, writes: &mut Writes<'t>, write: Write, prepared: Prepared) {
        let id = write.id;
        let (intent, why) = match prepared {
            Prepared::Permitted(intent, permit, allowed) => {
                match self.last_checks(writes, &write, allowed, &permit) {
                    Ok(()) => {
                        writes.give_up.remove(&id);
                        let sending = self.send(write, intent, permit);
                        writes.sending.push(Box::pin(sending));
                        return;
                    }
                    // The permit ends here. It may be the probe that other scopes of the account wait for, and they
                    // must not wait for a commit.
                    Err(why) => (intent, why),
                }
            }
            Prepared::NotPermitted(intent, None) => (intent, NotSent::GivenUp),
            Prepared::NotPermitted(intent, Some(refusal)) => {
                writes.executor.account_broken(&refusal);
                (intent, NotSent::NotPermitted(refusal))
            }
            Prepared::NotRecorded(refused) => {
                self.not_recorded(writes, id, &refused);
                writes.closed(id);
                return;
            }
            Prepared::Closed => {
                writes.closed(id);
                return;
            }
        };
        // The image is not prepared again until this is recorded.
        writes.preparing.push(Box::pin(async move {
            self.not_sent(intent, &write.attempt, &why).await;
            (write, Prepared::Closed)
        }));
    }

    fn not_recorded(&self, writes: &mut Writes<'_>, id: WriteId, refused: &WriteRefused) {
        let executor = &mut writes.executor;
        match refused {
            WriteRefused::Suspended(_) | WriteRefused::NotOurs => executor.withdraw(id),
            // The ledger would now refuse the intent of any image.
            WriteRefused::Failed(_) if self.context.is_lost() => executor.stop(),
            WriteRefused::Failed(_) => {
                let host = self.context.host();
                let now = host.monotonic();
                if executor.take(id, now) {
                    let error = CallError::NotSent(refused.to_string().into());
                    executor.replied(id, Err(error), now, host.next_f64());
                }
            }
        }
    }

    /// Checks everything that may have changed since the plan was made, and puts the write in flight. `allowed` is the
    /// answer of the ledger, which was asked earlier because it may take long. An error says why the write is not sent.
    fn last_checks(
        &self,
        writes: &mut Writes<'_>,
        write: &Write,
        allowed: Result<(), NotSent>,
        permit: &WritePermit,
    ) -> Result<(), NotSent> {
        if !last_checks::is_planned_with(self.planned, permit) {
            // The plan was made for other credentials. The next observation asks for the owner of the present ones.
            writes.executor.stop();
            return Err(NotSent::CredentialsChanged);
        }
        // A stop may have been requested while the ledger answered.
        if self.context.engine.stop.reason().is_some() || self.context.is_lost() {
            writes.executor.stop();
        }
        let image = &write.attempt.key.image;
        let decision = &self.planned.plan.decisions[image];
        let asked = || last_checks::still_asked(self.context, self.planned, image, decision);
        if let Err(why) = allowed.and_then(|()| asked()) {
            writes.executor.withdraw(write.id);
            return Err(why);
        }
        let at = self.context.seen_at();
        // A write whose image was seen too long ago stays in the executor's queue, and the image is rechecked.
        let is_fresh =
            writes.freshness.may_send(write.id, at) && !writes.freshness.machine_slept(at);
        let now = self.context.host().monotonic();
        if is_fresh && writes.executor.take(write.id, now) {
            Ok(())
        } else {
            Err(NotSent::GivenUp)
        }
    }

    /// Makes the call, and records its outcome before the executor gets the reply.
    async fn send(&self, write: Write, intent: IntentId, permit: WritePermit) -> Reply {
        let Write { id, attempt } = write;
        let (key, permission) = (&attempt.key, attempt.permission);
        let client = self.context.client;
        let result = client
            .modify(permit, key.scope.region, &key.image, permission)
            .await;
        let (outcome, entry) = write_outcome::conclude(
            (self.context, self.planned, self.attempts),
            (intent, &attempt),
            &result,
        );
        self.record(outcome.clone(), entry).await;
        self.context.emit(Event::Answered {
            attempt: &attempt,
            outcome: &outcome,
        });
        (id, result)
    }

    async fn not_sent(&self, intent: IntentId, attempt: &Attempt, why: &NotSent) {
        let mut outcome = attempt.ended(intent, WriteResult::NotSent);
        outcome.message = Some(why.to_string());
        self.record(outcome, None).await;
    }

    /// Records an outcome, with the image's inventory entry if that changes. If the ledger fails here, it also refuses
    /// the next intent, so that nothing more is sent. An observation resolves the writes that were sent, as after a
    /// crash.
    async fn record(&self, outcome: WriteOutcome, entry: Option<InventoryEntry>) {
        let told = outcome.clone();
        let recorded = self
            .context
            .engine
            .ledger
            .record_outcome(outcome, entry)
            .await;
        let (key, intent) = (&told.key, told.intent.0);
        let (action, result) = (told.permission.as_str(), told.result.as_str());
        if !self.context.is_lost() {
            if let Err(error) = recorded {
                tracing::error!(%error, image = %key, intent, action, result, "the outcome of a write could not be recorded");
            }
        } else if told.result != WriteResult::NotSent {
            // Even a recorded outcome may now be in a place where nobody finds it. The reason for the lost ledger is
            // reported once, elsewhere.
            let blueprint = told.blueprint_id;
            tracing::error!(image = %key, intent, action, result, blueprint, "a write was answered after the state was lost: check whether its outcome is in the history");
        }
    }

    /// Gives the reply to the executor. The account's other scopes learn what it shows about the right to write.
    fn replied(&self, writes: &mut Writes<'_>, (id, result): Reply) {
        let (host, budget) = (self.context.host(), &self.context.budget);
        let executor = &mut writes.executor;
        let evidence = executor.replied(id, result, host.monotonic(), host.next_f64());
        match (evidence, executor.access()) {
            (AccessEvidence::Permitted, _) => budget.permitted(),
            (AccessEvidence::Denied(problem), WriteAccess::Unproven(_)) => {
                budget.denied(problem);
                if executor.write_pause().is_some() {
                    budget.paused();
                }
            }
            // Only this image is denied.
            (AccessEvidence::Denied(_), WriteAccess::Proven)
            | (AccessEvidence::Inconclusive, _) => {}
        }
        writes.probes.remove(&id);
    }
}
