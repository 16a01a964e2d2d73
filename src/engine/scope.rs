use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::denials::{Denials, Share};
use super::look::{Job, Look, look};
use super::{ACCOUNT_NAMED_TWICE, Engine, Event, Rival, ScopeOutcome};
use crate::api::{Owner, WriteClient};
use crate::attempts::{AttemptLog, LastResult, Problem, WritePause};
use crate::execute::{Backoff, WriteAccess};
use crate::host::Host;
use crate::inventory::{InventoryUpdate, OpenIntent, Takeover};
use crate::ledger::{Ledger, LedgerError};
use crate::model::{Clocks, Monotonic, Present};
use crate::observation::{Observation, OwnImages, Unobserved};
use crate::plan::{AccountProof, Plan, Verdict};

/// The account's own images are asked for again after so long.
const OWN_IMAGES_AGE_MAX: Duration = Duration::from_secs(120);
/// Looks at a scope that cannot be seen before it is given up, where the account itself works.
const BLANK_LOOKS_MAX: u32 = 3;
/// Between looks while something is waited for.
const LOOK_AGAIN: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};
/// The same while nothing but blueprints that are SYNCING is waited for: that takes minutes.
const SYNCING_AGAIN: Backoff = Backoff {
    base: Duration::from_secs(15),
    cap: Duration::from_secs(120),
};
/// Rows that are taken over in one transaction.
const ROWS_AT_ONCE: usize = 256;
/// A write of an earlier process may still be on its way for so long: twice the deadline of a call, and some.
const STILL_ON_ITS_WAY: TimeDelta = TimeDelta::seconds(20);

/// One scope under way.
pub(super) struct Run<'a, H, L> {
    pub(super) engine: &'a Engine<'a, L>,
    pub(super) client: &'a WriteClient<H>,
    rivals: Vec<Rival<'a, H>>,
    pub(super) job: &'a Job<'a>,
    pub(super) attempts: AttemptLog,
    /// The account's own images, and since when that was known.
    own: (OwnImages, Monotonic),
    /// What is known of denials, together with the account's other scopes.
    pub(super) share: Share,
    /// Whether the scope as a whole may be denied, as far as this pass has found out.
    pub(super) access: WriteAccess,
    /// Told once the scope has been looked at, whatever was seen.
    pub(super) looked: Rc<Notify>,
}

impl<'a, H: Host, L: Ledger> Run<'a, H, L> {
    pub(super) fn new(
        engine: &'a Engine<'a, L>,
        client: &'a WriteClient<H>,
        rivals: Vec<Rival<'a, H>>,
        job: &'a Job<'a>,
        attempts: AttemptLog,
        denials: &Rc<Denials>,
    ) -> Self {
        Self {
            share: Share::begin(denials, job.scope),
            access: WriteAccess::default(),
            engine,
            client,
            rivals,
            job,
            attempts,
            own: (OwnImages::NotAsked, Monotonic::default()),
            looked: Rc::default(),
        }
    }

