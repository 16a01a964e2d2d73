//! DAEMON: passes on a schedule, one at a time in each scope, and what newer manifests and signals do to them.
//!
//! One loop on one thread: it starts what is due, and takes in what comes: a pass that ended, an update of the
//! manifests, a request to look again, the end. It never waits for anything but that. Each scope has a slot, which
//! keeps what one pass leaves to the next. Knows neither HTTP nor arguments; where manifests and credentials come from,
//! and whether anything may be written, is given to it.

mod accounts;
mod pass;
mod places;
mod publisher;
mod slot;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use accounts::Accounts;
use pass::{Ended, Pass};
use places::{Due, Holder, Place, choose};
use slot::Slot;

use crate::api::{ClientContext, ClockNews};
use crate::desired::{Account, Desired, DesiredImage, DesiredShare};
use crate::engine::{Stop, StopReason};
use crate::host::Host;
use crate::model::{AccountName, ImageKey, Labels, Monotonic, Scope, Selector};
use crate::plan::{Policy, Prune};
use crate::schedule::{Interruption, Now};
use crate::source::{Generation, Update};
use crate::status::{Activity, PassResult};

pub use accounts::Connect;
pub use pass::{Observing, Reconciling, Rivals, Work};
pub use publisher::StatusPublisher;

/// How it works.
pub struct Settings {
    /// Between two looks at a scope in which nothing happens.
    pub interval: Duration,
    /// For one pass over a scope.
    pub timeout: Duration,
    /// How long before its end a share is told of.
    pub warn_before: Duration,
    /// What may be pruned.
    pub policy: Policy,
    /// The part of the manifests that is worked on.
    pub selector: Selector,
}

/// Called with each good set of manifests before it is worked on.
pub type OnLoad<'a> = &'a dyn Fn(&Generation);

/// The controller.
pub struct Daemon<'a, H, W: Work<H>> {
    context: Rc<ClientContext<H>>,
    work: &'a W,
    settings: Rc<Settings>,
    publisher: Rc<StatusPublisher<H>>,
    accounts: Accounts<'a, W::Client>,
    on_load: OnLoad<'a>,
    generation: Option<Rc<Generation>>,
    slots: BTreeMap<Scope, Slot>,
    /// Nothing can be recorded any longer: there are no further passes.
    is_lost: bool,
    passes: FuturesUnordered<LocalBoxFuture<'a, Ended<W::Client>>>,
}

