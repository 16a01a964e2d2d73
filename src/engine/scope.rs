use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;

use super::{Engine, Event, ScopeOutcome, blind, look};
use crate::api::error::CallError;
use crate::api::{Modified, WriteClient, WritePermit};
use crate::execute::{Backoff, Executor, JobId, Step};
use crate::host::{Attempt, Host, Journal};
use crate::memory::Memory;
use crate::model::{ImageId, ImageKey, Moment, Permission, Scope};
use crate::observed::{Observation, Unseen};
use crate::plan::{Awaiting, Plan, ScopeImages, Verdict};

/// No write is sent on an observation older than this; then the scope is read again.
const OBSERVATION_AGE_MAX: Duration = Duration::from_secs(120);
/// Looks at a scope that cannot be seen before it is given up, where the account itself works.
const BLANK_LOOKS_MAX: u32 = 3;
/// Between looks while something is waited for.
const LOOK_AGAIN: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// One scope under way.
pub(super) struct Run<'a, H, J> {
    engine: &'a Engine<'a, H, J>,
    client: &'a WriteClient<H>,
    scope: &'a Scope,
    images: &'a ScopeImages<'a>,
    memory: Memory,
}

impl<'a, H: Host, J: Journal> Run<'a, H, J> {
    pub(super) fn new(
        engine: &'a Engine<'a, H, J>,
        client: &'a WriteClient<H>,
        scope: &'a Scope,
        images: &'a ScopeImages<'a>,
    ) -> Self {
        Self {
            engine,
            client,
            scope,
            images,
            memory: Memory::default(),
        }
    }

    /// Observe, plan, execute, until nothing is left to do or the end is asked for.
    pub(super) async fn converge(mut self) -> ScopeOutcome {
        let (mut looks_in_vain, mut blank_looks) = (0, 0);
        let mut last: Option<(Plan, Option<String>)> = None;
        loop {
            let started = self.host().moment();
            let Some((plan, observation)) = self.unless_stopped(self.look()).await else {
                return self.stopped(last);
            };
            self.remember_doubts(&plan);
            let writes = plan.actions().count();
            let blind = blind(&observation);
            self.tell(
                &plan,
                &observation,
                writes,
                last.is_none(),
                blank_looks == 0,
            );
            let pause = if let Observation::Unseen(unseen) = &observation {
                blank_looks += 1;
                if unseen.account_broken || blank_looks >= BLANK_LOOKS_MAX {
                    return self.outcome(plan, blind);
                }
                Some(LOOK_AGAIN.step(blank_looks))
            } else if writes > 0 {
                (blank_looks, looks_in_vain) = (0, 0);
                self.execute(&plan, started + OBSERVATION_AGE_MAX).await;
                None
            } else if let Some(until) = plan.awaiting_until() {
                blank_looks = 0;
                looks_in_vain += 1;
                Some(
                    LOOK_AGAIN
                        .step(looks_in_vain)
                        .min(until.since(self.host().moment())),
                )
            } else {
                return self.outcome(plan, blind);
            };
            last = Some((plan, blind));
            if let Some(pause) = pause {
                let wake = self.host().sleep_until(self.host().moment() + pause);
                if self.unless_stopped(wake).await.is_none() {
                    return self.stopped(last);
                }
            }
        }
    }

    async fn look(&self) -> (Plan, Observation) {
        look(self.client.read(), self.scope, self.images, &self.memory).await
    }

    /// Carries the plan's calls out and remembers how each ended.
    async fn execute(&mut self, plan: &Plan, fresh_until: Moment) {
        let actions = plan
            .actions()
            .map(|(id, permission, _)| (id.clone(), permission));
        let mut executor = Executor::new(actions, fresh_until);
        let mut calls = FuturesUnordered::new();
        let mut permit: Option<LocalBoxFuture<'_, _>> = None;
        let mut stopping = false;
        loop {
            let step = executor.next(self.host().moment());
            match step {
                Step::Done => break,
                Step::Send if permit.is_none() => {
                    permit = Some(Box::pin(self.client.permit(self.scope.region)))
                }
                Step::Send => {}
                Step::Wait(_) | Step::Listen => permit = None,
            }
            tokio::select! {
                biased;
                _ = self.engine.stop.tripped(), if !stopping => {
                    stopping = true;
                    executor.stop();
                }
                Some((id, result)) = calls.next(), if !calls.is_empty() => {
                    executor.replied(id, result, self.host().moment(), self.host().unit());
                }
                granted = or_never(permit.as_mut()), if permit.is_some() => {
                    permit = None;
                    match granted {
                        Ok(granted) => {
                            if let Some((id, image, permission, number)) = executor.take(self.host().moment()) {
                                calls.push(self.send(plan, id, image.clone(), permission, number, granted));
                            }
                        }
                        Err(refusal) => executor.account_broken(&refusal),
                    }
                }
                () = self.host().sleep_until(wake_at(step)), if matches!(step, Step::Wait(_)) => {}
            }
        }
        drop(calls);
        for (image, permission, last) in executor.outcomes() {
            self.memory.record(image, permission.leads_to(), last);
        }
    }

