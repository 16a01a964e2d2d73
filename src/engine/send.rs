//! One plan's calls: each intent is recorded first, then the call takes its turn in the rate bucket, so that it leaves
//! the moment its turn comes; then what came of it is recorded.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, Notify};

use super::Event;
use super::again::{Ages, Question};
use super::denials::{Chance, Probe};
use super::look::Look;
use super::scope::{Run, wake_at};
use crate::api::error::{CallError, Class, Refusal};
use crate::api::{Modified, WritePermit};
use crate::attempts::{LastResult, WritePause};
use crate::execute::{AccessEvidence, Executor, Step, WriteAccess, WriteId, probing_order};
use crate::history::{Answer, Outcome};
use crate::host::Host;
use crate::inventory::{AnsweredState, IntentId, InventoryEntry};
use crate::ledger::{Attempt, Ledger, Refused};
use crate::model::{Cause, ImageId, ImageKey, Monotonic, Permission, ShareState};
use crate::observation::{Observation, SeenAt};
use crate::plan::{Decision, Prune};

/// Calls that get ready at once: one takes its turn while the intents of the next are on their way to the disk, so
/// that a disk that needs as long as three turns costs the line nothing.
const GETTING_READY_MAX: usize = 4;

/// What a person has said is asked for again if an intent stood in line for longer. Shorter, and a busy line would ask
/// before each call.
const RECHECK_AFTER: Duration = Duration::from_millis(250);

/// A call that gets ready.
type Turn<'t> = LocalBoxFuture<'t, (WriteId, Rc<Attempt>, Ready)>;

/// Why a call that was recorded did not leave, where nothing forbade it.
const GIVEN_UP: &str = "its turn was given up";

/// What became of a turn.
enum Ready {
    /// Recorded, at that moment, and its turn has come.
    Go(IntentId, Monotonic, WritePermit),
    /// Recorded, and not to be sent after all.
    Not(IntentId, Option<Refusal>),
    /// Not recorded.
    Refused(Refused),
}

/// What came of a plan's calls.
pub(super) struct Carried {
    /// How each image's ended. Images that were not tried are not in it.
    pub(super) ended: Vec<(ImageId, Permission, LastResult)>,
    /// Whether the scope as a whole may be denied.
    pub(super) access: WriteAccess,
    /// Why nothing more is written in this pass, if so.
    pub(super) rest: Option<WritePause>,
}

/// Whether a write would be sent with the very credentials that the look was made with.
fn is_planned_with(look: &Look, permit: &WritePermit) -> bool {
    let planned = look.owner.as_ref().map(|owner| owner.version);
    planned.is_none_or(|version| version == permit.version())
}