impl<'a, H: Host + 'a, W: Work<H>> Daemon<'a, H, W> {
    /// Nothing to do yet: the first [`Update`] says what.
    pub fn new(
        context: Rc<ClientContext<H>>,
        work: &'a W,
        connect: &'a dyn Connect,
        settings: Settings,
        publisher: Rc<StatusPublisher<H>>,
        on_load: OnLoad<'a>,
    ) -> Self {
        Self {
            context,
            work,
            settings: Rc::new(settings),
            publisher,
            accounts: Accounts::new(connect),
            on_load,
            generation: None,
            slots: BTreeMap::new(),
            is_lost: false,
            passes: FuturesUnordered::new(),
        }
    }

    /// Works until `stop`, then waits for calls in flight to settle.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>, stop: &Stop) -> StopReason {
        let work = self.work;
        let mut lost = std::pin::pin!(work.until_lost());
        loop {
            let wake = self.start_what_is_due();
            tokio::select! {
                biased;
                reason = stop.tripped() => return self.wind_up(reason).await,
                why = &mut lost, if !self.is_lost => {
                    self.is_lost = true;
                    self.publisher.state_lost(why);
                }
                Some(ended) = self.passes.next(), if !self.passes.is_empty() => self.ended(ended),
                Some(update) = updates.recv() => self.take(update),
                () = sleep(&self.context.host, wake) => {}
            }
        }
    }

    async fn wind_up(mut self, reason: StopReason) -> StopReason {
        for stop in self.slots.values().filter_map(|slot| slot.running.as_ref()) {
            stop.trip(reason);
        }
        while let Some(ended) = self.passes.next().await {
            self.ended(ended);
        }
        reason
    }

    fn take(&mut self, update: Update) {
        match update {
            Update::Loaded(generation) => self.load(Rc::new(*generation)),
            Update::Broken(problems) => self.publisher.broken(problems),
            Update::Asked => {
                tracing::info!("looking at everything again, as asked");
                self.accounts.reset_backoff();
                let now = self.context.host.monotonic();
                self.slots.values_mut().for_each(|slot| slot.again(now));
            }
        }
    }

    /// Newer manifests: the scopes that they change are looked at now, and what is under way there is cut short.
    fn load(&mut self, next: Rc<Generation>) {
        (self.on_load)(&next);
        let now = self.context.host.monotonic();
        let last = self.generation.replace(Rc::clone(&next));
        let before = last.as_ref().map(|last| &*last.desired);
        let others = |name: &_| {
            // Where it stands does not matter.
            let same = |a: &Account, b: &Account| {
                let source = b.source.clone();
                Account {
                    source,
                    ..a.clone()
                } == *b
            };
            let then = before.and_then(|before| before.accounts.get(name));
            match (then, next.desired.accounts.get(name)) {
                (Some(then), Some(now)) => !same(then, now),
                (None, None) => false,
                _ => true,
            }
        };
        self.accounts.forget(&others);
        let partial = |generation: &Generation| !generation.problems.is_empty();
        let trust = |generation: &Generation| {
            (partial(generation), generation.desired.completeness.clone())
        };
        let other_policy = last.as_ref().map(|last| trust(last)) != Some(trust(&next));
        let (selector, prunes) = (&self.settings.selector, self.settings.policy.prune);
        // As the engine sees it: where nothing is picked, there is only pruning to do.
        let images_of = |scope| {
            let images = next.desired.wanted(scope, selector)?.images.len();
            (images > 0 || prunes != Prune::None).then_some((scope, images))
        };
        let scopes: BTreeMap<_, _> = next.desired.scopes().filter_map(images_of).collect();
        let worked_on = |scope: &Scope| scopes.contains_key(scope);
        let images = scopes.values().sum();
        let mut changed = 0;
        for &scope in scopes.keys() {
            let same = !other_policy
                && !others(&scope.account)
                && before.is_some_and(|before| asks_the_same(before, &next.desired, scope));
            let slot = self
                .slots
                .entry(scope.clone())
                .or_insert_with(|| Slot::new(now));
            if !same {
                changed += 1;
                slot.supersede(now);
            }
        }
        self.slots
            .retain(|scope, slot| slot.is_kept(!worked_on(scope), now));
        self.publisher.loaded(&next, images, worked_on);
        tracing::info!(
            commit = next.commit,
            images,
            scopes = scopes.len(),
            changed,
            "manifests loaded"
        );
        for warning in &next.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// Begins what is due, as far as there are places; when the first of those that rest is due. What is due and waits
    /// for a place is looked at again when a pass ends.
    fn start_what_is_due(&mut self) -> Option<Monotonic> {
        let generation = self.generation.clone().filter(|_| !self.is_lost)?;
        let now = self.context.host.monotonic();
        let (mut due, mut wake) = (Vec::new(), None);
        for (scope, slot) in &self.slots {
            match slot.due() {
                Some(since) if since <= now && !self.is_left_behind(scope) => due.push(Due {
                    scope: scope.clone(),
                    place: place_of(&generation, scope, slot),
                    since,
                }),
                Some(at) if at > now => {
                    wake = Some(wake.map_or(at, |first: Monotonic| first.min(at)))
                }
                _ => {}
            }
        }
        let running = self.slots.values().filter_map(|slot| slot.place.as_ref());
        for scope in choose(running, due) {
            self.start(&generation, scope, now);
        }
        wake
    }

    /// Whether a pass under another account name of the region still settles its calls, though no manifest names that any
    /// longer: it may be the same account, under its earlier name.
    fn is_left_behind(&self, scope: &Scope) -> bool {
        let mut others = self.slots.iter();
        others.any(|(other, slot)| {
            other.region == scope.region
                && other.account != scope.account
                && slot.is_gone()
                && slot.running.is_some()
        })
    }

    fn start(&mut self, generation: &Rc<Generation>, scope: Scope, now: Monotonic) {
        let (work, context) = (self.work, &self.context);
        let mut client = |name: &AccountName| {
            let document = generation.desired.accounts.get(name);
            self.accounts.client(name, document, now, |connection| {
                work.client(Rc::clone(context), connection)
            })
        };
        let rivals = generation.desired.rivals_of(&scope);
        let rivals = rivals.map(|name| (name.clone(), client(name))).collect();
        let client = client(&scope.account);
        let denials = match &client {
            Ok(client) => self.accounts.denials(work.read(client).caller_id()),
            Err(_) => Rc::default(),
        };
        let Some(slot) = self.slots.get_mut(&scope) else {
            return;
        };
        let stop = Rc::new(Stop::default());
        let place = place_of(generation, &scope, slot);
        let attempts = slot.begin(Rc::clone(&stop), place, now);
        if let Ok(client) = &client {
            let lane = pass::lane(work.read(client), scope.region);
            self.publisher.lane(&scope, lane);
        }
        self.publisher.pass_began(&scope);
        let pass = Pass {
            context: Rc::clone(&self.context),
            work,
            settings: Rc::clone(&self.settings),
            publisher: Rc::clone(&self.publisher),
            generation: Rc::clone(generation),
            scope,
            client,
            rivals,
            denials,
            stop,
            began: now,
        };
        self.passes.push(Box::pin(pass.run(attempts)));
    }

    fn ended(&mut self, ended: Ended<W::Client>) {
        for ClockNews { text, is_right } in self.context.clocks.news(self.context.now()) {
            match is_right {
                true => tracing::info!("{text}"),
                false => tracing::warn!("{text}"),
            }
        }
        let host = &self.context.host;
        let at = Now {
            wall: self.context.now(),
            monotonic: host.monotonic(),
            jitter: host.next_f64(),
        };
        let Ended {
            scope,
            client,
            stop,
            began,
            outcome,
        } = ended;
        let Some(slot) = self.slots.get_mut(&scope) else {
            return;
        };
        slot.running = None;
        slot.place = None;
        let took = at.monotonic.since(began);
        let outcome = match outcome {
            Ok(Some(outcome)) => outcome,
            // Only scopes in which there is something to do have a slot.
            Ok(None) => return,
            Err(why) => {
                slot.hold();
                let activity = Activity::Held { why };
                self.publisher
                    .pass_ended(&scope, PassResult::Panicked, took, activity);
                return;
            }
        };
        let unobserved = outcome.plan.unobserved();
        let refusal = client.as_ref().and_then(|client| W::broken(client));
        let is_broken =
            refusal.is_some() || unobserved.is_some_and(|unobserved| unobserved.account_broken);
        let cut = match stop.reason() {
            _ if is_broken => Interruption::AccountBroken,
            Some(_) => Interruption::Short,
            None => Interruption::None,
        };
        // Who was cut short may not have asked the account anything.
        let verdict = (is_broken || cut == Interruption::None).then_some(is_broken);
        let retry = self
            .accounts
            .judge(&scope.account, client.as_ref(), verdict, at);
        let result = pass::result(&outcome.plan, stop.reason());
        let next = slot.ended(outcome, cut, self.settings.interval, at, retry);
        if slot.is_gone() {
            return;
        }
        let wait = next.since(at.monotonic);
        let activity = Activity::Resting {
            next: at.wall + wait,
        };
        self.publisher.pass_ended(&scope, result, took, activity);
        let retries = slot.schedule.retries();
        let retries =
            retries.map(|(image, due)| (image.clone(), at.wall + due.since(at.monotonic)));
        self.publisher.retries(&scope, retries);
        self.publisher.expiring(self.settings.warn_before);
    }
}

/// The place that a pass over the scope takes.
fn place_of(generation: &Generation, scope: &Scope, slot: &Slot) -> Place {
    let name = &scope.account;
    let document = generation.desired.accounts.get(name);
    let uin = document.and_then(|document| document.uin.clone());
    Place {
        holder: uin.map_or_else(|| Holder::Name(name.clone()), Holder::Uin),
        in_vain: slot.schedule.is_unobserved(),
    }
}

/// Whether two sets of manifests ask the same of a scope. Where they ask for it does not matter.
fn asks_the_same(a: &Desired, b: &Desired, scope: &Scope) -> bool {
    fn asked<'d>(
        (key, image): (&'d ImageKey, &'d DesiredImage),
    ) -> (&'d ImageKey, DesiredShare, bool, &'d Labels) {
        (key, image.intent, image.protect, &image.labels)
    }
    a.of(scope).map(asked).eq(b.of(scope).map(asked))
}

async fn sleep(host: &impl Host, until: Option<Monotonic>) {
    match until {
        Some(until) => host.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