    /// Intent, call, outcome.
    async fn send(
        &self,
        plan: &Plan,
        id: JobId,
        image: ImageId,
        permission: Permission,
        number: u32,
        permit: WritePermit<'_>,
    ) -> (JobId, Result<Modified, CallError>) {
        let decision = &plan.decisions[&image];
        let attempt = Attempt {
            key: ImageKey {
                scope: self.scope.clone(),
                image: image.clone(),
            },
            permission,
            cause: decision.cause,
            source: Some(decision.source.clone()),
            labels: self.images[&image].labels.clone(),
            number,
            saw_opposite: decision.actual != crate::plan::Actual::Unknown,
        };
        let journal = self.engine.journal;
        if let Err(error) = journal.intent(&attempt).await {
            return (id, Err(CallError::NotSent(error.to_string())));
        }
        let result = self
            .client
            .modify(permit, self.scope.region, &attempt.key.image, permission)
            .await;
        let (outcome, request_id) = match &result {
            Ok(modified) => ("done".to_owned(), modified.request_id.as_deref()),
            Err(CallError::Refused(refusal)) => {
                (refusal.to_string(), refusal.request_id.as_deref())
            }
            Err(error) => (format!("unknown: {error}"), None),
        };
        if let Err(error) = journal.outcome(&attempt, &outcome, request_id).await {
            tracing::error!(%error, key = %attempt.key, "the outcome of a write is not recorded");
        }
        self.engine.listener.event(Event::Answered {
            key: &attempt.key,
            permission,
            done: result.is_ok(),
        });
        (id, result)
    }

    fn remember_doubts(&mut self, plan: &Plan) {
        let now = self.host().moment();
        for (image, decision) in &plan.decisions {
            if matches!(
                decision.verdict,
                Verdict::Await {
                    reason: Awaiting::Doubt(_),
                    ..
                }
            ) {
                self.memory
                    .doubted_since
                    .entry(image.clone())
                    .or_insert(now);
            }
        }
    }

    fn tell(
        &self,
        plan: &Plan,
        observation: &Observation,
        writes: usize,
        first: bool,
        newly_blank: bool,
    ) {
        let (scope, listener) = (self.scope, self.engine.listener);
        match observation {
            Observation::Unseen(unseen) if newly_blank => {
                listener.event(Event::Trouble {
                    scope,
                    what: format!("not observed: {unseen}"),
                });
            }
            Observation::Blind(unseen) if first => {
                let what = format!(
                    "going on without seeing what is shared, because reading is denied: {unseen}"
                );
                listener.event(Event::Trouble { scope, what });
            }
            Observation::Unseen(_) | Observation::Blind(_) | Observation::Seen(_) => {}
        }
        if writes > 0 || first {
            listener.event(Event::Planned { scope, writes });
        }
        let images = plan
            .decisions
            .values()
            .filter(|d| matches!(d.verdict, Verdict::Await { .. }))
            .count();
        if images > 0 && writes == 0 {
            listener.event(Event::Waiting { scope, images });
        }
    }

    /// The end was asked for: the last plan stands, brought up to date with what was written since.
    fn stopped(self, last: Option<(Plan, Option<String>)>) -> ScopeOutcome {
        let shared = self.client.read().shared();
        let unseen = Observation::Unseen(Unseen {
            reason: "stopped before the scope was read".into(),
            code: None,
            request_id: None,
            account_broken: false,
        });
        let (plan, blind) = last.unwrap_or_else(|| {
            let (now, moment) = (shared.now(), shared.host.moment());
            (
                crate::plan::plan(self.scope, self.images, &unseen, &self.memory, now, moment),
                None,
            )
        });
        self.outcome(plan, blind)
    }

    fn outcome(self, plan: Plan, blind: Option<String>) -> ScopeOutcome {
        ScopeOutcome {
            plan,
            memory: self.memory,
            blind,
        }
    }

    /// `None` if the end is asked for first. Only for what may be dropped half-way, such as reading.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stop = std::pin::pin!(self.engine.stop.tripped());
        match select(stop, std::pin::pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }

    fn host(&self) -> &H {
        &self.client.read().shared().host
    }
}

/// The future's result, or none ever; `select!` builds a branch's future even when its condition bars it.
async fn or_never<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn wake_at(step: Step) -> Moment {
    match step {
        Step::Wait(at) => at,
        Step::Send | Step::Listen | Step::Done => Moment::default(),
    }
}