impl<'a, H: Host, L: Ledger> Run<'a, H, L> {
    /// Carries the plan's calls out, where the look began at `began`.
    pub(super) async fn execute(&self, look: &Look, began: SeenAt) -> Carried {
        let actions = look
            .plan
            .actions()
            .map(|(id, permission, _)| (id.clone(), permission));
        let actions = probing_order(actions, |(id, _)| look.denied_since(id));
        let mut executor = Executor::new(actions.into_iter()).with_access(self.access);
        let mut ages = Ages::new(look, &executor, began);
        // One of those that get ready stands in the bucket's queue at a time, so that scopes behind one access point
        // take turns.
        let line = Mutex::new(());
        let mut calls = FuturesUnordered::new();
        let mut turns: FuturesUnordered<Turn<'_>> = FuturesUnordered::new();
        let mut questions: FuturesUnordered<Question<'_>> = FuturesUnordered::new();
        // Tells those that get ready to let go.
        let mut getting_ready: BTreeMap<WriteId, Rc<Notify>> = BTreeMap::new();
        // Calls that may be denied, until it is known whether they are.
        let mut probes: BTreeMap<WriteId, Probe> = BTreeMap::new();
        let mut stopping = false;
        loop {
            let changed = self.share.changed();
            let mut held_up = false;
            if ages.is_slept_away(self.at()) {
                executor.stop();
            }
            let step = executor.next(self.host().monotonic());
            match step {
                Step::Done if turns.is_empty() => break,
                Step::Send => {
                    let gets_ready = |id| getting_ready.contains_key(&id);
                    questions.extend(self.questions(look, &mut ages, &executor, gets_ready));
                    let room = executor.room().min(GETTING_READY_MAX);
                    while getting_ready.len() < room {
                        let probe = match executor.access() {
                            WriteAccess::Proven => None,
                            WriteAccess::Unproven(_) => match self.share.chance() {
                                Chance::Now(probe) => Some(probe),
                                Chance::Later => {
                                    held_up = true;
                                    break;
                                }
                                Chance::Never(rest) => {
                                    // One under way may yet be permitted.
                                    if turns.is_empty() && calls.is_empty() {
                                        executor.pause_writes(rest);
                                    }
                                    break;
                                }
                            },
                        };
                        let next = self.next_attempt((look, &ages), &mut executor, &getting_ready);
                        let Some((id, attempt)) = next else { break };
                        probes.extend(probe.map(|probe| (id, probe)));
                        let give_up = Rc::new(Notify::new());
                        turns.push(self.prepare(id, attempt, Rc::clone(&give_up), &line));
                        getting_ready.insert(id, give_up);
                    }
                    let is_idle = turns.is_empty() && calls.is_empty() && questions.is_empty();
                    if is_idle && !held_up {
                        // A window has closed on all that was left, or the account is at rest.
                        continue;
                    }
                }
                _ => getting_ready.values().for_each(|turn| turn.notify_one()),
            }
            tokio::select! {
                biased;
                _ = self.engine.stop.tripped(), if !stopping => {
                    stopping = true;
                    executor.stop();
                }
                Some((id, result)) = calls.next(), if !calls.is_empty() => {
                    let told = executor.replied(id, result, self.host().monotonic(), self.host().next_f64());
                    self.told(told, &executor);
                    probes.remove(&id);
                }
                Some((id, attempt, ready)) = turns.next(), if !turns.is_empty() => {
                    getting_ready.remove(&id);
                    let call = self.turn_came((look, &ages), &mut executor, id, attempt, ready).await;
                    if call.is_none() {
                        probes.remove(&id);
                    }
                    calls.extend(call);
                }
                Some(answer) = questions.next(), if !questions.is_empty() => {
                    self.answered(&mut ages, &mut executor, answer);
                }
                () = changed, if held_up => {}
                () = self.host().sleep_until(wake_at(step)), if matches!(step, Step::Wait(_)) => {}
            }
        }
        drop(calls);
        Carried {
            access: executor.access(),
            rest: executor.write_pause().cloned(),
            ended: executor.outcomes().collect(),
        }
    }

    /// Tells the account's other scopes what a reply says of the right to write.
    fn told(&self, told: AccessEvidence, executor: &Executor) {
        match (told, executor.access()) {
            (AccessEvidence::Permitted, _) => self.share.permitted(),
            (AccessEvidence::Denied(problem), WriteAccess::Unproven(_)) => {
                self.share.denied(problem);
                if executor.write_pause().is_some() {
                    self.share.rests();
                }
            }
            // Denied alone.
            (AccessEvidence::Denied(_), WriteAccess::Proven)
            | (AccessEvidence::Inconclusive, _) => {}
        }
    }