    /// Observe, plan, execute, until nothing is left to do or the end is asked for.
    pub(super) async fn converge(mut self) -> ScopeOutcome {
        self.remember_open_intents().await;
        let (mut idle_rounds, mut empty_passes, mut syncing_looks) = (0, 0, 0);
        let mut last: Option<Plan> = None;
        loop {
            let began = self.at();
            self.forget_own_images();
            let asked = self.host().monotonic();
            let Some(seen) = self.unless_stopped(self.look()).await else {
                return self.stopped(last);
            };
            self.looked.notify_one();
            self.remember_own_images(&seen, asked);
            let seen = self.keep_lessons(seen).await;
            if self.engine.ledger.lost().is_some() {
                return self.lost(last);
            }
            let (plan, observation) = (&seen.plan, &seen.observation);
            self.remember_doubts(plan);
            if let AccountProof::FirstRun(doubt) = &seen.account.proof {
                self.attempts.account_doubt = Some(doubt.clone());
            }
            let key = seen.owner.as_ref().and_then(Owner::lasting_key);
            if self.attempts.key.is_none() {
                self.attempts.key = key.cloned();
            }
            let writes = plan.actions().count();
            self.tell(plan, observation, writes, last.is_none(), empty_passes == 0);
            let pause = if let Observation::Unobserved(unobserved) = observation {
                empty_passes += 1;
                let is_final = unobserved.account_broken
                    || unobserved.code.as_deref() == Some(ACCOUNT_NAMED_TWICE);
                if is_final || empty_passes >= BLANK_LOOKS_MAX {
                    return self.outcome(seen.plan);
                }
                Some(LOOK_AGAIN.step(empty_passes))
            } else if writes > 0 {
                empty_passes = 0;
                let carried = self.execute(&seen, began).await;
                let mut nothing_tried = true;
                self.access = carried.access;
                self.take_rest(carried.rest);
                for (image, permission, last) in carried.ended {
                    self.attempts.record(image, permission.leads_to(), last);
                    nothing_tried = false;
                }
                // The plan says yes and the store or a window says no: to ask again at once would go round for ever.
                idle_rounds = if nothing_tried { idle_rounds + 1 } else { 0 };
                nothing_tried.then(|| LOOK_AGAIN.step(idle_rounds))
            } else if let Some(until) = plan.awaiting_until() {
                empty_passes = 0;
                idle_rounds += 1;
                Some(
                    LOOK_AGAIN
                        .step(idle_rounds)
                        .min(until.since(self.host().monotonic())),
                )
            } else if plan.is_pending() && !self.job.policy.no_wait {
                empty_passes = 0;
                syncing_looks += 1;
                Some(SYNCING_AGAIN.step(syncing_looks))
            } else {
                return self.outcome(seen.plan);
            };
            last = Some(seen.plan);
            if let Some(pause) = pause {
                let wake = self.host().sleep_until(self.host().monotonic() + pause);
                if self.unless_stopped(wake).await.is_none() {
                    return self.stopped(last);
                }
            }
        }
    }

    /// Nothing more is written in this pass, if so.
    fn take_rest(&mut self, rest: Option<WritePause>) {
        let Some(rest) = rest else { return };
        self.engine.listener.event(Event::Trouble {
            scope: self.job.scope,
            what: format!("what is left is {rest}"),
            of_account: rest.of_account,
        });
        self.attempts.write_pause = Some(rest);
    }

    async fn look(&self) -> Look {
        look(
            self.client.read(),
            &self.rivals,
            self.engine.ledger,
            self.job,
            &self.attempts,
            &self.own.0,
            &|reading| {
                let scope = self.job.scope;
                self.engine
                    .listener
                    .event(Event::Reading { scope, reading });
            },
        )
        .await
    }

    /// Which images an account has changes seldom: they are not asked for with each of the looks that wait for something.
    fn remember_own_images(&mut self, seen: &Look, asked: Monotonic) {
        if self.own.0 == OwnImages::NotAsked
            && let Observation::Seen(seen) = &seen.observation
            && matches!(seen.own, OwnImages::Known(_))
        {
            self.own = (seen.own.clone(), asked);
        }
    }

    fn forget_own_images(&mut self) {
        if self.host().monotonic().since(self.own.1) >= OWN_IMAGES_AGE_MAX {
            self.own = (OwnImages::NotAsked, Monotonic::default());
        }
    }

    /// That the scope was seen, and what that taught, is kept before anything is done on it. A store that cannot keep it
    /// holds the scope still: its next intent would fail too.
    async fn keep_lessons(&self, mut seen: Look) -> Look {
        let update = std::mem::take(&mut seen.update);
        let is_seen = matches!(seen.observation, Observation::Seen(_));
        if !is_seen && update.is_empty() {
            return seen;
        }
        for change in &update.changes {
            if let Some(note) = &change.note {
                self.engine.listener.event(Event::Noted {
                    scope: self.job.scope,
                    image: &change.image,
                    note,
                });
            }
        }
        let ledger = self.engine.ledger;
        let begun = match is_seen {
            true => ledger.seen().await,
            false => Ok(()),
        };
        let kept = match begun {
            Ok(()) if update.is_empty() => Ok(()),
            Ok(()) => self.settle(update).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => seen,
            Err(error) => {
                let unobserved = Unobserved::new(format!("the state cannot be kept: {error}"));
                seen.plan = self
                    .job
                    .unobserved(unobserved.clone(), self.client.read().context());
                seen.observation = Observation::Unobserved(unobserved);
                seen
            }
        }
    }