    /// The next call that does not get ready yet. Those that a window has closed on, or that nobody asks for any longer,
    /// are withdrawn: to record the intent of a call that will not be made takes a place in the line from others.
    fn next_attempt(
        &self,
        (look, ages): (&Look, &Ages),
        executor: &mut Executor,
        getting_ready: &BTreeMap<WriteId, Rc<Notify>>,
    ) -> Option<(WriteId, Rc<Attempt>)> {
        let now = self.at();
        let may_get_ready = |id| !getting_ready.contains_key(&id) && ages.may_get_ready(id, now);
        loop {
            let (id, image, permission, number) = executor.peek(may_get_ready)?;
            let decision = &look.plan.decisions[image];
            if self.closes(image, decision).is_some() {
                executor.withdraw(id);
                continue;
            }
            let named = self.job.wanted.images.get(image);
            let attempt = Attempt {
                key: ImageKey {
                    scope: self.job.scope.clone(),
                    image: image.clone(),
                },
                permission,
                cause: decision.cause,
                source: decision.source.clone(),
                labels: named.map(|image| image.labels.clone()),
                number,
                saw_opposite: decision
                    .actual
                    .state()
                    .is_some_and(|s| s != decision.desired),
                needs_ownership: decision.cause == Cause::Pruned
                    && self.job.policy.prune == Prune::Owned,
                aliases: Arc::clone(&look.aliases),
                key_digest: look.owner.as_ref().map(|owner| owner.key.clone()),
                api_ahead: self.clocks().api_ahead(),
            };
            return Some((id, Rc::new(attempt)));
        }
    }

    /// Records the intent, then waits for the turn.
    fn prepare<'t>(
        &'t self,
        id: WriteId,
        attempt: Rc<Attempt>,
        give_up: Rc<Notify>,
        line: &'t Mutex<()>,
    ) -> Turn<'t> {
        Box::pin(async move {
            let intent = match self.engine.ledger.intent(&attempt).await {
                Ok(intent) => intent,
                Err(refused) => return (id, attempt, Ready::Refused(refused)),
            };
            let recorded = self.host().monotonic();
            let permit = std::pin::pin!(async {
                let _first = line.lock().await;
                self.client.permit(self.job.scope.region).await
            });
            let given_up = std::pin::pin!(give_up.notified());
            let ready = match select(permit, given_up).await {
                Either::Left((Ok(permit), _)) => Ready::Go(intent, recorded, permit),
                Either::Left((Err(refusal), _)) => Ready::Not(intent, Some(refusal)),
                Either::Right(_) => Ready::Not(intent, None),
            };
            (id, attempt, ready)
        })
    }

    /// The call to make, if it may still be made: everything that may have changed since the plan is asked again.
    async fn turn_came<'t>(
        &'t self,
        (look, ages): (&'t Look, &Ages),
        executor: &mut Executor,
        id: WriteId,
        attempt: Rc<Attempt>,
        ready: Ready,
    ) -> Option<LocalBoxFuture<'t, (WriteId, Result<Modified, CallError>)>> {
        let now = self.host().monotonic();
        let decision = &look.plan.decisions[&attempt.key.image];
        match ready {
            // The plan was made for the account of other credentials: the next look asks whose these are.
            Ready::Go(intent, _, permit) if !is_planned_with(look, &permit) => {
                executor.stop();
                self.not_sent(
                    intent,
                    &attempt,
                    "the credentials changed since the plan was made",
                )
                .await;
            }
            Ready::Go(intent, recorded, permit) => {
                let forbidden = self.forbids(decision, &attempt, recorded).await;
                // The end may have been asked for while the store was.
                if self.engine.stop.reason().is_some() || self.is_lost() {
                    executor.stop();
                }
                let at = self.at();
                // What is too old stays in line, and is asked about again.
                let is_fresh = ages.may_leave(id, at) && !ages.is_slept_away(at);
                if forbidden.is_none() && is_fresh && executor.take(id, now) {
                    return Some(Box::pin(self.send(look, id, intent, attempt, permit)));
                }
                drop(permit);
                if forbidden.is_some() {
                    executor.withdraw(id);
                }
                let why = forbidden.unwrap_or_else(|| GIVEN_UP.to_owned());
                self.not_sent(intent, &attempt, &why).await;
            }
            Ready::Not(intent, refusal) => {
                let why = refusal
                    .as_ref()
                    .map_or(GIVEN_UP.into(), ToString::to_string);
                self.not_sent(intent, &attempt, &why).await;
                if let Some(refusal) = refusal {
                    executor.account_broken(&refusal);
                }
            }
            Ready::Refused(Refused::Suspended(_) | Refused::NotOurs) => executor.withdraw(id),
            // No attempt of this or any other image would be granted.
            Ready::Refused(Refused::Failed(_)) if self.is_lost() => executor.stop(),
            Ready::Refused(refused @ Refused::Failed(_)) => {
                if executor.take(id, now) {
                    let error = CallError::NotSent(refused.to_string());
                    executor.replied(id, Err(error), now, self.host().next_f64());
                }
            }
        }
        None
    }

    /// What has come to forbid a call since its intent was recorded.
    async fn forbids(
        &self,
        decision: &Decision,
        attempt: &Attempt,
        recorded: Monotonic,
    ) -> Option<String> {
        if let Some(why) = self.closes(&attempt.key.image, decision) {
            return Some(why.into());
        }
        let is_recent = self.host().monotonic().since(recorded) < RECHECK_AFTER;
        if is_recent && !self.engine.ledger.is_in_doubt() {
            return None;
        }
        let allowed = self.engine.ledger.allows(attempt).await;
        allowed.err().map(|refused| refused.to_string())
    }

    /// Whether nothing is granted any longer.
    fn is_lost(&self) -> bool {
        self.engine.ledger.lost().is_some()
    }

    /// What time alone has come to forbid since the plan was made, by one of the clocks.
    fn closes(&self, image: &ImageId, decision: &Decision) -> Option<&'static str> {
        let (windows, cause) = (&self.job.windows, decision.cause);
        let clocks = self.clocks();
        let named = self.job.wanted.images.get(image);
        let is_asked = |now| named.is_none_or(|image| image.intent.at(now).0 == decision.desired);
        if !clocks.all(|now| windows.is_open(cause, now)) {
            Some("a change window closed")
        } else if !clocks.all(is_asked) {
            Some("the time has come at which the manifests ask for another state")
        } else {
            None
        }
    }

    /// Call, outcome.
    async fn send(
        &self,
        look: &Look,
        id: WriteId,
        intent: IntentId,
        attempt: Rc<Attempt>,
        permit: WritePermit,
    ) -> (WriteId, Result<Modified, CallError>) {
        let Attempt {
            key, permission, ..
        } = &*attempt;
        let result = self
            .client
            .modify(permit, key.scope.region, &key.image, *permission)
            .await;
        let (outcome, record) = self.conclude(look, intent, &attempt, &result);
        self.record(outcome.clone(), record).await;
        self.engine.listener.event(Event::Answered {
            attempt: &attempt,
            outcome: &outcome,
        });
        (id, result)
    }

    /// What the answer means for the history and for what is ours.
    fn conclude(
        &self,
        look: &Look,
        intent: IntentId,
        attempt: &Attempt,
        result: &Result<Modified, CallError>,
    ) -> (Outcome, Option<InventoryEntry>) {
        let image = &attempt.key.image;
        let known = || {
            look.inventory
                .images
                .get(image)
                .cloned()
                .unwrap_or_default()
        };
        let mut outcome = attempt.ended(intent, Answer::Unknown);
        let mut record = None;
        match result {
            Ok(modified) => {
                outcome.result = Answer::Applied;
                outcome.blueprint_id = modified.blueprint_id.clone();
                outcome.request_id = modified.request_id.clone();
                let protected = self
                    .job
                    .wanted
                    .images
                    .get(image)
                    .is_some_and(|image| image.protect);
                let mut known = known();
                let blueprint = modified.blueprint_id.as_deref();
                let at = self.present().stamp();
                known.acknowledged(attempt.permission, blueprint, protected, at);
                known.denied_since = None;
                record = Some(known);
            }
            Err(CallError::Refused(refusal)) => {
                outcome.result = match refusal.class {
                    Class::Converged => Answer::AlreadyShared,
                    Class::Unclear if !refusal.had_no_effect() => Answer::Unknown,
                    _ => Answer::Rejected,
                };
                outcome.error_code = Some(refusal.code.clone());
                outcome.message = (!refusal.message.is_empty()).then(|| refusal.message.clone());
                outcome.request_id = refusal.request_id.clone();
                let at = self.present().stamp();
                let mut after = known();
                if refusal.class == Class::Converged {
                    let open = look.inventory.open.get(image);
                    after.already_shared(open.map_or(&[], Vec::as_slice), at);
                } else if let Some((state, presumed)) =
                    self.told_state(look, attempt, refusal, &after)
                {
                    outcome.result = Answer::Rejected;
                    after.word = Some(AnsweredState {
                        at,
                        state,
                        presumed,
                    });
                }
                after.denied_since = match refusal.class {
                    Class::ScopeBlocked | Class::OurFault if !refusal.is_of_region() => Some(at),
                    Class::Converged | Class::Busy | Class::ImageBlocked => None,
                    _ => after.denied_since,
                };
                record = (after != known()).then_some(after);
            }
            Err(error) => {
                outcome.result = match error {
                    CallError::Unclear(_) => Answer::Unknown,
                    _ => Answer::NotSent,
                };
                outcome.message = Some(error.to_string());
            }
        }
        (outcome, record)
    }

    /// The state that the image is in by the API's refusal, and whether that is only presumed. Where nothing can be seen,
    /// whatever is final counts for an image that we never shared: it would be cancelled for ever.
    fn told_state(
        &self,
        look: &Look,
        attempt: &Attempt,
        refusal: &Refusal,
        known: &InventoryEntry,
    ) -> Option<(ShareState, bool)> {
        let permission = attempt.permission;
        let is_blind = matches!(look.observation, Observation::ReadDenied(_));
        let was_shared = known.owned.is_some()
            || known
                .word
                .is_some_and(|word| word.state == ShareState::Shared);
        let settles = || {
            let tried = self
                .attempts
                .tried_towards(&attempt.key.image, permission.leads_to());
            let is_repeated = tried.is_some_and(|tried| tried.is_unclear_with(&refusal.code));
            refusal.settles_cancel(is_repeated)
        };
        let told = refusal.tells(permission).map(|state| (state, false));
        told.or_else(|| {
            let is_final = permission == Permission::Cancel && is_blind && !was_shared && settles();
            is_final.then_some((ShareState::Unshared, !refusal.had_no_effect()))
        })
    }

    async fn not_sent(&self, intent: IntentId, attempt: &Attempt, why: &str) {
        let mut outcome = attempt.ended(intent, Answer::NotSent);
        outcome.message = Some(why.to_owned());
        self.record(outcome, None).await;
    }

    /// A store that fails here fails the next intent too, so that nothing more is sent; what was sent is resolved by
    /// observation, as after a crash.
    async fn record(&self, outcome: Outcome, record: Option<InventoryEntry>) {
        let told = outcome.clone();
        let kept = self.engine.ledger.outcome(outcome, record).await;
        let (key, intent) = (&told.key, told.intent.0);
        let (action, result) = (told.permission.as_str(), told.result.as_str());
        if !self.is_lost() {
            if let Err(error) = kept {
                tracing::error!(%error, image = %key, intent, action, result, "the outcome of a write is not recorded");
            }
        } else if told.result != Answer::NotSent {
            // Even if it is recorded, it may be where nobody finds it. Why, is told once and not here.
            let blueprint = told.blueprint_id;
            tracing::error!(image = %key, intent, action, result, blueprint, "a write was answered after the state was lost: check whether its outcome is in the history");
        }
    }
}