    /// Keeps what a look taught, in transactions that hold nobody up: rows that are taken over one by one may be many.
    async fn settle(&self, mut update: InventoryUpdate) -> Result<(), LedgerError> {
        let (ledger, scope) = (self.engine.ledger, self.job.scope);
        while update.takeover.rows.len() > ROWS_AT_ONCE {
            let later = update.takeover.rows.split_off(ROWS_AT_ONCE);
            let rows = std::mem::replace(&mut update.takeover.rows, later);
            let part = InventoryUpdate {
                set_aside: update.set_aside.take(),
                takeover: Takeover {
                    rows,
                    was: update.takeover.was.clone(),
                    ..Takeover::default()
                },
                ..InventoryUpdate::default()
            };
            ledger.settle(scope, part).await?;
        }
        ledger.settle(scope, update).await
    }

    /// Writes of an earlier process that ended a moment ago may still take effect, and are awaited like our own.
    async fn remember_open_intents(&mut self) {
        // Where the store cannot be read, the look that follows says so.
        let Ok(inventory) = self.engine.ledger.inventory(self.job.scope).await else {
            return;
        };
        let (now, at) = (self.present(), self.host().monotonic());
        for (image, open) in inventory.open {
            let is_young = |open: &&OpenIntent| now.since(open.at) < STILL_ON_ITS_WAY;
            let newest = open.last().filter(is_young);
            // What an earlier pass of this process wrote is remembered better.
            let newest = newest.filter(|_| !self.attempts.tried.contains_key(&image));
            if let Some(open) = newest {
                let problem = Problem::new("an earlier run ended before the answer came");
                let last = LastResult::Unclear { at, problem };
                self.attempts
                    .record(image, open.permission.leads_to(), last);
            }
        }
    }

    /// Since when the planner waits for something to show.
    fn remember_doubts(&mut self, plan: &Plan) {
        let now = self.host().monotonic();
        super::remember_doubts(&mut self.attempts, plan, now);
        // What is shared anew now mends the view, but not the doubt.
        if plan.actions().next().is_some() {
            self.attempts.loss = plan.loss.or(self.attempts.loss);
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
        let (scope, listener) = (self.job.scope, self.engine.listener);
        match observation {
            Observation::Unobserved(unobserved) if newly_blank => {
                listener.event(Event::Trouble {
                    scope,
                    what: format!("not observed: {unobserved}"),
                    of_account: unobserved.account_broken,
                });
            }
            Observation::ReadDenied(unobserved) if first => {
                let what = format!(
                    "going on without seeing what is shared, because reading is denied: {unobserved}"
                );
                listener.event(Event::Trouble {
                    scope,
                    what,
                    of_account: false,
                });
            }
            Observation::Unobserved(_) | Observation::ReadDenied(_) | Observation::Seen(_) => {}
        }
        listener.event(Event::Planned { plan, first });
        let count = |which: fn(&Verdict) -> bool| {
            let verdicts = plan.decisions.values().map(|decision| &decision.verdict);
            verdicts.filter(|verdict| which(verdict)).count()
        };
        let images = count(|verdict| matches!(verdict, Verdict::Await { .. }));
        let syncing = count(|verdict| matches!(verdict, Verdict::Pending(_)));
        if writes > 0 {
            return;
        }
        if images > 0 {
            listener.event(Event::Waiting { scope, images });
        } else if syncing > 0 && !self.job.policy.no_wait {
            let images = syncing;
            listener.event(Event::Syncing { scope, images });
        }
    }

    /// The end was asked for: the last plan stands, brought up to date with what was written since.
    fn stopped(self, last: Option<Plan>) -> ScopeOutcome {
        self.ended("stopped before the scope was read", last)
    }

    /// The ledger is lost, which is told once and not for each scope.
    fn lost(self, last: Option<Plan>) -> ScopeOutcome {
        self.ended("the state cannot be used any longer", last)
    }

    fn ended(self, why: &str, last: Option<Plan>) -> ScopeOutcome {
        let plan = last.unwrap_or_else(|| {
            self.job
                .unobserved(Unobserved::new(why), self.client.read().context())
        });
        self.outcome(plan)
    }

    fn outcome(self, plan: Plan) -> ScopeOutcome {
        ScopeOutcome {
            plan,
            attempts: self.attempts,
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

    pub(super) fn host(&self) -> &H {
        &self.client.read().context().host
    }

    pub(super) fn present(&self) -> Present {
        self.client.read().context().present()
    }

    pub(super) fn clocks(&self) -> Clocks {
        self.client.read().clocks(self.job.scope.region)
    }
}

pub(super) fn wake_at(step: crate::execute::Step) -> Monotonic {
    match step {
        crate::execute::Step::Wait(at) => at,
        _ => Monotonic::default(),
    }
}
